---@meta neap.lowlevel
--- Types of the low level and of what both hand out, for editors (LuaCATS). Nothing runs from
-- here. What can happen gives nil, message, code[, number]; lua/binding/README.md says more of every method.

---@class neap.lowlevel
local lowlevel = {}
---@param options? neap.ConfigOptions
---@return neap.Config? config
---@return string|string[]|nil message or, beside a config, what there is to say of revocation lists that are not current
---@return neap.Code? code
---@param role? "client"|"server" the one that it is for; both unless told
function lowlevel.config(options, role) end
---@class neap.Option
---@field name string
---@field unit "count"|"bytes"|"seconds"|"boolean"
---@field default number|boolean
---@field least number|boolean
---@field greatest number|boolean
---@field range string for people
---@field text string
---@return neap.Option[]
function lowlevel.options() end
--- What can compute AES-GCM here, the fastest first: NEAP_CRYPTO chooses from these.
---@return string[]
function lowlevel.engines() end
--- An event as qlog has it (draft-ietf-quic-qlog-quic-events, -h3-events): docs/observability.md lists them.
---@class neap.TraceEvent
---@field time number milliseconds since the first event
---@field name string "quic:packet_sent"
---@field data table<string, any>
--- Of one connection, the same table for all of its events.
---@class neap.Trace
---@field peer string "address:port"
---@field dropped integer events so far that gave way to newer ones
---@class neap.TraceOptions
---@field events? string[] those alone, all unless told
---@field bytes? integer that are kept until somebody takes them, 65536 unless told
--- The next event since conn:trace(); nil when there is none.
---@param conn neap.Conn
---@return neap.TraceEvent? event
---@return integer dropped events so far that gave way to newer ones
function lowlevel.trace_event(conn) end
---@param config neap.Config
---@param server_name string
---@param peer string "address:port"
---@param options? { from?: string, at?: number }
---@return neap.Conn? conn
---@return string? message
---@return neap.Code? code
function lowlevel.connect(config, server_name, peer, options) end
---@param config neap.Config
---@param header neap.HeaderInfo
---@param scid string our connection ID
---@param options { from: string, to?: string, at?: number, original_dcid?: string }
---@return neap.Conn? conn
---@return string? message
---@return neap.Code? code
function lowlevel.accept(config, header, scid, options) end
---@param conn neap.Conn
---@param options? { max_field_section_size?: integer, header_timeout?: number }
---@return neap.H3? h3
---@return string? message
---@return neap.Code? code
function lowlevel.h3(conn, options) end
---@param config neap.Config
---@param is_server boolean
---@return neap.Endpoint? endpoint
---@return string? message
---@return neap.Code? code
function lowlevel.endpoint(config, is_server) end
---@param bytes string
---@param dcid_size? integer of short headers, 8
---@return neap.HeaderInfo? header
---@return string? message
---@return neap.Code? code
function lowlevel.header_info(bytes, dcid_size) end
---@param config neap.Config
---@param header neap.HeaderInfo
---@return string? bytes
function lowlevel.negotiate_version(config, header) end
---@param config neap.Config
---@param header neap.HeaderInfo
---@param new_scid string
---@param peer string
---@return string? bytes
function lowlevel.retry(config, header, new_scid, peer) end
---@param config neap.Config
---@param dcid string
---@param trigger_size integer
---@return string? bytes nil when the trigger is too small
function lowlevel.stateless_reset(config, dcid, trigger_size) end
---@param config neap.Config
---@param header neap.HeaderInfo
---@param peer string
---@return string? original_dcid
---@return string? message
---@return neap.Code? code
function lowlevel.validate_token(config, header, peer) end
---@param config neap.Config
---@param size integer
---@return string
function lowlevel.random_cid(config, size) end
---@param version integer
---@return boolean
function lowlevel.version_is_supported(version) end
---@param code integer
---@param is_application? boolean
---@return string
function lowlevel.error_name(code, is_application) end
---@param code neap.HttpCode
---@return integer its number
function lowlevel.http_code(code) end
---@return number seconds of the monotonic clock
function lowlevel.now() end
---@param address? string to be bound to
---@return neap.Udp? socket
---@return string? message
---@return neap.Code? code
---@return integer? number
function lowlevel.udp(address) end

