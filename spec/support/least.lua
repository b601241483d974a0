-- What a build without all that can be left out still does, and what it says of what it lacks (scripts/check warnings).
local neap = require "neap"
local core = require "neap.core"

neap.run(function()
  local cert, key = core.make_certificate{ names = { "localhost" } }
  local app, text = neap.app(), ("x"):rep(300000)
  app:post("/", function(req) return req:body() end)
  local server = assert(app:listen{ host = "127.0.0.1", port = 0, cert = cert, key = key })
  local client = neap.client{ ca = cert }
  local url = ("https://localhost:%d/"):format(server.port)
  assert(assert(client:request("POST", url, { body = text })):body() == text)
  client:close()
  server:close()
end)

local config, message, code = core.config{ alpn = "x", qlog = "." }
assert(not config and message == "built without qlog" and code == "unsupported", message)
config, message = pcall(neap.client, { on_trace = print })
assert(not config and message:find("built without qlog", 1, true), message)
