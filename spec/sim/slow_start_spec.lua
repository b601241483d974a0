-- The first slow start over a link with a deep queue: HyStart++ (RFC 9406) ends it before the queue overflows far.
local transfer = require "sim.transfer"

local MEGABYTE, RATE = 1000000, 10e6 / 8 -- bytes a second

-- Lost datagrams, sent ones, and the mean of the seconds of some transfers.
local function transfers(controller)
  local sent, lost, seconds, runs = 0, 0, 0, 8
  for seed = 1, runs do
    local link = { delay = 0.025, jitter = seed % 2 * 0.004, rate = RATE, queue = 86 }
    local run = transfer.new(seed, link, MEGABYTE, { congestion_control = controller })
    seconds = seconds + run.finish(60)
    for _, direction in ipairs{ run.link.up, run.link.down } do
      sent = sent + direction.sent
      lost = lost + direction.overflowed
    end
    run.sim:close()
  end
  return lost, sent, seconds / runs
end

describe("a slow start into a queue of two round trips", function()
  -- Two round trips of handshake and request, headers, and what is lost; of CUBIC, which takes less of its window away,
  -- also what waits behind a queue that stays longer.
  for controller, most in pairs{ newreno = 1.4, cubic = 1.41 } do
    it("of " .. controller .. " loses less than a tenth of what it sends, and keeps the link busy", function()
      local lost, sent, seconds = transfers(controller)
      assert.is_true(lost < sent / 10, ("%d of %d were lost"):format(lost, sent))
      assert.is_true(seconds < MEGABYTE / RATE * most, ("%.3f s"):format(seconds))
    end)
  end
end)
