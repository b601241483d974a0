---@meta neap.client
--- Types of the HTTP client for editors (LuaCATS). Nothing runs from here.

---@class neap.ClientOptions: neap.ConfigOptions
---@field timeout? number seconds for a request in all, to the end of its response's body; no bound unless told
---@field progress_timeout? number seconds without progress, and that a response is kept for which nobody reads, 30
---@field follow? integer redirects that are followed, 0
---@field protocols? ("h3"|"h2"|"http/1.1")[] that it may speak; all three unless `psk`, `sign` or `verify_server` leave HTTP/3 alone
---@field headers? table<string, string>
---@field user_agent? string
---@field busy_poll? number seconds that the loop polls before it sleeps, where that has paid lately, once the client was used; 0: never (0)
---@field migrate? "auto"|false connections follow the machine's routes
---@field on_trace? fun(event: neap.TraceEvent, trace: neap.Trace) trace events of its connections
---@field trace_events? string[] those alone
---@field session_file? string where TLS sessions are kept from one program to the next: read when the client is used first, written when it is closed and when neap.run ends (not by os.exit); several may share it

---@class neap.RequestOptions
---@field headers? table<string, string|string[]>|neap.Headers
---@field body? string|file*|fun(): string?
---@field file? string the path of a file that is the body
---@field json? any
---@field form? table<string, string>
---@field query? table<string, string>
---@field priority? neap.Priority how urgent the response is (RFC 9218), unless `headers` has the field
---@field trailers? table<string, string>
---@field timeout? number the client's unless told
---@field progress_timeout? number the client's unless told
---@field follow? integer
---@field on_informational? fun(status: integer, headers: neap.Headers)
---@field early? boolean|"unsafe" it may leave with a connection's first packets, where the client has early_data and a session: when its method is safe, or whatever it is

---@class neap.DownloadOptions
---@field headers? table<string, string>
---@field timeout? number of a request
---@field progress_timeout? number of a request, 30
---@field follow? integer redirects, 10
---@field progress? fun(size: integer, total: integer?) of what is there
---@field sha256? string 64 hex digits that the file must have
---@field resume? boolean what an earlier run has left is gone on with (true)
---@field retries? integer in a row without a byte, 5
---@field wait? number seconds before the first of them, doubled each time (0.5)
---@field most? integer bytes

---@class neap.Client
local Client = {}
--- A file, which breaks off and goes on where it was.
---@param url string
---@param path string
---@param options? neap.DownloadOptions
---@return integer? size
---@return string? message
---@return neap.Code? code "status", "checksum", "system", or as of request
function Client:download(url, path, options) end
---@param method string
---@param url string
---@param request? neap.RequestOptions
---@return neap.ClientResponse? response
---@return string? message
---@return neap.Code? code
---@return integer? number
function Client:request(method, url, request) end
---@param url string
---@param request? neap.RequestOptions
---@return neap.ClientResponse? response
---@return string? message
---@return neap.Code? code
function Client:get(url, request) end
---@param url string
---@param request? neap.RequestOptions
---@return neap.ClientResponse? response
---@return string? message
---@return neap.Code? code
function Client:head(url, request) end
---@param url string
---@param request? neap.RequestOptions
---@return neap.ClientResponse? response
---@return string? message
---@return neap.Code? code
function Client:post(url, request) end
---@param url string
---@param request? neap.RequestOptions
---@return neap.ClientResponse? response
---@return string? message
---@return neap.Code? code
function Client:put(url, request) end
---@param url string
---@param request? neap.RequestOptions
---@return neap.ClientResponse? response
---@return string? message
---@return neap.Code? code
function Client:patch(url, request) end
---@param url string
---@param request? neap.RequestOptions
---@return neap.ClientResponse? response
---@return string? message
---@return neap.Code? code
function Client:delete(url, request) end
--- Reads what `ca` (without it the system's roots), `crl`, `cert`, `key` and `certs` name again: handshakes from now on have
--- the new ones, connections go on. When something of it cannot be used all of the old stays.
---@return true? ok
---@return string? message
---@return neap.Code? code
function Client:reload_certs() end
--- Closes every connection; with a session_file it waits for sessions that are on their way, a second at most.
function Client:close() end

---@class neap.ClientResponse
---@field url table what was asked last, parsed
---@field conn neap.Conn
---@field status integer
---@field headers neap.Headers
---@field peer string
---@field proto "h3"
---@field was_early boolean it answers a request that was sent by 0-RTT
local ClientResponse = {}
---@param max? integer
---@return string? bytes
---@return string? message
---@return neap.Code? code
function ClientResponse:read(max) end
--- Writes the rest of the body into a file, without making strings of it; no file is made when it was read to its end.
---@param path string
---@return integer? size
---@return string? message
---@return neap.Code? code
---@return integer? number
function ClientResponse:save(path) end
--- A body that breaks off is an error: a table with message, code and number, as text "body broke off: reset".
---@return fun(): string?
function ClientResponse:chunks() end
---@param limit? integer bytes, 16 MiB unless told
---@return string? body
---@return string? message
---@return neap.Code? code
function ClientResponse:body(limit) end
---@param limit? integer
---@return any? value
---@return string? message
---@return neap.Code? code
function ClientResponse:json(limit) end
---@return neap.Headers?
function ClientResponse:trailers() end
--- Tells the server how urgent the rest of it is (RFC 9218).
---@param given neap.Priority
---@return true? ok also when it is over
---@return string? message
---@return neap.Code? code
function ClientResponse:set_priority(given) end
--- Gives up what was not read yet.
function ClientResponse:close() end
