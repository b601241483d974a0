--- Wireshark's dissector as a peer that only listens: a capture and the key log, and it reads what was said.
local harness = require "interop.harness"
local helper = require "helper"
local neap = require "neap"
local pcap = require "support.pcap"
local simulation = require "neap.sim"

local MISSING = "needs tshark: apt-get install tshark, or scripts/peers"

local function find()
  if helper.has_program("tshark") then return "tshark" end
  return harness.peer("/usr/bin/tshark")
end

--- A simulation whose datagrams are captured: both hosts keep a key log in the folder.
local function captured(folder, options, run)
  local lab = simulation.new{ seed = 1 }
  local capture = pcap.new()
  local function take(bytes, _, now, datagram) capture.add(now, bytes, datagram.from, datagram.to) end
  local link = lab:link{ delay = 0.02, filter = take }
  local server = lab:host("server.example")
  local client = lab:host("client.example", { link = link })
  server:go(function()
    local app = neap.app()
    app:get("/*rest", function(req) return ("early %s"):format(req.is_early) end)
    assert(app:listen{ port = 443, early_data = true, versions = options.versions })
  end)
  client:run(function()
    run(neap.client{ keylog = folder .. "/keys", early_data = true, max_idle_timeout = 5, versions = options.versions,
      key_update_packets = options.key_update_packets })
  end)
  lab:close()
  helper.write_file(folder .. "/capture.pcap", capture.bytes())
end

local FIELDS = { "quic.version", "quic.long.packet_type", "quic.key_phase", "http3.headers.header.value",
  "quic.decryption_failed" }

--- What tshark finds in the capture: by field, its values in a row. It takes seconds to begin.
local function dissect(tshark, folder, keys)
  local command = ("HOME=%s timeout 300 %s -r %s/capture.pcap -o tls.keylog_file:%s/%s -d udp.port==443,quic "
    .. "-T fields -E separator=/t -e %s 2>/dev/null"):format(folder, tshark, folder, folder, keys or "keys",
    table.concat(FIELDS, " -e "))
  local output, status = helper.run(command)
  assert.equal(0, status)
  local found = {}
  for line in output:gmatch("([^\n]*)\n") do
    local at = 0
    for value in (line .. "\t"):gmatch("([^\t]*)\t") do
      at = at + 1
      found[FIELDS[at]] = (found[FIELDS[at]] or "") .. value .. " "
    end
  end
  return found
end

local function get(client, times)
  for _ = 1, times or 1 do assert(client:get("https://server.example/page")):body() end
end

describe("tshark with our key log", function()
  local tshark, folder

  before_each(function()
    tshark = find()
    folder = helper.make_dir()
  end)

  after_each(function() helper.remove_dir(folder) end)

  for version, number in pairs{ v1 = "0x00000001", v2 = "0x6b3343cf" } do
    it("reads requests and responses of version " .. version, function()
      if not tshark then return pending(MISSING) end
      captured(folder, { versions = version }, function(client)
        get(client)
        client:close()
      end)
      local found = dissect(tshark, folder)
      assert.match(number, found["quic.version"])
      assert.match("/page", found["http3.headers.header.value"])
      assert.not_match("%S", found["quic.decryption_failed"])
      if version == "v2" then return end
      helper.write_file(folder .. "/none", "")
      assert.not_match("/page", dissect(tshark, folder, "none")["http3.headers.header.value"])
    end)
  end

  it("reads early data", function()
    if not tshark then return pending(MISSING) end
    captured(folder, {}, function(client)
      get(client)
      neap.sleep(20)
      assert.equal("early true", assert(client:get("https://server.example/soon", { early = true })):body())
      client:close()
    end)
    local found = dissect(tshark, folder)
    assert.match("1", found["quic.long.packet_type"])
    assert.match("/soon", found["http3.headers.header.value"])
    assert.not_match("%S", found["quic.decryption_failed"])
  end)

  it("reads on when the keys are updated", function()
    if not tshark then return pending(MISSING) end
    captured(folder, { key_update_packets = 20 }, function(client)
      get(client, 50)
      assert(client:get("https://server.example/last")):body()
      client:close()
    end)
    local found = dissect(tshark, folder)
    assert.match("/last", found["http3.headers.header.value"])
    assert.match("False.*True.*False", found["quic.key_phase"])
    assert.not_match("%S", found["quic.decryption_failed"])
  end)
end)
