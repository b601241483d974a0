-- Programs of others against HTTP/2 without TLS: h2spec (scripts/h2spec makes it), curl, nghttp.
local helper = require("spec.helper")
local leash = require("spec.support.leash")
local units = require("neap.units")

if not units.transport.http2 then
  describe("HTTP/2 and programs of others", function()
    it("understand each other", function() pending("this build has no libnghttp2 (NEAP_WITH_HTTP2)") end)
  end)
  return
end

local listener = require("spec.tcp.h2_listener")

-- What a command says whose PORT is that of a listener, and its status.
local function visit(command, seconds)
  local socket, port = listener.open()
  local log = os.tmpname()
  local process = leash.start((command:gsub("PORT", port)), log)
  local ends = os.time() + seconds
  listener.serve(socket, function() return leash.status(process) or os.time() > ends end)
  local status = leash.stop(process)
  socket:close()
  local output = helper.read_file(log) or ""
  os.remove(log)
  return output, status
end

after_each(leash.end_all)

describe("a server of HTTP/2", function()
  it("fails none of h2spec's tests", function()
    local program = helper.run("scripts/h2spec path"):match("%S+")
    if not helper.has_program(program) then pending("there is no h2spec: run scripts/h2spec") return end
    local output, status = visit(helper.quote(program) .. " -h 127.0.0.1 -p PORT -o 2", 120)
    assert.equal(0, status, output:match("Failures:.*") or output)
    local passed = tonumber(output:match("(%d+) passed, 0 skipped, 0 failed"))
    assert.is_true((passed or 0) >= 145, output)
  end)

  it("serves curl", function()
    if not helper.has_program("curl") then pending("there is no curl") return end
    local file = os.tmpname()
    helper.write_file(file, ("0123456789"):rep(100000))
    -- One connection each: with prior knowledge 7.88 cannot use one again.
    local curl = "curl -sS --http2-prior-knowledge -m 20 -w '%{http_version} %{size_download}\n' -o /dev/null "
    local got, got_status = visit(curl .. "http://127.0.0.1:PORT/big", 30)
    local output, status = visit(curl .. "--data-binary @" .. file .. " http://127.0.0.1:PORT/echo", 30)
    os.remove(file)
    assert.equal(0, status, output)
    assert.equal("2 1000000\n", output)
    assert.same({ "2 300000\n", 0 }, { got, got_status })
  end)

  it("serves nghttp, a hundred at a time", function()
    if not helper.has_program("nghttp") then pending("there is no nghttp: apt-get install nghttp2-client") return end
    local output, status = visit("nghttp -n -s -m 100 http://127.0.0.1:PORT/big", 60)
    assert.equal(0, status, output)
    assert.equal(100, select(2, output:gsub(" 200 +%S+ /big", "")), output)
  end)
end)
