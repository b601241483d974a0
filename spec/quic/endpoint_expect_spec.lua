local net = require("support.quic_net")

local quic, MS = net.quic, net.MS
local SERVER = net.SERVER

local CLIENTS = 40

--- A server endpoint with clients that each have a packet for it: told of before, or not. Returns all that it answers.
local function answers(is_told)
  local config, client_config = net.config(nil, 11, true), net.config(nil, 12)
  local endpoint = assert(quic.endpoint(config, true))
  local clients, now, out = {}, 1000 * MS, {}

  local function give(datagrams, from)
    if is_told then
      endpoint:recv_told(datagrams, from, SERVER, now)
    else
      for i, datagram in ipairs(datagrams) do
        if from[i] then endpoint:recv(datagram, from[i], SERVER, now) end
      end
    end
  end

  local function round()
    local datagrams, from = {}, {}
    for i, client in ipairs(clients) do
      local datagram = client.conn:send(now)
      while datagram do
        table.insert(datagrams, datagram)
        -- One in seven is lost behind the hint, but in the handshake.
        table.insert(from, (out[1] and #datagrams % 7 == 3) and false or client.address)
        datagram = client.conn:send(now)
      end
      if i % 5 == 0 then
        for _, junk in ipairs({ "", "\64", "\64" .. ("x"):rep(40), "\192" .. ("y"):rep(1200) }) do
          table.insert(datagrams, junk)
          table.insert(from, false)
        end
      end
    end
    give(datagrams, from)
    while true do
      local datagram, _, to = endpoint:send(now)
      if not datagram then break end
      if clients[1].is_open then table.insert(out, datagram) end
      for _, client in ipairs(clients) do
        if client.address == to then client.conn:recv(datagram, now) end
      end
    end
    now = now + 10 * MS
    for _, client in ipairs(clients) do
      if (client.conn:timeout() or math.huge) <= now then client.conn:on_timeout(now) end
    end
  end

  for i = 1, CLIENTS do
    local address = ("198.51.100.%d:1000"):format(i)
    clients[i] = { address = address, conn = assert(quic.client(client_config, "localhost", address, SERVER, now)) }
  end
  for _ = 1, 10 do round() end
  for i, client in ipairs(clients) do
    assert.is_true(client.conn:info().confirmed)
    client.conn:stream_send(client.conn:open(true), ("x"):rep(100 * i), true)
    client.is_open = true
  end
  for _ = 1, 5 do round() end
  -- The first ones leave while packets of theirs are expected.
  while true do
    local conn = endpoint:next()
    if not conn then break end
    if #out % 2 == 0 then conn:close(true, 0) end
    endpoint:release(conn)
  end
  for _ = 1, 5 do round() end
  for _, client in ipairs(clients) do
    client.conn:free()
  end
  endpoint:free()
  config:free()
  client_config:free()
  assert.equal(0, config:memory().live)
  return out
end

describe("datagrams that an endpoint is told of before they come", function()
  it("are answered by the same bytes as without that, whatever else it was told of", function()
    local plain, told = answers(false), answers(true)

    assert.is_true(#plain > CLIENTS)
    assert.equal(#plain, #told)
    for i = 1, #plain do
      assert.is_true(plain[i] == told[i], "the datagram " .. i)
    end
  end)
end)
