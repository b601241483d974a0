---@meta neap.quic
--- Types of raw connections and streams for editors (LuaCATS). Nothing runs from here.

---@class neap.quic
local quic = {}
---@param options neap.QuicOptions
---@return neap.Listener? listener
---@return string? message
---@return neap.Code? code
function quic.listen(options) end
---@param address string "host:port"
---@param options neap.QuicOptions
---@return neap.Connection? connection
---@return string? message
---@return neap.Code? code
---@return integer? number
function quic.connect(address, options) end

---@class neap.QuicOptions: neap.ConfigOptions
---@field host? string
---@field port? integer
---@field server_name? string
---@field timeout? number seconds until the handshake is done
---@field early? boolean of connect: do not wait for it where streams may be sent on before (early_data, a session)
---@field migrate? "auto"|false of connect: the connection follows the machine's routes
---@field read_timeout? number
---@field write_timeout? number
---@field on_trace? fun(event: neap.TraceEvent, trace: neap.Trace) trace events of its connections
---@field trace_events? string[] those alone

---@class neap.Listener
---@field port integer
---@field address string
local Listener = {}
---@param fn fun(connection: neap.Connection)
---@return neap.Listener
function Listener:on_connection(fn) end
--- Reads certificates and the like again, as Server:reload_certs does.
---@return true? ok
---@return string? message
---@return neap.Code? code
function Listener:reload_certs() end
---@param code? integer
---@param reason? string
function Listener:close(code, reason) end

---@class neap.Connection
---@field peer string
---@field local_address string
---@field alpn string
---@field server_name string
local Connection = {}
---@return fun(): neap.Stream?
function Connection:streams() end
--- fn runs as a task for each stream of the peer's. When it returns our side is finished; when it dies of an error both
--- are broken off with code 1. A stream that is to outlive its handler is taken from streams() instead.
---@param fn fun(stream: neap.Stream)
---@return neap.Connection
function Connection:on_stream(fn) end
---@return neap.Stream? stream
---@return string? message
---@return neap.Code? code
function Connection:accept_stream() end
--- Waits while the peer allows no more streams, at most for write_timeout.
---@return neap.Stream? stream
---@return string? message
---@return neap.Code? code
function Connection:open_stream() end
---@return neap.Stream? stream
---@return string? message
---@return neap.Code? code
function Connection:open_uni_stream() end
---@return table<string, number|string> stats the names of neap_stats, times in seconds
function Connection:stats() end
--- fn for each trace event from now on; nil: no more. It may wait: meanwhile the oldest events give way.
---@param fn? fun(event: neap.TraceEvent, trace: neap.Trace)
---@param options? neap.TraceOptions
---@return true? ok
---@return string? message
---@return neap.Code? code
function Connection:on_trace(fn, options) end
--- Sends a datagram (RFC 9221): it may be lost, and is never sent again. Needs the option `max_datagram_frame_size` of the peer.
---@param data string of max_datagram() bytes at most
---@param options? neap.DatagramOptions
---@return true? ok
---@return string? message
---@return neap.Code? code
function Connection:send_datagram(data, options) end
--- The next one that came, waiting for it.
---@return string? data
---@return string? message
---@return neap.Code? code
function Connection:read_datagram() end
---@return fun(): string?
function Connection:datagrams() end
---@return integer? bytes that a datagram may have now
---@return string? message
---@return neap.Code? code
function Connection:max_datagram() end
---@return table<string, integer>
function Connection:datagram_stats() end
--- Asks the peer for a sign of life; the option `keep_alive` does so by itself.
---@return true? ok
---@return string? message
---@return neap.Code? code
function Connection:ping() end
--- Other keys for packets, in both directions; the options `key_update_packets` and `key_update_bytes` do so by themselves.
--- "again": not yet, the last update is not acknowledged.
---@return true? ok
---@return string? message
---@return neap.Code? code
function Connection:update_keys() end
---@param code? integer
---@param reason? string
function Connection:close(code, reason) end
---@return boolean
function Connection:is_closed() end
--- Whether the handshake went on from an earlier TLS session. Connections that were made with equal options share theirs.
---@return boolean
function Connection:is_resumed() end
--- Whether the peer's certificates were verified but for dates, since the time is not known yet (neap.set_clock).
---@return boolean
function Connection:has_unchecked_dates() end
--- The identity of the external pre-shared key by which both know each other.
---@return string?
function Connection:psk_identity() end
--- What the peer showed; of a server only with the option `keep_certificates`, and not in a resumed session.
---@return neap.Certificate?
function Connection:peer_certificate() end
--- What became of its 0-RTT.
---@return "none"|"offered"|"accepted"|"rejected"
function Connection:early() end
--- The group of the key exchange: "x25519", "X25519MLKEM768", …
---@return string?
function Connection:group() end
--- The cipher suite of its packets: "TLS_AES_128_GCM_SHA256", …
---@return string?
function Connection:cipher_suite() end
--- Waits for the end of the handshake, which is over but for early data.
---@param timeout? number seconds
---@return true? ok
---@return string? message
---@return neap.Code? code
function Connection:wait_for_handshake(timeout) end
---@return string? message
---@return neap.Code? code
---@return integer? number
function Connection:error() end

---@class neap.DatagramOptions
---@field deadline? number seconds from now, after which it is not sent any more
---@field urgency? integer 0 to 7 (3): lower ones first, and before streams of the same
---@field notify? fun(fate: "acked"|"lost"|"dropped") runs as a task, unless the connection ends before

---@class neap.Stream
---@field id integer
---@field connection neap.Connection
local Stream = {}
--- Of a server's: whether it came by 0-RTT and the handshake is not complete yet, so that somebody may have sent it again.
---@return boolean
function Stream:is_early() end
---@param what? integer|"*l"|"*a"
---@return string? bytes
---@return string? message
---@return neap.Code? code
---@return integer? number
function Stream:read(what) end
---@param limit? integer
---@return string? bytes
---@return string? message
---@return neap.Code? code
function Stream:read_all(limit) end
--- A stream that breaks off is an error, as with ClientResponse:chunks, and our side is reset with code 1; so in chunks().
---@return fun(): string?
function Stream:lines() end
---@return fun(): string?
function Stream:chunks() end
---@param data string
---@param options? { fin?: boolean }
---@return boolean? ok
---@return string? message
---@return neap.Code? code
---@return integer? number
function Stream:write(data, options) end
function Stream:finish() end
--- With a reliable size the peer reads so many bytes, or all that were written (true), and then of the reset.
---@param code? integer
---@param reliable_size? integer|true
---@return true? ok
---@return string? message
---@return neap.Code? code "unsupported" where the peer does not know reliable sizes
function Stream:reset(code, reliable_size) end
---@param code? integer
function Stream:stop(code) end
---@return boolean
function Stream:is_bidirectional() end
--- What is sent before what (RFC 9218): lower urgencies first; of one, incremental streams take turns, the others go in the
--- order of their ids. A stream for which this was never called has urgency 3 and is incremental.
---@param priority { urgency?: integer, incremental?: boolean } 0 to 7 (3), and false unless told
---@return true? ok
---@return string? message
---@return neap.Code? code
function Stream:set_priority(priority) end

--- Reads what `ca`, `crl`, `cert`, `key` and `certs` of outgoing connections name again, as Client:reload_certs does: of each
--- set of options all or nothing.
---@return true? ok
---@return string? message of one of those for which something cannot be used
---@return neap.Code? code
function quic.reload_certs() end
--- Closes everything: servers and outgoing connections.
function quic.close_all() end

return quic
