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
