--- Media types by file name.
local mime = {}

mime.types = {
  html = "text/html; charset=utf-8", htm = "text/html; charset=utf-8", css = "text/css; charset=utf-8",
  txt = "text/plain; charset=utf-8", md = "text/markdown; charset=utf-8", csv = "text/csv; charset=utf-8",
  lua = "text/plain; charset=utf-8", c = "text/plain; charset=utf-8", h = "text/plain; charset=utf-8",
  js = "text/javascript; charset=utf-8", mjs = "text/javascript; charset=utf-8",
  xml = "application/xml", json = "application/json", map = "application/json", pdf = "application/pdf",
  wasm = "application/wasm", zip = "application/zip", gz = "application/gzip", tar = "application/x-tar",
  webmanifest = "application/manifest+json", yaml = "application/yaml", yml = "application/yaml",
  png = "image/png", jpg = "image/jpeg", jpeg = "image/jpeg", gif = "image/gif", svg = "image/svg+xml",
  webp = "image/webp", avif = "image/avif", ico = "image/vnd.microsoft.icon",
  woff = "font/woff", woff2 = "font/woff2", ttf = "font/ttf", otf = "font/otf",
  mp3 = "audio/mpeg", ogg = "audio/ogg", wav = "audio/wav", mp4 = "video/mp4", webm = "video/webm",
  m3u8 = "application/vnd.apple.mpegurl", ts = "video/mp2t", mpd = "application/dash+xml",
}

--- The media type of a file name; what is not known is application/octet-stream.
function mime.of(name)
  local extension = name:match("%.([^./]+)$")
  return extension and mime.types[extension:lower()] or "application/octet-stream"
end

return mime
