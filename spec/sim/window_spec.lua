-- Receive windows that tune themselves, whole connections over a long way of 1 Gbit/s. What the windows alone do is in
-- spec/streams/window_spec.lua.
local flows = require "sim.flows"

local RATE, RTT = 125e6, 0.1
local BDP = RATE * RTT

-- Bytes that came in the first `seconds`, and in the two after them. Datagrams of 9000 bytes, so that a run is a few
-- 10,000 of them.
local function run(controller, seconds, config)
  config.max_send_udp_payload_size, config.send_buffer = 9000, 2 ^ 26
  local all = flows.new(1, { delay = RTT / 2, rate = RATE, queue = 1400 }, { controller }, config)
  all.sim:run(seconds)
  local first = all.got[1].bytes
  all.sim:run(2)
  local rest = all.got[1].bytes - first
  all.sim:close()
  return first, rest
end

describe("receive windows that begin with a mebibyte", function()
  for _, controller in ipairs{ "cubic", "bbr" } do
    it("fill a gigabit over 100 ms, two round trips later than open ones at most, with " .. controller, function()
      local tuned, tuned_rest = run(controller, 3, {})
      local open, open_rest = run(controller, 3, { initial_max_data = 2 ^ 26, initial_max_stream_data_uni = 2 ^ 26 })
      assert.is_true(open_rest >= 0.95 * 2 * RATE, open_rest)
      assert.is_true(tuned_rest >= 0.99 * open_rest, tuned_rest / open_rest)
      -- Who doubles them once a round trip has a BDP after four, of which half a BDP or more is lost in each.
      assert.is_true(tuned >= open - 2 * BDP, (open - tuned) / BDP)
    end)
  end

  it("carry two thirds of that in one stream with the bounds that are the default", function()
    local bounds = { max_connection_window = 25165824, max_stream_window = 16777216 }
    local _, rest = run("cubic", 3, bounds)
    assert.is_true(rest >= 0.65 * 2 * RATE, rest / (2 * RATE))
  end)

  it("hold it back where they may not grow", function()
    local _, rest = run("cubic", 3, { max_stream_window = 2 ^ 20 })
    assert.is_true(rest < 0.1 * 2 * RATE, rest / (2 * RATE))
  end)
end)
