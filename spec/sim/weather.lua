--- What a seed does to a transfer: which of all impairments there are, how bad each is, and how long a transfer takes
-- in it at least.
local core = require "neap.core"
local random = require "neap.sim.random"

local weather = {}

local controllers = {}
for _, option in ipairs(core.options()) do
  if option.name == "congestion_control" then
    for word in option.range:gsub(" or ", " "):gmatch("[^%s,]+") do controllers[#controllers + 1] = word end
  end
end

local MSS = 1200        -- bytes of a datagram before larger ones are proved
local INITIAL_WINDOW = 10 -- datagrams, RFC 9002 §7.2

--- Draws all of it: { link =, client =, server =, both =, size =, window =, rebinds = { { after =, address = } … },
-- text = what it says in a few words }.
function weather.draw(seed)
  local draw = random.generator("weather " .. seed)
  local names = {}
  local function between(least, most) return least + draw() * (most - least) end
  local function whole(least, most) return math.floor(between(least, most + 1)) end
  local function has(name, probability)
    local is = draw() < probability
    if is then names[#names + 1] = name end
    return is
  end
  -- A client keeps tokens for its next connection: how many is a matter of chance, and memory is compared.
  local w = { client = { address_tokens = false }, server = {}, both = {}, rebinds = {}, size = whole(20000, 400000) }
  local link = { delay = between(0.001, 0.08), up = {}, down = {} }
  w.link = link
  if has("jitter", 0.4) then link.jitter = between(0, 0.01) end
  if has("rate", 0.6) then
    link.rate, link.queue = 10 ^ between(5, 7), whole(15, 150)
    if has("asymmetric", 0.3) then link.up.rate = link.rate / between(1, 8) end
    if has("codel", 0.3) then link.discipline, link.mark = "codel", draw() < 0.5 end
    if has("marks", 0.2) then link.mark_above = whole(3, 14) end
    if has("cross", 0.25) then
      local on, off = between(0.05, 2), between(0.05, 2)
      link.cross = { rate = link.rate * between(0.1, 0.6), on = on, off = off, size = whole(200, 1400) }
      if link.up.rate then link.up.cross = { rate = link.up.rate * between(0.1, 0.6), on = on, off = off } end
    end
  end
  if has("loss", 0.5) then link.loss = between(0, 0.15) end
  if has("bursts", 0.3) then link.loss_burst = whole(1, 6) end
  if has("one-way loss", 0.15) then link.up.loss = between(0, 0.25) end
  if has("duplicate", 0.3) then link.duplicate = between(0, 0.2) end
  if has("reorder", 0.3) then link.reorder, link.reorder_delay = between(0, 0.2), between(0, 0.03) end
  if has("corrupt", 0.3) then link.corrupt = between(0, 0.03) end
  if has("mtu", 0.3) then link.mtu, link.ptb = whole(1200, 1480), draw() < 0.5 end
  if has("lost ones", 0.2) then
    link.drop = {}
    for i = 1, whole(1, 3) do link.drop[i] = whole(1, 12) end -- more, and a Retry token ends before it is shown
  end
  if has("outage", 0.25) then
    local at = between(0, 2)
    link.outages = { { at, at + between(0.05, 1) } }
  end
  if has("ecn", 0.3) then link.ecn = ({ "bleach", "ect1", "drop" })[whole(1, 3)] end
  if has("rebinds", 0.25) then
    -- A client that only receives does not know that nothing comes any more, unless it speaks.
    w.client.keep_alive = between(0.2, 1)
    for i = 1, whole(1, 2) do
      local ip = draw() < 0.5 and "10.2.0.2" or ("10.9.%d.2"):format(i)
      w.rebinds[i] = { after = between(0, 0.6), address = ("%s:%d"):format(ip, 50000 + whole(1, 999) * 2 + i) }
    end
  end
  if has("retry", 0.2) then w.server.retry = true end
  if has("small windows", 0.15) then
    w.window = whole(4000, 20000)
    w.both.initial_max_data = whole(w.window, 3 * w.window)
    w.both.initial_max_stream_data_bidi_local, w.both.initial_max_stream_data_bidi_remote = w.window, w.window
  end
  if has("short ids", 0.1) then w.client.source_connection_id_size = 0 end
  -- Not drawn, so that another controller changes no seed's weather.
  w.both.congestion_control = controllers[seed % #controllers + 1]
  w.text = w.both.congestion_control .. (#names > 0 and ", " .. table.concat(names, ", ") or "")
  return w
end

-- What a connection meets in a direction: bytes a second that others leave, and the share of datagrams that is lost, or
-- comes so late that it counts as lost.
local function met(w, name)
  local link = w.link
  local function option(of)
    if link[name][of] ~= nil then return link[name][of] end
    return link[of]
  end
  local rate, cross = option("rate"), option("cross")
  if rate and cross then rate = rate - cross.rate end
  local arrive = (1 - (option("loss") or 0)) * (1 - (option("corrupt") or 0)) * (1 - (link.reorder or 0))
  return rate or math.huge, 1 - arrive
end

--- The seconds that a handshake and the transfer after it need at least: ideal is a sender that knows everything but
-- which datagrams are lost. It needs the round trips of the handshake; those of slow start from ten datagrams on; the
-- bytes at the link's rate, without what others take of it, or at the rate that loss leaves to a window that halves at
-- each (Mathis et al.: MSS / RTT * sqrt(3 / 2p)); the round trips that small flow control windows cost; the outages;
-- and the silence before a client that has another address speaks. A round trip is that of the empty link: the third
-- value.
function weather.ideal(w)
  local round_trip = 2 * w.link.delay + (w.link.jitter or 0)
  local handshake = (2 + (w.server.retry and 1 or 0)) * round_trip
  local transfer = 0
  for _, name in ipairs{ "up", "down" } do
    local rate, loss = met(w, name)
    if loss > 0 then rate = math.min(rate, MSS / round_trip * math.sqrt(1.5 / loss)) end
    local rounds = math.log(w.size / (INITIAL_WINDOW * MSS) + 1) / math.log(2) + 1
    if w.window then rounds = rounds + w.size / w.window end
    transfer = math.max(transfer, rounds * round_trip + w.size / rate)
  end
  local out = 0
  for _, one in ipairs(w.link.outages or {}) do out = out + one[2] - one[1] end
  local silent = #w.rebinds * (w.client.keep_alive or 0)
  return handshake + out, transfer + out + silent, round_trip
end

return weather