---@class neap.HeaderInfo
---@field type "initial"|"0rtt"|"handshake"|"retry"|"version_negotiation"|"short"|"unknown"
---@field version integer
---@field dcid string
---@field scid string
---@field token string?

--- A first packet of a client that has not proved its address. Nothing of it is authenticated.
---@class neap.Arrival
---@field from string
---@field to string
---@field dcid string
---@field scid string
---@field version integer
---@field has_token boolean one that proves nothing
---@field size integer bytes of the datagram
---@field half_open integer handshakes under way
---@field connections integer all connections of the server

---@class neap.Config
local Config = {}
---@class neap.Memory
---@field used integer bytes handed out
---@field peak integer the most that were at once
---@field reserved integer bytes taken from the system
---@field limit integer the memory_limit; 0: none
---@field refused integer how often there was none
---@field receive_held integer bytes of memory for streams' data that came and no one has read, of all connections
---@field receive_most integer above it stream data counts as lost where its connection holds 64 KiB; 0: no bound
---@field send_held integer bytes of streams that are queued and not acknowledged, of all connections
---@field send_most integer a connection may queue as much as is left of it, or 64 KiB; 0: no bound

---@return neap.Memory
function Config:memory() end
--- How often bounds were met, by all that was made with the config.
---@class neap.Bounds
---@field send_budget integer streams that began to wait since too much is queued
---@field send_ahead integer streams that began to wait since too much is queued without the peer's credit
---@field datagrams_refused integer DATAGRAMs that were not queued since too much is
---@field sent_forgotten integer packets that elicit nothing, of which others took the place
---@field size_probes_forgotten integer probes of the datagram size likewise
---@field closes_withheld integer datagrams of connections that were closed here, not answered
---@field h3_overloads integer connections closed for too much in vain
---@field h3_sections_late integer requests given up after header_timeout
---@field h3_sections_partial integer requests given up since too much of field sections came in part
---@field h3_sections_refused integer field sections that were too large
---@field h3_priority_updates integer PRIORITY_UPDATE frames past those that are fine
---@return neap.Bounds
function Config:bounds() end
--- Of the folder that the option `qlog` names; nothing without.
---@class neap.QlogStats
---@field open integer files that are written
---@field waiting integer traces of clients whose address is not proved
---@field files integer traces in the folder, when it was last counted and since
---@field bytes integer of all of them
---@field traced integer connections that got a file
---@field refused integer connections and traces that a bound ended
---@field failed integer files that could not be written
---@return neap.QlogStats? stats
function Config:qlog_stats() end

--- The pin of the first certificate of a PEM, a DER or a file: sha256//BASE64, as the option `pins` takes it.
---@param certificate string
---@return string? pin
---@return string? message
---@return neap.Code? code
function Config:certificate_pin(certificate) end

--- Whether final responses of its servers have a `date` where none is set and the clock is known (no).
---@param on boolean
function Config:set_dates(on) end

--- Of a config with the option `wall_clock`: what that is from now on.
---@param seconds number since 1970
function Config:set_wall_clock(seconds) end

--- What computes AES-GCM: "vaes512", "vaes256", "aesni" or "armv8" in instructions of the CPU, or "mbedtls".
---@return string
function Config:engine() end
--- Signs with a private key (PEM or DER) under a scheme by its name in RFC 8446 §4.2.3: for who signs for others.
---@param key string
---@param scheme string
---@param bytes string
---@return string? signature
---@return string? message
---@return neap.Code? code
function Config:sign(key, scheme, bytes) end
--- A client's TLS sessions, to be kept in a file that only its owner reads.
---@return string
function Config:save_sessions() end
---@param saved string
---@return true? ok
---@return string? message
---@return neap.Code? code
function Config:load_sessions(saved) end
--- Reads certificates, roots, pins, revocation lists and ticket keys again: all of them, or none after a failure.
---@param options neap.ConfigOptions
---@return true? ok
---@return string|string[]|nil message as of lowlevel.config
---@return neap.Code? code
function Config:reload(options) end
--- A server's, before it listens: what core.h3 is going to be told on its connections, so that early data is read only
--- with tickets that promised the same.
---@param settings? { max_field_section_size: integer?, header_timeout: number? }
---@return true? ok
---@return string? message
---@return neap.Code? code
function Config:set_h3(settings) end

