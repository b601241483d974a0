--- The load balancer's side of QUIC-LB (draft-ietf-quic-load-balancers): which server a connection ID leads to. The
-- servers' side is the option `quic_lb`.
--
--   local configs = { { config_id = 0, server_id_length = 2, nonce_length = 6, key = KEY } }
--   local server_id = neap.quic_lb.route(datagram, configs)
--   local to = server_id and servers[server_id] or by_address(peer) -- the fallback, which is the script's
local core = require "neap.core"

local quic_lb = {}

--- The server ID in a connection ID and the index of the configuration that it names; nil, "unroutable", "unsupported"
-- when there is none. `is_whole`: the ID is of a long header; else it is what follows the first byte of a short one.
quic_lb.decode = core.quic_lb_decode

--- The same of a datagram's first packet. What a client chose for its first packets names a server by chance, or none:
-- so does every packet whose server ID nobody has, and the caller sends it where the address leads.
function quic_lb.route(datagram, configs)
  local first = datagram:byte(1)
  if not first or first < 0x80 then return quic_lb.decode(datagram:sub(2), configs) end
  local size = datagram:byte(6) or 0 -- behind the version (RFC 8999 §5.1)
  if #datagram < 6 + size then return nil, "unroutable", "unsupported" end
  return quic_lb.decode(datagram:sub(7, 6 + size), configs, true)
end

return quic_lb
