---@meta neap
--- Types of what keeps scripts from harm for editors (LuaCATS). Nothing runs from here.

---@class neap
local neap = {}

--- How long a turn of the loop may take before the log says who blocks it: 0.01 to 3600, 0.1 unless told; 0: never.
---@param seconds number
function neap.blocked_after(seconds) end

--- How long a task may compute, without a wait, before it is ended by an error: 0.01 to 3600; 0, as it is unless told: as
--- long as it likes.
---@param seconds number
function neap.turn_limit(seconds) end
