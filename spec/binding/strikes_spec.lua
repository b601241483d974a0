local core = require "neap.core"
local helper = require "helper"

local cert, key = core.make_certificate { names = { "localhost" }, days = 1 }
local KEY = ("0123456789abcdef"):rep(4)

describe("the register of early data of a config", function()
  local folder

  before_each(function() folder = helper.make_dir() end)
  after_each(function() helper.remove_dir(folder) end)

  local function server(options)
    options.cert, options.key, options.early_data = cert, key, options.early_data ~= false
    return core.config(options)
  end

  local function ticket_keys()
    helper.write_file(folder .. "/tickets", KEY .. "\n")
    return folder .. "/tickets"
  end

  it("is in memory unless it is told otherwise", function()
    assert.is_userdata((server {}))
  end)

  it("has to be a file where others may have the same ticket keys", function()
    local config, message, code = server { ticket_key_file = ticket_keys() }
    assert.is_nil(config)
    assert.equal("early_data: with ticket_key_file it needs strike_file, the path of a file that all servers with "
      .. "these keys share", message)
    assert.equal("argument", code)
    assert.is_userdata((server { ticket_key_file = ticket_keys(), early_data = false }))
    assert.is_userdata((server { ticket_key_file = ticket_keys(), strike_file = folder .. "/strikes" }))
  end)

  it("makes its file, for its owner alone", function()
    local path = folder .. "/strikes"
    assert.is_userdata((server { strike_file = path, strike_entries = 1024 }))
    assert.equal(64 + 4 * 1024, #helper.read_file(path))
    assert.equal("-rw-------", helper.sh("ls -l " .. helper.quote(path)):sub(1, 10))
    assert.is_userdata((server { strike_file = path, strike_entries = 1000 })) -- the next power of two
  end)

  it("leaves a file alone that is something else, and says so", function()
    local path = folder .. "/other"
    helper.write_file(path, "mine\n")
    assert.same({ nil, path .. ": it is no strike register of so many entries (strike_entries)", "argument" },
      { server { strike_file = path } })
    assert.equal("mine\n", helper.read_file(path))
    assert.same({ nil, "/nowhere/strikes: No such file or directory", "system", 2 },
      { server { strike_file = "/nowhere/strikes" } })
  end)

  it("is a server's, with early_data", function()
    local path = folder .. "/strikes"
    assert.is_userdata((core.config { early_data = true, strike_file = path }))
    assert.is_userdata((server { early_data = false, strike_file = path }))
    assert.is_nil((helper.read_file(path)))
    assert.has_error(function() server { strike_file = {} } end, "option 'strike_file' must be a path")
  end)
end)
