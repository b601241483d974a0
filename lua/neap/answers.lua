--- Whole responses that leave together. A call into C ends what LuaJIT compiles as one piece: what handlers answer is
-- noted here, and given to the core in one call when they have run, before anything is sent.
local core = require "neap.core"

local answers = {}

-- Places of an answer: transport, stream, status, fields, body, response; core.answer reads all but the last.
local WIDTH = 6
local LONGEST = 4096 -- bytes of a body: longer ones do not wait here, so that little is held

local list, used = {}, 0

--- Called at once for a response that did not leave as a whole: `taken` is the count of bytes that did, or the list
-- message, code, number of what core.answer said. server.lua goes on with it, in a task of its own.
function answers.go_on() end

-- core.answer has raised an error at one of the answers from `first` to `last`, and not told at which: each goes alone.
-- Those that left before are refused as answered ("state").
local function send_each(first, last)
  for at = first, last, WIDTH do
    local ok, after, taken, message, code, number = pcall(core.answer, list, at, at + WIDTH - 1)
    if not ok then
      answers.go_on(list[at + 5], { after })
    elseif after == at and code ~= "state" then
      answers.go_on(list[at + 5], taken or { message, code, number })
    end
  end
end

-- Gives the core all that is there.
local function send_all()
  local first, last = 1, used
  used = 0
  while first <= last do
    local ok, after, taken, message, code, number = pcall(core.answer, list, first, last)
    if not ok then
      send_each(first, last)
      after = last + 1
    elseif after <= last then
      answers.go_on(list[after + 5], taken or { message, code, number })
      after = after + WIDTH
    end
    first = after
  end
  for i = 1, last do list[i] = false end
end

--- Gives the core what was noted.
function answers.settle()
  if used > 0 then send_all() end
end

--- Notes a whole response, with what transport:respond takes of it: whether it was noted. What becomes of it,
-- answers.go_on is told; nothing, when all is well.
function answers.take(transport, stream, status, fields, body, res)
  if #body > LONGEST then return false end
  local at = used
  list[at + 1], list[at + 2], list[at + 3] = transport, stream, status
  list[at + 4], list[at + 5], list[at + 6] = fields or false, body, res
  used = at + WIDTH
  return true
end

return answers
