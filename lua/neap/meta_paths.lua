---@meta
--- Types of paths: connections that change their address (RFC 9000 §9).

---@class neap.Way where a client's connection is to go, or to look
---@field address? string of ours, such as "192.0.2.7" (a loop takes any port) or "192.0.2.7:4000"; the one that the kernel chooses unless told
---@field interface? string its name, such as "wlan0": by it, at its address
---@field peer? string a preferred address of the server's; the one in use unless told
---@field at_once? boolean before it is proved; the old one is gone back to if it is not
---@field backup? boolean of open_path: it is used while no other path answers alone
---@field gone? boolean at once, and the old address is no more: what was under way there is sent anew

---@class neap.Path
---@field local_address string
---@field peer string
---@field state "validated"|"validating"|"unproved"
---@field is_active boolean what is sent goes there
---@field is_preferred boolean a client's, to the server's preferred address
---@field rtt number? seconds, smoothed; nil before anything was measured
---@field rtt_min number? seconds
---@field congestion_window integer bytes
---@field bytes_in_flight integer
---@field max_udp_payload_size integer bytes
---@field rtt_latest number? seconds
---@field rtt_max number? seconds
---@field rtt_var number? seconds
---@field in_flight_time number seconds in which something was in flight there
---@field packets_sent integer
---@field packets_received integer
---@field packets_lost integer
---@field packets_retransmitted integer those whose frames were sent again
---@field spurious_losses integer packets that counted as lost and came
---@field pto_count integer probe timeouts
---@field bytes_sent integer of UDP payloads, as the next three
---@field bytes_received integer
---@field bytes_lost integer
---@field bytes_acked integer
---@field stream_bytes_resent integer
---@field datagrams_sent integer DATAGRAM frames (RFC 9221)
---@field datagrams_received integer
---@field pacing_rate integer bytes a second, 0: none
---@field delivery_rate integer bytes a second, the latest sample; 0 but for BBR
---@field max_bandwidth integer bytes a second that the controller reckons with; 0: it does not
---@field startup_exit? "loss"|"hystart"|"ecn"|"persistent"|"bandwidth" why the first slow start ended
---@field startup_exit_window integer bytes, then
---@field startup_exit_bandwidth integer bytes a second, then
---@field congestion_control string the controller's name in the option
---@field congestion_state? string of controllers that have several
---@field path_id integer 0 without multipath
---@field is_open boolean packets are sent there: with several path IDs on more than one
---@field is_backup boolean by our word
---@field is_peer_backup boolean by the peer's

---@class neap.PathEvent
---@field kind "path_validated"|"path_failed"|"migrated"|"peer_migrated"|"path_opened"|"path_closed"|"path_status"
---@field path_id integer 0 without multipath
---@field code integer? of "path_closed": why
---@field local_address string 0.0.0.0 or [::] with the port of a socket for which the kernel chooses the address
---@field peer string
---@field lost integer events so far that nobody took in time

---@class neap.Connection
local Connection = {}
--- Goes on from another address, once the server answers there.
---@param way? neap.Way
---@return true? ok
---@return string? message
---@return neap.Code? code "in use": the handshake is not confirmed; "migration": the server wants none; "connection ids": it has given too few so far
function Connection:migrate(way) end
--- Asks whether another address, or the one in use, leads to the server, and stays: path_validated or path_failed follows.
--- Another one that does is known for a minute.
---@param way? neap.Way
---@return true? ok
---@return string? message
---@return neap.Code? code
function Connection:probe(way) end
--- Opens another path beside those that there are (draft-ietf-quic-multipath): path_opened or path_failed follows.
---@param way? neap.Way
---@return integer? path_id
---@return string? message
---@return neap.Code? code "unsupported": one side knows no path IDs; "limit": there are as many as may be; "connection ids": the server has given none for another yet
function Connection:open_path(way) end
--- Sends nothing more on a path, and has the peer do so.
---@param path_id integer
---@param code? integer why
---@return true? ok
---@return string? message
---@return neap.Code? code "argument": there is no such path; "in use": it is the only one
function Connection:close_path(path_id, code) end
---@param path_id integer
---@param status "available"|"backup"
---@return true? ok
---@return string? message
---@return neap.Code? code
function Connection:set_path_status(path_id, status) end
--- Which path is filled first is for fn to say; nil: for the option path_scheduler.
---@param fn? fun(paths: neap.Path[]): integer[]?
---@return true? ok
---@return string? message
---@return neap.Code? code
function Connection:schedule_paths(fn) end
---@return neap.Path[] the active one first
function Connection:paths() end
--- What becomes of paths: fn runs as a task for each event.
---@param fn fun(event: neap.PathEvent)
---@return neap.Connection self
function Connection:on_path(fn) end

---@class neap.Client
local Client = {}
--- Has every connection go on from another address.
---@param way? neap.Way
---@return integer? count that do, or will once they are answered there
---@return string? message of the last where none could
---@return neap.Code? code
function Client:migrate(way) end
--- Has every connection open another path beside those that it has: path_opened or path_failed of on_path follows.
---@param way? neap.Way
---@return integer? count of the connections that do
---@return string? message of the last where none could
---@return neap.Code? code as of open_path of a connection; "closed": there is none
function Client:open_path(way) end
--- What becomes of the paths of connections: fn runs as a task for each event.
---@param fn fun(event: neap.PathEvent, authority: string)
---@return neap.Client self
function Client:on_path(fn) end

---@class neap.Server
local Server = {}
--- What becomes of the paths of clients: fn runs as a task for each event.
---@param fn fun(event: neap.PathEvent, peer: string)
---@return neap.Server self
function Server:on_path(fn) end

---@class neap.Conn
local Conn = {}
--- Without a loop `address` has a port, and datagrams that come there are given with it as `to`.
---@param way neap.Way
---@return true? ok
---@return string? message
---@return neap.Code? code
function Conn:migrate(way) end
---@param way neap.Way
---@return true? ok
---@return string? message
---@return neap.Code? code
function Conn:probe(way) end
---@param way neap.Way
---@return integer? path_id
---@return string? message
---@return neap.Code? code
function Conn:open_path(way) end
---@param path_id integer
---@param code? integer why: 0x3e, by the application's wish, unless told
---@return true? ok
---@return string? message
---@return neap.Code? code
function Conn:close_path(path_id, code) end
---@param path_id integer
---@param status "available"|"backup"
---@return true? ok
---@return string? message
---@return neap.Code? code
function Conn:set_path_status(path_id, status) end
--- Paths are filled in this order from now on; an empty one: as the option path_scheduler says. From the first call on the
--- endpoint tells of the connection whenever something was acknowledged or lost.
---@param path_ids integer[] five at most
---@return true? ok
---@return string? message
---@return neap.Code? code
function Conn:order_paths(path_ids) end
---@return boolean is_multipath both sides know path IDs
function Conn:is_multipath() end
---@return neap.Path[] the active one first
function Conn:paths() end
---@return neap.PathEvent? event the oldest that was not taken; eight are kept
function Conn:path_event() end
---@param family 4|6
---@return string? address that the server prefers
function Conn:preferred_address(family) end

---@class neap.Endpoint
local Endpoint = {}
--- A client's connections, from now on, go where the machine's routes lead.
---@return true? ok
---@return string? message
---@return neap.Code? code
function Endpoint:follow_routes() end
--- A server is at this address of the machine as well.
---@param address string with a port
---@return true? ok
---@return string? message
---@return neap.Code? code
function Endpoint:listen_also(address) end
