--- Addresses of a simulation. They are compared as text, so that each has one spelling here.
local core = require "neap.core"
local row = require "neap.options"

local address = {}

local function is_byte(digits)
  return tostring(tonumber(digits)) == digits and tonumber(digits) < 256
end

--- Whether a value is an address of IPv4 as one writes it, or one of IPv6 in brackets, with its port.
function address.is(value)
  if type(value) ~= "string" then return false end
  local port = value:match("^%[%x*:[%x:.]*%]:(%d+)$")
  if not port then
    local a, b, c, d
    a, b, c, d, port = value:match("^(%d+)%.(%d+)%.(%d+)%.(%d+):(%d+)$")
    if not (a and is_byte(a) and is_byte(b) and is_byte(c) and is_byte(d)) then return false end
  end
  return tostring(tonumber(port)) == port and tonumber(port) <= 65535
end

--- The row of an option that is one.
address.option = row.row('an address like "10.0.0.1:443" or "[2001:db8::1]:443"', address.is)

--- "192.0.2.1" or "2001:db8::1", in brackets or not, in its one spelling, with brackets for IPv6; nil when it is none.
function address.ip(text)
  local whole = text:find(":", 1, true) and text:sub(1, 1) ~= "[" and "[" .. text .. "]" or text
  local one = core.address(whole .. ":1", 1)
  return one and one:match("^(.*):1$")
end

--- Whether an address, or an IP, is one that a host has for itself.
function address.is_loopback(text)
  return text:match("^127%.") ~= nil or text:match("^%[::1%]") ~= nil
end

--- Whether an address, or an IP in brackets, is of IPv6.
function address.is_v6(text)
  return text:sub(1, 1) == "["
end

return address
