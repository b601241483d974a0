--- QUIC version 2 and version negotiation with the programs of ngtcp2 in Debian 13 (scripts/peers), both roles: Debian
--- 12 has a draft of it.
local harness = require("spec.interop.harness")
local helper = require("spec.helper")

local V1, V2 = "0x00000001", "0x6b3343cf"

local gtlsclient, gtlsserver = harness.peer("/usr/bin/gtlsclient"), harness.peer("/usr/sbin/gtlsserver")
local MISSING = "needs ngtcp2 of Debian 13: scripts/peers"

local function scratch()
  local dir = helper.make_dir()
  local certs = harness.make_certificates(dir)
  helper.write_file(dir .. "/hello", "hello\n")
  return dir, certs
end

describe("gtlsclient of Debian 13", function()
  local dir, certs, running

  before_each(function()
    running = {}
    if gtlsclient then dir, certs = scratch() end
  end)

  after_each(function()
    for _, process in ipairs(running) do
      local status, log = harness.stop(process, 30)
      assert.equal(0, status, log)
    end
    if dir then helper.remove_dir(dir) end
  end)

  local function start(versions, retry)
    local port = harness.free_port()
    table.insert(running, harness.start(("%s run %s/spec/interop/versions_server.lua %d %s %s %s %s"):format(
      harness.neap(), helper.source_dir, port, certs.cert, certs.key, versions, retry and "retry" or ""),
      { dir = dir, name = "neap", ready = "listening" }))
    return port
  end

  -- What it says, and what the server answered.
  local function visit(port, words)
    os.remove(dir .. "/got/hello")
    local output, status = helper.run(("mkdir -p %s/got; timeout 30 %s %s --exit-on-all-streams-close --no-http-dump "
      .. "--no-quic-dump --download=%s/got 127.0.0.1 %d https://localhost:%d/hello"):format(dir, gtlsclient, words, dir,
      port, port))
    assert.equal(0, status, output)
    return output, helper.read_file(dir .. "/got/hello")
  end

  for _, case in ipairs({
    { "stays with version 1", "-", "--available-versions=v1,v2", V1 },
    { "begins with version 2", "-", "-v v2 --available-versions=v2,v1", V2 },
    { "goes over to version 2 within the handshake", "v2,v1", "--available-versions=v1,v2", V2 },
    { "goes over to version 1 within the handshake", "v1,v2", "-v v2 --available-versions=v1,v2", V1 },
    { "goes over to version 2 behind a Retry", "v2,v1", "--available-versions=v1,v2", V2, true },
    { "says nothing of version 2 and stays with version 1", "v2,v1", "", V1 },
    { "takes version 2 from a Version Negotiation packet", "v2",
      "--preferred-versions=v2,v1 --available-versions=v1,v2", V2 },
    { "takes version 1 from a Version Negotiation packet, behind a Retry", "v1",
      "-v v2 --preferred-versions=v2,v1 --available-versions=v1,v2", V1, true },
  }) do
    it(case[1], function()
      if not gtlsclient then return pending(MISSING) end
      local output, answer = visit(start(case[2], case[5]), case[3])
      assert.equal("hello, early false\n", answer)
      assert.is_truthy(output:find("the negotiated version is " .. case[4], 1, true), output)
      assert.equal(case[1]:find("Negotiation", 1, true) ~= nil, output:find("VERSION_NEGOTIATION", 1, true) ~= nil)
      assert.equal(case[5] or false, output:find("type=Retry", 1, true) ~= nil)
      -- RFC 9287: both draw it, or nothing of this would arrive.
      assert.is_truthy(output:find("remote transport_parameters grease_quic_bit=1", 1, true), output)
    end)
  end

  it("sends early data of version 1 to a server that goes over to version 2, and of version 2", function()
    if not gtlsclient then return pending(MISSING) end
    local words = ("--session-file=%s/session --tp-file=%s/tp --wait-for-ticket"):format(dir, dir)
    local port = start("v2,v1")
    local output, answer = visit(port, words) -- which offers no other version than 1
    assert.equal("hello, early false\n", answer)
    assert.is_truthy(output:find("the negotiated version is " .. V1, 1, true), output)
    output, answer = visit(port, words .. " --available-versions=v1,v2")
    assert.equal("hello, early true\n", answer, output)
    assert.is_truthy(output:find("the negotiated version is " .. V2, 1, true), output)
    -- Its session is of version 2 now.
    output, answer = visit(port, words .. " -v v2 --available-versions=v2,v1")
    assert.equal("hello, early true\n", answer, output)
    assert.is_truthy(output:find("type=0RTT", 1, true), output)
  end)
end)

describe("gtlsserver of Debian 13", function()
  local dir, certs, running

  before_each(function()
    running = {}
    if gtlsserver then dir, certs = scratch() end
  end)

  after_each(function()
    for _, process in ipairs(running) do harness.stop(process) end
    if dir then helper.remove_dir(dir) end
  end)

  local function start(words)
    local port = harness.free_port()
    table.insert(running, harness.start(("%s -q %s -d %s 127.0.0.1 %d %s %s"):format(gtlsserver, words, dir, port,
      certs.key, certs.cert), { dir = dir, name = "gtlsserver", port = port }))
    return port
  end

  local function visit(port, words)
    local output, status = helper.run(("timeout 30 %s get -v --ca %s %s https://127.0.0.1:%d/hello"):format(
      harness.neap(), certs.ca, words, port))
    assert.equal(0, status, output)
    assert.is_truthy(output:find("hello\n", 1, true), output)
    return output
  end

  for _, case in ipairs({
    { "is met in version 1", "", "", V1 },
    { "is met in version 2", "", "--versions v2,v1", V2 },
    { "has neap go over to version 2 within the handshake", "--preferred-versions=v2,v1", "", V2 },
    { "has neap go over to version 1 within the handshake", "--preferred-versions=v1,v2", "--versions v2,v1", V1 },
    { "has neap go over to version 2 behind a Retry", "-V --preferred-versions=v2,v1", "", V2 },
    { "leaves neap with version 1, which offers no other", "--preferred-versions=v2,v1", "--versions v1", V1 },
  }) do
    it(case[1], function()
      if not gtlsserver then return pending(MISSING) end
      local output = visit(start(case[2]), case[3])
      assert.is_truthy(output:find("QUIC version " .. case[4], 1, true), output)
    end)
  end

  it("reads early data of version 2 with a session that began with version 1", function()
    if not gtlsserver then return pending(MISSING) end
    local port = start("--preferred-versions=v2,v1")
    local words = ("--sessions %s/sessions --early"):format(dir)
    assert.is_truthy(visit(port, words):find("0-RTT not offered", 1, true))
    local output = visit(port, words)
    assert.is_truthy(output:find("QUIC version " .. V2 .. ", resumed", 1, true), output)
    assert.is_truthy(output:find("0-RTT accepted", 1, true), output)
  end)
end)
