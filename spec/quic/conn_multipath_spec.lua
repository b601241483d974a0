-- Several path IDs (draft-ietf-quic-multipath) at the level of packets: what is agreed on, what is given for them, and
-- peers that do not keep to the rules.
local net = require("support.quic_net")

local MS, bytes = net.MS, net.bytes
local SECOND, THIRD = "203.0.113.9:4000", "203.0.113.77:4001"
local OPEN, BACKUP = 8, 16
local STAGE = { vacant = 0, unused = 1, opening = 2, open = 3, abandoned = 4, gone = 5 }
local FRAME_ENCODING_ERROR, PROTOCOL_VIOLATION, NO_VIABLE_PATH = 0x07, 0x0a, 0x10
local ARGUMENT, UNSUPPORTED, LIMIT, STATE, MIGRATION = -3, -14, -15, -19, -20
local TOKEN = ("t"):rep(16)
local TWO = { client = { initial_max_path_id = 2 }, server = { initial_max_path_id = 2 } }

local ABANDON, PATH_BACKUP, AVAILABLE, NEW_ID, RETIRE, MAX_ID, BLOCKED, IDS_BLOCKED =
  0x3e75, 0x3e76, 0x3e77, 0x3e78, 0x3e79, 0x3e7a, 0x3e7b, 0x3e7c

--- A pair with path IDs 0 to 2, whose client has two more addresses.
local function pair(options)
  local p = net.pair(options or TWO):handshake():add_addresses({ SECOND, THIRD })
  p:settle(200 * MS)
  return p
end

local function with_second(options)
  local p = pair(options)
  assert.equal(0, p.client:migrate(SECOND, nil, OPEN))
  p:settle(200 * MS)
  return p
end

--- The largest value of the option initial_max_path_id.
local function most_path_ids()
  for _, option in ipairs(require("neap.core").options()) do
    if option.name == "initial_max_path_id" then return tonumber(option.range:match("%d+$")) end
  end
end

local function id_of(conn, id)
  for _, one in ipairs(conn:path_ids()) do
    if one.id == id then return one end
  end
end

local function path_of(conn, id)
  for _, path in ipairs(conn:paths()) do
    if path.path_id == id then return path end
  end
end

