---@meta neap
--- Types of the library for editors (LuaCATS). Nothing runs from here.

---@class neap
---@field _VERSION string
---@field client neap.client
---@field headers neap.headers
---@field mime neap.mime
---@field socket neap.socket
---@field dns neap.dns
---@field process neap.process
---@field unix neap.unix
---@field x509 neap.x509
---@field quic_lb neap.quic_lb
---@field cc neap.cc
---@field server neap.server
---@field task neap.task
---@field json neap.json
---@field url neap.url
---@field log neap.log
---@field quic neap.quic
---@field service neap.service
---@field lowlevel neap.lowlevel
---@field sim neap.sim
local neap = {}

--- A new application.
---@return neap.App
function neap.app() end

--- A new client; `neap.client.get(url)` and the others use one that all share.
---@class neap.client: neap.Client
---@overload fun(options?: neap.ClientOptions): neap.Client

--- Waits so many seconds while other tasks run: true; nil, message, code when the task is cancelled, or a deadline that it
--- works under has passed.
---@param seconds number
---@return true?
---@return string? message
---@return neap.Code? code
function neap.sleep(seconds) end

--- Seconds of a monotonic clock.
---@return number
function neap.now() end

--- An open descriptor of this process, by its number, for tasks to read, write and wait for: serial lines, netlink, pipes. It does
--- not block from now on and is closed with the object, unless it is `borrowed`.
---@param fd integer
---@param options? { timeout: number?, borrowed: boolean? }
---@return neap.Descriptor? descriptor
---@return string? message
---@return neap.Code? code
---@return integer? errno
function neap.fd(fd, options) end

--- The wall clock of this process, by which certificates, sessions and tokens are judged: seconds since 1970, from which
--- it goes on; false: nobody knows what time it is; nothing: the system's, as before any call.
---@param seconds? number|false
function neap.set_clock(seconds) end

---@class neap.service
local service = {}
--- Says a line to the service manager, such as "STATUS=5 devices": whether somebody was told.
---@param text string
---@return boolean
function service.notify(text) end

--- From now on the process is that user's, for good.
---@param user string
---@param group? string
---@return true?
---@return string? message
---@return neap.Code? code
function neap.drop_privileges(user, group) end

---@class neap.Failure
---@field message string
---@field code neap.Code?
---@field number integer?

--- Runs the loop: with fn until it returns, else until a signal or nothing is left to do. In a running loop fn is
--- called as it stands. An error when nothing is there to run because a listen failed. SIGTERM and SIGINT: servers say
--- GOAWAY and drain. SIGHUP: servers and clients read their certificates again, as reload_certs does; a program that has
--- none of these and no listener of neap.unix, or one whose terminal has gone, ends as with SIGTERM.
---@param fn? fun(...): ...
---@return any ... what fn returned
function neap.run(fn, ...) end

--- For a loop of somebody else's, in place of neap.run.
---@return neap.Embedding
function neap.loop() end

--- Ends the loop after this turn.
function neap.stop() end

--- A handler that serves the files of a folder: docs/static.md.
---@param folder string
---@param options? neap.StaticOptions
---@return neap.Handler
function neap.static(folder, options) end

--- A response that is always the same, in the place of a handler.
---@class neap.ConstantResponse
---@field status? integer 200 to 999; 200
---@field headers? table<string, string|string[]>
---@field body? string|table a table as JSON; nothing is a response without a body, which says its status then

--- What a handler may return (docs/handlers.md has the table):
---  a string                       text/plain unless content-type is set
---  a table                        JSON
---  status[, body[, headers]]      204 for an answer without a body
---  the response itself            as do res:send, json, redirect, write, finish, status, header
---  nothing                        only when the body was given or written
---  nil, message                   500, the message in the log
--- error(404) and error { status =, message =, headers = } answer as such; everything else is a 500.
---@alias neap.Handler fun(req: neap.Request, res: neap.Response): (string|table|integer|neap.Response)?, (string|table)?, table<string, string|string[]>?

--- Runs the rest when it is called; the response as it was answered, an error inside included. An object, no function:
--- `type(next)` is "table"; neap.go takes it.
---@class neap.Next
---@overload fun(): neap.Response
---@alias neap.Middleware fun(req: neap.Request, res: neap.Response, next: neap.Next): (string|table|integer|neap.Response)?, (string|table)?, table<string, string|string[]>?

