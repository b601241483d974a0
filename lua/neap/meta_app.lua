---@meta neap
--- Types of the library for editors (LuaCATS): what an application is made of. Nothing runs from here.

--- Every method; before a handler a table may stand with options of the route.
---@class neap.Routes
local App = {}
---@param pattern string
---@param options neap.RouteOptions|neap.Handler|neap.ConstantResponse
---@param handler? neap.Handler|neap.ConstantResponse behind options
---@return self
function App:head(pattern, options, handler) end
---@param pattern string
---@param options neap.RouteOptions|neap.Handler|neap.ConstantResponse
---@param handler? neap.Handler|neap.ConstantResponse behind options
---@return self
function App:options(pattern, options, handler) end
--- Routes and middleware below a path; "/" is the group's own.
---@param prefix string
---@return neap.Group
function App:group(prefix) end
--- What is at a path and below it is answered by another app: it sees what is behind that path as req.path, and the path
--- as req.mount.
---@param prefix string without parameters
---@param other neap.App
---@return self
function App:mount(prefix, other) end
--- Requests for a host are answered by another app.
---@param names string|string[] "gw.example", "*.gw.example" for all below
---@param other neap.App
---@return neap.App
function App:host(names, other) end

--- Answers what neap would answer with an error page, where on_not_found and on_error do not.
---@param fn fun(req: neap.Request, res: neap.Response, info: { status: integer, message: string }): ...
---@return neap.App
function App:on_error_page(fn) end

--- Has the functions of an app that take a path.
---@class neap.Group: neap.Routes

---@class neap.StaticOptions
---@field index? string|false what is sent for a folder ("index.html")
---@field headers? table<string, string> sent with every file
---@field cache? string|fun(path: string): string? cache-control
---@field precompressed? boolean|("br"|"zstd"|"gzip")[] NAME.br, NAME.zst and NAME.gz are sent to clients that take them
---@field list? boolean folders without an index show what is in them
---@field links? "inside"|"nowhere"|"anywhere" where symbolic links may lead ("inside": the folder)
---@field hidden? boolean names that begin with a dot are files as others

--- What a request has for forms and cookies.
---@class neap.RequestParts
local Request = {}
--- The body as a form of either kind; nil, message, code when it is none, or too large.
---@param limit? integer bytes, 1 MiB unless told
---@return table<string, string>? form
---@return table<string, string[]>|string all
---@return table<string, { filename: string, content_type: string?, body: string }>|neap.Code files
function Request:form(limit) end
--- `for part in req:multipart() do … end`: the parts of a multipart/form-data body as they come. A body that is none, or
-- has more than it may, is an error with a status.
---@param limits? { parts?: integer, bytes?: number, part_bytes?: number, headers?: integer, header_bytes?: integer }
---@return fun(): neap.Part?
function Request:multipart(limits) end
---@param name string
---@return string?
function Request:cookie(name) end
--- The value of a cookie that res:signed_cookie has set; nil, message, "invalid" when it was not with these keys, or is
--- too old.
---@param name string
---@param keys string|string[] 16 bytes or more each
---@return string? value
---@return integer|string|nil index of the key, or the message
---@return neap.Code? code
function Request:signed_cookie(name, keys) end
--- Which of these media types the client takes best; the first where it says nothing; nil: none.
---@param ... string
---@return string?
function Request:accepts(...) end
--- Which of these languages, such as "en" or "pt-BR", the client takes best.
---@param ... string
---@return string?
function Request:accepts_language(...) end
--- Which of these content codings, best first, the client takes; "identity" for none; nil when it takes not even that.
---@param ... string
---@return string?
function Request:accepts_encoding(...) end

--- A part of a multipart body.
---@class neap.Part
---@field name string
---@field filename string? without folders; nil: no file, or one without a name that may be
---@field content_type string?
---@field headers neap.Headers
---@field size integer bytes that were read
local Part = {}
--- Bytes as they come; nil at its end, and when the next part was asked for.
---@param max? integer
---@return string?
function Part:read(max) end
---@return fun(): string?
function Part:chunks() end
---@param limit? integer bytes, 1 MiB unless told
---@return string? body
---@return string? message
---@return neap.Code? code
function Part:body(limit) end
--- Writes the rest into a file, piece by piece.
---@param path string
---@return integer? size
---@return string? message
---@return neap.Code? code
---@return integer? number
function Part:save(path) end

---@class neap.CookieOptions
---@field path? string "/" unless told
---@field domain? string
---@field max_age? integer seconds
---@field expires? number seconds since 1970
---@field secure? boolean true unless told
---@field http_only? boolean true unless told
---@field same_site? "lax"|"strict"|"none"|false "lax" unless told
---@field partitioned? boolean

--- A stream of server-sent events.
---@class neap.EventStream
---@field closed boolean the client has gone, the response is over, or the server ends
---@field last_id string? what the client had last
local EventStream = {}
--- Sends an event; waits while the client is slower. When it has gone that is told once, the next call ends the handler.
---@param event string|number|{ data?: any, event?: string, id?: string|number, retry?: number } data that is a table as JSON, retry in seconds
---@return true? ok
---@return string? message
---@return neap.Code? code
function EventStream:send(event) end
--- Sends what clients pass over.
---@param text string
---@return true? ok
---@return string? message
---@return neap.Code? code
function EventStream:comment(text) end
--- Waits for so many seconds, or until the client has gone or the server ends: whether neither is so.
---@param seconds? number
---@return boolean
function EventStream:wait(seconds) end

---@class neap.ResponseParts
local Response = {}
--- Answers with the error page of a status.
---@param status integer 400 to 599
---@param message? string the status' phrase unless told
---@return neap.Response
function Response:error(status, message) end
--- Has the client keep the body as a file of this name.
---@param name? string
---@return neap.Response
function Response:attachment(name) end
--- Makes the response a stream of server-sent events.
---@param options? { heartbeat?: number|false, retry?: number } heartbeat: seconds of silence after which a comment is sent (15)
---@return neap.EventStream
function Response:sse(options) end
--- Sets a cookie; a nil value has the client forget it.
---@param name string
---@param value string|number|nil
---@param options? neap.CookieOptions
---@return neap.Response
function Response:cookie(name, value, options) end
--- Sets a cookie that nobody can change, though read: the first key signs it.
---@param name string
---@param value string|number|nil
---@param keys string|string[] 16 bytes or more each
---@param options? neap.CookieOptions
---@return neap.Response
function Response:signed_cookie(name, value, keys, options) end
