-- The seeds are of connections that were lost while a server followed its clients less well.
local roaming = require "sim.roaming"

local SEEDS = { 10, 15, 33, 86, 103, 109, 116, 141, 169, 215, 222, 230, 234, 249, 260, 313, 346, 376 }

describe("a client whose NAT gives it another address every few seconds", function()
  -- covers: rfc9000#9.3.2.1
  it("keeps its connection while somebody sends copies of its packets from elsewhere, with losses", function()
    for _, seed in ipairs(SEEDS) do
      assert.is_nil(roaming.lose(seed, true))
    end
  end)

  it("keeps its connection with losses alone", function()
    for _, seed in ipairs(SEEDS) do
      assert.is_nil(roaming.lose(seed, false))
    end
  end)
end)
