local neap = require "neap"
local units = require("neap.units").paths
local new_dice = require("streams.dice")

local function hex(text) return (text:gsub("%x%x", function(pair) return string.char(tonumber(pair, 16)) end)) end

local KEY = hex "8f95f09245765f80256934e50c66207f"

-- draft-ietf-quic-load-balancers, appendix B: config ID, server ID, nonce, connection ID, key. Left out is the second
-- of the unencrypted ones, whose nonce has half an octet.
local VECTORS = {
  { 0, "c4605e", "4504cc4f", "07c4605e4504cc4f" },
  { 0, "ed793a", "ee080dbf", "0720b1d07b359d3c", KEY },
  { 1, "ed793a51d49b8f5fab65", "ee080dbf48", "2fcc381bc74cb4fbad2823a3d1f8fed2", KEY },
  { 2, "ed793a51d49b8f5f", "ee080dbf48c0d1e5", "504dd2d05a7b0de9b2b9907afb5ecf8cc3", KEY },
  { 3, "ed793a51d49b8f5fab", "ee080dbf48c0d1e55d", "125779c9cc86beb3a3a4a3ca96fce4bfe0cdbc", KEY },
  { 0, "31441a", "9c69c275", "0767947d29be054a", hex "fdf726a9893ec05c0632d3956680baf0" }, -- the example of §5.4.2.4
}

local function of(vector)
  return { config_id = vector[1], server_id_length = #vector[2] / 2, nonce_length = #vector[3] / 2, key = vector[5] }
end

describe("QUIC-LB", function()
  it("encodes the vectors of the draft", function()
    for _, v in ipairs(VECTORS) do
      assert.equal(hex(v[4]):sub(2), units.quic_lb_encode(v[1], hex(v[2]), hex(v[3]), v[5]))
    end
  end)

  it("decodes them, behind a long header and a short one", function()
    for _, v in ipairs(VECTORS) do
      local config, cid = of(v), hex(v[4])
      config.config_id = math.floor(cid:byte(1) / 32) -- the last one's is 0, whatever its row says
      assert.same({ hex(v[2]), 1 }, { neap.quic_lb.decode(cid, { config }, true) })
      assert.same({ hex(v[2]), 1 }, { neap.quic_lb.decode(cid .. "the rest", { config }) })
    end
  end)

  it("decodes what it encoded, for all lengths that there are", function()
    local count = 0
    for sid = 1, 15 do
      for nonce = 4, 19 - sid do
        for _, key in ipairs { KEY, false } do
          local id = ("server ID of 15"):sub(-sid)
          local size = 1 + sid + nonce
          local u = units.quic_lb(5, id, nonce, key or nil, true, sid * nonce)
          local cid = u:make(size)
          assert.equal(5 * 32 + size - 1, cid:byte(1))
          assert.equal(id, (neap.quic_lb.decode(cid, { { config_id = 5, server_id_length = sid, nonce_length = nonce,
            key = key or nil, length_encoding = true } }, true)))
          assert.equal(key == false, cid:sub(2, 1 + sid) == id)
          count = count + 1
        end
      end
    end
    assert.equal(240, count)
  end)

  it("has lengths that the draft allows, and no others", function()
    for _, lengths in ipairs { { 0, 8 }, { 1, 3 }, { 1, 19 }, { 15, 5 }, { 3, 17 } } do
      assert.is_nil(units.quic_lb(0, ("x"):rep(lengths[1]), lengths[2], KEY))
    end
    assert.is_nil(units.quic_lb(8, "x", 8, KEY))
    for _, lengths in ipairs { { 1, 4 }, { 1, 18 }, { 15, 4 } } do
      assert.is_truthy(units.quic_lb(0, ("x"):rep(lengths[1]), lengths[2], KEY))
    end
  end)

  it("uses a nonce once, from a random start, and then makes what is unroutable and tells its length", function()
    local u, other = units.quic_lb(2, "s", 4, KEY, false, 1), units.quic_lb(2, "s", 4, KEY, false, 2)
    local seen = {}
    for _ = 1, 1000 do
      local cid = u:make(8)
      assert.is_nil(seen[cid:sub(2, 6)])
      seen[cid:sub(2, 6)] = true
    end
    assert.is_nil(seen[other:make(8):sub(2, 6)])
    u:use(2 ^ 32 - 1 - 1000 - 1)
    local cid, left, is_unroutable = u:make(8)
    assert.same({ 2, 0, true }, { math.floor(cid:byte(1) / 32), left, is_unroutable })
    for _ = 1, 3 do assert.equal(7 * 32 + 7, (u:make(8)):byte(1)) end
  end)

  it("counts from elsewhere in another process", function()
    local u = units.quic_lb(0, "s", 8, KEY)
    local _, left = u:make(10)
    u:restart()
    local cid, again = u:make(10)
    assert.equal(left, again)
    local config = { config_id = 0, server_id_length = 1, nonce_length = 8, key = KEY }
    assert.equal("s", (neap.quic_lb.decode(cid, { config })))
  end)

  it("hides how long IDs are in random bits where they do not tell it, and what is behind is random", function()
    local u, low, tails = units.quic_lb(1, "s", 4, nil, false), {}, {}
    for _ = 1, 200 do
      local cid = u:make(8)
      low[cid:byte(1) % 32], tails[cid:sub(7)] = true, true
    end
    local lows, count = 0, 0
    for _ in pairs(low) do lows = lows + 1 end
    for _ in pairs(tails) do count = count + 1 end
    assert.is_true(lows > 25 and count > 190)
  end)

  it("says that an ID is unroutable: of another configuration, too short, not as long as it tells", function()
    local configs = { { config_id = 3, server_id_length = 2, nonce_length = 4, length_encoding = true } }
    local cid = units.quic_lb(3, "ab", 4, nil, true):make(9)
    assert.equal("ab", (neap.quic_lb.decode(cid, configs, true)))
    local function refused(...) assert.same({ nil, "unroutable", "unsupported" }, { neap.quic_lb.decode(...) }) end
    refused(cid, {}, true)
    refused("", configs)
    refused(string.char(cid:byte(1) - 32) .. cid:sub(2), configs, true)
    refused("\255" .. cid:sub(2), configs, true)
    for size = 1, 8 do refused(cid:sub(1, size), configs, true) end
    refused(cid .. "x", configs, true)
    refused(string.char(3 * 32 + 5) .. cid:sub(2, 6), configs) -- tells 6 bytes, of which 7 are needed
    assert.equal("ab", (neap.quic_lb.decode(cid .. "payload", configs)))
  end)

  it("reads every datagram without harm", function()
    local dice = new_dice(9)
    local configs = { { config_id = 0, server_id_length = 3, nonce_length = 4, key = KEY },
      { config_id = 1, server_id_length = 8, nonce_length = 8, key = KEY } }
    for _ = 1, 20000 do
      local bytes = {}
      for i = 1, dice(40) - 1 do bytes[i] = string.char(dice(256) - 1) end
      local id, index = neap.quic_lb.route(table.concat(bytes), configs)
      assert.is_true(id == nil or #id == configs[index].server_id_length)
    end
  end)
end)
