--- Server-sent events (HTML Living Standard §9.2): a response that goes on as long as the client listens.
local core = require "neap.core"
local json = require "neap.json"
local options = require "neap.options"
local ordered = require "neap.ordered"
local task = require "neap.task"

local OWN = {
  heartbeat = options.row("seconds above 0, or false", function(value)
    return value == false or type(value) == "number" and value > 0
  end, 15),
  retry = options.number("seconds", 0, math.huge), -- after which a client that lost us asks again
}

local HEARTBEAT = ":\n\n" -- a comment, which clients pass over

local Events = {}
Events.__index = Events

-- The lines of a field; a value may have several where `name` is "data" or "" (a comment).
local function lines(name, value)
  value = value:gsub("\r\n?", "\n")
  return name .. ": " .. value:gsub("\n", "\n" .. name .. ": ") .. "\n"
end

-- A field of one line.
local function line(name, value)
  if value == nil then return "" end
  value = tostring(value)
  if value:find("[\r\n]") or name == "id" and value:find("\0", 1, true) then
    error(("an event's %s is one line"):format(name), 3)
  end
  return name .. ": " .. value .. "\n"
end

local function milliseconds(seconds, level)
  if type(seconds) ~= "number" or seconds < 0 or seconds >= 2 ^ 31 then error("retry takes seconds", level + 1) end
  return ("retry: %d\n"):format(math.floor(seconds * 1000 + 0.5))
end

-- Sends a comment when nothing was sent for a while, so that whoever is between sees a connection that is in use, and
-- we see that a client is gone. Never waits: a client with bytes before it that it has not taken needs none.
local function beat(self)
  local res = self._res
  while not self.closed do
    local left = self._sent_at + self._interval - core.now()
    if left > 0 or self._is_writing or res._is_ending or res:is_ended() then
      task.wait_at(self, "_beat", left > 0 and left or self._interval)
    else
      res:_write_now(HEARTBEAT)
      self._sent_at = core.now()
    end
  end
end

local function end_events(self)
  self.closed = true
  self._among[self] = nil
  task.wake_at(self, "_beat")
  task.wake_at(self, "_waiting")
end

--- Makes a response one of events: see Response:sse.
function Events.open(res, given)
  local mine, others = options.split(given, OWN, 3)
  if next(others) ~= nil then error(("unknown option '%s' of sse"):format(tostring(next(others))), 3) end
  local first = mine.retry and milliseconds(mine.retry, 3) .. "\n" or HEARTBEAT
  res:header("content-type", "text/event-stream"):header("content-length", nil)
  if not res:header("cache-control") then res:header("cache-control", "no-store") end
  local self = setmetatable({ closed = false, last_id = res._exchange.headers["last-event-id"], _res = res,
    _interval = mine.heartbeat, _sent_at = core.now(), _among = res._exchange._session.server.event_streams }, Events)
  ordered.put(self._among, self)
  res:on_close(function() end_events(self) end)
  -- The client's onopen comes with the first bytes.
  if not res:write(first) or res:is_ended() then
    end_events(self)
  elseif self._interval then
    task.go(beat, self)
  end
  return self
end

local function put(self, text)
  local res = self._res
  self._is_writing = true
  local called, ok, message, code = pcall(res.write, res, text)
  self._is_writing, self._sent_at = false, core.now()
  if not called then error(ok, 0) end
  if ok then return true end
  end_events(self)
  return nil, message, code
end

--- Sends an event: a text, or { data =, event =, id =, retry = }; data that is a table goes as JSON, retry is seconds.
-- Waits while the client is slower. true; nil, message, code when it has gone, and the next call ends the handler.
function Events:send(event)
  if type(event) ~= "table" then event = { data = event } end
  local data = event.data
  if type(data) == "table" then
    local text, message = json.encode(data)
    if not text then error(message, 2) end
    data = text
  end
  for name in pairs(event) do
    if name ~= "data" and name ~= "event" and name ~= "id" and name ~= "retry" then
      error("an event has no " .. tostring(name), 2)
    end
  end
  local text = line("event", event.event) .. line("id", event.id)
  if event.retry ~= nil then text = text .. milliseconds(event.retry, 2) end
  if data ~= nil then text = text .. lines("data", tostring(data)) end
  if text == "" then error("an event without anything", 2) end
  return put(self, text .. "\n")
end

--- Sends what clients pass over. true, or nil, message, code as of send.
function Events:comment(text)
  return put(self, lines("", tostring(text)) .. "\n")
end

--- Tells those who serve events that their server ends: their clients ask again, and another one is there by then.
function Events.end_all(among)
  for _, self in ipairs(ordered.objects(among)) do end_events(self) end
end

--- Waits for so many seconds (nil: for ever), or until the client has gone or the server ends: whether neither is so.
function Events:wait(seconds)
  if self.closed then
    task.sleep(0)
  else
    task.wait_at(self, "_waiting", seconds)
  end
  return not self.closed
end

return Events
