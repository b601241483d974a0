--- HTTP/3, HTTP/2 and HTTP/1.1 in front of servers of HTTP/1.1.
--   neap run examples/reverse_proxy.lua http://127.0.0.1:8080 [http://127.0.0.1:8081 …]
local neap = require "neap"
local app = neap.app()

local proxy = neap.proxy({ ... }, { balance = "least_conn" })

app:use(neap.mw.access_log())
app:use("/-/", neap.mw.ip_filter { allow = { "127.0.0.0/8", "::1" } })
app:get("/-/upstreams", function() return proxy:status() end)
app:any("/*", proxy)

assert(app:listen { tcp = true })
neap.run()
