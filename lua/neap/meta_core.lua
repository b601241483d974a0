---@meta neap
--- Types of what neap.core has beside QUIC and HTTP, for editors (LuaCATS). Nothing runs from here.

---@class neap.core
local core = {}

--- The content codings of this build, best first.
---@return ("zstd"|"br"|"gzip")[]
function core.codings() end

---@class neap.encoder
local encoder = {}

--- What is to be sent of what was written so far: all of it with "flush", and the end with "finish".
---@param bytes string
---@param how? "flush"|"finish"
---@return string? bytes
---@return string? message
---@return neap.Code? code
function encoder:write(bytes, how) end

---@param coding string
---@param level? integer
---@return neap.encoder? encoder
---@return string? message
---@return neap.Code? code
function core.encoder(coding, level) end

--- Questions to name servers, by c-ares: what is under neap.dns. nil in a build without it.
---@param servers? string such as "192.0.2.1:53,[2001:db8::1]:53"; nil: those of the system
---@param seconds number of the first try
---@param tries integer
---@param search? string[] domains; nil: those of the system
---@return neap.core.dns? dns
---@return string? message
---@return neap.Code? code
function core.dns(servers, seconds, tries, search) end

---@class neap.core.dns
local name_channel = {}
---@param id integer
---@param host string
---@param family? 4|6
function name_channel:lookup(id, host, family) end
---@param id integer
---@param name string
---@param kind neap.DnsType
function name_channel:query(id, name, kind) end
--- Reads and sends what can be, and repeats questions whose time is over.
function name_channel:process() end
---@return number? seconds until process() has to be called in any case
function name_channel:timeout() end
---@return integer? id nil: nothing was answered since
---@return string[]|string|nil answer addresses, or a message
---@return integer|string|nil ttl of addresses, or the text of a failure
---@return string? reason
---@return string? message that came with it, or ""
function name_channel:answer() end
--- All that is under way is answered as cancelled.
function name_channel:cancel() end
---@return integer descriptor that can be read when process() has something to do
function name_channel:fd() end
function name_channel:close() end

--- A message of DNS (RFC 1035 §4); nil in a build without c-ares.
---@param bytes string
---@return { rcode: integer, answers: neap.DnsRecord[], authority: neap.DnsRecord[] }?
---@return string? message
---@return neap.Code? code
function core.dns_message(bytes) end

--- A datagram to a Unix socket, such as $NOTIFY_SOCKET; "@name" is an abstract one.
---@param address string
---@param text string
---@return true?
---@return string? message
---@return neap.Code? code
function core.notify(address, text) end

---@param user string
---@param group? string
---@return true?
---@return string? message
---@return neap.Code? code
function core.drop_privileges(user, group) end
