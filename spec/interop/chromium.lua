--- Drives headless Chromium through its debugging pipe: opens a page and asks it what protocol it came over.
local harness = require("spec.interop.harness")
local helper = require("spec.helper")
local json = require("cjson")

local chromium = {}

local quote = helper.quote

--- The hash by which Chromium accepts a certificate that no authority of its own has signed.
local function key_hash(cert)
  local output, status = helper.run(("openssl x509 -in %s -pubkey -noout | openssl pkey -pubin -outform der | "
    .. "openssl dgst -sha256 -binary | base64"):format(quote(cert)))
  assert(status == 0, output)
  return (output:gsub("%s+", ""))
end

local Browser = {}
Browser.__index = Browser

--- Starts a browser that speaks HTTP/3 with localhost:port from its first request on; without a port one that knows of
-- HTTP/3 what it is told (Chromium takes it from hosts without a public certificate only if a port of theirs is named).
function chromium.start(dir, port, cert)
  local self = setmetatable({ id = 0, input = dir .. "/chromium.in", output = dir .. "/chromium.out" }, Browser)
  local arguments = {
    "timeout -k 5 90 chromium --headless=new --no-sandbox --disable-gpu --disable-dev-shm-usage --no-first-run",
    "--disable-background-networking --disable-component-update --disable-extensions --disable-sync",
    "--user-data-dir=" .. quote(dir .. "/chromium"),
    "--origin-to-force-quic-on=localhost:" .. (port or 1),
    "--host-resolver-rules=" .. quote("MAP localhost 127.0.0.1"),
    "--ignore-certificate-errors-spki-list=" .. key_hash(cert),
    "--remote-debugging-pipe about:blank",
  }
  helper.run(("mkfifo %s %s"):format(quote(self.input), quote(self.output)))
  self.process = harness.start(("sh -c %s"):format(quote(("exec %s 3<%s 4>%s"):format(
    table.concat(arguments, " "), quote(self.input), quote(self.output)))), { dir = dir, name = "chromium" })
  self.writer = assert(io.open(self.input, "wb"))
  self.reader = assert(io.open(self.output, "rb"))
  return self
end

local function read_message(reader)
  local bytes = {}
  while true do
    local byte = reader:read(1)
    if not byte then return nil end -- the browser is gone: its time limit ends every wait here
    if byte == "\0" then return json.decode(table.concat(bytes)) end
    bytes[#bytes + 1] = byte
  end
end

--- Calls a method of the debugging protocol and waits for its result.
function Browser:call(method, params, session)
  self.id = self.id + 1
  self.writer:write(json.encode({ id = self.id, method = method, params = params, sessionId = session }), "\0")
  self.writer:flush()
  while true do
    local message = read_message(self.reader)
    assert(message, "chromium ended while it was asked for " .. method)
    if message.id == self.id then
      assert(not message.error, message.error and message.error.message)
      return message.result
    end
  end
end

--- The value of a JavaScript expression (a promise is awaited) in a page that was opened.
function Browser:evaluate(session, expression)
  local result = self:call("Runtime.evaluate", { expression = expression, awaitPromise = true, returnByValue = true },
    session)
  assert(not result.exceptionDetails, json.encode(result.exceptionDetails or {}))
  return result.result.value
end

--- Opens a page and waits until it is complete. Returns its session.
function Browser:open(url)
  local target = self:call("Target.createTarget", { url = url })
  local session = self:call("Target.attachToTarget", { targetId = target.targetId, flatten = true }).sessionId
  local deadline = os.time() + 30
  repeat
    local is_there = self:evaluate(session, "document.readyState == 'complete' && location.href != 'about:blank'")
    if not is_there then os.execute("sleep 0.05") end
  until is_there or os.time() > deadline
  return session
end

--- A picture of the page, as PNG.
function Browser:screenshot(session)
  return (self:call("Page.captureScreenshot", { format = "png" }, session).data)
end

--- What the page itself says of how it came: "h3".
function Browser:protocol(session)
  return self:evaluate(session, "performance.getEntriesByType('navigation')[0].nextHopProtocol")
end

function Browser:close()
  self.writer:close()
  self.reader:close()
  harness.stop(self.process)
end

return chromium
