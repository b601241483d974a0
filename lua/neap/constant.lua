--- Handlers of responses that are always the same: checked, and brought into the form in which they are sent, once.
local Headers = require "neap.headers"
local json = require "neap.json"
local options = require "neap.options"

local constant = {}

local CONSTANT = {
  status = options.row("a whole number from 200 to 999", function(value)
    return type(value) == "number" and value >= 200 and value <= 999 and value % 1 == 0
  end),
  headers = options.row("a table of headers", function(value) return type(value) == "table" end),
  body = options.row("a string, or a table for JSON", function(value)
    return type(value) == "string" or type(value) == "table"
  end),
}

-- Whether a status comes with no body (RFC 9110 §15).
local HAS_NONE = require("neap.semantics").NO_CONTENT

--- The handler of { status =, headers =, body = }: what a function that returns these gives. Raises an error at `level`
--- for what could not be sent.
function constant.handler(given, level)
  options.check(given, CONSTANT, "a constant response", level + 1)
  local status, headers, body = given.status, Headers.new(given.headers), given.body
  if not status and not body then error("a constant response has a status or a body", level + 1) end
  if headers:get("content-length") then error("a constant response's length is its body's", level + 1) end
  local type_of_body = type(body) == "table" and "application/json" or "text/plain; charset=utf-8"
  if type(body) == "table" then
    local text, message = json.encode(body)
    if not text then error(message, level + 1) end
    body = text
  end
  body = body or ""
  if HAS_NONE[status] and body ~= "" then error(("a response of %d has no body"):format(status), level + 1) end
  if body ~= "" and not headers:get("content-type") then headers:set("content-type", type_of_body) end
  local fields = {}
  for i, text in ipairs(Headers.list(headers)) do fields[i] = text end
  local fault = Headers.fault(fields)
  if fault then error(fault, level + 1) end
  fields.is_shared = true -- neap.response copies them before one response changes them
  return function(_, res) return res:_give(status, fields, body) end
end

return constant
