--- Content-Disposition (RFC 6266): names of files that are to be kept.
local plain = require "neap.plain"
local url = require "neap.url"

local disposition = {}

-- What RFC 8187 §3.2.1 has without encoding, of what url.encode encodes too.
local function encode(name)
  return (url.encode(name):gsub("~", "%%7E"))
end

--- The field of an attachment that is to be kept under this name, whatever is in it: without folders, in ASCII for
-- those who read no more, and beside it as it is.
function disposition.attachment(name)
  if name == nil then return "attachment" end
  name = tostring(name):gsub("^.*[/\\]", ""):gsub("%c", "_")
  if name == "" then return "attachment" end
  -- Some take % for an escape here, whatever the RFC says.
  local simple = name:gsub("[%%\"\\]", "_"):gsub("[\128-\255]+", "_")
  local field = ('attachment; filename="%s"'):format(simple)
  if simple ~= name and plain.is_utf8(name) then field = field .. "; filename*=UTF-8''" .. encode(name) end
  return field
end

return disposition
