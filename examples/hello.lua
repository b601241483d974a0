--- A page over HTTP/3. Run it with `neap run examples/hello.lua`, open the URL that it prints.
local neap = require "neap"
local app = neap.app()

app:get("/", function(_, res)
  res:header("content-type", "text/html; charset=utf-8")
  return "<!doctype html><title>neap</title><h1>Hello over <span id=p>HTTP/3</span></h1>\n"
end)

assert(app:listen())
neap.run()
