-- Handshakes and transfers both ways in the weather of many seeds: losses, bursts, reordering, queues, marks, traffic
-- of others, outages, small datagrams, other addresses and more, in all combinations (weather.lua). None fails or
-- hangs, all bytes come, and no more than three times what is ideal and ten PTOs pass until then; memory is all given
-- back, and no address that proved nothing gets more than three times its bytes (seeds.lua has each).
--   SEEDS=10000 scripts/test spec/sim/seeds_spec.lua      FIRST_SEED=501 begins elsewhere
local seeds = require "sim.seeds"

local COUNT = tonumber(os.getenv("SEEDS")) or 500
local FIRST = tonumber(os.getenv("FIRST_SEED")) or 1
local EACH = 50

describe("a handshake and a transfer both ways", function()
  for first = FIRST, FIRST + COUNT - 1, EACH do
    local last = math.min(first + EACH, FIRST + COUNT) - 1
    -- covers: rfc9000#8.1.2
    local name = "come through in time, with amplification and memory in their bounds: seeds %d to %d"
    it(name:format(first, last), function()
      local failures = {}
      for seed = first, last do failures[#failures + 1] = seeds.run(seed) end
      assert.same({}, failures)
    end)
  end

  it("are the same to the byte with the same seed, whatever the weather is", function()
    for seed = FIRST, FIRST + 19 do
      local _, once = seeds.run(seed)
      local _, again = seeds.run(seed)
      assert.same(once, again)
    end
  end)
end)
