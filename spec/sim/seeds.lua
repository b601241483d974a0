--- A handshake and a transfer both ways in the weather of a seed, and everything that has to hold then.
local transfer = require "sim.transfer"
local weather = require "sim.weather"

local seeds = {}

local INITIAL_PTO = 1 -- seconds: without a sample, 3 × 333 ms (RFC 9002 §6.2.2)
local MAX_ACK_DELAY = 0.025
local CALM = 0.6 -- seconds of quiet between two addresses that a NAT gives
local SLACK, PTOS = 3, 10 -- a transfer may take so many times its ideal, and so many PTOs

-- A NAT gives the client other addresses, once the handshake is confirmed (RFC 9000 §9).
local function rebind(run, rebinds)
  if #rebinds == 0 then return end
  run.sim:go(function(lab)
    lab:wait(function() return run.client.conn:is_confirmed() end)
    for _, one in ipairs(rebinds) do
      lab:sleep(one.after)
      run.client:rebind(one.address)
      lab:sleep(CALM)
    end
  end)
end

-- The PTO of who waits longest (RFC 9002 §6.2.1), as it was at most while the transfer went on.
local function watch_pto(run, round_trip)
  local most = 2 * round_trip + MAX_ACK_DELAY
  run.sim:go(function(lab)
    while not run.is_over do
      for _, conn in ipairs{ run.client.conn, run.server_conn } do
        local stats = conn:stats() -- nil when it is over
        if stats and stats.rtt_min > 0 then
          most = math.max(most, stats.rtt_smoothed + 4 * stats.rtt_var + MAX_ACK_DELAY)
        end
      end
      lab:sleep(0.05)
    end
  end)
  return function() return most end
end

-- What the pool of each side's config has, when nothing lives any more.
local function memory(run)
  return { client = run.client.config:memory().used, server = run.server.config:memory().used }
end

-- The same after one quiet handshake: what configs keep for themselves.
local kept
local function kept_memory()
  if not kept then
    local run = transfer.new(0, {}, 1000, nil, nil, { client = { address_tokens = false } })
    run.finish()
    run.sim:close()
    kept = memory(run)
  end
  return kept
end

-- How many PTOs a handshake may wait: each datagram of it that was lost may double the next (RFC 9002 §6.2.1).
local function backoffs(link)
  local lost = 0
  for _, direction in ipairs{ link.up, link.down } do
    lost = lost + direction.lost + direction.corrupted + direction.overflowed + direction.dropped_early
  end
  return math.max(PTOS, 2 ^ lost - 1)
end

local function check(seconds, what, ideal, ptos, pto)
  local bound = SLACK * ideal + ptos * pto
  if seconds > bound then
    error(("%.3f s for a %s: above %.3f s, of which %.3f s are ideal and %.3f s a PTO"):format(seconds, what, bound,
      ideal, pto), 0)
  end
  return bound
end

--- Runs a seed. Returns nothing when all is well, else what is wrong; and figures of it.
function seeds.run(seed)
  local w = weather.draw(seed)
  local figures = { text = w.text }
  figures.ideal_handshake, figures.ideal, figures.round_trip = weather.ideal(w)
  local run = transfer.new(seed, w.link, w.size, w.both, nil, w)
  local pto = watch_pto(run, figures.round_trip)
  rebind(run, w.rebinds)
  local ok, why = pcall(function()
    run.sim:run(function() return run.client.conn:is_established() or run.client.conn:error() end, 300)
    figures.handshake = run.sim:time()
    check(figures.handshake, "handshake", figures.ideal_handshake, backoffs(run.link), INITIAL_PTO)
    run.finish(600)
    figures.transfer = run.sim:time() - figures.handshake
    run.is_over = true
    figures.pto = pto()
    figures.bound = check(figures.transfer, "transfer", figures.ideal, PTOS, figures.pto)
    local ratio, address = run.sim:amplification()
    figures.ratio = ratio
    if ratio > 3 then error(("%.4f times the bytes of %s before it was proved"):format(ratio, address), 0) end
    run.client.conn:close()
    run.client:touch()
    run.sim:run(1)
  end)
  figures.hash, figures.ended = run.sim.hash, run.sim:time()
  run.sim:close()
  if ok then
    local left, due = memory(run), kept_memory()
    for _, side in ipairs{ "client", "server" } do
      if left[side] ~= due[side] then
        ok, why = false, ("the pool of the %s has %d bytes more than it should"):format(side, left[side] - due[side])
      end
    end
  end
  return not ok and ("seed %s (%s): %s"):format(seed, w.text, tostring(why)) or nil, figures
end

return seeds
