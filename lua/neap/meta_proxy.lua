---@meta neap
--- Types of the reverse proxy for editors (LuaCATS). Nothing runs from here.

---@alias neap.ProxyUpstreams string|neap.ProxyUpstream|(string|neap.ProxyUpstream)[]

---@class neap
---@field proxy fun(upstreams: neap.ProxyUpstreams, options?: neap.ProxyOptions): neap.Proxy

---@class neap.ProxyUpstream
---@field url string "http://…", "https://…" or "unix:/path"
---@field weight? number above 0

---@class neap.ProxyHealth
---@field path? string
---@field interval? number seconds
---@field timeout? number seconds
---@field expect? integer|fun(status: integer): boolean

---@class neap.ProxyOptions
---@field strip? string
---@field prefix? string
---@field host? string "client", "upstream" or a host
---@field forwarded? boolean
---@field trusted? string[] prefixes of peers
---@field via? string
---@field connections? integer to each upstream
---@field queue? integer requests that wait for a connection
---@field requests? integer over one connection
---@field idle_timeout? number seconds
---@field connect_timeout? number seconds
---@field first_byte_timeout? number seconds
---@field between_timeout? number seconds
---@field tunnel_timeout? number seconds
---@field balance? "round_robin"|"least_conn"|"hash"
---@field hash? fun(req: neap.Request): any
---@field max_fails? integer
---@field fail_timeout? number seconds
---@field health? neap.ProxyHealth
---@field tls? table options of a config

---@class neap.ProxyStatus
---@field url string
---@field weight number
---@field up boolean
---@field active integer requests
---@field open integer connections
---@field idle integer connections
---@field waiting integer requests without a connection
---@field requests integer
---@field failures integer

--- A handler that has other servers answer: docs/proxy.md.
---@class neap.Proxy
---@overload fun(req: neap.Request, res: neap.Response): any
local Proxy = {}

--- Of each upstream.
---@return neap.ProxyStatus[]
function Proxy:status() end

--- Ends its connections and its questions for the health of upstreams.
function Proxy:close() end
