--- neap.h as programs in C use it.
local api = require("neap.units").api

describe("neap_connect", function()
  it("wants a name to verify", function()
    for _, name in ipairs { false, "" } do
      local made, why = api.connect_without(name or nil, true)
      assert.is_false(made)
      assert.is_truthy(why:find("name", 1, true), why)
    end
    assert.is_true((api.connect_without("localhost", true)))
  end)

  it("needs none where nothing is verified", function()
    assert.is_true((api.connect_without(nil, false)))
    assert.is_true((api.connect_without("", false)))
  end)
end)

describe("neap_endpoint_new", function()
  local lacks = { certificate = "certificate", alpn = "protocol", ids = "connection IDs", config = "config" }
  for what, word in pairs(lacks) do
    it("says that a server has no usable " .. what, function()
      local made, why = api.server_lacking(what)
      assert.is_false(made)
      assert.is_truthy(why:find(word, 1, true), why)
    end)
  end

  it("makes a server that has everything", function()
    assert.is_true((api.server_lacking("nothing")))
  end)
end)

describe("a config", function()
  it("stays as it is while connections or endpoints are made with it", function()
    assert.same({ -19, -19, -3, -19, 0, 0 }, { api.changed() })
  end)
end)

describe("neap_conn_free", function()
  it("takes an endpoint's connection out of it", function()
    assert.same({ 0, true }, { api.freed() })
  end)
end)

describe("what is done outside of neap_endpoint_next", function()
  for _, how in ipairs { "send", "close", "stop", "http", "ping", "keep_alive", "cancel", "stop_body",
    "datagram" } do
    it("leaves without being touched: " .. how, function()
      assert.is_true(api.answered(how))
    end)
  end
end)

describe("failures of accept", function()
  it("are counted and told to the endpoint's tracer", function()
    local failures, why, accepted = api.accept_fails()
    assert.is_true(failures > 0)
    assert.is_truthy(why and why:find("memory", 1, true), why)
    assert.equal(0, accepted)
  end)
end)

describe("structs that are filled", function()
  it("may be of an older or a newer header", function()
    assert.same({ true, true }, { api.sized() })
  end)
end)

describe("what gets nothing where something is needed", function()
  local ARGUMENT = -3
  local said

  setup(function() said = api.refusals() end)

  for _, what in ipairs { "certificate file", "key file", "roots", "name", "address", "bound address", "host" } do
    it("is refused: no " .. what, function() assert.equal(ARGUMENT, said[what]) end)
  end

  it("gives no connection and says why", function()
    assert.equal(0, said["connect without a config"])
    assert.equal(0, said["connect without an endpoint"])
    assert.equal(0, said["connect to no address"])
    for i, word in ipairs { "file", "file", "file", "config", "endpoint", "address" } do
      assert.is_truthy(said[i] and said[i]:find(word, 1, true), said[i])
    end
  end)
end)

describe("neap_config_add_ca_path", function()
  local helper = require("spec.helper")

  it("says that memory was short, of a folder as of a file", function()
    local dir = helper.make_dir()
    finally(function() helper.remove_dir(dir) end)
    helper.write_file(dir .. "/root.pem", api.certificate())
    for _, path in ipairs { dir, dir .. "/root.pem" } do
      local result, why = api.added_without_memory(path)
      assert.equal(-2, result)
      assert.is_truthy(why:find("memory", 1, true), why)
    end
  end)
end)

describe("neap_config_engine", function()
  it("is the fastest that is here, or the one that NEAP_CRYPTO names", function()
    local names = require("neap.units").engines.names()
    for _, name in ipairs(names) do assert.equal(name, api.engine(name)) end
    assert.equal(names[1], api.engine())
    assert.equal(names[1], api.engine("abacus"))
  end)
end)

describe("a request", function()
  it("is neither cancelled nor stopped with a code that no varint holds", function()
    assert.same({ -3, -3, 1 }, { api.codes() })
  end)

  it("whose response was stopped says so to capacity and to sending", function()
    assert.same({ -11, -11 }, { api.stopped() })
  end)

  it("whose connection is over does not look as if its body had ended", function()
    assert.equal(-4, api.cut_off())
  end)
end)

describe("neap_h3_goaway", function()
  it("ends the connection when the control stream cannot carry it", function()
    assert.same({ -4, 0x0104 }, { api.goaway_stopped() })
  end)
end)

describe("what becomes of datagrams", function()
  for how, name in pairs({
    refused = "that a probe was too large for the link, and what passes", ["too big"] = "what ICMP tells",
    train = "that trains are not taken",
  }) do
    it("is told to their path alone: " .. name, function()
      assert.is_true(api.path_told(how))
    end)
  end
end)

describe("NULL with a size or count of 0", function()
  it("is nothing", function()
    assert.same({
      ["header"] = -7, ["alpn"] = -3, ["versions"] = -3, ["roots"] = -13, ["certificate"] = -13,
      ["send"] = 0, ["recv"] = 0, ["source ids"] = 1, ["readable"] = 0, ["close"] = 0,
      ["fields"] = -3, ["an empty value"] = 1, ["body"] = 0, ["request"] = -3, ["respond"] = -8,
      ["receiving a body"] = 0, ["trailers"] = 0,
    }, api.nothings())
  end)
end)

describe("structs that do not take their size", function()
  -- Whoever changes one gives libneap.so and its symbols the next number, here too.
  local NUMBER = 0
  local SIZES = {
    neap_env = 48, neap_option = 56, neap_address = 24, neap_cid = 21, neap_header = 72,
    neap_recv_info = 52, neap_send_info = 72, neap_udp_datagram = 104, neap_trace_event = 160,
    neap_tracer = 16, neap_datagram_fate = 16, neap_qlog_config = 40,
    neap_part = 16, neap_view = 16, neap_field = 40, neap_h3_config = 16, neap_h3_event = 56,
    neap_resolved = 304, neap_loop_handler = 40,
  }

  it("are as large as those of the library's number", function()
    local sizes, pointer = api.struct_sizes()
    if pointer ~= 8 then return pending("the sizes are those of 64 bits") end
    assert.same(SIZES, sizes)
  end)

  it("have a number that shared library, symbols and header agree on", function()
    local helper = require("spec.helper")
    local function number_in(file, pattern)
      return tonumber(assert(helper.read_file(helper.source_dir .. "/" .. file)):match(pattern))
    end
    assert.equal(NUMBER, number_in("CMakeLists.txt", "SOVERSION (%d+)"))
    assert.equal(NUMBER, number_in("scripts/cmake/libneap.map", "NEAP_(%d+)"))
    assert.equal(NUMBER, number_in("core/include/neap.h", "libneap%.so%.(%d+)"))
    assert.equal(NUMBER, number_in("core/include/neap.h", "of NEAP_(%d+)"))
  end)
end)
