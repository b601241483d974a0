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
  for _, how in ipairs { "send", "close", "stop", "http" } do
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
