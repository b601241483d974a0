---@meta neap.cc
--- Types of congestion control in Lua for editors (LuaCATS). Nothing runs from here.

---@class neap.cc
local cc = {}

--- What happened on a connection's path since its policy was asked last. Times in seconds.
---@class neap.Turn
---@field acked_bytes integer
---@field lost_bytes integer
---@field lost_packets integer
---@field ce_packets integer packets newly reported with the mark of congestion (ECN)
---@field spurious_packets integer they were declared lost, and came
---@field delivery_rate integer bytes a second, the highest sample; 0: none
---@field is_app_limited boolean the rate says how much there was to send, not what the path carries
---@field is_persistent boolean nothing came for long: the window fell to two datagrams
---@field is_new_path boolean the first one on this path: what was learnt of another says nothing of it
---@field bytes_in_flight integer
---@field congestion_window integer
---@field pacing_rate integer bytes a second
---@field max_udp_payload_size integer of a datagram now
---@field rtt number
---@field rtt_min number
---@field rtt_smoothed number
---@field now number

---@class neap.Policy
---@field begin? fun(turn: neap.Turn): any state of a connection, again on each new path; else {}; false: CUBIC keeps it
---@field on_turn fun(state: any, turn: neap.Turn): number, number? the window in bytes, the pacing rate in bytes a second

--- From now on `congestion_control = name` has connections steered by this policy.
---@param name string
---@param policy neap.Policy
function cc.register(name, policy) end

---@class neap.Conn
local Conn = {}
--- With `congestion_control = "steered"`: what happened since it was asked last; nil, "done", "again" when nothing did.
---@param into? table filled instead of a new one
---@return neap.Turn? turn
---@return string? message
---@return neap.Code? code
function Conn:take_turn(into) end
--- From now on the window is so many bytes, and packets leave at so many bytes a second (0: by window and round trip).
---@param window number
---@param pacing_rate? number
---@return true? ok
---@return string? message
---@return neap.Code? code
function Conn:steer(window, pacing_rate) end
--- CUBIC goes on from the last window.
---@return true? ok
---@return string? message
---@return neap.Code? code
function Conn:steer_no_more() end
--- The number of the policy of neap.cc that steers it.
---@return integer?
function Conn:policy() end