---@class neap.UdpDatagramInfo
---@field from string
---@field to string
---@field at number when it may leave
---@field ecn integer
---@field segment_size integer? of an endpoint's: several datagrams in one

---@class neap.CloseInfo
---@field by "local"|"peer"|"idle"|"reset"|"version"|"handshake_timeout"
---@field code integer
---@field name string
---@field is_application boolean
---@field reason string
---@field frame_type integer

--- What a handshake asks, of `neap_question`.
---@class neap.Question
---@field kind "signature"|"psk"|"certificate"|"peer"
---@field id integer
---@field server_name string?
---@field bytes string? signature: what is to be signed; psk: the identity
---@field digest string? signature: its hash, for devices that sign no more; nil: the scheme is ed25519
---@field scheme string? signature: the name that RFC 8446 §4.2.3 gives the scheme
---@field schemes string[]? certificate: those that the client takes
---@field certificate string? DER: whose key is to sign, or the peer's
---@field is_verified boolean? peer: it has stood against roots or pins
---@field is_resumed boolean? peer: of a client that showed its certificate in an earlier handshake

--- A connection whose datagrams and clock are the script's, or one of an endpoint's.
---@class neap.Conn
local Conn = {}
---@param bytes string
---@param info { at: number, from?: string, to?: string, ecn?: integer }
---@return boolean? ok
---@return string? message
---@return neap.Code? code
function Conn:recv(bytes, info) end
---@param now number
---@param info? neap.UdpDatagramInfo filled and given back
---@return string? bytes nil, "done", "again" when there is none
---@return neap.UdpDatagramInfo|string info
---@return neap.Code? code
function Conn:send(now, info) end
---@param now number
---@return number? seconds until on_timeout and send are due
function Conn:timeout(now) end
---@return number? time
function Conn:deadline() end
---@param now number
function Conn:on_timeout(now) end
--- Keeps trace events from now on, for lowlevel.trace_event; false: no more.
---@param options? neap.TraceOptions|false
---@return true? ok
---@return string? message
---@return neap.Code? code
function Conn:trace(options) end
--- The next one as JSON.
---@return string? event
---@return integer dropped
function Conn:trace_next() end
---@return boolean
function Conn:trace_pending() end
---@return boolean
function Conn:is_server() end
---@return boolean
function Conn:is_established() end
---@return boolean
function Conn:is_confirmed() end
--- Of a client: ICMP says that nobody is there, and nothing came from there so far. It goes on trying.
---@return boolean
function Conn:is_unreachable() end
--- Whether TLS went on from an earlier session, without a certificate.
---@return boolean
function Conn:is_resumed() end
--- Whether the peer's certificates were verified but for dates, since the time is not known yet (neap.set_clock).
---@return boolean
function Conn:has_unchecked_dates() end
--- The identity of the external pre-shared key by which both know each other.
---@return string?
function Conn:psk_identity() end
--- DERs of what the peer showed, leaf first; nil when it showed none, or they are not kept.
---@return string[]?
function Conn:peer_certificates() end
--- What became of its 0-RTT.
---@return "none"|"offered"|"accepted"|"rejected"
function Conn:early() end
--- Whether streams may be opened and sent on before the handshake is complete: a client's, with the option early_data.
---@return boolean
function Conn:is_early() end
--- Of a client whose early data was rejected: the streams that it opened are gone, and the next ones begin anew. Until
--- then none can be opened.
---@return true? ok
---@return string? message
---@return neap.Code? code
function Conn:begin_again() end
--- Whether what a client sent on this stream came before the handshake was complete, which it is not yet: somebody may
--- have sent it again.
---@param id integer
---@return boolean
function Conn:stream_is_early(id) end
--- What the handshake asks now, and waits for.
---@return neap.Question?
function Conn:question() end
---@param id integer of the question
---@param signature string
---@return true? ok
---@return string? message
---@return neap.Code? code
function Conn:answer_signature(id, signature) end
--- Without a key there is none of this identity.
---@param id integer of the question
---@param key? string
---@param hash? "sha256"|"sha384"
---@return true? ok
---@return string? message
---@return neap.Code? code
function Conn:answer_psk(id, key, hash) end
--- Without a chain one of the config's is shown; without a key a signature is asked for next.
---@param id integer of the question
---@param chain? string PEM or DER
---@param key? string PEM or DER
---@param ocsp_response? string DER
---@return true? ok
---@return string? message
---@return neap.Code? code
function Conn:answer_certificate(id, chain, key, ocsp_response) end
--- The peer is who it should be.
---@param id integer of the question
---@return true? ok
---@return string? message
---@return neap.Code? code
function Conn:answer_peer(id) end
--- Ends the connection with a TLS alert, internal_error (80) unless told.
---@param id integer of the question
---@param alert? integer
---@param reason? string the peer reads it
---@return true? ok
---@return string? message
---@return neap.Code? code
function Conn:refuse_question(id, alert, reason) end
--- The group of the key exchange, nil before the connection is established.
---@return string?
function Conn:group() end
--- The cipher suite of its packets, nil before it is established.
---@return string?
function Conn:cipher_suite() end
---@return boolean
function Conn:is_draining() end
---@return boolean
function Conn:is_closed() end
---@param code? neap.HttpCode a name where is_application
---@param reason? string
---@param is_application? boolean true unless told
function Conn:close(code, reason, is_application) end
--- Asks the peer for a sign of life.
---@return true? ok
---@return string? message
---@return neap.Code? code
function Conn:ping() end
--- Other keys for 1-RTT packets, in both directions; "again": not yet, the last update is not acknowledged.
---@return true? ok
---@return string? message
---@return neap.Code? code
function Conn:update_keys() end
--- PINGs keep the connection through a silence: until told otherwise, or for so many seconds.
---@param on boolean|number
---@return true? ok
---@return string? message
---@return neap.Code? code
function Conn:keep_alive(on) end
---@return neap.CloseInfo? why nil while it is alive
function Conn:error() end
---@return string?
function Conn:alpn() end
---@return string?
function Conn:server_name() end
---@return integer
function Conn:version() end
---@return string
function Conn:peer() end
---@return string
function Conn:local_address() end
---@return string source
---@return string destination
---@return string original
function Conn:ids() end
---@return string[]
function Conn:source_ids() end
---@return table<string, number|string> stats the names of neap_stats, times in seconds; ecn is a word
function Conn:stats() end
--- Numbers of stats(), by their names, without a table.
---@param ... string
---@return number? ...
function Conn:figures(...) end
--- Gives an endpoint's connection back.
function Conn:release() end

