--- What the README shows has to work as it stands there.
local harness = require("spec.interop.harness")
local helper = require("spec.helper")

local quote = helper.quote

--- The code blocks of a page that are tagged with a language.
local function blocks(page, language)
  local text = assert(helper.read_file(helper.source_dir .. "/" .. page))
  local found = {}
  for tag, code in text:gmatch("\n```(%w*)\n(.-)\n```") do
    if tag == language then found[#found + 1] = code .. "\n" end
  end
  return found
end

local function sh(command)
  local output, status = helper.run(command)
  assert(status == 0, command .. "\n" .. output)
  return output
end

describe("README.md", function()
  local dir

  before_each(function() dir = helper.make_dir() end)
  after_each(function()
    harness.end_all()
    helper.remove_dir(dir)
  end)

  it("has programs in Lua and in C, and commands", function()
    assert.is_true(#blocks("README.md", "lua") >= 1)
    assert.is_true(#blocks("README.md", "c") >= 1)
    assert.is_true(#blocks("README.md", "sh") >= 1)
  end)

  it("names scripts that are there", function()
    for _, page in ipairs({ "README.md", "CONTRIBUTING.md", "ARCHITECTURE.md" }) do
      local text = assert(helper.read_file(helper.source_dir .. "/" .. page))
      for script, ending in text:gmatch("%f[%w.](scripts/[%w_]+)(%.?%a*)") do
        -- A program, or a piece of Lua that neap runs.
        local test = ending == ".lua" and "test -f " or "test -x "
        script = ending == ".lua" and script .. ending or script
        assert(select(2, helper.run(test .. quote(helper.source_dir .. "/" .. script))) == 0,
          page .. " names " .. script)
      end
    end
  end)

  it("shows Lua programs that serve a page, run by neap and by a plain interpreter", function()
    local certs = harness.make_certificates(dir)
    for index, code in ipairs(blocks("README.md", "lua")) do
      if code:find(":listen", 1, true) then
        local file = ("%s/readme%d.lua"):format(dir, index)
        helper.write_file(file, code)
        for _, interpreter in ipairs({ harness.neap() .. " run", helper.build_dir .. "/spec_host" }) do
          local port = harness.free_port()
          local server = harness.start(("env NEAP_LISTEN=127.0.0.1:%d NEAP_CERT=%s NEAP_KEY=%s %s %s"):format(
            port, certs.cert, certs.key, interpreter, file), { dir = dir, name = "readme", port = port })
          local page = sh(("%s get --ca %s https://127.0.0.1:%d/"):format(harness.neap(), certs.ca, port))
          local status, log = harness.stop(server)
          assert.is_true(#page > 0)
          assert.equal(0, status, log)
        end
      end
    end
  end)

  it("shows C programs that compile without a warning and serve a page", function()
    sh(quote(helper.source_dir .. "/scripts/build") .. " release")
    local certs = harness.make_certificates(dir)
    for index, code in ipairs(blocks("README.md", "c")) do
      local file = ("%s/readme%d"):format(dir, index)
      local port = harness.free_port()
      helper.write_file(file .. ".c", (code:gsub("4433", tostring(port))))
      sh(("gcc -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror %s.c -o %s -I%s/core/include -L%s/build/release -lneap")
        :format(file, file, helper.source_dir, helper.source_dir))
      local run = ("cd %s && LD_LIBRARY_PATH=%s/build/release exec %s"):format(dir, helper.source_dir, file)
      local server = harness.start("sh -c " .. quote(run), { dir = dir, name = "readme-c", port = port })
      local page = sh(("%s get --ca %s https://127.0.0.1:%d/"):format(harness.neap(), certs.ca, port))
      harness.stop(server)
      assert.is_true(#page > 0)
    end
  end)
end)
