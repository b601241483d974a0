-- covers: rfc8446#8.1 rfc8446#8.2
local strikes = require("neap.units").strikes
local helper = require "spec.helper"

local NOW = 1800000000

-- An identifier: where its place is, and what tells it from others there.
local function id(bucket, print)
  local function word(n)
    return string.char(math.floor(n / 2 ^ 24) % 256, math.floor(n / 2 ^ 16) % 256, math.floor(n / 256) % 256, n % 256)
  end
  return word(bucket) .. word(print * 4096) .. ("\0"):rep(24)
end

local function memory(entries)
  local register = assert(strikes.open(nil, entries or 1024, NOW))
  finally(function() register:close() end)
  return register
end

-- A file that began long enough ago.
local function in_folder(entries)
  local folder = helper.make_dir()
  local path = folder .. "/strikes"
  local open = {}
  finally(function()
    for _, register in ipairs(open) do register:close() end
    helper.remove_dir(folder)
  end)
  return path, function(now)
    local register, why = strikes.open(path, entries or 1024, now or NOW)
    open[#open + 1] = register
    return register, why
  end
end

describe("a strike register", function()
  it("takes what it has not seen, once", function()
    local register = memory()
    for print = 0, 6, 2 do assert.is_true(register:note(id(7, print), NOW + 20, NOW)) end
    for later = 0, 20, 4 do
      for print = 0, 6, 2 do assert.is_false(register:note(id(7, print), NOW + 20 + later, NOW + later)) end
    end
    assert.is_true(register:note(id(8, 0), NOW + 30, NOW + 20))
  end)

  it("says nothing while the time is unknown, and for half a minute after one that began so learns it", function()
    local _, open = in_folder()
    local register = open(-1)
    assert.is_false(register:note(id(7, 1), NOW + 20, -1))
    assert.is_false(register:note(id(7, 1), 20, -1))
    assert.is_false(register:note(id(7, 1), NOW + 20, NOW))
    assert.is_false(register:note(id(7, 1), NOW + 49, NOW + 29))
    local other = open(NOW + 29)
    assert.is_false(other:note(id(7, 2), NOW + 49, NOW + 29))
    assert.is_true(register:note(id(7, 1), NOW + 50, NOW + 30))
    assert.is_true(other:note(id(7, 2), NOW + 50, NOW + 30))
    assert.is_false(other:note(id(7, 1), NOW + 50, NOW + 30))
  end)

  it("forgets what cannot be fresh any more, and nothing before", function()
    local register = memory(16) -- one bucket
    for print = 1, 16 do assert.is_true(register:note(id(0, print), NOW + 20, NOW)) end
    for second = 0, 20 do
      assert.is_false(register:note(id(0, 1), NOW + second + 10, NOW + second))
      assert.is_false(register:note(id(0, 99), NOW + second + 10, NOW + second)) -- full
    end
    for print = 101, 116 do assert.is_true(register:note(id(0, print), NOW + 40, NOW + 24)) end
    assert.is_false(register:note(id(0, 117), NOW + 40, NOW + 24))
  end)

  it("says nothing where it is full, and goes on elsewhere", function()
    local register = memory(32)
    for print = 1, 16 do assert.is_true(register:note(id(0, print), NOW + 20, NOW)) end
    assert.is_false(register:note(id(0, 17), NOW + 20, NOW))
    assert.is_true(register:note(id(1, 17), NOW + 20, NOW))
    for print = 1, 16 do assert.is_false(register:note(id(0, print), NOW + 20, NOW)) end
  end)

  it("keeps nothing for longer than a minute, nor what is over", function()
    local register = memory()
    assert.is_false(register:note(id(0, 1), NOW, NOW))
    assert.is_false(register:note(id(0, 1), NOW - 1, NOW))
    assert.is_false(register:note(id(0, 1), NOW + 61, NOW))
    assert.is_false(register:note(id(0, 1), NOW + 2 ^ 33, NOW))
    assert.is_true(register:note(id(0, 1), NOW + 60, NOW))
  end)

  it("knows nothing while the clock is back", function()
    local register = memory()
    assert.is_true(register:note(id(0, 1), NOW + 20, NOW))
    assert.is_true(register:note(id(0, 2), NOW + 120, NOW + 100))
    assert.is_false(register:note(id(0, 1), NOW + 20, NOW))
    assert.is_false(register:note(id(0, 3), NOW + 115, NOW + 97))
    -- Processes read the clock one after the other.
    assert.is_true(register:note(id(0, 3), NOW + 115, NOW + 98))
    assert.is_true(register:note(id(0, 4), NOW + 121, NOW + 101))
  end)

  it("tells what is over from what counts, however long ago that was", function()
    local register = memory(16)
    local now = NOW
    for _, later in ipairs { 0, 24, 100, 1000, 2000, 2100, 3000, 4000, 5000, 1e6 } do
      now = now + later
      for print = 1, 16 do assert.is_true(register:note(id(0, later + print), now + 20, now), later) end
    end
  end)

  it("is one for a process and those that are forked of it", function()
    local taken, most = strikes.race(memory(262144), nil, 4, 20000, NOW)
    assert.same({ 20000, 1 }, { taken, most })
  end)
end)

describe("a strike register in a file", function()
  it("is one for all programs that have it open", function()
    local _, open = in_folder()
    local first = open(NOW - 100)
    local second = open()
    assert.is_true(first:note(id(0, 1), NOW + 20, NOW))
    assert.is_false(second:note(id(0, 1), NOW + 20, NOW))
    assert.is_true(second:note(id(0, 2), NOW + 20, NOW))
    assert.is_false(first:note(id(0, 2), NOW + 20, NOW))
  end)

  it("takes each once when several programs ask for it at a time, also when one is killed", function()
    local path = in_folder()
    assert(strikes.open(path, 262144, NOW - 100)):close()
    for round = 1, 3 do
      local now = NOW + round * 100
      local taken, most = strikes.race(nil, path, 4, 20000, now, round == 3)
      assert.equal(1, most)
      -- Who is killed may have noted one and not told it.
      assert.is_true(taken == 20000 or round == 3 and taken == 19999, taken)
    end
  end)

  it("knows after a restart what it knew before", function()
    local _, open = in_folder()
    local first = open(NOW - 100)
    assert.is_true(first:note(id(0, 1), NOW + 20, NOW))
    first:close()
    local second = open(NOW + 1)
    assert.is_false(second:note(id(0, 1), NOW + 20, NOW + 1))
    assert.is_true(second:note(id(0, 2), NOW + 20, NOW + 1))
  end)

  it("knows nothing of the time before it was made", function()
    local _, open = in_folder()
    local register = open(NOW)
    assert.is_false(register:note(id(0, 1), NOW + 10, NOW))
    assert.is_false(register:note(id(0, 2), NOW + 40, NOW + 29))
    assert.is_true(register:note(id(0, 1), NOW + 40, NOW + 30))
    assert.is_true(open(NOW + 30):note(id(0, 2), NOW + 40, NOW + 30))
  end)

  it("does not trust what was written before the machine started anew", function()
    local path, open = in_folder()
    open(NOW):close()
    local bytes = helper.read_file(path)
    helper.write_file(path, bytes:sub(1, 16) .. ("f"):rep(36) .. bytes:sub(53))
    local register = open(NOW + 100)
    assert.is_false(register:note(id(0, 1), NOW + 140, NOW + 129))
    assert.is_true(register:note(id(0, 1), NOW + 140, NOW + 130))
  end)

  it("is made anew when who made it died half way", function()
    local path, open = in_folder(1024)
    helper.write_file(path, ("\0"):rep(64 + 64 * 64))
    local register = open(NOW)
    assert.is_false(register:note(id(0, 1), NOW + 10, NOW))
    assert.is_true(register:note(id(0, 1), NOW + 40, NOW + 30))
    helper.write_file(path, "")
    assert.is_false(open(NOW + 100):note(id(0, 1), NOW + 110, NOW + 100))
  end)

  it("knows nothing once its file is removed", function()
    local path, open = in_folder()
    local register = open(NOW - 100)
    assert.is_true(register:note(id(0, 1), NOW + 20, NOW))
    os.remove(path)
    assert.is_false(register:note(id(0, 2), NOW + 20, NOW))
  end)

  it("is nothing else, of no other form, size or owner, and leaves that alone", function()
    local path, open = in_folder(1024)
    open(NOW):close()
    local good = helper.read_file(path)
    assert.equal(64 + 64 * 64, #good)
    local function is_refused(bytes, reason)
      helper.write_file(path, bytes)
      local register, why = open(NOW + 100)
      assert.is_nil(register)
      assert.equal(reason, why)
      assert.equal(bytes, helper.read_file(path))
    end
    is_refused("root:x:0:0\n", "it is no strike register of so many entries (strike_entries)")
    is_refused(good .. "\0", "it is no strike register of so many entries (strike_entries)")
    is_refused("X" .. good:sub(2), "it is no strike register that this version writes")
    is_refused(good:sub(1, 8) .. "\2" .. good:sub(10), "it is no strike register that this version writes")
    is_refused(good:sub(1, 12) .. "\1" .. good:sub(14), "it is no strike register that this version writes")
    helper.write_file(path, good)
    os.execute("chmod g+w " .. path)
    assert.equal("a strike register is a regular file that its owner alone may write", select(2, open(NOW)))
    os.execute("chmod g-w " .. path)
    assert.is_truthy(open(NOW))
  end)

  it("says why it cannot be opened", function()
    local register, why = strikes.open("/nowhere/strikes", 16, NOW)
    assert.same({ nil, "the strike register cannot be opened" }, { register, why })
    assert.equal("the strike register cannot be opened", select(2, strikes.open(helper.build_dir, 16, NOW)))
    assert.equal("a strike register is a regular file that its owner alone may write",
      select(2, strikes.open("/dev/null", 16, NOW)))
  end)
end)

describe("the strike register of a config", function()
  it("is in memory for keys of its own alone", function()
    local path = in_folder()
    -- -19: NEAP_ERR_STATE, -16: NEAP_ERR_SYSTEM
    assert.equal("0 -19 0 0 -19 -16: others may have these ticket keys, so that a register in memory knows too little",
      strikes.config(path))
    assert.equal(64 + 4 * 65536, #helper.read_file(path))
  end)
end)