---@class neap.H3
local H3 = {}
---@return string? event "headers", "data", "trailers", "finished", "reset", "stopped", "writable", "goaway", "settings", "established", "closed"
---@return integer|string stream
---@return any a
---@return any b
---@return any c
function H3:poll() end
--- Many events at once, each in 11 places of the list: see lua/binding/README.md.
---@param list any[]
---@return integer used
---@return boolean? is_more
function H3:events(list) end
---@param fields string[] { ":method", "GET", … }
---@param fin? boolean
---@return integer? stream
---@return string? message
---@return neap.Code? code
function H3:send_request(fields, fin) end
---@param stream integer
---@param fields string[] { ":status", "200", … }
---@param fin? boolean
function H3:send_response(stream, fields, fin) end
---@param stream integer
---@param status integer
---@param fields? string[]
---@param body? string
---@param length? integer
---@return integer? count of body bytes taken
function H3:respond(stream, status, fields, body, length) end
---@param stream integer
---@param bytes string
---@param fin? boolean
---@return integer? count taken
---@return string? message
---@return neap.Code? code
function H3:send_body(stream, bytes, fin) end
---@param stream integer
---@return integer? count
function H3:body_capacity(stream) end
---@param stream integer
---@param max? integer
---@return string? bytes
---@return string? message
---@return neap.Code? code
function H3:recv_body(stream, max) end
--- Body bytes from a file into the stream, without a copy; fewer than `count`: "writable" comes.
---@param stream integer
---@param file neap.File
---@param offset integer
---@param count integer
---@param fin? boolean
---@return integer? taken
---@return string? message
---@return neap.Code? code "truncated": the file ends before
---@return integer? number
function H3:send_file(stream, file, offset, count, fin) end
--- Body bytes that wait into a file, without a copy.
---@param stream integer
---@param file neap.File
---@return integer? saved
---@return string? message
---@return neap.Code? code
---@return integer? number
function H3:save_body(stream, file) end
---@param stream integer
---@param fields string[]
function H3:send_trailers(stream, fields) end
--- Gives a request up. After "reset" or "stopped" a server's stream is kept until then.
---@param stream integer
---@param code neap.HttpCode
function H3:cancel(stream, code) end
---@param stream integer
---@param code neap.HttpCode
function H3:stop_body(stream, code) end
--- How urgent a response is (RFC 9218): a server's word, or what a client tells the server.
---@param stream integer
---@param urgency integer 0 to 7, lower first
---@param incremental? boolean it takes turns with others of its urgency
---@return true? ok
---@return string? message
---@return neap.Code? code "again" where the server takes no more of these now
function H3:set_priority(stream, urgency, incremental) end
--- What the client asks for.
---@param stream integer
---@return integer? urgency
---@return boolean|string incremental or the message
---@return neap.Code? code
function H3:priority(stream) end
function H3:goaway() end
---@return integer
function H3:open_requests() end
---@class neap.H3Stats
---@field requests integer in all
---@field open_requests integer
---@field glitches integer what the peer did in vain
---@field glitches_held integer ahead of good and of time: past 1000 the connection is closed
---@field priority_updates integer PRIORITY_UPDATE frames of the peer
---@field partial_bytes integer of field sections that have come in part
---@return neap.H3Stats? stats
---@return string? message
---@return neap.Code? code
function H3:stats() end
---@param id integer
---@return integer?
function H3:peer_setting(id) end
---@return neap.Conn
function H3:conn() end

