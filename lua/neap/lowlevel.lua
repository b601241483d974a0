--- The low level: connections whose datagrams and clock are the script's. Bytes, addresses and
-- `now` go in, bytes and the next wake time come out, so real sockets, simulations and specs are
-- alike. Names are those of the C API (neap.h); lua/binding/README.md lists every method.
--
--   local q = require "neap.lowlevel"
--   local config = assert(q.config{ alpn = "h3", ca = "cert.pem", max_idle_timeout = 30 })
--   local conn = assert(q.connect(config, "example.org", "192.0.2.1:443"))
--   -- each turn, with `now` of any monotonic clock, in seconds:
--   conn:recv(bytes, { from = peer, to = me, at = now })          -- for each datagram received
--   if conn:timeout(now) == 0 then conn:on_timeout(now) end
--   local bytes, info = conn:send(now)                            -- until it gives nil
--
-- What can happen returns nil, message, code; nothing to do is nil, "done", "again".
local core = require "neap.core"

local lowlevel = {}

--- A config: options by name, see "config options" in lua/binding/README.md.
lowlevel.config = core.config

--- A client connection: connect(config, server_name, peer[, { from = address, at = now }]).
lowlevel.connect = core.connect

--- A server connection for an Initial: accept(config, header, scid, { from = peer, to = us, at = now,
-- original_dcid = }). `header` is what header_info gave, `scid` our connection ID (random_cid), and
-- `original_dcid` what validate_token gave after a Retry.
lowlevel.accept = core.accept

--- HTTP/3 on a connection: h3(conn[, { max_field_section_size =, header_timeout = }]).
lowlevel.h3 = core.h3

--- Many connections behind one socket of the script's: endpoint(config, is_server). It routes,
-- accepts, and answers with Retry, version negotiation and stateless resets by itself.
lowlevel.endpoint = core.endpoint

--- What can be read of a datagram without keys: header_info(bytes[, dcid_size = 8]) gives
-- { type =, version =, dcid =, scid =, token = }.
lowlevel.header_info = core.header_info

--- Answers that need no connection: negotiate_version(config, header), retry(config, header, new_scid,
-- peer), stateless_reset(config, dcid, trigger_size) give bytes to send.
lowlevel.negotiate_version = core.negotiate_version
lowlevel.retry = core.retry
lowlevel.stateless_reset = core.stateless_reset

--- The token of an Initial after a Retry: validate_token(config, header, peer) gives original_dcid.
lowlevel.validate_token = core.validate_token

--- random_cid(config, size): a connection ID.
lowlevel.random_cid = core.random_cid

--- options(): the list of number options, { name =, unit =, default =, least =, greatest =, range =, text = } each.
lowlevel.options = core.options

--- Names of what can compute AES-GCM here, the fastest first: engines().
lowlevel.engines = core.engines

--- version_is_supported(version).
lowlevel.version_is_supported = core.version_is_supported

--- error_name(code, is_application): the RFC's name of an error code.
lowlevel.error_name = core.error_name

--- http_code(code): the number of an error code of HTTP/3 by its name without H3_ ("request_cancelled"); a number as it
-- is. Where h3:cancel, h3:stop_body and conn:close take a code, they take either.
lowlevel.http_code = core.http_code

--- now(): seconds of the monotonic clock, for those who use real sockets.
lowlevel.now = core.now

--- A UDP socket: udp() has bind(address), sendto(bytes, address), recvfrom([timeout]), address(), fd(),
-- close(). With an address it is bound already: udp("127.0.0.1:0").
function lowlevel.udp(address)
  local socket = core.udp()
  if not address then return socket end
  local bound, message, code, number = socket:bind(address)
  if not bound then return nil, message, code, number end
  return socket
end

--- The next trace event of a connection since conn:trace{ events =, bytes = }, as qlog has it: { time =, name =,
-- data = }; nil when there is none. And how many had to give way to newer ones so far.
lowlevel.trace_event = require("neap.tracing").next_event

return lowlevel
