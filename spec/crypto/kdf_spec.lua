local crypto = require("neap.units").crypto
local helper = require("spec.helper")

describe("hash", function()
  it("gives the digest so far after each part and goes on", function()
    local whole256 = crypto.hash(256, "abc")
    assert.equal("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", helper.hex(whole256))
    local _, second = crypto.hash(256, "a", "bc")
    assert.equal(whole256, second)
    assert.equal(
      "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
      helper.hex((crypto.hash(384, "abc")))
    )
    assert.equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855", helper.hex((crypto.hash(256, ""))))
  end)

  it("is that of others for messages of every size, in one part and in several", function()
    local dir, parts, seed = helper.make_dir(), {}, 1
    for i = 1, 300 do
      seed = seed * 48271 % 2147483647
      parts[i] = string.char(seed % 256)
    end
    local whole = table.concat(parts)
    for size = 0, #whole do helper.write_file(("%s/%03d"):format(dir, size), whole:sub(1, size)) end
    for _, bits in ipairs({ 256, 384 }) do
      local size = 0
      for line in helper.run(("cd %s && sha%dsum ???"):format(helper.quote(dir), bits)):gmatch("[^\n]+") do
        local digest, message = line:match("^%x+"), whole:sub(1, size)
        assert.equal(digest, helper.hex((crypto.hash(bits, message))))
        for _, cut in ipairs({ 1, 55, 64, 100, 191 }) do
          local _, last = crypto.hash(bits, message:sub(1, cut), message:sub(cut + 1))
          assert.equal(digest, helper.hex(last))
        end
        size = size + 1
      end
      assert.equal(#whole + 1, size)
    end
    helper.remove_dir(dir)
  end)
end)

--- The fields of the traces, in order.
local fields = {}
for i, row in ipairs(require("spec.vectors.rfc8448")) do
  fields[i] = { name = row[3], bytes = helper.unhex(row[4]) }
end

describe("key schedule of RFC 8448", function()
  it("extracts every secret", function()
    local checked, salt, ikm = 0, nil, nil
    for _, f in ipairs(fields) do
      if f.name == "salt" then salt, ikm = f.bytes, nil end
      if f.name == "IKM" then ikm = f.bytes end
      if f.name == "secret" and salt and ikm then
        assert.equal(helper.hex(f.bytes), helper.hex(crypto.hkdf_extract(256, salt, ikm)))
        checked, salt, ikm = checked + 1, nil, nil
      end
    end
    assert.is_true(checked >= 10, "only " .. checked)
  end)

  it("expands every label", function()
    local checked, prk, info = 0, nil, nil
    for _, f in ipairs(fields) do
      if f.name == "PRK" then prk = f.bytes end
      if f.name:match("info$") then info = f.bytes end
      if f.name:match("expanded$") then
        assert.equal(helper.hex(f.bytes), helper.hex(crypto.hkdf_expand(256, prk, info, #f.bytes)))
        local label_size = info:byte(3)
        local label, context = info:sub(4 + 6, 3 + label_size), info:sub(5 + label_size)
        assert.equal(helper.hex(f.bytes), helper.hex(crypto.expand_label(256, prk, label, context, #f.bytes)))
        checked = checked + 1
      end
    end
    assert.is_true(checked >= 60, "only " .. checked)
  end)

  it("hashes the transcript up to ServerHello", function()
    local hellos, checked = {}, false
    for _, f in ipairs(fields) do
      hellos[f.name] = hellos[f.name] or f.bytes
      if f.name == "hash" and hellos.ServerHello and not checked and #f.bytes == 32 then
        local hash = select(2, crypto.hash(256, hellos.ClientHello, hellos.ServerHello))
        checked = hash == f.bytes
      end
    end
    assert.is_true(checked)
  end)

  it("computes every Finished", function()
    local checked, expanded, messages, hash = 0, nil, {}, nil
    for _, f in ipairs(fields) do
      if f.name == "expanded" then expanded = f.bytes end
      if f.name == "hash" then hash = f.bytes end
      messages[f.name] = f.bytes
      if f.name == "finished" and expanded and #f.bytes == 32 and not messages.checked then
        -- The first one of the first trace: server's Finished over everything before it.
        local transcript = { select(5, crypto.hash(256, messages.ClientHello, messages.ServerHello,
          messages.EncryptedExtensions, messages.Certificate, messages.CertificateVerify)) }
        assert.equal(helper.hex(f.bytes), helper.hex(crypto.hmac(256, expanded, transcript[1])))
        messages.checked = true
        checked = checked + 1
      end
    end
    assert.equal(1, checked)
    assert.is_not_nil(hash)
  end)
end)

describe("the stack of a derivation", function()
  local stack = require("neap.units").stack

  for _, bits in ipairs({ 256, 384 }) do
    local secret = ("0123456789abcdef"):rep(3):sub(1, bits / 8)

    it("has neither the MAC nor its key when it has returned, by SHA-" .. bits, function()
      local mac, left = stack.hmac(bits, secret, "message")
      assert.equal(crypto.hmac(bits, secret, "message"), mac)
      assert.is_nil(left:find(mac, 1, true))
      assert.is_nil(left:find(secret, 1, true))
    end)

    it("has neither the secret that it gave nor the one that it had, by SHA-" .. bits, function()
      local made, left = stack.expand_label(bits, secret, "exp master", ("d"):rep(bits / 8))
      assert.equal(crypto.expand_label(bits, secret, "exp master", ("d"):rep(bits / 8), bits / 8), made)
      assert.is_nil(left:find(made, 1, true))
      assert.is_nil(left:find(secret, 1, true))
    end)
  end
end)
