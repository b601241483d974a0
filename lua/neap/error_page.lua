--- What is said with a status that is an error: a line of text, a page or JSON, as the client takes it best, or what
-- the application makes of it.
local accept = require "neap.accept"
local listing = require "neap.listing"

local error_page = {}

error_page.PHRASES = { [400] = "bad request", [401] = "unauthorized", [403] = "forbidden", [404] = "not found",
  [405] = "method not allowed", [406] = "not acceptable", [408] = "request timeout", [409] = "conflict",
  [410] = "gone", [412] = "precondition failed", [413] = "content too large", [415] = "unsupported media type",
  [416] = "range not satisfiable", [422] = "unprocessable content", [425] = "too early",
  [429] = "too many requests", [500] = "internal server error", [501] = "not implemented", [502] = "bad gateway",
  [503] = "service unavailable", [504] = "gateway timeout" }

local PAGE = [[
<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>%d %s</title>
<style>body{font-family:system-ui,sans-serif;margin:20vh auto;max-width:40rem;padding:0 1rem}h1{font-weight:400}</style></head>
<body><h1>%d</h1><p>%s</p></body></html>
]]

-- The function of an app, or of one around it.
local function of_application(app)
  while app do
    if app.error_page then return app.error_page end
    app = app.outer
  end
end

--- What a handler returns that answers with this status. `message` is text for the client, the status' phrase unless
-- told.
function error_page.answer(app, req, res, status, message)
  local phrase = error_page.PHRASES[status] or "error " .. status
  local own = of_application(app)
  if own then return own(req, res:status(status), { status = status, message = message or phrase }) end
  accept.vary(res, "accept")
  local kind = req:accepts("text/plain", "text/html", "application/json")
  if kind == "application/json" then
    res:header("content-type", kind)
    return status, { status = status, error = message or phrase }
  elseif kind == "text/html" then
    res:header("content-type", "text/html; charset=utf-8")
    res:header("content-security-policy", "default-src 'none'; style-src 'unsafe-inline'")
    return status, PAGE:format(status, phrase, status, listing.escape(message or phrase))
  end
  res:header("content-type", "text/plain; charset=utf-8")
  return status, message or phrase .. "\n"
end

return error_page
