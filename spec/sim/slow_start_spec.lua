-- The first slow start over a link with a deep queue: HyStart++ (RFC 9406) ends it before the queue overflows far.
local transfer = require "sim.transfer"

local MEGABYTE = 1000000

describe("a slow start into a queue of two round trips", function()
  it("loses less than a tenth of what it sends, and keeps the link busy", function()
    local rate = 10e6 / 8
    local sent, lost, seconds, runs = 0, 0, 0, 8
    for seed = 1, runs do
      local link = { delay = 0.025, jitter = seed % 2 * 0.004, rate = rate, queue = 86 }
      local run = transfer.new(seed, link, MEGABYTE)
      seconds = seconds + run.finish(60)
      for _, direction in ipairs{ run.link.up, run.link.down } do
        sent = sent + direction.sent
        lost = lost + direction.overflowed
      end
      run.sim:close()
    end
    assert.is_true(lost < sent / 10, ("%d of %d were lost"):format(lost, sent))
    -- Two round trips of handshake and request, headers, what is lost, and what waits behind a queue that stays long.
    assert.is_true(seconds / runs < MEGABYTE / rate * 1.45, ("%.3f s"):format(seconds / runs))
  end)
end)
