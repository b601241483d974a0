--- Responses in a coding that their client takes (RFC 9110 §12.5.3): whole bodies, and bodies in pieces, of which each
-- piece leaves at once. What has a coding already, ranges, and types that do not become smaller stay.
local accept = require "neap.accept"
local core = require "neap.core"
local options = require "neap.options"

local OWN = {
  encodings = options.of("table"), -- of "zstd", "br", "gzip", best first; all that this build has unless told
  min_size = options.whole(0, nil, 1024), -- bytes that a whole body has at least
  levels = options.of("table", {}), -- { gzip = 1 to 9, br = 0 to 11, zstd = 1 to 19 }
  types = options.row("a list of patterns, or a function(type)", function(value)
    return type(value) == "table" or type(value) == "function"
  end, { "^text/", "^application/json", "^application/javascript", "^application/xml", "[+]json", "[+]xml",
    "^application/wasm", "^image/svg", "^application/manifest" }),
}

-- fn(type) → whether it is to be compressed.
local function matcher(types)
  if type(types) == "function" then return types end
  return function(media_type)
    for i = 1, #types do
      if media_type:find(types[i]) then return true end
    end
    return false
  end
end

local function encodings_of(given, level)
  local there = {}
  for _, name in ipairs(core.codings()) do there[name] = true end
  for _, name in ipairs(given or {}) do
    if not there[name] then error(("compress: this build has no encoding %q"):format(tostring(name)), level + 1) end
  end
  for _, name in ipairs(given or core.codings()) do there[#there + 1] = name end
  return there
end

return function(given)
  given = options.fill(given, OWN, "compress", 2)
  local encodings, is_of_type, min_size = encodings_of(given.encodings, 2), matcher(given.types), given.min_size
  local levels = given.levels
  for name, level in pairs(levels) do
    if not pcall(core.encoder, name, level) then error(("compress: no level of %s"):format(tostring(name)), 2) end
  end

  -- An encoder for what the response is about to be, with its fields set; nil where it stays as it is.
  local function choose(res)
    local req = res._exchange
    local media_type = res:header("content-type")
    if not media_type or not is_of_type(media_type:lower()) then return nil end
    local control = res:header("cache-control")
    local length = tonumber(res:header("content-length") or "")
    if length and length < min_size then return nil end
    if res:header("content-encoding") or res:header("content-range") or res:status() == 206
      or control and control:lower():find("no-transform", 1, true) then
      return nil
    end
    accept.vary(res, "accept-encoding")
    local name = accept.encoding(table.concat(req.headers:get_all("accept-encoding"), ","), encodings)
    if not name or name == "identity" then return nil end
    local encoder = core.encoder(name, levels[name])
    if not encoder then return nil end
    res:header("content-encoding", name):header("content-length", nil):header("accept-ranges", nil)
    local tag = res:header("etag")
    if tag and tag:sub(1, 2) ~= "W/" then res:header("etag", "W/" .. tag) end
    return encoder
  end

  return function(_, res, next)
    res:_encode_by(choose)
    next()
    local body = res:body()
    if not body or #body < min_size then return res:_encode_by(nil) end
    local encoder = choose(res)
    res:_encode_by(nil)
    if encoder then res:body(assert(encoder:write(body, "finish"))) end
  end
end
