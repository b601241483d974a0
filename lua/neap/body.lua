--- What a client may send as a body: a string, a function or iterator that gives chunks until nil,
-- or an open file.
local body = {}

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
