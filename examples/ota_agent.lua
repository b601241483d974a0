--- Updates of a device: it looks for a manifest, checks who signed it, fetches the image, going on where it broke off,
-- and has a command put it in its place. Who asks the device sees how far it is, by events.
--    neap run examples/ota_agent.lua MANIFEST_URL PUBLIC_KEY FOLDER COMMAND [WORDS …]
-- MANIFEST_URL: JSON { "version": 7, "image": "image.bin", "sha256": "…" }, signed at MANIFEST_URL.sig by
--    openssl dgst -sha256 -sign KEY -out manifest.json.sig manifest.json
-- FOLDER keeps the image, and the version that was put in place. COMMAND gets the path of the image as its last word.
-- The device shows DEVICE_CERT and DEVICE_KEY to a server that asks, and trusts DEVICE_CA.
local neap = require "neap"
local write_file = require("neap.core").write_file

local INTERVAL = tonumber(os.getenv "INTERVAL" or 3600) -- seconds between two looks
local MOST = 512 * 1024 * 1024 -- bytes of an image

local manifest_url, public_key, folder = ...
local command = { select(4, ...) }
local state = { step = "waits" } -- what /events tells
local changed = {} -- channels of those who watch

local function tell(step, more)
  state = { step = step }
  for name, value in pairs(more or {}) do state[name] = value end
  for watcher in pairs(changed) do watcher:send(true, 0) end
end

local function read(path)
  local file = io.open(path, "rb")
  local text = file and file:read("*a")
  if file then file:close() end
  return text
end

local function fetch(client, url)
  local response = assert(client:get(url))
  local text = assert(response:body(65536))
  if response.status ~= 200 then error(("%s: status %d"):format(url, response.status), 0) end
  return text
end

-- The manifest, when it is signed by the key that the device was made with.
local function fetch_manifest(client)
  local text, signature = fetch(client, manifest_url), fetch(client, manifest_url .. ".sig")
  assert(write_file(folder .. "/manifest.sig", signature))
  local result = assert(neap.process.run({ "openssl", "dgst", "-sha256", "-verify", public_key, "-signature",
    folder .. "/manifest.sig", input = text, stderr = "pipe" }))
  if result.code ~= 0 then error("the manifest is not signed by our key", 0) end
  local manifest = neap.json.decode(text)
  if type(manifest) ~= "table" or type(manifest.version) ~= "number" or type(manifest.image) ~= "string"
    or type(manifest.sha256) ~= "string" then
    error("the manifest has no version, image or sha256", 0)
  end
  return manifest
end

local function update(client)
  tell "looks"
  local manifest = fetch_manifest(client)
  if manifest.version <= (tonumber(read(folder .. "/version") or "") or 0) then return tell "up to date" end
  local image = folder .. "/image"
  assert(client:download(neap.url.join(assert(neap.url.parse(manifest_url)), manifest.image), image, {
    sha256 = manifest.sha256, most = MOST,
    progress = function(size, total) tell("fetches", { size = size, total = total, version = manifest.version }) end,
  }))
  tell("installs", { version = manifest.version })
  local words = {}
  for i, word in ipairs(command) do words[i] = word end
  words[#words + 1] = image
  words.timeout, words.stderr = 600, "pipe"
  local result = assert(neap.process.run(words))
  if result.code ~= 0 then error("the command failed: " .. result.stderr, 0) end
  assert(write_file(folder .. "/version", ("%d\n"):format(manifest.version)))
  os.remove(image)
  tell("installed", { version = manifest.version })
end

local function serve()
  local app = neap.app()
  app:get("/events", function(_, res)
    local events, watcher = res:sse {}, neap.channel(1)
    changed[watcher] = true
    repeat
      events:send { data = state }
      watcher:receive(15)
    until events.closed
    changed[watcher] = nil
  end)
  assert(app:listen { host = "127.0.0.1" })
end

if not command[1] then
  print("usage: neap run examples/ota_agent.lua MANIFEST_URL PUBLIC_KEY FOLDER COMMAND [WORDS …]")
  os.exit(2)
end
io.stdout:setvbuf("line")
serve()
neap.go(function()
  local client = neap.client { ca = os.getenv "DEVICE_CA", cert = os.getenv "DEVICE_CERT", key = os.getenv "DEVICE_KEY",
    timeout = 600 }
  while true do
    local ok, why = pcall(update, client)
    if not ok then tell("failed", { why = tostring(why) }) end
    print(state.step, state.version or state.why or "")
    -- Not all devices at once.
    neap.sleep(INTERVAL * (0.75 + math.random() / 2))
  end
end)
neap.run()
