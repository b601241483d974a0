--- Conditional requests (RFC 9110 §13): what a request's If-… fields say of a representation.
local date = require "neap.date"

local conditional = {}

local STRONG_AFTER = 2 -- seconds after which a time tells two versions of a file apart

local function value_of(headers, name)
  local lines = headers:get_all(name)
  return lines[1] and table.concat(lines, ",") or nil
end

--- Whether a list of entity tags (If-Match, If-None-Match) names this one; a strong comparison takes no weak one for
-- the same (§8.8.3.2).
function conditional.names_tag(list, tag, is_strong)
  if list:match("^%s*%*%s*$") then return true end
  local weak, opaque = tag:match('^(W?/?)("[^"]*")$')
  for other_weak, other in list:gmatch('(W?/?)("[^"]*")') do
    if other == opaque and not (is_strong and weak .. other_weak ~= "") then return true end
  end
  return false
end

--- The status that a GET or HEAD asks for instead of what has this tag and time of change (either may be nil), in the
-- order of §13.2.2: 412, 304, or nothing.
function conditional.status_instead(headers, tag, changed)
  local match = value_of(headers, "if-match")
  local unmodified_since = headers:get("if-unmodified-since")
  if match then
    if not (tag and conditional.names_tag(match, tag, true)) then return 412 end
  elseif unmodified_since and changed then
    local since = date.parse(unmodified_since)
    if since and changed > since then return 412 end
  end
  local none_match = value_of(headers, "if-none-match")
  if none_match then return tag and conditional.names_tag(none_match, tag) and 304 or nil end
  local modified_since = changed and headers:get("if-modified-since")
  local since = modified_since and date.parse(modified_since)
  return since and changed <= since and 304 or nil
end

--- Whether a Range is to be looked at: by If-Range, the same tag, or the very time of change when that is no longer now
-- (§13.1.5).
function conditional.may_have_ranges(headers, tag, changed)
  local if_range = headers:get("if-range")
  if not if_range then return true end
  if if_range:find('"', 1, true) then return if_range == tag and not tag:find("^W/") end
  return changed ~= nil and date.parse(if_range) == changed and os.time() - changed >= STRONG_AFTER
end

return conditional
