--- A line for each response that is over. What peers send stands escaped in it.
local address = require "neap.ip_address"
local json = require "neap.json"
local options = require "neap.options"

local FORMATS = { combined = true, common = true, json = true, logfmt = true }

local OWN = {
  format = options.row("combined, common, json, logfmt or a function", function(value)
    return FORMATS[value] or type(value) == "function"
  end, "combined"),
  sink = options.of("function"), -- of a line; standard output unless told
  skip = options.of("function"), -- function(req, res, info): true for what is not logged
}

local function escape(c)
  return ("\\x%02x"):format(c:byte())
end

-- Between quotes: nothing ends them, or the line.
local function quoted(text)
  return '"' .. (text or "-"):gsub('[%c"\\\127-\255]', escape) .. '"'
end

local MONTHS = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" }

local function common(entry)
  local t = os.date("!*t", entry.time)
  local user = (entry.user or "-"):gsub('[%c"\\ \127-\255]', escape)
  local line = quoted(("%s %s %s"):format(entry.method, entry.target, entry.protocol))
  return ("%s - %s [%02d/%s/%04d:%02d:%02d:%02d +0000] %s %d %d"):format(entry.remote, user, t.day, MONTHS[t.month],
    t.year, t.hour, t.min, t.sec, line, entry.status, entry.bytes)
end

local formats = { common = common }

function formats.combined(entry)
  return ("%s %s %s"):format(common(entry), quoted(entry.referer), quoted(entry.user_agent))
end

local ORDER = { "time", "remote", "user", "method", "scheme", "host", "target", "protocol", "status", "bytes",
  "duration", "route", "referer", "user_agent", "request_id", "reason" }

local function stamp(seconds)
  return os.date("!%Y-%m-%dT%H:%M:%S", math.floor(seconds)) .. (".%03dZ"):format(math.floor(seconds % 1 * 1000))
end

function formats.json(entry)
  entry.time = stamp(entry.time)
  for key, value in pairs(entry) do
    -- What is no UTF-8 has no place in JSON.
    if type(value) == "string" and value:find("[\128-\255]") then entry[key] = value:gsub("[\128-\255]", escape) end
  end
  return (assert(json.encode(entry)))
end

function formats.logfmt(entry)
  entry.time = stamp(entry.time)
  local parts = {}
  for _, key in ipairs(ORDER) do
    local value = entry[key]
    if value ~= nil then
      if type(value) == "number" then value = ("%.6g"):format(value) end
      if value == "" or value:find('[%c "=\\\127-\255]') then value = quoted(value) end
      parts[#parts + 1] = key .. "=" .. value
    end
  end
  return table.concat(parts, " ")
end

local PROTOCOLS = { h3 = "HTTP/3.0", h2 = "HTTP/2.0", ["http/1.1"] = "HTTP/1.1" }

local function write_line(line)
  io.stdout:write(line, "\n")
end

return function(given)
  given = options.fill(given, OWN, "access_log", 2)
  local format, sink, skip = formats[given.format] or given.format, given.sink or write_line, given.skip
  return { on_response = function(req, res, info)
    if skip and skip(req, res, info) then return end
    local line = format {
      time = os.time(), remote = address.of_peer(req.peer),
      user = type(req.user) == "string" and req.user or nil, method = req.method, scheme = req.scheme, host = req.host,
      target = req.target, protocol = PROTOCOLS[req.proto] or req.proto, status = info.status, bytes = info.bytes,
      duration = info.duration, route = req.route, referer = req.headers:get("referer"),
      user_agent = req.headers:get("user-agent"), request_id = req.request_id, reason = info.reason,
    }
    if line then sink(line) end
  end }
end
