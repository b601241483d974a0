--- A site of files: ranges, entity tags, files that are compressed already, caching, and early hints of a page's style.
--   neap run examples/static_site.lua FOLDER
local neap = require "neap"
local app = neap.app()

local folder = ... or "."

-- Names with a hash in them never change what they hold; all else is asked for again, and mostly is a 304.
local function cache(path)
  return path:find("%.%x%x%x%x%x%x%x%x+%.%w+$") and "public, max-age=31536000, immutable" or "no-cache"
end

-- While a page is looked up, its browser fetches the style.
app:use(function(req, res, next)
  if req.method == "GET" and req.path:find("/$") then
    res:early_hints { link = "</style.css>; rel=preload; as=style" }
  end
  next()
end)

app:get("/*path", neap.static(folder, { precompressed = true, list = true, cache = cache }))

assert(app:listen())
neap.run()
