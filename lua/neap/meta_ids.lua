---@meta neap.quic_lb
--- Types of connection IDs and of what proves addresses, for editors (LuaCATS). Nothing runs from here.

--- A configuration of QUIC-LB (draft-ietf-quic-load-balancers).
---@class neap.QuicLb
---@field config_id integer 0 to 6; 7: there is no configuration, and connection IDs are unroutable
---@field server_id? string a server's own, 1 to 15 bytes; it has to have one unless config_id is 7
---@field server_id_length? integer of a load balancer's configuration, which names no server
---@field nonce_length integer 4 to 18, and 19 at most with the server ID; 6 at least where floods may come
---@field key? string 16 bytes or 32 hex digits; without one everybody can read the server ID
---@field length_encoding? boolean connection IDs tell how long they are

--- The load balancer's side.
---@class neap.quic_lb
local quic_lb = {}
--- The server ID in a connection ID, and the index of the configuration that it names. `is_whole`: it is of a long header;
--- else it is what follows the first byte of a short one.
---@param cid string
---@param configs neap.QuicLb[]
---@param is_whole? boolean
---@return string? server_id
---@return integer|string index or message
---@return neap.Code? code
function quic_lb.decode(cid, configs, is_whole) end
--- The same of a datagram's first packet.
---@param datagram string
---@param configs neap.QuicLb[]
---@return string? server_id
---@return integer|string index or message
---@return neap.Code? code
function quic_lb.route(datagram, configs) end

---@class neap.Server
local Server = {}
--- Another configuration of QUIC-LB, with another config_id: connections to come have its connection IDs, those there are
--- get new ones and retire the old. Load balancers have to know it before, and the old one until all have.
---@param configuration neap.QuicLb
---@return true? ok
---@return string? message
---@return neap.Code? code
function Server:set_quic_lb(configuration) end
---@return neap.ConnectionIds
function Server:connection_ids() end

---@class neap.Listener
local Listener = {}
--- As Server:set_quic_lb.
---@param configuration neap.QuicLb
---@return true? ok
---@return string? message
---@return neap.Code? code
function Listener:set_quic_lb(configuration) end
---@return neap.ConnectionIds
function Listener:connection_ids() end

---@class neap.Connection
local Connection = {}
--- The peer is to use other connection IDs of ours and to retire those it has.
---@return true? ok
---@return string? message
---@return neap.Code? code
function Connection:rotate_ids() end
--- 1, or 0x6b3343cf of version 2.
---@return integer
function Connection:version() end

---@class neap.Config
local Config = {}
--- From now on connection IDs are made so; endpoint:rotate_ids has those of living connections follow.
---@param configuration neap.QuicLb
---@return true? ok
---@return string? message
---@return neap.Code? code
function Config:set_quic_lb(configuration) end
--- A connection ID as this config makes them: for lowlevel.accept and lowlevel.retry.
---@return string? cid
---@return string? message
---@return neap.Code? code
function Config:new_cid() end
---@class neap.ConnectionIds
---@field made integer
---@field refused integer that a generator of C made, and which could not be used
---@field collisions integer that another connection of the endpoint had
---@field unroutable integer of QUIC-LB, made without a configuration or a nonce
---@field nonces_left? integer of QUIC-LB with a key
---@return neap.ConnectionIds
function Config:connection_ids() end

---@class neap.Conn
local Conn = {}
--- The peer is to use other connection IDs of ours and to retire those it has.
---@return true? ok
---@return string? message
---@return neap.Code? code
function Conn:rotate_ids() end

---@class neap.Endpoint
local Endpoint = {}
--- Conn:rotate_ids for all connections; each of them sends a packet.
function Endpoint:rotate_ids() end

return quic_lb
