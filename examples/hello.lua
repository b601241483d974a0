--- A page over HTTP/3, and over TCP for browsers that do not know of it yet. Run it with
-- `neap run examples/hello.lua`, open the URL that it prints.
local neap = require "neap"
local app = neap.app()

local NAMES = { h3 = "HTTP/3", h2 = "HTTP/2", ["http/1.1"] = "HTTP/1.1" }

app:get("/", function(req, res)
  res:header("content-type", "text/html; charset=utf-8")
  return ("<!doctype html><title>neap</title><h1>Hello over <span id=p>%s</span></h1>\n"):format(NAMES[req.proto])
end)

assert(app:listen { tcp = true })
neap.run()
