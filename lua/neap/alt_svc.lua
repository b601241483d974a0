--- The field alt-svc (RFC 7838 §3): where else a server may be reached, and for how long that is to be believed.
local alt_svc = {}

local LONGEST = 30 * 86400 -- seconds

-- The elements of a list, whose commas may stand in quotes.
local function elements(text)
  local list, at, quoted, from = {}, 1, false, 1
  while at <= #text do
    local c = text:sub(at, at)
    if c == "\\" and quoted then at = at + 1
    elseif c == '"' then quoted = not quoted
    elseif c == "," and not quoted then
      list[#list + 1] = text:sub(from, at - 1)
      from = at + 1
    end
    at = at + 1
  end
  list[#list + 1] = text:sub(from)
  return list
end

--- What it says of HTTP/3: { host = (nil: the same), port =, seconds = }; false for "clear" and for a list without it;
-- nil where there is nothing to be understood.
function alt_svc.h3(text)
  if text:match("^%s*clear%s*$") then return false end
  local is_list = false
  for _, element in ipairs(elements(text)) do
    local protocol, authority, rest = element:match('^%s*([%w%%!#$&\'*+.^_`|~-]+)="([^"]*)"(.*)$')
    if protocol then
      is_list = true
      local host, port = authority:match("^(.*):(%d+)$")
      port = tonumber(port)
      if protocol == "h3" and port and port >= 1 and port <= 65535 then
        local seconds = tonumber(rest:match(';%s*[Mm][Aa]="?(%d+)"?')) or 86400
        host = host:match("^%[(.*)%]$") or host
        return { host = host ~= "" and host:lower() or nil, port = port, seconds = math.min(seconds, LONGEST) }
      end
    end
  end
  if is_list then return false end
end

return alt_svc
