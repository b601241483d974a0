---@meta neap
--- Types of the shipped middleware for editors (LuaCATS). Nothing runs from here.

---@class neap
---@field mw neap.mw

---@class neap.mw
local mw = {}

---@class neap.mw.AccessEntry
---@field time number seconds since 1970
---@field remote string
---@field user string?
---@field method string
---@field scheme string?
---@field host string?
---@field target string
---@field protocol string
---@field status integer
---@field bytes integer
---@field duration number
---@field route string?
---@field referer string?
---@field user_agent string?
---@field request_id string?
---@field reason string?

---@param options? { format?: "combined"|"common"|"json"|"logfmt"|(fun(entry: neap.mw.AccessEntry): string?), sink?: fun(line: string), skip?: fun(req: neap.Request, res: neap.Response, info: table): boolean? }
---@return table
function mw.access_log(options) end

---@param options? { header?: string, trust?: boolean, make?: fun(): string }
---@return neap.Middleware
function mw.request_id(options) end

---@param options? { origin?: string|string[]|(fun(origin: string, req: neap.Request): string|boolean?), methods?: string[], headers?: string[], expose?: string[], credentials?: boolean, max_age?: number }
---@return neap.Middleware
function mw.cors(options) end

---@param options? { bytes?: integer }
---@return neap.Middleware
function mw.body_limit(options) end

---@param options? { seconds?: number, status?: integer }
---@return neap.Middleware
function mw.timeout(options) end

---@param options { users?: table<string, string>, check?: (fun(name: string, password: string, req: neap.Request): any), realm?: string }
---@return neap.Middleware
function mw.basic_auth(options) end

---@param options { tokens?: table, check?: (fun(token: string, req: neap.Request): any), realm?: string }
---@return neap.Middleware
function mw.bearer_auth(options) end

---@param options { allow?: string[], deny?: string[], ip?: fun(req: neap.Request): string }
---@return neap.Middleware
function mw.ip_filter(options) end

---@class neap.mw.BucketStore
---@field take fun(self: neap.mw.BucketStore, key: any, cost: number, rate: number, burst: number, now: number): boolean?, number|string, number?

---@param options { limit: number, per?: number, burst?: number, by?: (fun(req: neap.Request): any), cost?: (fun(req: neap.Request): number), keys?: integer, store?: neap.mw.BucketStore, name?: string }
---@return neap.Middleware
function mw.rate_limit(options) end

---@param options? { weak?: boolean }
---@return neap.Middleware
function mw.etag(options) end

---@param options? table<string, string|false>
---@return neap.Middleware
function mw.secure_headers(options) end

---@param options? { encodings?: string[], min_size?: integer, levels?: table<string, integer>, types?: string[]|(fun(media_type: string): boolean) }
---@return neap.Middleware
function mw.compress(options) end

---@class neap.mw.RedisStoreOptions
---@field connect fun(): table gives a client, such as redis-lua's
---@field prefix? string of its keys ("neap:")
---@field connections? integer at a time (8)
---@field timeout? number seconds, for one of them to become free, and for an answer (1)
---@field idle_timeout? number seconds (30)
---@field retry? number seconds without a question after a failure (1)
---@field fail_open? boolean rate_limit lets everybody in while Redis is away

--- A store for rate_limit and session.
---@param options neap.mw.RedisStoreOptions
---@return neap.mw.BucketStore|neap.mw.SessionStore
function mw.redis_store(options) end

---@class neap.mw.SessionStore
---@field get fun(self: neap.mw.SessionStore, id: string): string?
---@field set fun(self: neap.mw.SessionStore, id: string, text: string, seconds: number): true?, string?
---@field delete fun(self: neap.mw.SessionStore, id: string)

---@param options { keys: string|string[], cookie?: string, max_age?: number, same_site?: string|false, secure?: boolean, store?: "memory"|neap.mw.SessionStore, entries?: integer }
---@return neap.Middleware
function mw.session(options) end

---@param options? { trusted_origins?: string[], message?: string }
---@return neap.Middleware
function mw.csrf(options) end
