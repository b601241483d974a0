-- All sequences of five frames on a request stream, against a model of RFC 9114 §4.1.
local exchange = require("spec.http.exchange")

local code, headers, data = exchange.code, exchange.headers, exchange.data
local GET, POST, OK = exchange.GET, exchange.POST, exchange.OK
local UNKNOWN = exchange.frame(0x21, "what")

describe("sequences of frames", function()
  local symbols = { "I", "H", "D", "T", "U", "F" } -- interim, headers, DATA, trailers, unknown, FIN

  -- What RFC 9114 §4.1 makes of a sequence: "open" so far, how it ends otherwise, and at which symbol.
  local function model(sequence, is_response)
    local state = "start"
    for i = 1, #sequence do
      local symbol = sequence:sub(i, i)
      if symbol == "F" then
        if state == "start" then return is_response and code.MESSAGE_ERROR or code.REQUEST_INCOMPLETE, i end
        return "finished", i
      elseif symbol == "D" then
        if state ~= "body" then return code.FRAME_UNEXPECTED, i end
      elseif symbol ~= "U" then
        if state == "trailed" then return code.FRAME_UNEXPECTED, i end
        if state == "body" then
          if symbol ~= "T" then return code.MESSAGE_ERROR, i end -- pseudo-header fields in trailers
          state = "trailed"
        elseif symbol == "T" then
          return code.MESSAGE_ERROR, i -- no pseudo-header fields at all
        elseif symbol == "I" then
          if not is_response then return code.MESSAGE_ERROR, i end
        else
          state = "body"
        end
      end
    end
    return "open", #sequence
  end

  -- All sequences of `length`, cut where the model ends them, each once.
  local function all(length, is_response)
    local seen, list = {}, {}
    local function extend(prefix)
      if #prefix == length then
        local expected, at = model(prefix, is_response)
        local key = prefix:sub(1, at)
        if not seen[key] then
          seen[key] = true
          list[#list + 1] = { key, expected }
        end
        return
      end
      for _, symbol in ipairs(symbols) do extend(prefix .. symbol) end
    end
    extend("")
    return list
  end

  local function bytes_of(sequence, final)
    local parts = { I = headers({ { ":status", "103" } }), H = headers(final), D = data("d"),
      T = headers({ { "x-trailer", "1" } }), U = UNKNOWN, F = "" }
    return (sequence:gsub(".", parts))
  end

  -- Runs a sequence on a new stream of `peer`: as model().
  local function run(peer, id, sequence, final)
    local fin = sequence:sub(-1) == "F"
    local pair = peer.pair
    pair:send(peer.side, id, bytes_of(sequence, final), fin)
    pair:run()
    local result = "open"
    for _, event in ipairs((exchange.events(pair, peer.other))) do
      if event.type == "reset" then result = event.code end
      if event.type == "finished" then result = "finished" end
    end
    pair:run()
    local closed = pair:closed(peer.other)
    return closed and closed.code or result
  end

  local function check(side, is_response, final)
    local peer, streams
    local counts = {}
    for _, case in ipairs(all(5, is_response)) do
      if not peer or streams > 90 then
        if peer then peer:free() end
        peer, streams = exchange.peer(side), 0
      end
      streams = streams + 1
      local id
      if is_response then
        id = assert(peer.pair:request(GET, true))
        peer.pair:run()
      else
        id = assert(peer.pair:open("client", true))
      end
      local got = run(peer, id, case[1], final)
      if got ~= case[2] then error(("%s: %s, not %s"):format(case[1], tostring(got), tostring(case[2]))) end
      counts[got] = (counts[got] or 0) + 1
      if peer.pair:closed(peer.other) then
        peer:free()
        peer = nil
      end
    end
    if peer then peer:free() end
    return counts
  end

  -- covers: rfc9114#4.1.1 rfc9114#4.1.2 rfc9114#4.1.3 rfc9114#4.1.6 rfc9114#4.1.8
  it("of a request: all of five frames behave as the model", function()
    local counts = check("client", false, POST)
    assert.is_true(counts.finished > 10 and counts.open > 10 and counts[code.FRAME_UNEXPECTED] > 10)
    assert.is_true(counts[code.MESSAGE_ERROR] > 10 and counts[code.REQUEST_INCOMPLETE] > 3)
  end)

  it("of a response: all of five frames behave as the model", function()
    local counts = check("server", true, OK)
    assert.is_true(counts.finished > 10 and counts.open > 10 and counts[code.FRAME_UNEXPECTED] > 10)
    assert.is_true(counts[code.MESSAGE_ERROR] > 10)
  end)
end)
