--- Bodies, as they are given to be sent and as loops read them.
local core = require "neap.core"

local body = {}

local BrokenOff = {}
BrokenOff.__index = BrokenOff

function BrokenOff:__tostring()
  return self.message
end

--- The error that a loop over something that breaks off raises: { message = "body broke off: reset (reset by
-- peer)", code = "reset", number = the peer's }. `for` alone would take it for the end.
function body.broken_off(reason, code, number)
  local text = "body broke off: " .. tostring(code or reason)
  if code and reason ~= code then text = text .. " (" .. tostring(reason) .. ")" end
  return setmetatable({ message = text, code = code, number = number }, BrokenOff)
end

--- For `for`: what read(owner) gives until nil; nil with a message is an error.
function body.iterator(read, owner)
  return function()
    local bytes, message, code, number = read(owner)
    if message then error(body.broken_off(message, code, number), 2) end
    return bytes
  end
end

--- What save says of a body that was read to its end before; there is no file then.
body.ALREADY_READ = "the body was read before"

--- Makes a file of a body: save(file) writes what there is of it into a file of neap.core, and gives how much, until
-- nil. The size, or nil, message, code, number.
function body.save(path, save)
  if type(path) ~= "string" then error("save takes the path of a file, not a " .. type(path), 3) end
  local file, message, code, number = core.create_file(path)
  if not file then return nil, message, code, number end
  local size = 0
  local called, count
  repeat
    called, count, message, code, number = pcall(save, file)
    if called then size = size + (count or 0) end
  until not called or not count
  local ok, reason, kind, errno = file:close()
  if not called then error(count, 0) end
  if message then return nil, message, code, number end
  if not ok then return nil, reason, kind, errno end
  return size
end

-- What a client may send: a string, a function or iterator that gives chunks until nil, or an open file.

--- A function that gives the next chunk, and the size when it is known.
function body.source(value)
  local kind = type(value)
  if kind == "string" then
    local given = false
    return function()
      if given then return nil end
      given = true
      return value
    end, #value
  elseif kind == "function" then
    return value
  elseif io.type(value) == "file" then
    local here = value:seek("cur")
    local size
    if here then
      size = value:seek("end") - here
      value:seek("set", here)
    end
    return function() return value:read(65536) end, size
  end
  error("a body is a string, a function that gives chunks, or an open file", 3)
end

return body
