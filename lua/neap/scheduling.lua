--- Which of several paths a connection fills first (draft-ietf-quic-multipath), decided in Lua: by a function, asked at
-- the end of a turn of the loop in which something was acknowledged or lost. C never waits for it, and goes on with
-- the order of before.
local log = require "neap.log"

local scheduling = {}

local MOST = 5 -- path IDs in an order

local functions = setmetatable({}, { __mode = "k" }) -- conn → its function
local complain = log.complainer()

local function complaint(ids)
  if type(ids) ~= "table" then return ("its order is %s"):format(tostring(ids)) end
  if #ids > MOST then return ("its order has %d path IDs"):format(#ids) end
  for _, id in ipairs(ids) do
    if type(id) ~= "number" or id % 1 ~= 0 or id < 0 or id >= 2 ^ 32 then
      return ("%s is no path ID"):format(tostring(id))
    end
  end
end

-- The option path_scheduler goes on where the function was.
local function give_up(conn, message)
  functions[conn] = nil
  conn:order_paths{}
  complain("paths", "the order of paths is the option's again: " .. tostring(message))
end

local function serve(conn)
  local fn = functions[conn]
  if not fn then return end
  local paths = {}
  for _, path in ipairs(conn:paths() or {}) do
    if path.is_open then paths[#paths + 1] = path end
  end
  if #paths < 2 then return end
  local ok, ids = pcall(fn, paths)
  if ok and ids == nil then return end -- as before
  local wrong = not ok and ids or complaint(ids)
  if wrong then return give_up(conn, wrong) end
  conn:order_paths(ids)
end

--- Called with each connection that has something new; nil as long as nobody has such a function.
scheduling._serve = nil

--- fn(paths) returns a list of path IDs, the one to fill first in front, or nil for that of before; `paths` are those
-- that are open. With nil the option path_scheduler decides. true; nil, message, code.
function scheduling.set(conn, fn)
  if fn ~= nil and type(fn) ~= "function" then error("a scheduler of paths is a function, or nil", 3) end
  local ok, message, code = conn:order_paths{}
  if not ok then return nil, message, code end
  functions[conn] = fn
  if fn then scheduling._serve = serve end
  return true
end

return scheduling