--- Many connections behind one socket of the script's.
---@class neap.Endpoint
local Endpoint = {}
---@return neap.Conn? conn the next one with something new
---@return boolean? asks its handshake asks something new: conn:question()
function Endpoint:next() end
---@param server_name string
---@param peer string
---@param options? { config?: neap.Config, from?: string, at?: number }
---@return neap.Conn? conn
---@return string? message
---@return neap.Code? code
function Endpoint:connect(server_name, peer, options) end
---@param bytes string
---@param info { from: string, to?: string, ecn?: integer, at: number }
function Endpoint:recv(bytes, info) end
---@param now number
---@param info? neap.UdpDatagramInfo
---@return string? bytes
---@return neap.UdpDatagramInfo|string info
function Endpoint:send(now, info) end
--- A PTB message of ICMP came for a datagram to that address: a hint of how large they may be.
---@param to string
---@param passes integer bytes of UDP payload
---@param quoted string how the payload of the datagram begins
function Endpoint:too_big(to, passes, quoted) end
--- ICMP says of a datagram to that address that nobody takes it there: see conn:is_unreachable.
---@param to string
---@param quoted string how the payload of the datagram begins
function Endpoint:unreachable(to, quoted) end
---@param now number
---@return number?
function Endpoint:timeout(now) end
---@return number?
function Endpoint:deadline() end
---@param on boolean
function Endpoint:refuse(on) end
--- Have new clients that have not proved their address wait for admit.
---@param on boolean
function Endpoint:ask_arrivals(on) end
---@return integer? id for admit; nil: no other waits
---@return neap.Arrival? arrival
function Endpoint:next_arrival() end
--- Decide about one; "in use": it waits no more.
---@param id integer
---@param says "options"|"accept"|"retry"|"refuse" options: as the options retry and retry_above say
---@param now? number
---@return true? ok
---@return string? message
---@return neap.Code? code
function Endpoint:admit(id, says, now) end
---@return string
function Endpoint:address() end
---@return table<string, number>
function Endpoint:stats() end
function Endpoint:close() end

