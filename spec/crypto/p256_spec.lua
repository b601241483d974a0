--- P-256 of our own beside Mbed TLS and whatever else there is. NEAP_P256_CASES=100000 takes so many random keys and
--- messages.
local crypto = require("neap.units").crypto
local helper = require("spec.helper")
local p256 = require("neap.units").p256
local stack = require("neap.units").stack

local unhex = helper.unhex
local CASES = tonumber(os.getenv("NEAP_P256_CASES")) or 200

-- RFC 6979 appendix A.2.5
local KEY = unhex("C9AFA9D845BA75166B5C215767B1D6934E50C3DB36E89B127B8A622B120F6721")
local POINT = unhex("0460FED4BA255A9D31C961EB74C6356D68C049B8923B61FA6CE669622E60F29FB6"
  .. "7903FE1008B8BC99A41AE9E95628BC64F2F1B20C2D7E9F5177A3C294D4462299")
local SIGNED = {
  sample = "EFD48B2AACB6A8FD1140DD9CD45E81D69D2C877B56AAF991C34D0EA84EAF3716"
    .. "F7CB1C942D657C41D436C7A1B6E29F65F3E900DBB9AFF4064DC4AB2F843ACDA8",
  test = "F1ABB023518351CD71D881567B1EA663ED3EFCF6C5132B354F28D3B0B7D38367"
    .. "019F4113742A2B14BD25926B49C649155F267E60D3814B4C0CC84250E46F0083",
}
local BELOW_N = unhex("C9AFA9D945BA75156B5C215767B1D6939169C92D8FD0FC8D87D0976815AC41D0") -- KEY - n, modulo 2^256
local NONCE = unhex("A6E3C57DD01ABE90086538398355DD4C3B17AA873382B0F24D6129493D8AAD60") -- of "sample"

local N = "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551"
local GENERATOR = unhex("046b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
  .. "4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5")

