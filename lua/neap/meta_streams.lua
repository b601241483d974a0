---@meta neap.streams
--- Types of what connections of the low level do with streams and datagrams, for editors (LuaCATS). Nothing runs from here.

---@class neap.Conn
local Conn = {}
---@param kind? "bidi"|"uni"
---@return integer? id
---@return string? message
---@return neap.Code? code
function Conn:stream_open(kind) end
---@param id integer
---@param bytes string
---@param fin? boolean
---@return integer? count taken
---@return string? message
---@return neap.Code? code
function Conn:stream_send(id, bytes, fin) end
---@param id integer
---@return integer? count
function Conn:stream_capacity(id) end
---@param id integer
---@param max? integer
---@return string? bytes
---@return boolean|string fin
---@return neap.Code? code
function Conn:stream_recv(id, max) end
---@param id integer
---@param direction "read"|"write"
---@param code? integer
function Conn:stream_shutdown(id, direction, code) end
---@return integer? bytes that a payload may have now
---@return string? message
---@return neap.Code? code
function Conn:datagram_max() end
--- Sends a datagram (RFC 9221).
---@param bytes string
---@param options? { deadline?: number, urgency?: integer, notify?: boolean } deadline: a point in time, as `now`
---@return integer? id
---@return string? message
---@return neap.Code? code
function Conn:datagram_send(bytes, options) end
---@return integer? size of the next one that came
---@return string? message
---@return neap.Code? code
function Conn:datagram_size() end
---@return string? bytes
---@return string? message
---@return neap.Code? code
function Conn:datagram_recv() end
--- What became of the next one that was sent with `notify`; nothing when none is to be told.
---@return integer? id
---@return "acked"|"lost"|"dropped"|nil fate
function Conn:datagram_fate() end
---@return table<string, integer>? stats
---@return string? message
---@return neap.Code? code
function Conn:datagram_stats() end
--- A reset that delivers the first bytes nonetheless.
---@param id integer
---@param code integer
---@param reliable_size? integer all that were queued unless told
---@return true? ok
---@return string? message
---@return neap.Code? code
function Conn:stream_reset_at(id, code, reliable_size) end
--- Lower urgencies first; of one, incremental streams take turns, the others go in the order of their ids.
---@param id integer
---@param urgency integer 0 to 7
---@param incremental? boolean
---@return true? ok
---@return string? message
---@return neap.Code? code
function Conn:stream_set_priority(id, urgency, incremental) end
--- It is told as writable once so many bytes can be queued.
---@param id integer
---@param bytes integer 0: as the send buffer is large
---@return true? ok
---@return string? message
---@return neap.Code? code
---@return integer? number
function Conn:stream_set_low_water(id, bytes) end
---@param id integer
---@param direction "read"|"write"
---@return integer? code of the peer's
function Conn:stream_error(id, direction) end
---@param id integer
---@return boolean
function Conn:stream_finished(id) end
---@return boolean
function Conn:is_flushed() end
---@return integer? id
function Conn:readable_next() end
---@return integer? id
function Conn:writable_next() end
---@return fun(): integer?
function Conn:readable() end
---@return fun(): integer?
function Conn:writable() end
---@param kind? "bidi"|"uni"
---@return integer
function Conn:streams_left(kind) end

return Conn