local function events(conn)
  local list = {}
  while true do
    local kind, _, _, _, id, code = conn:path_event()
    if not kind then return list end
    list[#list + 1] = ("%s %d%s"):format(kind, id, kind == "closed" and (" %x"):format(code) or "")
  end
end

--- The code with which the server ends a connection for this of a client's, or nil.
local function answer(payload, options, packet)
  local p = pair(options)
  p:inject("client", net.APPLICATION, payload, packet)
  local info = p.server:info()
  p:free()
  return info.code ~= 0 and info.code or nil, info.reason
end

describe("path IDs", function()
  it("are there when both sides offer them, and not else", function()
    for _, case in ipairs({ { 0, 0 }, { 2, 0 }, { 0, 2 } }) do
      local p = net.pair({ client = { initial_max_path_id = case[1] }, server = { initial_max_path_id = case[2] } })
        :handshake():add_addresses({ SECOND })
      p:settle(200 * MS)
      assert.is_nil(p.client:path_ids())
      assert.is_nil(p.server:path_ids())
      assert.equal(UNSUPPORTED, p.client:migrate(SECOND, nil, OPEN))
      p:free()
    end
    local p = pair()
    assert.same({ 2, 2 }, { p.client:path_ids().ours, p.client:path_ids().theirs })
    p:free()
  end)

  -- covers: rfc9000#5.1.1.3 rfc9000#9.5.7
  it("have a connection ID of each side before they are used, and one more when they are", function()
    local p = with_second()
    for _, side in ipairs({ "client", "server" }) do
      local ids = p[side]:path_ids()
      assert.equal(3, #ids)
      assert.same({ STAGE.open, 2, 2 }, { ids[2].stage, ids[2].own_ids, ids[2].peer_ids })
      assert.same({ STAGE.unused, 1, 1 }, { ids[3].stage, ids[3].own_ids, ids[3].peer_ids })
    end
    p:free()
  end)

  it("are those that both let the other use", function()
    local p = pair({ client = { initial_max_path_id = 2 }, server = { initial_max_path_id = 1 } })
    assert.equal(0, p.client:migrate(SECOND, nil, OPEN))
    assert.equal(LIMIT, p.client:migrate(THIRD, nil, OPEN))
    p:settle(200 * MS)
    assert.equal("none", p.server:info().by) -- PATHS_BLOCKED is taken
    p:free()
  end)

  it("are opened by clients, with the server's address", function()
    local p = pair()
    assert.equal(ARGUMENT, p.server:migrate(SECOND, nil, OPEN))
    assert.equal(ARGUMENT, p.client:migrate(SECOND, THIRD, OPEN))
    assert.equal(ARGUMENT, p.client:abandon_path(1, 0))
    assert.equal(STATE, p.client:abandon_path(0, 0))
    assert.equal(ARGUMENT, p.client:set_path_backup(1, true))
    p:free()
    p = pair({ client = TWO.client, server = { initial_max_path_id = 2, disable_active_migration = 1 } })
    assert.equal(MIGRATION, p.client:migrate(SECOND, nil, OPEN))
    p:free()
  end)
end)

describe("a path ID that is opened", function()
  it("numbers its packets from 0, and is told of on both sides", function()
    local p = with_second()
    assert.same({ "opened 1" }, events(p.client))
    assert.same({ "opened 1" }, events(p.server))
    assert.is_true(path_of(p.client, 1).numbers < 20 and path_of(p.server, 1).numbers < 20)
    assert.is_true(path_of(p.client, 1).validated and path_of(p.server, 1).validated)
    p:free()
  end)

  -- covers: rfc9000#8.2.4.1
  it("is given up when nobody answers there, and its ID is used up", function()
    local p = pair()
    p.on_datagram = function(direction, _, address) return not (direction == "up" and address == THIRD) end
    assert.equal(0, p.client:migrate(THIRD, nil, OPEN))
    p:settle(8000 * MS)
    assert.same({ "failed 1", "closed 1 3e76" }, events(p.client))
    assert.equal(0, p.client:migrate(SECOND, nil, OPEN))
    p:settle(200 * MS)
    assert.equal(STAGE.open, id_of(p.client, 2).stage)
    p:free()
  end)

  it("may be a backup, which the peer hears", function()
    local p = pair()
    assert.equal(0, p.client:migrate(SECOND, nil, OPEN + BACKUP))
    p:settle(200 * MS)
    assert.is_true(id_of(p.server, 1).is_peer_backup)
    assert.equal(0, p.client:set_path_backup(1, false))
    p:settle(200 * MS)
    assert.is_false(id_of(p.server, 1).is_peer_backup)
    p:free()
  end)

  it("is gone on both sides once it is abandoned, and followed by another", function()
    local p = with_second()
    assert.equal(0, p.client:abandon_path(1, 0x3e))
    p:settle(3000 * MS)
    assert.same({ "opened 1", "closed 1 3e" }, events(p.client))
    assert.same({ "opened 1", "closed 1 3e" }, events(p.server))
    assert.is_nil(id_of(p.client, 1) or id_of(p.server, 1))
    assert.same({ 3, 3 }, { p.client:path_ids().ours, p.client:path_ids().theirs })
    assert.equal(1, #p.client:paths())
    assert.equal(0, p.client:migrate(THIRD, nil, OPEN))
    p:settle(200 * MS)
    assert.equal(STAGE.open, id_of(p.server, 2).stage)
    p:free()
  end)

  it("goes on without path ID 0", function()
    local p = with_second()
    assert.equal(0, p.client:abandon_path(0, 0))
    assert(p:transfer("server", ("d"):rep(300000)))
    p:settle(3000 * MS)
    assert(p:transfer("client", ("d"):rep(300000)))
    assert.same({ 1 }, { p.client:paths()[1].path_id })
    assert.equal(1, #p.server:paths())
    assert.equal(STATE, p.client:abandon_path(1, 0))
    p.client:close(true, 7, "bye")
    p:settle(100 * MS)
    assert.equal(7, p.server:info().code)
    p:free()
  end)

  -- The packet came from an address that is on trial for the path ID, and that trial is over with it.
  it("may be abandoned by a packet that has more to say from an address on trial", function()
    local p = with_second()
    local function from_trial(payload) p:deliver("up", p.client:inject(net.APPLICATION, payload), THIRD) end
    from_trial(bytes(0x1a, "12345678"))
    assert.equal(3, #p.server:paths())
    from_trial(bytes(ABANDON, 0, 0, 0x1a, "abcdefgh", 0x1a, "ABCDEFGH"))
    assert.same({ "none", STAGE.abandoned }, { p.server:info().by, id_of(p.server, 0).stage })
    p:settle(3000 * MS)
    assert.same({ 1 }, { p.server:paths()[1].path_id })
    p:free()
  end)

  it("is opened and abandoned over and over, and costs no more memory", function()
    local p = pair()
    local before
    for round = 1, 30 do
      assert.equal(0, p.client:migrate(round % 2 == 0 and SECOND or THIRD, nil, OPEN), round)
      p:settle(200 * MS)
      assert.equal(0, p.client:abandon_path(round, 0), round)
      p:settle(3000 * MS)
      if round == 3 then before = p.server_config:memory().used end
    end
    assert.equal("none", p.server:info().by)
    assert.is_true(p.server_config:memory().used <= before + 4096, p.server_config:memory().used - before)
    p:free()
  end)
end)

describe("a server behind whose client a NAT changes", function()
  it("follows one path ID to its new address, and leaves the others", function()
    local p = with_second()
    local others = path_of(p.server, 0).address
    p:rebind(others)
    p.nat = p.nat or {}
    assert(p:transfer("client", ("d"):rep(100000)))
    assert.equal(others, path_of(p.server, 0).address)
    p:free()
  end)

  it("follows one of as many as there may be", function()
    local most = most_path_ids()
    local options = { initial_max_path_id = most }
    local p = pair({ client = options, server = options })
    for id = 1, most do
      local own = "203.0.113.100:" .. 4000 + id
      p:add_addresses({ own })
      assert.equal(0, p.client:migrate(own, nil, OPEN))
      p:settle(200 * MS)
    end
    local before, after, deliver = path_of(p.server, 1).address, "192.0.2.9:9", p.deliver
    function p:deliver(direction, datagram, address, ...)
      if direction == "down" and address == before then return end
      local shown = direction == "up" and address == before and after or address == after and before or address
      return deliver(self, direction, datagram, shown, ...)
    end
    events(p.server)
    assert(p:transfer("client", ("d"):rep(300000)))
    p:settle(20000 * MS)
    assert.same({ "peer_migrated 1" }, events(p.server))
    assert.equal(after, path_of(p.server, 1).address)
    p:free()
  end)
end)

describe("an address of path ID 0 that is not proved", function()
  local function followed(conn)
    for _, path in ipairs(conn:paths()) do
      if path.is_active then return path.address end
    end
  end

  --- The client is heard from where it does not hear the server, which follows it and asks in vain.
  local function move_into_void(p)
    local void = "192.0.2.66:666"
    p.on_datagram = function(direction, _, address) return not (direction == "down" and address == void) end
    p:rebind(void)
    p:inject("client", net.APPLICATION, bytes(0x01), { slot = path_of(p.client, 0).slot })
    assert.equal(void, followed(p.server))
  end

  it("leaves the other path IDs what they carry", function()
    local p = with_second()
    move_into_void(p)
    local from = p.now
    assert(p:transfer("server", ("d"):rep(30000), 200 * MS))
    assert.is_true(p.now - from <= 200 * MS)
    p:free()
  end)

  it("does not hold back acknowledgements of theirs, whose timer would be due again and again", function()
    local p = with_second()
    move_into_void(p)
    for _ = 1, 20 do
      p:inject("client", net.APPLICATION, bytes(0x01), { slot = path_of(p.client, 1).slot })
      p:settle(30 * MS)
    end
    assert.equal("none", p.server:info().by)
    p:free()
  end)
end)

describe("an outage of all paths", function()
  it("is waited for as one of a single path is: nothing is abandoned, the last path least of all", function()
    for _, without_first in ipairs({ true, false }) do
      local options = { initial_max_path_id = 2, max_idle_timeout = 60000 }
      local p = with_second({ client = options, server = options })
      if without_first then
        assert.equal(0, p.client:abandon_path(0, 0))
        p:settle(3000 * MS)
      end
      local id = p.server:open(false)
      assert.equal(60000, p.server:stream_send(id, ("d"):rep(60000), true))
      p.on_datagram = function() return false end
      p:settle(30000 * MS)
      assert.equal("none", p.server:info().by)
      assert.equal(STAGE.open, id_of(p.server, 1).stage)
      p.on_datagram = nil
      assert(p:transfer("server", ("d"):rep(100000)))
      p:free()
    end
  end)
end)

describe("keys of several path IDs", function()
  it("are updated together, and packets of either phase are read on each path", function()
    local p = with_second()
    for round = 1, 4 do
      assert(p:transfer("server", ("d"):rep(200000)))
      assert(p:transfer("client", ("d"):rep(200000)))
      assert.is_true(p[round % 2 == 0 and "client" or "server"]:update_keys(), round)
      assert(p:transfer("server", ("d"):rep(200000)))
      p:settle(2000 * MS)
    end
    assert.equal(0, p.server:floods().packets_forged)
    assert.equal(0, p.client:floods().packets_forged)
    p:free()
  end)
end)

describe("a frame of draft-ietf-quic-multipath", function()
  local EACH = {
    PATH_ACK = function(id) return bytes(0x3e, id, 0, 0, 0, 0) end,
    PATH_ABANDON = function(id) return bytes(ABANDON, id, 0) end,
    PATH_STATUS_BACKUP = function(id) return bytes(PATH_BACKUP, id, 5) end,
    PATH_STATUS_AVAILABLE = function(id) return bytes(AVAILABLE, id, 5) end,
    PATH_NEW_CONNECTION_ID = function(id) return bytes(NEW_ID, id, 1, 0, "\8ijklmnop", TOKEN) end,
    PATH_RETIRE_CONNECTION_ID = function(id) return bytes(RETIRE, id, 0) end,
    PATHS_BLOCKED = function(id) return bytes(BLOCKED, id) end,
    PATH_CIDS_BLOCKED = function(id) return bytes(IDS_BLOCKED, id, 0) end,
  }

  it("is an unknown one where path IDs were not agreed on", function()
    for name, make in pairs(EACH) do
      assert.equal(FRAME_ENCODING_ERROR, (answer(make(0), {})), name)
    end
    assert.equal(FRAME_ENCODING_ERROR, (answer(bytes(MAX_ID, 3), { server = TWO.server })))
  end)

  it("is refused with a path ID past the limit", function()
    for name, make in pairs(EACH) do
      assert.equal(PROTOCOL_VIOLATION, (answer(make(3))), name)
    end
  end)

  it("is refused in packets of the handshake", function()
    for name, make in pairs(EACH) do
      local p = net.pair(TWO)
      p:run(function() return p.server and p.server:info().stage ~= "handshake" end, 30 * MS)
      local ok = pcall(p.inject, p, "client", net.HANDSHAKE, make(0))
      if ok and p.server then assert.equal(PROTOCOL_VIOLATION, p.server:info().code, name) end
      p:free()
    end
  end)

  it("of a path ID that is gone is ignored", function()
    for name, make in pairs(EACH) do
      local p = with_second()
      assert.equal(0, p.client:abandon_path(1, 0))
      p:settle(3000 * MS)
      local ignored, unproductive = p.server:floods().path_frames_ignored, p.server:floods().packets_unproductive
      p:inject("client", net.APPLICATION, make(1))
      assert.equal("none", p.server:info().by, name)
      if name ~= "PATH_ACK" and name ~= "PATHS_BLOCKED" then
        assert.same({ ignored + 1, unproductive + 1 },
          { p.server:floods().path_frames_ignored, p.server:floods().packets_unproductive }, name)
      end
      p:free()
    end
  end)
end)

describe("a peer that does not keep to the rules of path IDs", function()
  it("is refused: an acknowledgement of what was not sent", function()
    assert.equal(PROTOCOL_VIOLATION, (answer(bytes(0x3e, 1, 0, 0, 0, 0))))
    assert.equal(PROTOCOL_VIOLATION, (answer(bytes(0x3e, 0, 1000, 0, 0, 0))))
  end)

  it("is refused: MAX_PATH_ID below what it began with, or above 2^32-1; less than the newest is ignored", function()
    assert.equal(PROTOCOL_VIOLATION, (answer(bytes(MAX_ID, 1))))
    assert.equal(PROTOCOL_VIOLATION, (answer(bytes(MAX_ID, 2 ^ 32))))
    assert.is_nil((answer(bytes(MAX_ID, 2 ^ 32 - 1, MAX_ID, 2))))
  end)

  it("is refused: more connection IDs of a path ID than we take, or one that contradicts another", function()
    local many = {}
    for sequence = 1, 5 do
      many[sequence] = bytes(NEW_ID, 1, sequence, 0, "\8abcdef0" .. sequence, ("%016d"):format(sequence))
    end
    assert.equal(0x09, (answer(table.concat(many))))
    assert.equal(PROTOCOL_VIOLATION, (answer(bytes(NEW_ID, 1, 0, 0, "\8abcdefgh", TOKEN))))
    assert.equal(FRAME_ENCODING_ERROR, (answer(bytes(NEW_ID, 1, 1, 2, "\8abcdefgh", TOKEN))))
  end)

  it("is refused: a connection ID retired that was not given, or that the packet has", function()
    assert.equal(PROTOCOL_VIOLATION, (answer(bytes(RETIRE, 1, 5))))
    local p = with_second()
    p:inject("client", net.APPLICATION, bytes(RETIRE, 1, 0), { slot = path_of(p.client, 1).slot })
    assert.equal(PROTOCOL_VIOLATION, p.server:info().code)
    p:free()
  end)

  it("is refused: PATH_CIDS_BLOCKED past the next connection ID", function()
    assert.is_nil((answer(bytes(IDS_BLOCKED, 1, 1))))
    assert.equal(PROTOCOL_VIOLATION, (answer(bytes(IDS_BLOCKED, 1, 2))))
  end)

  -- covers: rfc9000#8.2.4.3
  it("is left with a close when it abandons the last path", function()
    assert.equal(NO_VIABLE_PATH, (answer(bytes(ABANDON, 0, 0))))
  end)

  it("gets no more than a bound of path IDs by abandoning them unused", function()
    local p = pair()
    local count = 0
    for id = 1, 200 do
      if p.server:info().by ~= "none" then break end
      p:inject("client", net.APPLICATION, bytes(ABANDON, id, 0))
      count = id
      p.server:send(p.now)
      p:settle(1 * MS)
    end
    assert.equal(PROTOCOL_VIOLATION, p.server:info().code)
    assert.is_true(count < 10, count) -- the next one is allowed after three PTOs only
    local seen = p.server:floods()
    assert.same({ count - 1, 3 }, { seen.path_ids_abandoned, seen.path_ids_allowed })
    p:free()
  end)

  -- covers: rfc9000#21.9.1 rfc9000#21.9.2
  it("is ended when it raises MAX_PATH_ID by ones, which lets nobody use more", function()
    local p = pair()
    local most = 2
    while p.server:info().by == "none" and most < 3000 do
      most = most + 1
      p:inject("client", net.APPLICATION, bytes(MAX_ID, most))
    end
    assert.equal(PROTOCOL_VIOLATION, p.server:info().code)
    assert.is_true(most > 900 and most < 1100, most)
    p:free()
  end)

  it("may change its mind about a path however often: that another was closed is not forgotten for it", function()
    local p = with_second()
    assert.equal(0, p.client:migrate(THIRD, nil, OPEN))
    p:settle(200 * MS)
    assert.equal(0, p.client:abandon_path(2, 7))
    p:settle(200 * MS)
    for sequence = 1, 20 do
      p:inject("client", net.APPLICATION, bytes(sequence % 2 == 0 and AVAILABLE or PATH_BACKUP, 1, sequence))
    end
    local seen = events(p.server)
    assert.same({ 8, "closed 2 7", "status 1" }, { #seen, seen[1], seen[8] })
    p:free()
  end)

  it("may say its preferences in any order: the newest counts", function()
    local p = with_second()
    p:inject("client", net.APPLICATION, bytes(PATH_BACKUP, 1, 7, AVAILABLE, 1, 6))
    assert.is_true(id_of(p.server, 1).is_peer_backup)
    p:inject("client", net.APPLICATION, bytes(AVAILABLE, 1, 8))
    assert.is_false(id_of(p.server, 1).is_peer_backup)
    p:free()
  end)

  -- covers: rfc9000#9.3.2
  it("cannot have copies from another address move a path ID", function()
    local p = with_second()
    local before = path_of(p.server, 1).address
    local datagram = p.client:inject(net.APPLICATION, bytes(0x01), { slot = path_of(p.client, 1).slot })
    p:deliver("up", datagram, "192.0.2.66:666")
    datagram = p.client:inject(net.APPLICATION, bytes(0x01), { slot = path_of(p.client, 1).slot })
    p:deliver("up", datagram, "192.0.2.67:667") -- one at a time is on trial
    assert.equal(1, p.server:floods().paths_refused)
    p:settle(5000 * MS)
    assert.equal(before, path_of(p.server, 1).address)
    assert.equal(2, #p.server:paths())
    p:free()
  end)
end)