-- A number of 32 bytes with these bits set, from `first` to `last`.
local function bits(first, last)
  local bytes = {}
  for byte = 31, 0, -1 do
    local value = 0
    for bit = 7, 0, -1 do value = 2 * value + (8 * byte + bit >= first and 8 * byte + bit <= last and 1 or 0) end
    bytes[#bytes + 1] = string.char(value)
  end
  return table.concat(bytes)
end

-- The number that is smaller by `count`, which the last byte has.
local function less(number, count) return number:sub(1, 31) .. string.char(number:byte(32) - count) end

-- ECPrivateKey (RFC 5915) without its public key.
local function sec1(key) return unhex("3031020101" .. "0420") .. key .. unhex("a00a06082a8648ce3d030107") end
local function spki(point) return unhex("3059301306072a8648ce3d020106082a8648ce3d030107034200") .. point end

local function der(signature)
  local function integer(bytes)
    bytes = bytes:gsub("^%z+", "")
    if bytes:byte() >= 0x80 then bytes = "\0" .. bytes end
    return "\2" .. string.char(#bytes) .. bytes
  end
  local content = integer(signature:sub(1, 32)) .. integer(signature:sub(33))
  return "\48" .. string.char(#content) .. content
end

local describe_it = p256.sign and describe or function(name)
  describe(name, function() it("is left out of this build", function() pending("needs NEAP_WITH_P256") end) end)
end

describe_it("P-256", function()
  local context, others = crypto.new(("p"):rep(32)), {}

  setup(function()
    for _, name in ipairs(crypto.providers()) do others[name] = crypto.new(("o"):rep(32), nil, name) end
  end)

  it("signs as RFC 6979 A.2.5 does", function()
    assert.equal(helper.hex(POINT), helper.hex(p256.public(KEY)))
    for message, signature in pairs(SIGNED) do
      assert.equal(signature:lower(), helper.hex(p256.sign(KEY, (crypto.hash(256, message)))))
    end
  end)

  it("knows what a private key is: above 0, below n", function()
    assert.is_false(p256.is_key(bits(0, -1)))
    assert.is_true(p256.is_key(bits(0, 0)))
    assert.is_true(p256.is_key(less(unhex(N), 1)))
    assert.is_false(p256.is_key(unhex(N)))
    assert.is_false(p256.is_key(bits(0, 255)))
  end)

  -- Multiples of the base point come from a table, those of any point do not.
  local function check_multiples(key)
    local public = p256.public(key)
    assert.equal(helper.hex(p256.public_by_library(context, sec1(key))), helper.hex(public), helper.hex(key))
    assert.equal(helper.hex(public:sub(2, 33)), helper.hex(p256.shared(key, GENERATOR)))
    return public
  end

  it("multiplies by the least, the greatest, powers of two and runs of ones as Mbed TLS does", function()
    local n = unhex(N)
    for count = 1, 17 do check_multiples(less(n, count)) end
    for count = 1, 17 do check_multiples(less(bits(0, 4), 31 - count)) end
    for bit = 0, 255 do check_multiples(bits(bit, bit)) end
    for first = 0, 240, 12 do
      for last = first + 3, math.min(first + 200, 254), 23 do check_multiples(bits(first, last)) end
    end
    for tooth = 0, 4 do check_multiples(bits(52 * tooth, math.min(52 * tooth + 51, 254))) end
  end)

  it("agrees with all others about random keys and messages", function()
    for _ = 1, CASES do
      local key, message = crypto.random(context, 32), crypto.random(context, 40)
      if p256.is_key(key) then
        local public, digest = check_multiples(key), crypto.hash(256, message)
        local signature = p256.sign(key, digest)
        for name, other in pairs(others) do
          local function verify(of)
            return crypto.signature_verify(other, spki(public), "ecdsa", 256, of, der(signature))
          end
          assert.is_true(verify(message), name .. " " .. helper.hex(key) .. " " .. helper.hex(message))
          assert.is_false(verify(message .. "!"))
        end
        local place = crypto.random(context, 1):byte() % 64 + 1
        assert.is_false(p256.verify(public, digest, signature:sub(1, place - 1)
          .. string.char((signature:byte(place) + 1) % 256) .. signature:sub(place + 1)))
      end
    end
  end)

  it("takes no number of a signature that is 0, n or above", function()
    local digest = crypto.hash(256, "sample")
    local r, s = unhex(SIGNED.sample):sub(1, 32), unhex(SIGNED.sample):sub(33)
    assert.is_true(p256.verify(POINT, digest, r .. s))
    for _, bad in ipairs({ bits(0, -1), unhex(N), bits(0, 255) }) do
      assert.is_false(p256.verify(POINT, digest, bad .. s))
      assert.is_false(p256.verify(POINT, digest, r .. bad))
    end
  end)

  it("takes no point beside the curve, nor coordinates of p and above", function()
    local p = unhex("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff")
    local digest, signature = crypto.hash(256, "sample"), unhex(SIGNED.sample)
    for _, bad in ipairs({ less(POINT:sub(34), 1):sub(-32), p, bits(0, 255), bits(0, -1) }) do
      for _, point in ipairs({ POINT:sub(1, 33) .. bad, "\4" .. bad .. POINT:sub(34) }) do
        assert.is_nil(p256.shared(KEY, point))
        assert.is_false(p256.verify(point, digest, signature))
      end
    end
    assert.is_nil(p256.shared(KEY, "\2" .. POINT:sub(2)))
  end)

  it("verifies with a digest of 0, and takes no sum of opposite points for a signature", function()
    local zero, one = bits(0, -1), bits(0, 0)
    assert.is_true(p256.verify(POINT, zero, p256.sign(KEY, zero)))
    assert.is_false(p256.verify(GENERATOR, less(unhex(N), 1), one .. one))
  end)

  it("leaves nothing of the key, of the nonce and of what they are multiplied to on its stack", function()
    local function check_clean(left, name, number)
      for _, bytes in ipairs({ number, number:reverse() }) do
        for at = 1, 25, 8 do assert.is_nil(left:find(bytes:sub(at, at + 7), 1, true), name) end
      end
    end
    local signature, left = stack.p256_sign(KEY, (crypto.hash(256, "sample")))
    assert.equal(SIGNED.sample:lower(), helper.hex(signature))
    check_clean(left, "key", KEY)
    check_clean(left, "nonce", NONCE)
    local secret
    secret, left = stack.p256_shared(KEY, GENERATOR)
    assert.equal(helper.hex(POINT:sub(2, 33)), helper.hex(secret))
    check_clean(left, "key", KEY)
    check_clean(left, "secret", secret)
    check_clean(left, "y", POINT:sub(34))
    local is_key
    is_key, left = stack.p256_is_key(KEY)
    assert.equal("\1", is_key)
    check_clean(left, "key less n", BELOW_N)
    check_clean(left, "key", KEY)
  end)
end)
