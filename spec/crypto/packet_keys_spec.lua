local crypto = require("neap.units").crypto
local engines = require("neap.units").engines
local helper = require("spec.helper")

local unhex, hex = helper.unhex, helper.hex
local SEED = ("p"):rep(32)
local DCID = unhex("8394c8f03e515708")
local INITIALS = require("spec.vectors.initial_packets")

-- What RFC 9001 §A and RFC 9369 §A print, beside the Initial packets.
local VERSIONS = {
  {
    name = "RFC 9001", version = 1,
    client = { "1f369613dd76d5467730efcbe3b1a22d", "fa044b2f42a3fd3b46fb255c", "9f50449e04a0e810283a1e9933adedd2" },
    server = { "cf3a5331653c364c88f0f379b6067e37", "0ac1493ca1905853b0bba03e", "c206b8d9b9f0f37644430b490eeaa314" },
    client_header = "c300000001088394c8f03e5157080000449e00000002",
    server_header = "c1000000010008f067a5502a4262b50040750001",
    retry = "ff000000010008f067a5502a4262b574 6f6b656e", retry_tag = "04a265ba2eff4d829058fb3f0f2496ba",
    chacha = {
      "c6d98ff3441c3fe1b2182094f69caa2ed4b716b65488960a7a984979fb23e1c8", "e0459b3474bdd0e44a41c144",
      "25a282b9e82f06f21f488917a4fc8f1b73573685608597d0efcb076b0ab7a7a4",
    },
    chacha_next = "1223504755036d556342ee9361d253421a826c9ecdf3c7148684b36b714881f9",
    chacha_packet = "4cfe4189655e5cd55c41f69080575d7999c25a5bfb",
  },
  {
    name = "RFC 9369", version = 0x6b3343cf,
    client = { "8b1a0bc121284290a29e0971b5cd045d", "91f73e2351d8fa91660e909f", "45b95e15235d6f45a6b19cbcb0294ba9" },
    server = { "82db637861d55e1d011f19ea71d5d2a7", "dd13c276499c0249d3310652", "edf6d05c83121201b436e16877593c3a" },
    client_header = "d36b3343cf088394c8f03e5157080000449e00000002",
    server_header = "d16b3343cf0008f067a5502a4262b50040750001",
    retry = "cf6b3343cf0008f067a5502a4262b574 6f6b656e", retry_tag = "c8646ce8bfe33952d955543665dcc7b6",
    chacha = {
      "3bfcddd72bcf02541d7fa0dd1f5f9eeea817e09a6963a0e6c7df0f9a1bab90f2", "a6b5bc6ab7dafce30ffff5dd",
      "d659760d2ba434a226fd37b35c69e2da8211d10c4f12538787d65645d5d1b8e2",
    },
    chacha_next = "c69374c49e3d2a9466fa689e49d476db5d0dfbc87d32ceeaa6343fd0ae4c7d88",
    chacha_packet = "5558b1c60ae7b6b932bc27d786f4bc2bb20f2162ba",
  },
}
local CHACHA_SECRET = unhex("9ac312a7f877468ebe69422748ad00a15443f18203a07d6060f688f30f21632b")

local function parts(key)
  local k, iv, hp = crypto.key_parts(key)
  return { hex(k), hex(iv), hex(hp) }
end

