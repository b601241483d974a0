--- Congestion control in Lua. A policy that is registered under a name is what the option `congestion_control` of that
-- name has: at the end of a turn of the loop in which something was acknowledged or lost, it is asked what the window
-- of the connection is from now on. C never waits for it, and goes on with the window of before.
--
--   neap.cc.register("fixed", { on_turn = function() return 65536 end })
--   app:listen { congestion_control = "fixed" }
local core = require "neap.core"
local log = require "neap.log"

local cc = {}

local policies = {} -- number → policy
local numbers = {}  -- name → number, and number → name
local NOBODY = {}   -- a state: nobody steers the connection, or not any more
local states = setmetatable({}, { __mode = "k" }) -- conn → its state
local turn = {}     -- of all, one after the other

local complain = log.complainer()

-- CUBIC goes on where the policy was.
local function give_up(conn, policy, message)
  states[conn] = NOBODY
  conn:steer_no_more()
  complain("congestion control", ("congestion control '%s' failed, CUBIC goes on: %s"):format(policy.name,
    tostring(message)), policy.name)
end

local function is_amount(value)
  return type(value) == "number" and value == value and value >= 0
end

-- What is wrong with what a policy said, nil: nothing.
local function complaint(window, rate)
  if not is_amount(window) then return ("its window is %s"):format(tostring(window)) end
  if rate ~= nil and not is_amount(rate) then return ("its pacing rate is %s"):format(tostring(rate)) end
end

local function steer(conn)
  local state = states[conn]
  if state == NOBODY then return end
  local policy = policies[conn:policy() or 0]
  if not policy then
    states[conn] = NOBODY -- it has another congestion control, or somebody steers it by conn:steer
    return
  end
  if not conn:take_turn(turn) then return end
  local ok, window, rate
  if turn.is_new_path then state = nil end -- RFC 9000 §9.4: it knew another one
  if state == nil then
    ok, state = pcall(policy.begin, turn)
    if not ok then return give_up(conn, policy, state) end
    if state == nil then state = {} elseif state == false then state = NOBODY end
    states[conn] = state
    if state == NOBODY then return end
  end
  ok, window, rate = pcall(policy.on_turn, state, turn)
  local wrong = not ok and window or complaint(window, rate)
  if wrong then return give_up(conn, policy, wrong) end
  -- RFC 9002 §7.6.2: there is nothing that the policy could know better.
  if turn.is_persistent then window = math.min(window, turn.congestion_window) end
  conn:steer(window, rate)
end

--- Called with each connection that has something new; nil as long as there is no policy.
cc._serve = nil

local function none() end

local function is_built_in(name)
  for _, option in ipairs(core.options()) do
    if option.name == "congestion_control" then return (" " .. option.range .. ","):find(" " .. name .. "[, ]") end
  end
end

--- From now on configs may have `congestion_control = name`. policy.on_turn(state, turn) returns the window in bytes
-- and, where it wants one, the pacing rate in bytes a second. policy.begin(turn), if there is one, makes the state of a
-- connection before its first turn, and again before the first on a new path (turn.is_new_path); without it that is an
-- empty table, and with `false` CUBIC keeps the connection. `turn` is valid for the call. See
-- docs/congestion-control.md.
function cc.register(name, policy)
  if type(name) ~= "string" or not name:find "^[%w_%-]+$" then
    error("the name of a congestion control is letters, digits, _ and -", 2)
  end
  if type(policy) ~= "table" or type(policy.on_turn) ~= "function" then
    error("a congestion control is a table with a function on_turn", 2)
  end
  for field in pairs(policy) do
    if field ~= "begin" and field ~= "on_turn" then
      error(("a congestion control has begin and on_turn, and no '%s'"):format(tostring(field)), 2)
    end
  end
  if policy.begin ~= nil and type(policy.begin) ~= "function" then error("begin must be a function", 2) end
  if numbers[name] or is_built_in(name) then error(("congestion control '%s' is there already"):format(name), 2) end
  policies[#policies + 1] = { name = name, on_turn = policy.on_turn, begin = policy.begin or none }
  numbers[name], numbers[#policies] = #policies, name
  core.set_policies(numbers)
  cc._serve = steer
end

return cc
