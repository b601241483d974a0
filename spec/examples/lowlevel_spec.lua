-- The examples that own their socket, C and Lua, as clients and servers of each other.
local helper = require "helper"
local pair = require "binding.pair"
local leash = require "spec.support.leash"
local support = require "support.program"

local build, examples = helper.build_dir, helper.source_dir .. "/examples/"
local dir

-- Runs a command in the background until fn(address it prints) is over.
local function with_server(command, fn)
  local process = leash.start("env " .. command, dir .. "/log")
  fn(leash.wait_until(function()
    return (helper.read_file(process.log) or ""):match("listening on (%S+)\n")
  end))
  leash.stop(process)
  local output = helper.read_file(process.log)
  assert.is_nil(output:find("Sanitizer", 1, true), output)
end

local function server(kind)
  local command = kind == "embed.c" and build .. "/example_embed" or support.neap .. " run " .. examples .. kind
  return ("%s 127.0.0.1:0 %s/cert.pem %s/key.pem"):format(command, dir, dir)
end

local function client(kind, words)
  local command = kind == "client.c" and build .. "/example_client" or support.neap .. " run " .. examples .. kind
  return helper.run("timeout 20 env " .. command .. " " .. words)
end

describe("the examples with a socket of their own:", function()
  setup(function()
    dir = helper.make_dir()
    -- Dates as of now: the programs look at the real clock.
    local cert, key = require("neap.core").make_certificate{ names = { "localhost" }, days = 30 }
    helper.write_file(dir .. "/cert.pem", cert)
    helper.write_file(dir .. "/key.pem", key)
  end)

  teardown(function() helper.remove_dir(dir) end)
  after_each(leash.end_all)

  for _, serving in ipairs{ "embed.c", "lowlevel_server.lua" } do
    local expected = serving == "embed.c" and "hello from C over HTTP/3\n" or "you asked for /some/path\n"
    for _, asking in ipairs{ "client.c", "lowlevel_client.lua" } do
      it(asking .. " gets a page from " .. serving, function()
        with_server(server(serving), function(address)
          local output, status = client(asking, address .. " localhost /some/path " .. dir .. "/cert.pem")
          assert.equal(0, status, output)
          assert.matches(":status: 200\n", output, 1, true)
          assert.matches(expected, output, 1, true)
        end)
      end)
    end
  end

  it("neither client accepts a certificate for another name", function()
    with_server(server("embed.c"), function(address)
      for _, asking in ipairs{ "client.c", "lowlevel_client.lua" } do
        local output, status = client(asking, address .. " other.example / " .. dir .. "/cert.pem")
        assert.equal(1, status, output)
        assert.matches("bad_certificate", output)
      end
    end)
  end)

  it("all say how they are used", function()
    for _, command in ipairs{ build .. "/example_embed", build .. "/example_client",
      support.neap .. " run " .. examples .. "lowlevel_server.lua",
      support.neap .. " run " .. examples .. "lowlevel_client.lua" } do
      local output, status = helper.run("env " .. command)
      assert.equal(2, status, output)
      assert.matches("^usage: ", output)
    end
  end)

  it("embed.c says what is wrong with its arguments", function()
    local output, status = helper.run(("%s/example_embed 127.0.0.1:0 %s/none %s/key.pem"):format(build, dir, dir))
    assert.equal(1, status)
    assert.matches("none: ", output)
    local cert = pair.certificate()
    helper.write_file(dir .. "/other.pem", cert)
    output, status = helper.run(("%s/example_embed 127.0.0.1:0 %s/other.pem %s/key.pem"):format(build, dir, dir))
    assert.equal(1, status)
    assert.matches("other.pem: ", output)
  end)
end)

describe("examples/loss_lab.lua", function()
  it("prints goodput against loss, the same for the same seed", function()
    local command = "timeout 100 env " .. support.neap .. " run " .. examples .. "loss_lab.lua 7"
    local output, status = helper.run(command)
    assert.equal(0, status, output)
    local rates = {}
    for rate in output:gmatch("%% +([%d.]+) Mbit/s") do rates[#rates + 1] = tonumber(rate) end
    assert.equal(8, #rates)
    assert.is_true(rates[1] > 15 and rates[1] <= 20, "near the link's rate without loss: " .. rates[1])
    assert.is_true(rates[8] < rates[1] / 4, "much less with 20 %: " .. rates[8])
    assert.equal(output, (helper.run(command)))
  end)
end)
