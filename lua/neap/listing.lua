--- What is in a folder, as a page or as JSON, as the client takes it best.
local accept = require "neap.accept"
local date = require "neap.date"
local json = require "neap.json"
local plain = require "neap.plain"
local url = require "neap.url"

local listing = {}

local MOST = 1000 -- names of a folder that are shown

local ESCAPES = { ["&"] = "&amp;", ["<"] = "&lt;", [">"] = "&gt;", ['"'] = "&quot;", ["'"] = "&#39;" }

--- A text as it may stand in HTML, also in quotes.
function listing.escape(text)
  return (text:gsub("[&<>\"']", ESCAPES))
end

-- Folders first, each by name.
local function comes_before(a, b)
  if a.type ~= b.type then return a.type == "directory" end
  return a.name < b.name
end

local PAGE = [[
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>%s</title>
<style>body{font-family:system-ui,sans-serif;margin:2rem}table{border-collapse:collapse}td{padding:.2rem 1.5rem .2rem 0}
td+td{color:#666;text-align:right;font-variant-numeric:tabular-nums}</style></head>
<body><h1>%s</h1>
<table>
%s</table>
%s</body></html>
]]

local function row(name, href, size, time)
  return ('<tr><td><a href="%s">%s</a></td><td>%s</td><td>%s</td></tr>\n'):format(href, listing.escape(name), size,
    time)
end

local function as_page(entries, is_more, about)
  local rows = { about.has_parent and row("../", "../", "", "") or "" }
  for _, entry in ipairs(entries) do
    local slash = entry.type == "directory" and "/" or ""
    -- A name may look like a scheme: behind ./ it is none.
    rows[#rows + 1] = row(entry.name .. slash, "./" .. url.encode(entry.name) .. slash,
      slash == "" and ("%.0f"):format(entry.size) or "", date.format(entry.mtime))
  end
  local title = listing.escape(url.decode(about.title))
  local more = is_more and ("<p>and more: %d are shown</p>\n"):format(MOST) or ""
  return PAGE:format(title, title, table.concat(rows), more)
end

local function as_json(entries, is_more)
  local list = json.array()
  for _, entry in ipairs(entries) do
    local one = { name = entry.name, type = entry.type, modified = math.floor(entry.mtime),
      size = entry.type == "file" and entry.size or nil }
    if plain.is_utf8(entry.name) then list[#list + 1] = one end -- JSON has no other names
  end
  return { entries = list, is_more = is_more or nil }
end

--- Answers with what is in an open folder. `about`: `title`, the path as it is in the URL, `has_parent`, whether there
-- is one to go up to, `hidden`, whether names that begin with a dot are shown.
function listing.respond(req, res, handle, about)
  local all, is_more = handle:list(MOST)
  if not all then return res:error(404) end
  local entries = {}
  for _, entry in ipairs(all) do
    if about.hidden or entry.name:sub(1, 1) ~= "." then entries[#entries + 1] = entry end
  end
  table.sort(entries, comes_before)
  accept.vary(res, "accept")
  if req:accepts("text/html", "application/json") == "application/json" then
    return res:json(as_json(entries, is_more))
  end
  res:header("content-type", "text/html; charset=utf-8")
  res:header("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'")
  return res:send(as_page(entries, is_more, about))
end

return listing
