--- What is left of secrets in the memory of a process that has done handshakes: one that has a client and a server in
--- it, a whole handshake and a resumed one, whose connections go on. Freed memory counts, and stacks do.
local crypto = require("neap.units").crypto
local helper = require("helper")
local leash = require("support.leash")

local PIECE, OVERLAP = 2 ^ 20, 256
local REGION_MOST = 2 ^ 30 -- the sanitizers reserve terabytes for what they know of each byte, and keep no bytes there

--- How often each of the needles (name → bytes) is in the memory of a process.
local function search(pid, needles)
  local found = {}
  local memory = assert(io.open(("/proc/%d/mem"):format(pid), "rb"))
  memory:setvbuf("no")
  for name in pairs(needles) do found[name] = 0 end
  for line in io.lines(("/proc/%d/maps"):format(pid)) do
    local from, to, writable = line:match("^(%x+)%-(%x+) r(.)")
    from, to = tonumber(from or "0", 16), tonumber(to or "0", 16)
    if writable == "w" and to - from < REGION_MOST then
      for at = from, to - 1, PIECE do
        memory:seek("set", at)
        local bytes = memory:read(math.min(PIECE + OVERLAP, to - at)) or ""
        for name, needle in pairs(needles) do
          local start = 1
          while true do
            local place = bytes:find(needle, start, true)
            if not place or place > PIECE then break end
            found[name] = found[name] + 1
            start = place + 1
          end
        end
      end
    end
  end
  memory:close()
  return found
end

-- The key log: "LABEL number of the connection" → secret.
local function read_keys(text)
  local keys, connections, count = {}, {}, 0
  for label, random, secret in text:gmatch("(%S+) (%x+) (%x+)\n") do
    if not connections[random] then
      count = count + 1
      connections[random] = count
    end
    keys[label .. " " .. connections[random]] = helper.unhex(secret)
  end
  return keys
end

-- The pre-shared keys of saved sessions, in their order.
local function read_psks(saved)
  local psks, at = {}, #"neap sessions 1\n" + 1
  local function number(place, size)
    local value = 0
    for i = place, place + size - 1 do value = value * 256 + saved:byte(i) end
    return value
  end
  while at <= #saved do
    at = at + 2 -- port
    at = at + 1 + saved:byte(at) -- name
    local size = number(at, 2)
    if saved:byte(at + 2) ~= 0x80 then -- that is an address validation token (core/tls/sessions.c)
      -- Behind format, suite, version, times, age, round trip and binding (core/tls/session.c).
      local place = at + 2 + 1 + 2 + 4 + 8 + 4 + 8 + 4 + 4 + 32
      local psk_size = saved:byte(place)
      assert(psk_size == 32 or psk_size == 48, "a session of another form")
      table.insert(psks, saved:sub(place + 1, place + psk_size))
    end
    at = at + 2 + size
  end
  return psks
end

for suite, number in pairs({ aes128gcm = 0x1301, aes256gcm = 0x1302, chacha20poly1305 = 0x1303 }) do
  describe("the memory of a process behind its handshakes, with " .. suite, function()
    local dir, process, found, needles

    setup(function()
      dir = helper.make_dir()
      -- All symbols are looked up at the start: later the linker puts registers, whatever they hold, onto the stack.
      process = leash.start(("env LD_BIND_NOW=1 %s/spec_host %s/spec/quic/secrets_program.lua %s %s"):format(
        helper.build_dir, helper.source_dir, dir, number), dir .. "/log")
      leash.wait_until(function()
        local state = (helper.read_file(("/proc/%d/stat"):format(process.pid)) or ""):match("%) (%u)")
        return state == "T" or leash.status(process)
      end, 60)
      assert.equal("ready\n", helper.read_file(dir .. "/log"))
      needles = read_keys(helper.read_file(dir .. "/keys"))
      for name, secret in pairs(read_keys(helper.read_file(dir .. "/keys"))) do
        needles[name .. " as text"] = helper.hex(secret)
        if name:find("HANDSHAKE", 1, true) or name:find("EARLY", 1, true) then
          local key, iv, hp = crypto.key_parts(crypto.key_derive(1, number, secret))
          needles[name .. " key"], needles[name .. " iv"], needles[name .. " hp"] = key, iv, hp
        end
      end
      local first = read_psks(helper.read_file(dir .. "/sessions1"))
      local second = read_psks(helper.read_file(dir .. "/sessions2"))
      local kept = {}
      for i, psk in ipairs(second) do
        kept[psk] = true
        needles["PSK kept " .. i] = psk
      end
      for i, psk in ipairs(first) do
        if not kept[psk] then needles["PSK used " .. i] = psk end
      end
      found = search(process.pid, needles)
    end)

    teardown(function()
      os.execute(("kill -s CONT %d"):format(process.pid))
      assert.equal(0, (leash.wait_until(function() return leash.status(process) end, 60)))
      leash.end_all()
      helper.remove_dir(dir)
    end)

    local function each(pattern, times, least)
      local count = 0
      for name in pairs(needles) do
        if name:find(pattern) then
          count = count + 1
          assert.equal(times, found[name], name)
        end
      end
      assert.is_true(count >= least, "fewer secrets than there should be")
    end

    it("has no secret of a handshake, nor keys that came of it", function() each("HANDSHAKE", 0, 4 * 4) end)

    it("has no secret of early data, nor keys that came of it", function() each("EARLY", 0, 4) end)

    it("has no exporter secret", function() each("EXPORTER", 0, 2) end)

    it("has no key log", function() each("as text", 0, 8) end)

    it("has the write secret of each side once, for its next key update, and no read secret, of which it has the next",
      function() each("^%u+_TRAFFIC_SECRET_0 %d$", 1, 4) end)

    it("has no pre-shared key that was used", function() each("^PSK used", 0, 1) end)

    it("has each that can be used once, in the store of the client", function() each("^PSK kept", 1, 2) end)
  end)
end