---@class neap.ResponseInfo
---@field status integer
---@field bytes integer of the body, as sent
---@field duration number seconds
---@field reason string? why it was broken off
---@field code string?
--- An error code of HTTP/3 (RFC 9114 §8.1): its number, or its name without H3_.
---@alias neap.HttpCode integer|"no_error"|"general_protocol_error"|"internal_error"|"stream_creation_error"|"closed_critical_stream"|"frame_unexpected"|"frame_error"|"excessive_load"|"id_error"|"settings_error"|"missing_settings"|"request_rejected"|"request_cancelled"|"request_incomplete"|"message_error"|"connect_error"|"version_fallback"

---@alias neap.Code "again"|"argument"|"closed"|"early"|"invalid"|"json"|"limit"|"memory"|"reset"|"resolve"|"short"|"state"|"stopped"|"system"|"timeout"|"tls"|"token"|"unreachable"|"unsupported"|"version"|"certificate"|"crypto"|"random"|"in use"|"migration"|"connection ids"

---@class neap.PskKey
---@field key string 16 to 64 bytes
---@field hash? "sha256"|"sha384"
---@class neap.Psk: neap.PskKey
---@field identity string 1 to 128 bytes, sent in the clear

---@alias neap.Version "v1"|"v2"|integer

--- Besides the options of lua/neap/meta_options.lua:
---@class neap.ConfigOptions: neap.NumberOptions
---@field alpn? string|string[]
---@field cert? string PEM, DER or a path
---@field key? string PEM, DER or a path
---@field sign? fun(bytes: string, scheme: string, name: string?, question: neap.Question): string?, string? signature
---@field psk? neap.Psk|table<string, string|neap.PskKey>|fun(identity: string, question: neap.Question): (string|neap.PskKey)?, string? a client's one; a server's keys by identity, or a function: the key and its hash, or nil and why there is none. Not beside `pins`, `ocsp_required`, `verify_server`, nor `cert` without `ca`
---@field verify_client? fun(certificate: neap.Certificate, question: neap.Question, conn: neap.Conn): boolean?, string? whether a client is let in
---@field verify_server? fun(certificate: string, question: neap.Question): boolean?, string? whether it is who it should be
---@field ocsp_file? string path of an OCSP response (DER) to show with `cert`
---@field certs? { cert: string, key?: string, ocsp_file?: string }[] chosen by the name that the client asks for
---@field certificate? fun(name: string?, question: neap.Question): { cert: string, key: string?, ocsp_file: string? }?, string? of a server: gives the certificate for a name, nil for those of `cert` and `certs`, or nil and why not; may wait, and is kept for `certificate_ttl`
---@field client_ca? string|string[] roots that clients' certificates lead to: PEM, a file, a folder; with `client_certificate`
---@field ca? string|true|(string|true)[] trusted roots: PEM, a file, a folder, true for the system's
---@field groups? string|string[] groups of the key exchange, in order of preference: X25519MLKEM768 (quantum computers do not break it; OpenSSL 3.5), x25519, secp256r1, secp384r1
---@field cipher_suites? string|string[] of TLS, in order of preference: TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256; others are neither offered nor taken
---@field versions? neap.Version|neap.Version[] of QUIC, best first; a server that was told goes over to the first that a client offers
---@field preferred_address? string|string[] a server's: where clients go once they are connected, with a port; one of IPv4 and one of IPv6 at most
---@field pins? string|string[] SHA-256 of the public keys that a peer may have (sha256//BASE64, or in hex), also without `verify_peer`
---@field crl? string|string[] revocation lists: what they name is refused; PEM, DER or a path
---@field keylog? string file for TLS secrets
---@field qlog? string folder for traces of connections, a file each
---@field qlog_every? integer one connection in so many is traced
---@field qlog_limit? integer bytes of one trace; 0: no bound
---@field qlog_files? integer traces that may be in the folder; 0: no bound
---@field qlog_total? integer bytes that all of them may have; 0: no bound
---@field seed? string|number all randomness follows from it: for simulations only
---@field wall_clock? number seconds since 1970, fixed
---@field memory_limit? integer bytes for all connections; 0: no bound (a quarter of the machine's or the cgroup's)
---@field static_secret? string
---@field connection_id_prefix? string our connection IDs begin with these bytes, which everybody sees
---@field quic_lb? neap.QuicLb our connection IDs lead a load balancer here
---@field token_key_file? string a file with 1 to 4 keys of address validation tokens, a line of 64 hex digits each
---@field ticket_key_file? string a file with 1 to 4 keys of session tickets, a line of 64 hex digits each
---@field strike_file? string a server's register of the early data that was read, which all with these ticket keys share

---@class neap.RouteOptions
---@field early? boolean whether it sees requests that came by 0-RTT; GET, HEAD, OPTIONS and TRACE unless told

---@class neap.App: neap.Routes
local App = {}
---@param pattern string "/a/:name/*rest"
---@param options neap.RouteOptions|neap.Handler|neap.ConstantResponse
---@param handler? neap.Handler|neap.ConstantResponse behind options
---@return neap.App
function App:get(pattern, options, handler) end
---@param pattern string
---@param options neap.RouteOptions|neap.Handler|neap.ConstantResponse
---@param handler? neap.Handler|neap.ConstantResponse behind options
---@return neap.App
function App:post(pattern, options, handler) end
---@param pattern string
---@param options neap.RouteOptions|neap.Handler|neap.ConstantResponse
---@param handler? neap.Handler|neap.ConstantResponse behind options
---@return neap.App
function App:put(pattern, options, handler) end
---@param pattern string
---@param options neap.RouteOptions|neap.Handler|neap.ConstantResponse
---@param handler? neap.Handler|neap.ConstantResponse behind options
---@return neap.App
function App:patch(pattern, options, handler) end
---@param pattern string
---@param options neap.RouteOptions|neap.Handler|neap.ConstantResponse
---@param handler? neap.Handler|neap.ConstantResponse behind options
---@return neap.App
function App:delete(pattern, options, handler) end
--- Every method.
---@param pattern string
---@param options neap.RouteOptions|neap.Handler|neap.ConstantResponse
---@param handler? neap.Handler|neap.ConstantResponse behind options
---@return neap.App
function App:any(pattern, options, handler) end
---@param method string
---@param pattern string
---@param options neap.RouteOptions|neap.Handler|neap.ConstantResponse
---@param handler? neap.Handler|neap.ConstantResponse behind options
---@return neap.App
function App:route(method, pattern, options, handler) end
--- Middleware around routing, for all paths or for those under a pattern like "/tenant/:id".
---@param prefix string|neap.Middleware
---@param ... neap.Middleware
---@return neap.App
function App:use(prefix, ...) end
--- Answers errors; returning nothing leaves the answer that there would be without it.
---@param fn fun(err: any, req: neap.Request, res: neap.Response): ...
---@return neap.App
function App:on_error(fn) end
--- Called when a response is over, however it ended.
---@param fn fun(req: neap.Request, res: neap.Response, info: neap.ResponseInfo)
---@return neap.App
function App:on_response(fn) end
---@param fn neap.Handler
---@return neap.App
function App:on_not_found(fn) end
---@param options? neap.ListenOptions
---@return neap.Server? server
---@return string? message
---@return neap.Code? code
function App:listen(options) end

---@class neap.ListenOptions: neap.ConfigOptions
---@field host? string all addresses unless told
---@field port? integer 4433 unless told, 0 any
---@field read_timeout? number seconds above 0 without progress of a body (60)
---@field shutdown_timeout? number seconds that open requests get at the end
---@field busy_poll? number seconds that the loop polls before it sleeps, where that has paid lately; 0: never (0.0001)
---@field max_field_section_size? integer bytes of a request's fields; larger ones are answered with 431
---@field header_timeout? number seconds that a request's fields may take to arrive (10)
---@field tcp? boolean the same app over TCP and TLS, at the same port; its answers tell of HTTP/3
---@field fd? integer|integer[]|string UDP sockets that are bound already, in place of host and port: descriptors, or their name in $LISTEN_FDNAMES
---@field tcp_fd? integer|integer[]|string the same of TCP, that listen; in place of `tcp`
---@field http_fd? integer|integer[]|string the same of plain HTTP; in place of `http_port`
---@field date? boolean responses say when they were made (true)
---@field alt_svc? integer seconds that clients remember what they are told there; 0: they are not (86400)
---@field http_port? integer plain HTTP over TCP, at a port of its own; 0 any
---@field plain? "redirect"|"serve" what is there: the way to https, or the app ("redirect")
---@field tcp_connections? integer at a time, of each of these two (1024)
---@field tcp_connections_per_network? integer of one IPv4 address or IPv6 /64 (a quarter of these, and loopback has no bound)
---@field tcp_idle_timeout? number seconds above 0 that one of them may be without a request (60)
---@field on_trace? fun(event: neap.TraceEvent, trace: neap.Trace) trace events of its connections
---@field trace_events? string[] those alone

---@class neap.Server
---@field port integer
---@field http_port integer? of plain HTTP
---@field address string
---@field url string
local Server = {}
--- Reads what `cert`, `key`, `certs`, `ocsp_file`, `client_ca`, `crl`, `ticket_key_file` and `token_key_file` name again:
--- handshakes from now on have the new ones, connections go on. When something of it cannot be used all of the old stays.
---@return true? ok
---@return string? message
---@return neap.Code? code
function Server:reload_certs() end
--- GOAWAY, then open requests finish. Waits.
---@param seconds? number
function Server:shutdown(seconds) end
--- Ends at once.
function Server:close() end
---@return table<string, number> stats and the tables `tcp` and `http`, of what listens there
function Server:stats() end
---@return neap.Bounds
function Server:bounds() end

---@class neap.Headers
---@field [string] string?
local Headers = {}
---@param name string
---@return string?
function Headers:get(name) end
---@param name string
---@return string[]
function Headers:get_all(name) end
---@param name string
---@param value any nil takes it out
---@return neap.Headers
function Headers:set(name, value) end
---@param name string
---@param value any
---@return neap.Headers
function Headers:append(name, value) end
---@param name string
---@return neap.Headers
function Headers:del(name) end
--- Every line in order; pairs() gives each name once with its first value.
---@return fun(): string?, string?
function Headers:each() end
---@return integer
function Headers:count() end

---@class neap.headers
local headers = {}
---@param from? table<string, string|string[]>|string[]|neap.Headers
---@return neap.Headers
function headers.new(from) end
--- Takes over a flat list without a copy.
---@param list string[]
---@return neap.Headers
function headers.wrap(list) end
---@param set neap.Headers
---@return string[] its lines as a flat list, for reading
function headers.list(set) end
---@param list string[]
---@return string what is wrong with fields that were refused
function headers.problem(list) end

--- Unix stream sockets of tasks, such as those to a process that keeps a private key.
---@class neap.unix
local unix = {}
---@class neap.UnixSocket: neap.Descriptor
---@class neap.UnixListener
local UnixListener = {}
--- Waits while as many as the server lets wait are there already.
---@param path string
---@param timeout? number seconds that this, a read or a write may wait
---@return neap.UnixSocket? socket
---@return string? message
---@return neap.Code? code
---@return integer? errno
function unix.connect(path, timeout) end
--- A file that only its user may open, unless `mode` says otherwise; one that was left behind gives way.
---@param path string
---@param mode? integer
---@return neap.UnixListener? listener
---@return string? message
---@return neap.Code? code
---@return integer? errno
function unix.listen(path, mode) end
--- The next client, waiting for it; nil when it is closed.
---@param timeout? number of its reads and writes
---@return neap.UnixSocket?
---@return string? message
---@return neap.Code? code
function UnixListener:accept(timeout) end
--- Also removes the file.
function UnixListener:close() end

---@class neap.mime
---@field types table<string, string> by extension
local mime = {}
---@param name string
---@return string
function mime.of(name) end

---@class neap.server
---@field all table<neap.Server, true>
local server = {}
---@param app neap.App
---@param options? neap.ListenOptions
---@return neap.Server? server
---@return string? message
---@return neap.Code? code
function server.listen(app, options) end
--- Ends every server well, side by side. Waits.
---@param seconds? number
function server.shutdown_all(seconds) end
--- Called with each server that is ready.
---@param one neap.Server
function server.announce(one) end

--- The scheduler, for those who write libraries.
---@class neap.task
local task = {}
---@class neap.Waiter
---@return neap.Waiter waiter of the task that calls
function task.waiter() end
---@param waiter neap.Waiter
---@param seconds? number
---@return any ... the values of the wake; nil, "timeout", "timeout"
function task.await(waiter, seconds) end
---@param waiter neap.Waiter?
function task.wake(waiter, a, b, c, d) end
---@param host string
---@param port integer
---@param seconds? number
---@return string[]? addresses
---@return string? message
---@return neap.Code? code
function task.resolve(host, port, seconds) end

--- What a certificate says; read when it is first asked for. Times are seconds since 1970, digests hex.
---@class neap.Certificate
---@field subject string? RFC 4514: "CN=pump 7,O=Works"; nil, as its parts, when not all of it can be read
---@field subject_parts { type: string, value: string? }[]? from the front, values without escapes; nil: it is no text
---@field common_name string? the last of the subject; nil where that is no text
---@field issuer string?
---@field issuer_parts { type: string, value: string? }[]?
---@field serial string hex
---@field not_before number
---@field not_after number
---@field is_authority boolean
---@field names { dns: string[], email: string[], uri: string[], ip: string[] } subject alternative names
---@field sha256 string of the certificate
---@field public_key_sha256 string of its public key, in hex
---@field pin string the same as the option `pins` takes it: sha256//BASE64
---@field der string
---@field chain neap.Certificate[] what the peer sent behind it; nothing in a resumed session

---@class neap.Request: neap.RequestParts
---@field method string
---@field path string without the query, in its one spelling
---@field target string path and query as sent
---@field query table<string, string> of the first 1000 pairs
---@field query_all table<string, string[]>
---@field query_string string?
---@field host string from :authority
---@field scheme string
---@field headers neap.Headers
---@field params table<string, string>
---@field route string? the pattern that matched
---@field mount string? where the app is mounted that has it; path is what is behind
---@field peer string "address:port"
---@field psk_identity string|false of the external pre-shared key by which the client is known
---@field is_resumed boolean the client went on from an earlier TLS session
---@field is_early boolean it came by 0-RTT and the handshake is not complete: somebody else may have sent it again
---@field client_cert neap.Certificate? what the client showed, verified; only where `client_certificate` asks for one
---@field protocol string? of an extended CONNECT
---@field proto "h3"|"h2"|"http/1.1"
---@field id integer the stream
---@field has_body boolean
local Request = {}
--- Waits until the handshake of a request that came by 0-RTT is complete; nil, message, code when the client has left.
---@param timeout? number seconds
---@return true? ok
---@return string? message
---@return neap.Code? code
---@return integer? number
function Request:wait_for_handshake(timeout) end
--- Body bytes as they come; nil at the end; nil, message, code when it breaks off, and an error after that.
---@param max? integer
---@return string? bytes
---@return string? message
---@return neap.Code? code
---@return integer? number
function Request:read(max) end
--- `for chunk in req:chunks() do … end`; a body that breaks off is an error, "body broke off: reset".
---@return fun(): string?
function Request:chunks() end
--- Writes the rest of the body into a file, without making strings of it; no file is made when it was read to its end.
---@param path string
---@return integer? size
---@return string? message
---@return neap.Code? code
---@return integer? number
function Request:save(path) end
--- The whole body, kept: it may be asked for again.
---@param limit? integer bytes, 1 MiB unless told
---@return string? body
---@return string? message
---@return neap.Code? code
function Request:body(limit) end
---@param limit? integer
---@return any? value
---@return string? message
---@return neap.Code? code
function Request:json(limit) end
--- What the client asks for of the response (RFC 9218), as it is now; nil when the response is over.
---@return neap.Priority?
function Request:priority() end
--- Whether the client is still there.
---@return boolean
function Request:is_open() end
---@return neap.Headers?
function Request:trailers() end

---@class neap.Priority
---@field urgency? integer 0 to 7, lower is sent first; 3 unless told
---@field incremental? boolean it is of use in parts, and takes turns with others of its urgency

---@class neap.Response: neap.ResponseParts
---@field sent integer body bytes so far
local Response = {}
---@param status? integer
---@return neap.Response|integer
function Response:status(status) end
---@param name string
---@param value? any
---@return neap.Response|string|nil
function Response:header(name, value) end
---@return neap.Headers
function Response:headers() end
--- Sends body bytes; waits while the client is slower. A failure is told once, the next call is an error.
---@param data string
---@return neap.Response? response
---@return string? message
---@return neap.Code? code
---@return integer? number
function Response:write(data) end
---@param fields table<string, string>
---@return neap.Response
function Response:trailers(fields) end
--- Sends the headers now; done by itself with the first write.
---@return neap.Response? response
---@return string? message
---@return neap.Code? code
function Response:start() end
--- Sends what is there now and ends the response.
---@return neap.Response? response
---@return string? message
---@return neap.Code? code
function Response:finish() end
--- Gives the whole body; it leaves when all middleware has run, or with finish.
---@param body string
---@return neap.Response
function Response:send(body) end
--- An error when the value has no JSON form.
---@param value any
---@return neap.Response
function Response:json(value) end
---@param location string
---@param status? integer 301, 302, 303, 307 or 308; 302 unless told
---@return neap.Response
function Response:redirect(location, status) end
--- Sends a file at once, as what the request asks of it: entity tag, byte ranges, 304, nothing but headers for HEAD.
--- `root` is a folder that the path cannot lead out of; `type` the media type, by the name unless told.
---@param path string|integer|file* a descriptor or an open file is sent from its beginning, and stays open
---@param options? { root?: string, type?: string }
---@return neap.Response? response nil: there is no such file, and nothing was sent
---@return string? message
---@return neap.Code? code
---@return integer? errno
function Response:file(path, options) end
--- The whole body that will be sent, nil when there is none or it is sent in pieces; with an argument replaces it.
---@param body? string
---@return string|neap.Response|nil
function Response:body(body) end
--- 103 Early Hints; see informational.
---@param fields table<string, string|string[]>
function Response:early_hints(fields) end
--- Sends an interim response; at most 16 before a response.
---@param status integer from 102 to 199
---@param fields table<string, string|string[]>
function Response:informational(status, fields) end
--- How urgent it is, which goes before what the client asks for. As a field `priority` says it too, which others see.
---@param given neap.Priority
---@return true? ok
---@return string? message
---@return neap.Code? code
function Response:set_priority(given) end
---@param code? neap.HttpCode "internal_error" unless told
---@return neap.Response
function Response:abort(code) end
--- Whether headers, or all, were sent.
---@return boolean
function Response:is_started() end
---@return boolean
function Response:is_ended() end
--- Called when the response is over: without arguments when it was sent, else with the reason.
---@param fn fun(message: string?, code: string?)
---@return neap.Response
function Response:on_close(fn) end
--- Why it was broken off; nothing when it was not.
---@return string? message
---@return string? code
---@return integer? number
function Response:failure() end

---@class neap.json
---@field null any
local json = {}
---@param value any
---@return string? text
---@return string? message
---@return neap.Code? code
function json.encode(value) end
---@param text string
---@return any? value
---@return string? message
---@return neap.Code? code
function json.decode(text) end
--- Marks a table as an array, be it empty or with holes, which are null.
---@param t? table
---@return table
function json.array(t) end

---@class neap.url
local url = {}
---@param text string
---@return table? parts
---@return string? message
function url.parse(text) end
---@param text string
---@return string
function url.encode(text) end
---@param text string
---@param plus? boolean
---@return string
function url.decode(text, plus) end
---@param text string
---@param most? integer pairs; what is behind them is left out
---@return table<string, string> query
---@return table<string, string[]> all
function url.parse_query(text, most) end
---@param values table<string, string>
---@return string
function url.make_query(values) end
---@param base table parsed
---@param reference string
---@return string
function url.join(base, reference) end
---@param path string
---@return string
function url.normalize(path) end
--- Whether a text is a path on this server and nothing else: for where a client says that it wants to go next.
---@param text string?
---@return boolean
function url.is_local(text) end
---@param text string
---@return string? fault why it is no target of a redirect
function url.redirect_fault(text) end

---@class neap.log
---@field level "error"|"warn"|"info"|"debug"
---@field sink fun(line: string)
local log = {}
function log.error(...) end
function log.warn(...) end
function log.info(...) end
function log.debug(...) end

return neap
