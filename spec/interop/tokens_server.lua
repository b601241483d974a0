-- A server of HTTP/3 for tokens_spec.lua, which asks everybody by Retry who shows no token: PORT CERTIFICATE KEY. Its
-- answer tells what it has counted.
local neap = require "neap"

local port, cert, key = ...
local server

local app = neap.app()
app:get("/hello", function()
  local figures = server:stats()
  return ("retries %d, tokens %d, refused %d\n"):format(figures.retries_sent, figures.tokens_accepted,
    figures.tokens_refused)
end)
server = assert(app:listen { host = "127.0.0.1", port = tonumber(port), cert = cert, key = key, retry = "always" })
neap.run()
