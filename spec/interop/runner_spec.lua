--- The cases of the public QUIC interop runner over real sockets, `neap interop-client` against `neap interop-server`,
--- with HTTP/0.9 and with HTTP/3. Sizes and times are such that a suite has time for; the runner's own are in virtual
--- time, spec/sim/runner_spec.lua, and here with NEAP_RUNNER=full.
local harness = require("spec.interop.harness")
local helper = require("spec.helper")
local runner = require("spec.interop.runner")

local is_full = os.getenv("NEAP_RUNNER") == "full"

local function environment(values)
  local words = {}
  for name, value in pairs(values) do words[#words + 1] = name .. "=" .. helper.quote(value) end
  return "env -u ROLE " .. table.concat(words, " ")
end

for _, protocol in ipairs({ "hq-interop", "h3" }) do
  local words = protocol == "h3" and "--h3" or ""

  describe("neap over " .. protocol, function()
    local dir

    before_each(function() dir = helper.make_dir() end)

    after_each(function()
      harness.end_all()
      helper.remove_dir(dir)
    end)

    for _, whole in ipairs(runner.cases) do
      local case = is_full and whole or runner.short(whole)
      if not (protocol == "h3" and case.name == "http3") then
        it("passes " .. case.name, function()
          local seen, status, log = runner.run(case, dir, function(address, port, folders)
            local preferred = case.is_preferred and "--preferred 127.0.0.2:" .. harness.free_port() or ""
            return harness.start(("%s %s interop-server %s --listen %s %s"):format(environment {
              TESTCASE = case.server, WWW = folders.www, CERTS = folders.certs, SSLKEYLOGFILE = dir .. "/server.keys",
            }, harness.neap(), words, address, preferred), { dir = dir, name = "server", port = port })
          end, function(urls, folders)
            return helper.run(("timeout %d %s %s interop-client %s"):format(case.seconds or 100, environment {
              TESTCASE = case.client, REQUESTS = table.concat(urls, " "), DOWNLOADS = folders.downloads,
              CERTS = folders.certs, SSLKEYLOGFILE = dir .. "/client.keys",
            }, harness.neap(), words))
          end)
          assert(seen, status)
          assert.equal(0, status, log)
          local keys = helper.read_file(dir .. "/client.keys")
          assert.is_truthy(keys:find("SERVER_HANDSHAKE_TRAFFIC_SECRET", 1, true))
          if case.check then case.check(seen, case) end
        end)
      end
    end
  end)
end

describe("neap interop-client and interop-server", function()
  it("end with 127 where there is no such case, and with 2 where the environment is wrong", function()
    for _, command in ipairs({ "interop-client", "interop-server" }) do
      for words, expected in pairs({ ["TESTCASE=abcdef"] = 127, ["TESTCASE=versionnegotiation"] = 127,
        ["TESTCASE="] = 2, ["TESTCASE=transfer ROLE=nobody"] = 2 }) do
        local output, status = helper.run(("env -u ROLE -u TESTCASE %s %s %s"):format(words, harness.neap(), command))
        assert.equal(expected, status, command .. " " .. words .. output)
      end
      local output, status = helper.run(harness.neap() .. " " .. command .. " --help")
      assert.equal(0, status)
      for _, case in ipairs(runner.cases) do assert.is_truthy(output:find(" " .. case.name, 1, true), case.name) end
    end
  end)

  it("end with 2 where what is asked for cannot be", function()
    for _, requests in ipairs({ "", "localhost/one", "https://localhost:1/", "https://localhost:1/..",
      "https://localhost:1/a/one https://localhost:1/b/one", "https://localhost:1/one https://localhost:2/%6fne" }) do
      local output, status = helper.run(("env -u ROLE TESTCASE=transfer REQUESTS=%s %s interop-client"):format(
        helper.quote(requests), harness.neap()))
      assert.equal(2, status, requests .. ": " .. output)
    end
  end)

  it("end with 1 where a file is not there", function()
    local dir = helper.make_dir()
    finally(function()
      harness.end_all()
      helper.remove_dir(dir)
    end)
    local case = { sizes = { 10 }, link = {} }
    for _, words in ipairs({ "", "--h3" }) do
      local _, why = runner.run(case, dir, function(address, port, folders)
        return harness.start(("env TESTCASE=transfer WWW=%s CERTS=%s %s interop-server %s --listen %s"):format(
          folders.www, folders.certs, harness.neap(), words, address), { dir = dir, name = "server", port = port })
      end, function(urls, folders)
        local url = urls[1]:gsub("[^/]*$", "")
        for name, expected in pairs({ none = 1, ["..%2fcerts%2fpriv.key"] = 2, ["../certs/priv.key"] = 1 }) do
          local output, status = helper.run(("env TESTCASE=transfer REQUESTS=%s DOWNLOADS=%s CERTS=%s %s "
            .. "interop-client %s"):format(url .. name, folders.downloads, folders.certs, harness.neap(), words))
          assert.equal(expected, status, output)
          assert.is_nil(helper.read_file(folders.downloads .. "/priv.key"))
        end
        return "as it should", 1
      end)
      assert.matches("as it should", why)
    end
  end)

  it("the server answers the probe by which the runner knows that it is there", function()
    local dir = helper.make_dir()
    finally(function()
      harness.end_all()
      helper.remove_dir(dir)
    end)
    runner.make_certificates(dir)
    local port = harness.free_port()
    harness.start(("env TESTCASE=handshake WWW=%s CERTS=%s %s interop-server --listen 127.0.0.1:%d"):format(dir, dir,
      harness.neap(), port), { dir = dir, name = "server", port = port })
    local udp = require("neap.core").udp()
    assert(udp:bind("127.0.0.1:0"))
    -- Version "WAIT", and connection IDs without a byte.
    assert(udp:sendto("\192WAIT\0\0" .. ("\0"):rep(1200), "127.0.0.1:" .. port))
    local answer = udp:recvfrom(10)
    udp:close()
    assert.equal("\0\0\0\0", answer and answer:sub(2, 5))
  end)
end)
