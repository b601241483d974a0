-- Scripts as processes: run by the program `neap` and by a plain interpreter.
local helper = require "helper"
local support = require "support.program"

local PLAIN = ("XDG_CACHE_HOME=%s %s/spec_host"):format(helper.quote(support.cache), helper.quote(helper.build_dir))

describe("a script", function()
  local folder, holder

  setup(function()
    folder = helper.make_dir()
    holder = support.start("serve " .. folder .. " --listen 127.0.0.1:0")
  end)

  teardown(function()
    support.end_all()
    helper.remove_dir(folder)
  end)

  -- Runs the script with both; what each printed and its exit status.
  local function with_both(script)
    helper.write_file(folder .. "/script.lua", (script:gsub("PORT", holder.port)))
    local results = {}
    for i, interpreter in ipairs { "env " .. support.neap .. " run", "env " .. PLAIN } do
      local output, status = helper.run(("timeout 20 %s %s/script.lua"):format(interpreter, folder))
      results[i] = { output, status }
    end
    return results[1], results[2]
  end

  it("whose listen failed is told why, though it did not ask", function()
    for _, listen in ipairs { "neap.app():listen { host = '127.0.0.1', port = PORT }",
      "neap.quic.listen { host = '127.0.0.1', port = PORT, alpn = 'x' }" } do
      local program, plain = with_both("local neap = require 'neap' " .. listen .. " neap.run()")
      for _, result in ipairs { program, plain } do
        assert.equal(1, result[2], result[1])
        assert.matches("in use", result[1])
      end
      assert.matches("^neap: [^\n]*in use\n$", program[1])
    end
  end)

  it("whose second listen failed beside one that works finds it in the log", function()
    for _, listen in ipairs { "neap.app():listen { host = '127.0.0.1', port = PORT }",
      "neap.quic.listen { host = '127.0.0.1', port = PORT, alpn = 'x' }" } do
      local program, plain = with_both(([[
        local neap = require "neap"
        local server = assert(neap.app():listen { host = "127.0.0.1", port = 0 })
        LISTEN
        neap.go(function() server:close() end)
        neap.run()
      ]]):gsub("LISTEN", function() return listen end))
      for _, result in ipairs { program, plain } do assert.matches("warn not listening: [^\n]*in use", result[1]) end
    end
  end)

  it("that listens and never runs the loop is told so by a plain interpreter", function()
    helper.write_file(folder .. "/script.lua",
      "assert(require('neap').app():listen { host = '127.0.0.1', port = 0 })")
    local output = helper.run(("timeout 20 env %s %s/script.lua"):format(PLAIN, folder))
    assert.equal("neap: a server listens and nothing runs it: call neap.run()\n", output)
  end)

  it("runs its function with neap.run, in the program and in a plain interpreter", function()
    local program, plain = with_both [[
      local neap = require "neap"
      print(neap.run(function(word)
        neap.sleep(0.01)
        return word, nil, "ends"
      end, "runs"))
    ]]
    for _, result in ipairs { program, plain } do assert.same({ "runs\tnil\tends\n", 0 }, result) end
  end)

  it("that tries another port after one that is taken serves there", function()
    local program, plain = with_both [[
      local neap = require "neap"
      local app = neap.app()
      app:get("/", function() return "served" end)
      local server = app:listen { host = "127.0.0.1", port = PORT } or assert(app:listen { host = "127.0.0.1", port = 0 })
      neap.go(function()
        print(neap.client { verify_peer = false }:get("https://127.0.0.1:" .. server.port):body())
        server:close()
      end)
      neap.run()
    ]]
    for _, result in ipairs { program, plain } do
      assert.equal(0, result[2], result[1])
      assert.matches("served\n", result[1])
    end
  end)
end)