---@class neap.Udp
local Udp = {}
---@param address string
---@return boolean? ok
---@return string? message
---@return neap.Code? code
function Udp:bind(address) end
---@param bytes string
---@param address string
---@return boolean? ok
---@return string? message
---@return neap.Code? code
function Udp:sendto(bytes, address) end
---@param timeout? number
---@return string? bytes
---@return string address
---@return integer|string ecn
function Udp:recvfrom(timeout) end
---@return string
function Udp:address() end
---@return integer
function Udp:fd() end
function Udp:close() end

--- Of the C module, `require "neap.core"`: what there is no other name for.
---@class neap.core
local core = {}
--- A self-signed certificate and its key, both PEM: for development and tests.
---@param options { names?: string[], days?: number, seed?: string } names: "localhost" unless told; days: 365
---@return string? certificate
---@return string key or the message
---@return neap.Code? code
function core.make_certificate(options) end
--- A regular file to be read.
---@param path string
---@return neap.File? file
---@return string? message
---@return neap.Code? code
function core.open_file(path) end
--- A file to be written, which is made, or emptied.
---@param path? string standard output unless told
---@param appends? boolean what it has stays, and more comes behind it
---@param is_own? boolean there may be no symbolic link
---@return neap.File? file
---@return string? message
---@return neap.Code? code
function core.create_file(path, appends, is_own) end
--- A regular file to be read, which is made where there is none. Until it is closed, nobody else has it so, in this process or
--- another; it waits for that, at most two seconds.
---@param path string
---@return neap.File? file
---@return string? message
---@return neap.Code? code
function core.lock_file(path) end
--- Puts bytes into a file, of which nobody sees half.
---@param path string
---@param bytes string
---@param mode? integer permissions, 384 (0600)
---@return boolean? ok
---@return string? message
---@return neap.Code? code
function core.write_file(path, bytes, mode) end
--- The regular file of a descriptor, or of a file of io, once more.
---@param fd integer|file*
---@return neap.File? file
---@return string? message
---@return neap.Code? code
function core.open_descriptor(fd) end
---@param key string
---@param data string
---@return string mac 32 bytes of HMAC-SHA256
function core.hmac(key, data) end
--- In time that depends on their sizes alone.
---@param a string
---@param b string
---@return boolean
function core.is_equal(a, b) end
---@param count integer 256 at most
---@return string? bytes of the system's randomness
---@return string? message
---@return neap.Code? code
function core.random_bytes(count) end

--- Of core.open_file and core.create_file.
---@class neap.File
local File = {}
---@return { size: integer, type: "file"|"directory", mtime: number, mtime_nanoseconds: integer, inode: integer }
function File:stat() end
--- Files and folders in a folder, in no order; and whether there are more.
---@param most? integer 1000
---@return { name: string, size: integer, type: "file"|"directory", mtime: number }[]? list
---@return boolean|string is_more or the message
---@return neap.Code? code
function File:list(most) end
---@param count integer at most
---@param offset? integer where; behind what was read unless told
---@return string? bytes "" at the end
---@return string? message
---@return neap.Code? code
function File:read(count, offset) end
---@param ... string
---@return boolean? ok
---@return string? message
---@return neap.Code? code
function File:write(...) end
---@return boolean? ok
---@return string? message
---@return neap.Code? code
function File:close() end

return lowlevel
