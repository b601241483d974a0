--- Tokens of NEW_TOKEN frames (RFC 9000 §8.1.3) with the programs of ngtcp2 in Debian 13 (scripts/peers): given by
--- either side, and shown at the next connection, which is spared the Retry then.
local harness = require("spec.interop.harness")
local helper = require("spec.helper")

local gtlsclient, gtlsserver = harness.peer("/usr/bin/gtlsclient"), harness.peer("/usr/sbin/gtlsserver")
local MISSING = "needs ngtcp2 of Debian 13: scripts/peers"

describe("a token of a NEW_TOKEN frame", function()
  local dir, certs, process

  before_each(function()
    dir = helper.make_dir()
    certs = harness.make_certificates(dir)
    helper.write_file(dir .. "/hello", "hello\n")
  end)

  after_each(function()
    if process then harness.stop(process, 30) end
    process = nil
    helper.remove_dir(dir)
  end)

  it("that neap gave spares gtlsclient the Retry of its next connection, once", function()
    if not gtlsclient then return pending(MISSING) end
    local port = harness.free_port()
    process = harness.start(("%s run %s/spec/interop/tokens_server.lua %d %s %s"):format(harness.neap(),
      helper.source_dir, port, certs.cert, certs.key), { dir = dir, name = "neap", ready = "listening" })
    local function visit(token)
      os.remove(dir .. "/got/hello")
      local output, status = helper.run(("mkdir -p %s/got; timeout 30 %s --exit-on-all-streams-close --no-http-dump "
        .. "--no-quic-dump --token-file=%s --download=%s/got 127.0.0.1 %d https://localhost:%d/hello"):format(dir,
        gtlsclient, token, dir, port, port))
      assert.equal(0, status, output)
      return helper.read_file(dir .. "/got/hello"), output:find("type=Retry", 1, true) ~= nil
    end
    local token = dir .. "/token"
    assert.same({ "retries 1, tokens 0, refused 0\n", true }, { visit(token) })
    local first = helper.read_file(token)
    assert.matches("BEGIN QUIC TOKEN", first)
    assert.same({ "retries 1, tokens 1, refused 0\n", false }, { visit(token) })
    assert.are_not.equal(first, helper.read_file(token)) -- there is another for the next
    assert.same({ "retries 1, tokens 2, refused 0\n", false }, { visit(token) })
    helper.write_file(token, first)
    assert.same({ "retries 2, tokens 2, refused 1\n", true }, { visit(token) })
  end)

  it("that gtlsserver gave spares neap the Retry of its next connection", function()
    if not gtlsserver then return pending(MISSING) end
    local port = harness.free_port()
    process = harness.start(("%s -V --no-http-dump -d %s 127.0.0.1 %d %s %s"):format(gtlsserver, dir, port, certs.key,
      certs.cert), { dir = dir, name = "gtlsserver", port = port })
    local function visit()
      local before = #helper.read_file(process.log)
      local output, status = helper.run(("timeout 30 %s get -v --ca %s --sessions %s/sessions "
        .. "https://127.0.0.1:%d/hello"):format(harness.neap(), certs.ca, dir, port))
      assert.equal(0, status, output)
      assert.is_truthy(output:find("hello\n", 1, true), output)
      local said = helper.read_file(process.log):sub(before + 1)
      return said:find("Retry", 1, true) ~= nil, said
    end
    local has_retry, said = visit()
    assert.is_true(has_retry, said)
    for _ = 1, 2 do
      has_retry, said = visit()
      assert.is_false(has_retry, said)
      assert.is_truthy(said:find("type=Initial", 1, true), said)
    end
  end)
end)
