--- How one side proves to the other who it is, where that is no plain certificate, against programs that speak TLS
--- over TCP: external pre-shared keys, OCSP responses, compressed certificates.
local helper = require("spec.helper")
local leash = require("spec.support.leash")
local messages = require("spec.tls.messages")
local programs = require("spec.interop.records_programs")
local records = require("spec.support.records")
local tls = require("neap.units").tls

local check_ended, must, quote = programs.check_ended, programs.must, helper.quote
local COMPRESSED_CERTIFICATE = 25
local DECRYPT_ERROR = 51
local OCSP_REQUIRED = 2
local REQUIRE = 2
local IDENTITY, KEY, OTHER = "sensor7", ("k"):rep(32), ("o"):rep(32)

local RESPONSE = [[
cd %s
printf 'V\t350101000000Z\t\t%%s\tunknown\t/CN=p256\n' "$(openssl x509 -in p256.pem -noout -serial | cut -d= -f2)" >index.txt
openssl ocsp -issuer ca.pem -cert p256.pem -no_nonce -reqout request.der
openssl ocsp -index index.txt -CA ca.pem -rsigner ca.pem -rkey ca.key -reqin request.der -respout good.der -ndays 7]]

local function in_hexadecimal(bytes)
  return (bytes:gsub(".", function(byte) return ("%02x"):format(byte:byte()) end))
end

local function psk_of(key) return { IDENTITY, in_hexadecimal(key) } end

-- Without certificates and roots.
local function keyed_server(key)
  return programs.server_config({ psks = { { IDENTITY, key, 256 } }, certificate = {} })
end

local function keyed_client(key) return programs.client_config({ psks = { { IDENTITY, key, 256 } }, roots = "" }) end

local function needs(program)
  if helper.has_program(program) then return false end
  pending("needs " .. program)
  return true
end

for _, name in ipairs({ "openssl", "gnutls" }) do
  local peer = programs.peers[name]

  describe("over TCP " .. name, function()
    local dir, listener, port, staple

    setup(function()
      dir = programs.open()
      listener, port = records.listen()
      if not helper.has_program("openssl") then return end
      helper.sh(RESPONSE:format(quote(dir)))
      staple = assert(helper.read_file(dir .. "/good.der"))
    end)

    teardown(function()
      listener:close()
      programs.close()
    end)

    after_each(leash.end_all)

    local function check_key(info)
      assert.equal(IDENTITY, info.psk_identity)
      assert.is_false(info.resumed)
      for _, side in ipairs({ "heard", "said" }) do assert.is_nil(info[side][messages.CERTIFICATE]) end
    end

    it("as server knows our client by a pre-shared key", function()
      if needs(peer.program) then return end
      local process, at = peer.serve({ psk = psk_of(KEY) })
      check_key(must(process, programs.meet_server(peer, keyed_client(KEY), at)))
    end)

    it("as client knows our server by a pre-shared key", function()
      if needs(peer.program) then return end
      local process = peer.ask(port, { psk = psk_of(KEY) })
      check_key(must(process, programs.meet_client(keyed_server(KEY), listener, process)))
      check_ended(process, "pong")
    end)

    it("as server refuses our client, whose pre-shared key is another", function()
      if needs(peer.program) then return end
      local process, at = peer.serve({ psk = psk_of(OTHER) })
      local info, failure = programs.meet_server(peer, keyed_client(KEY), at)
      assert.is_nil(info)
      assert.is_truthy(failure.alert, programs.describe_failure(failure, process))
    end)

    it("as client, whose pre-shared key is another, is refused by our server", function()
      if needs(peer.program) then return end
      local process = peer.ask(port, { psk = psk_of(OTHER) })
      local info, failure = programs.meet_client(keyed_server(KEY), listener, process)
      assert.is_nil(info)
      assert.equal(0x100 + DECRYPT_ERROR, failure.code, programs.describe_failure(failure, process))
    end)

    it("as server shows an OCSP response, which our client requires", function()
      if needs(peer.program) then return end
      local process, at = peer.serve({ staple = dir .. "/good.der" })
      must(process, programs.meet_server(peer, programs.client_config({ ocsp = OCSP_REQUIRED }), at))
    end)

    it("as server shows no OCSP response, for which our client ends the handshake", function()
      if needs(peer.program) then return end
      local process, at = peer.serve({})
      local info, failure = programs.meet_server(peer, programs.client_config({ ocsp = OCSP_REQUIRED }), at)
      assert.is_nil(info)
      assert.equal(0x100 + 113, failure.code, programs.describe_failure(failure, process))
    end)

    it("as client gets the OCSP response that our server has", function()
      if needs(peer.program) then return end
      local kept = dir .. "/came.der"
      local process = peer.ask(port, { status = true, staple = kept })
      must(process, programs.meet_client(programs.server_config({ staple = staple }), listener, process))
      check_ended(process, "pong")
      if name == "gnutls" then
        assert.is_true(helper.read_file(kept) == staple)
      else
        check_ended(process, "OCSP Response Status: successful")
        check_ended(process, "Cert Status: good")
      end
    end)

    if name ~= "openssl" then return end -- Debian's GnuTLS is built without zlib

    local function cannot_compress()
      if needs(peer.program) then return true end
      local why
      if not tls.has_compression() then
        why = "this build has no zlib (NEAP_WITH_ZLIB)"
      elseif not helper.run("openssl s_server -help"):find("-cert_comp", 1, true) then
        why = "this openssl does not compress certificates: the one of Debian 13 does (scripts/peers test)"
      end
      if why then pending(why) end
      return why ~= nil
    end

    for _, kind in ipairs({ "p256", "deep" }) do
      it("as server shows a compressed certificate of kind " .. kind .. " to our client", function()
        if cannot_compress() then return end
        local process, at = peer.serve({ compresses = true, certificate = kind })
        local info = must(process, programs.meet_server(peer, programs.client_config({ compression = true }), at))
        assert.is_true(info.heard[COMPRESSED_CERTIFICATE])
        assert.is_nil(info.heard[messages.CERTIFICATE])
      end)

      it("as client takes our compressed certificate of kind " .. kind, function()
        if cannot_compress() then return end
        local process = peer.ask(port, {})
        local config = programs.server_config({ compression = true, certificate = kind })
        local info = must(process, programs.meet_client(config, listener, process))
        check_ended(process, "pong")
        assert.is_true(info.said[COMPRESSED_CERTIFICATE])
        assert.is_nil(info.said[messages.CERTIFICATE])
      end)
    end

    for _, kind in ipairs({ "client", "clientdeep" }) do
      it("as server takes the compressed certificate of kind " .. kind .. " of our client", function()
        if cannot_compress() then return end
        local process, at = peer.serve({ wants_client = "required" })
        local config = programs.client_config({ compression = true, certificate = kind })
        local info = must(process, programs.meet_server(peer, config, at))
        assert.is_true(info.said[COMPRESSED_CERTIFICATE])
        assert.is_nil(info.said[messages.CERTIFICATE])
      end)

      it("as client shows a compressed certificate of kind " .. kind .. " to our server", function()
        if cannot_compress() then return end
        local process = peer.ask(port, { shows = kind })
        local config = programs.server_config({ compression = true, ask = REQUIRE })
        local info = must(process, programs.meet_client(config, listener, process))
        check_ended(process, "pong")
        assert.is_true(info.heard[COMPRESSED_CERTIFICATE])
        assert.is_nil(info.heard[messages.CERTIFICATE])
      end)
    end
  end)
end
