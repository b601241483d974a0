---@meta neap
--- Types of tasks for editors (LuaCATS). Nothing runs from here.

---@class neap
---@field channel fun(capacity?: integer): neap.Channel
---@field semaphore fun(permits: integer): neap.Semaphore
local neap = {}

--- Starts fn(…) as a task of its own, at the next turn. An error that nobody joins for goes to the log.
---@param fn fun(...): ...
---@return neap.Task
function neap.go(fn, ...) end

--- fn(…) with a deadline: its results; nil, "timeout", "timeout".
---@param seconds number
---@param fn fun(...): ...
---@return any ...
function neap.with_timeout(seconds, fn, ...) end

--- Calls fn() every so many seconds, without drift and never two at once.
---@param seconds number
---@param fn fun()
---@return neap.Task
function neap.every(seconds, fn) end

--- Runs functions side by side: their first results, in order, and what the others said who gave nil and a message. An
--- error in one cancels the others, and is raised when all have ended.
---@param functions (fun(): any)[]
---@return any[]? results
---@return table<integer, neap.Failure>? failures by the same numbers
function neap.all(functions) end

--- What the first to end returned; the others are cancelled.
---@param functions (fun(): ...)[]
---@return any ...
function neap.race(functions) end

--- What the first returned that gave something but nil or false; the others are cancelled.
---@param functions (fun(): ...)[]
---@return any ...
function neap.any(functions) end

---@class neap.Task
local Task = {}

--- What its function returned, when it has ended; an error in it is raised. nil, message, code of a wait that ended before.
---@param seconds? number
---@return any ...
function Task:join(seconds) end

--- Ends the wait that it is in, or its next, with nil, "cancelled", "cancelled"; one after that ends it. Whether there was
--- anything to end.
---@param message? string
---@return boolean
function Task:cancel(message) end

---@return "running"|"done"|"failed"|"cancelled"
function Task:status() end

--- Has a task of neap.every end behind the call that runs.
function Task:stop() end

---@class neap.Channel
---@field capacity integer
local Channel = {}

---@param value any not nil
---@param seconds? number
---@return true?
---@return string? message
---@return neap.Code? code
function Channel:send(value, seconds) end

---@param seconds? number
---@return any value
---@return string? message
---@return neap.Code? code
function Channel:receive(seconds) end

--- `for value in channel:each() do … end`, until it is closed.
---@return fun(): any
function Channel:each() end

function Channel:close() end

---@return integer
function Channel:count() end

---@class neap.Semaphore
---@field permits integer
local Semaphore = {}

---@param seconds? number
---@return true?
---@return string? message
---@return neap.Code? code
function Semaphore:acquire(seconds) end

function Semaphore:release() end

--- fn(…) with a permit, given back however it ends.
---@param fn fun(...): ...
---@return any ...
function Semaphore:with(fn, ...) end

---@class neap.Embedding
local Embedding = {}

---@return integer
function Embedding:fd() end

---@return number?
function Embedding:timeout() end

---@return boolean
function Embedding:step() end

---@return integer
function Embedding:pollfd() end

---@return string
function Embedding:events() end