local function vectors_of(v, engine)
  describe(("packet protection of %s A, computed by %s"):format(v.name, engine), function()
    local context, client, server

    before_each(function()
      context = crypto.new(SEED)
      engines.use(context, engine)
      client, server = crypto.key_initial(v.version, DCID)
    end)

    -- covers: rfc9001#5.2.2
    it("derives the Initial keys (A.1)", function()
      assert.same(v.client, parts(client))
      assert.same(v.server, parts(server))
    end)

    it("seals and opens the client's Initial (A.2)", function()
      local payload = unhex(INITIALS[v.name].client_frames)
      payload = payload .. ("\0"):rep(1162 - #payload)
      local expected = unhex(INITIALS[v.name].client_packet)
      assert.equal(1200, #expected)
      local packet = crypto.seal(context, client, unhex(v.client_header), 4, 2, payload)
      assert.equal(hex(expected), hex(packet))

      local size, truncated, unmasked = crypto.unmask(context, client, packet, 18)
      assert.same({ 4, 2 }, { size, truncated })
      assert.equal(v.client_header, hex(unmasked:sub(1, 22)))
      assert.equal(payload, crypto.open(context, client, unmasked, 22, 2))
    end)

    it("seals and opens the server's Initial (A.3)", function()
      local payload = unhex(INITIALS[v.name].server_frames)
      local expected = unhex(INITIALS[v.name].server_packet)
      assert.equal(135, #expected)
      local packet = crypto.seal(context, server, unhex(v.server_header), 2, 1, payload)
      assert.equal(hex(expected), hex(packet))
      local size, truncated, unmasked = crypto.unmask(context, server, packet, 18)
      assert.same({ 2, 1 }, { size, truncated })
      assert.equal(payload, crypto.open(context, server, unmasked, 20, 1))
    end)

    it("makes the Retry integrity tag (A.4)", function()
      assert.equal(v.retry_tag, hex(crypto.retry_tag(context, v.version, DCID, unhex(v.retry))))
    end)

    it("seals a ChaCha20-Poly1305 short header packet (A.5)", function()
      local key = crypto.key_derive(v.version, 0x1303, CHACHA_SECRET)
      assert.same(v.chacha, parts(key))
      local packet = crypto.seal(context, key, unhex("4200bff4"), 3, 654360564, "\1")
      assert.equal(v.chacha_packet, hex(packet))
      local size, truncated, unmasked = crypto.unmask(context, key, packet, 1)
      assert.same({ 3, 0x00bff4 }, { size, truncated })
      assert.equal("\1", crypto.open(context, key, unmasked, 4, 654360564))
    end)

    it("updates keys and leaves the header key (A.5, ku)", function()
      local key = crypto.key_derive(v.version, 0x1303, CHACHA_SECRET)
      local next_key, next_secret = crypto.key_update(v.version, key, CHACHA_SECRET)
      assert.equal(v.chacha_next, hex(next_secret))
      local fresh = parts(crypto.key_derive(v.version, 0x1303, next_secret))
      assert.same({ fresh[1], fresh[2], v.chacha[3] }, parts(next_key))
    end)
  end)
end

-- draft-ietf-quic-multipath §2.4: N = IV xor (path ID, packet number).
describe("a packet with a path ID", function()
  local function with_iv(key, iv)
    local own = select(2, crypto.key_parts(key))
    local at = key:find(own, 1, true)
    return key:sub(1, at - 1) .. iv .. key:sub(at + #iv)
  end

  it("is sealed with the nonce of the draft's example, and opens with that path ID alone", function()
    local context = crypto.new(SEED)
    local key = with_iv((crypto.key_initial(1, DCID)), unhex("6b26114b9cba2b63a9e8dd4f"))
    local header = "\67cccccccc\0\0\212\49"
    local packet = crypto.seal(context, key, header, 4, 54321, "payload", 3)
    -- The same nonce, 6b2611489cba2b63a9e8097e, is that of this IV and packet number 0; the header is the same.
    local same = with_iv(key, unhex("6b2611489cba2b63a9e8097e"))
    assert.equal(hex(packet), hex(crypto.seal(context, same, header, 4, 0, "payload")))
    local _, _, unmasked = crypto.unmask(context, key, packet, 9)
    assert.equal("payload", crypto.open(context, key, unmasked, #header, 54321, 3))
    assert.is_nil((crypto.open(context, key, unmasked, #header, 54321)))
    assert.is_nil((crypto.open(context, key, unmasked, #header, 54321, 2)))
  end)
end)

for _, v in ipairs(VERSIONS) do
  for _, engine in ipairs(engines.names()) do vectors_of(v, engine) end
end

describe("packet protection", function()
  local context

  before_each(function() context = crypto.new(SEED) end)

  local function key_of(suite, letter)
    return crypto.key_derive(1, suite, (letter or "k"):rep(suite == 0x1302 and 48 or 32))
  end

  for _, suite in ipairs({ 0x1301, 0x1302, 0x1303 }) do
    describe(("with suite 0x%04x"):format(suite), function()
      it("seals a run of packets as it seals each alone", function()
        local key, header = key_of(suite), unhex("40 0102030405060708 0001")
        local payloads, alone = {}, {}
        for i = 1, 16 do
          payloads[i] = string.char(i):rep(i * 83)
          alone[i] = crypto.seal(context, key, header, 2, i, payloads[i])
        end
        assert.equal(hex(table.concat(alone)), hex(crypto.seal(context, key, header, 2, 1, payloads)))
      end)

      it("refuses a packet in which any bit was changed, and leaves its last 16 bytes as they came", function()
        local key = key_of(suite)
        local packet = crypto.seal(context, key, unhex("41 0001"), 2, 1, "neap tide")
        local _, _, plain_header = crypto.unmask(context, key, packet, 1)
        assert.equal("neap tide", crypto.open(context, key, plain_header, 3, 1))
        for i = 1, #plain_header do
          local changed = plain_header:sub(1, i - 1)
            .. string.char((plain_header:byte(i) + 2 ^ (i % 8)) % 256)
            .. plain_header:sub(i + 1)
          local opened, code, left = crypto.open(context, key, changed, 3, 1)
          assert.same({ nil, -12 }, { opened, code })
          assert.is_nil(left:find("neap tide", 1, true))
          assert.equal(hex(changed:sub(-16)), hex(left:sub(-16))) -- a stateless reset is recognised by them
        end
        assert.is_nil(crypto.open(context, key, plain_header, 3, 2))
      end)

      -- covers: rfc9001#5.4.2.1
      it("refuses to unmask what is too short for a sample", function()
        local key = key_of(suite)
        for size = 0, 20 do
          local unmasked, code = crypto.unmask(context, key, ("\64"):rep(size), 1)
          assert.same({ nil, -7 }, { unmasked, code })
        end
        assert.is_not_nil(crypto.unmask(context, key, ("\64"):rep(21), 1))
        assert.is_nil((crypto.unmask(context, key, ("\64"):rep(100), 81)))
      end)

      it("seals nothing whose sample would lie past the end", function()
        local key = key_of(suite)
        assert.is_nil((crypto.seal(context, key, unhex("40 01"), 1, 1, "ab")))
        assert.is_not_nil(crypto.seal(context, key, unhex("40 01"), 1, 1, "abc"))
        assert.is_nil((crypto.seal(context, key, unhex("40 0101010101"), 5, 1, "abc")))
      end)
    end)
  end

  it("gives the same packets however many keys are used in turn", function()
    local keys, first = {}, {}
    for round = 1, 3 do
      for i = 1, 100 do
        keys[i] = keys[i] or key_of(i % 2 == 0 and 0x1301 or 0x1302, string.char(i))
        local packet = crypto.seal(context, keys[i], unhex("40 0001"), 2, 1, "payload")
        first[i] = first[i] or packet
        assert.equal(first[i], packet, ("round %d key %d"):format(round, i))
      end
    end
  end)

  it("keeps what is expanded of a busy key, at most 1 KiB, until it is wiped", function()
    local key = key_of(0x1301)
    local plain = crypto.seal(context, key, "@@1", 2, 1, "payload")
    local before, busy, after, packet = crypto.busy_key(context, key, 3)
    assert.is_true(busy > before and busy <= before + 1024)
    assert.equal(before, after)
    assert.equal(hex(plain), hex(packet))
  end)

  it("keeps nothing of any other key", function()
    local before = crypto.used(context)
    crypto.seal(context, key_of(0x1301), "@@1", 2, 1, "payload")
    assert.equal(before, crypto.used(context))
  end)

  it("gives the same packets where there is no memory for what is expanded", function()
    local key = key_of(0x1302)
    local plain = crypto.seal(context, key, "@@1", 2, 1, "payload")
    crypto.fail_after(context, 0)
    local before, busy, _, packet = crypto.busy_key(context, key, 3)
    crypto.fail_after(context, -1)
    assert.equal(before, busy)
    assert.equal(hex(plain), hex(packet))
  end)

  it("tells keys apart that differ in the header key only", function()
    local key = key_of(0x1301)
    local updated = crypto.key_update(1, key, ("k"):rep(32))
    local _, _, hp = crypto.key_parts(updated)
    local at = key:find(hp, 1, true)
    local other = key:sub(1, at - 1) .. ("\7"):rep(16) .. key:sub(at + 16)
    local a = crypto.seal(context, key, unhex("40 0001"), 2, 1, "payload")
    local b = crypto.seal(context, other, unhex("40 0001"), 2, 1, "payload")
    assert.equal(a:sub(4), b:sub(4))
    assert.are_not.equal(a:sub(1, 3), b:sub(1, 3))
  end)

  it("makes no Retry tag for an original connection ID or a packet that is too long", function()
    assert.same({ nil, -3, "" }, { crypto.retry_tag(context, 1, ("x"):rep(21), "retry") })
    assert.same({ nil, -15, "" }, { crypto.retry_tag(context, 1, DCID, ("x"):rep(2000)) })
    assert.is_not_nil(crypto.retry_tag(context, 1, ("x"):rep(20), ("x"):rep(559)))
  end)

  it("knows the labels of versions 1 and 2 only", function()
    assert.has_error(function() crypto.key_initial(2, DCID) end)
  end)
end)
