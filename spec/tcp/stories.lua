-- What a transport over a stream of bytes tells of what came, in one line each.
local transport = require("neap.units").transport

local stories = {}

stories.OK = { { ":status", "200" } }
stories.err = {
  AGAIN = -1, NO_MEMORY = -2, ARGUMENT = -3, CLOSED = -4, STREAM_STATE = -8, STREAM_LIMIT = -9, STOPPED = -11,
  LIMIT = -15,
}
stories.code = { NO_ERROR = 0x100, INTERNAL_ERROR = 0x102, EXCESSIVE_LOAD = 0x107, INCOMPLETE = 0x10d,
  MESSAGE_ERROR = 0x10e }

function stories.server(options)
  options = options or {}
  options.server = true
  return transport.http1(options)
end

function stories.client(options)
  return transport.http1(options or {})
end

--- Lines with their ends, and the empty one behind them.
function stories.head(...)
  return table.concat({ ... }, "\r\n") .. "\r\n\r\n"
end

--- All bytes of a body that wait.
function stories.body(unit, stream)
  local parts, bytes = {}, unit:recv_body(stream)
  while bytes do
    parts[#parts + 1] = bytes
    bytes = unit:recv_body(stream)
  end
  return table.concat(parts)
end

--- All events now. Bodies are read into `body` of their event, unless keep_body.
function stories.events(unit, keep_body)
  local events = {}
  while true do
    local event = unit:poll()
    if not event then return events end
    if event.type == "data" and not keep_body then
      event.body = stories.body(unit, event.stream)
    end
    events[#events + 1] = event
  end
end

local function words_of(events)
  local words = {}
  for i, event in ipairs(events) do
    local extra = event.body and ("(%s)"):format(event.body) or event.code and ("(0x%x)"):format(event.code) or ""
    if event.fields then
      local fields = {}
      for k, field in ipairs(event.fields) do fields[k] = field[1] .. "=" .. field[2] end
      extra = "[" .. table.concat(fields, ",") .. "]"
    end
    if event.fin then extra = extra .. "fin" end
    words[i] = (event.informational and "interim" or event.type) .. ":" .. event.stream .. extra
  end
  return words
end

--- The same in one line: "headers:0[:method=GET,…]fin finished:0".
function stories.story(unit, keep_body)
  return table.concat(words_of(stories.events(unit, keep_body)), " ")
end

--- What became of bytes that came in pieces of `size`: the story, with a body in one, and what was answered.
function stories.in_pieces(unit, bytes, size)
  local told, body = {}, nil
  local function look()
    for _, event in ipairs(stories.events(unit)) do
      if event.type == "data" then
        body = (body or "") .. event.body
      else
        if body then told[#told + 1] = ("data(%s)"):format(body) end
        body = nil
        told[#told + 1] = words_of({ event })[1]
      end
    end
  end
  for at = 1, #bytes, size do
    local piece = bytes:sub(at, at + size - 1)
    local taken = unit:receive(piece)
    look()
    if not taken then break end
    assert(taken == #piece, "no room")
  end
  if body then told[#told + 1] = ("data(%s)"):format(body) end
  local answer = unit:send()
  look()
  return table.concat(told, " "), answer
end

--- The status of an answer.
function stories.status(answer)
  return tonumber(answer:match("^HTTP/1%.1 (%d%d%d) "))
end

return stories
