--- The scheduler: coroutines as tasks, timers, and the one loop of this Lua state. A turn runs what
-- is ready, sends, waits in C, and asks the endpoints which connections have something new. C
-- never calls Lua. The loop's sockets and clock are the kernel's, or those of a simulation (neap.sim): see task.within.
local cc = require "neap.cc"
local scheduling = require "neap.scheduling"
local core = require "neap.core"
local Heap = require "neap.heap"
local log = require "neap.log"
local plain = require "neap.plain"
local Resolving = require "neap.resolving"
local scope = require "neap.scope"
local turns = require "neap.safety.turns"

local task = {}

local MAX_IDLE = 1024 -- finished coroutines kept for reuse
local TIMEOUT = {}    -- what a waiter is woken with when its time is over,
local INTERRUPTED = {} -- and when its task is cancelled

local idle, idle_count = {}, 0

local SLICE = 64 -- new tasks after which task.settle is called;
local ALONE = 32 -- where one connection alone had something new, after so many, and what they said leaves

-- What is ready, each entry in WIDTH places: its coroutine, or NEW for a task that has none yet, and four values.
local NEW, WIDTH = {}, 5
local queue, queue_first, queue_last, turn_last = {}, 1, 0, 0
local timers = Heap.new() -- of { at =, waiter = }
local dead_timers = 0 -- whose wait has ended
local traced = {} -- connections whose trace events somebody takes: see task.trace
local endpoints = {} -- list of { endpoint =, drive = function(conn), answer =, admit = functions or nil, place = }
local driven = 0 -- connections that had something new in this turn
local resolving = Resolving.new() -- names that are asked for
local watched, watched_count = {}, 0 -- descriptor → object whose _ready is called
local live, holders = 0, 0
local loop
local running, stopping = false, false
local has_run = false -- whether anyone ran the loop
local meter, woken -- of how long turns take: see task.meter; when this one began
local has_more = false -- whether the last step left something that may be sent at once
local ran = 0 -- tasks that have run so far, counted each time that they go on
local current -- the coroutine of the task that runs
local scopes -- coroutine → what ends the waits of its task early (neap.scope); nil while no task has any
local places -- coroutine → the host that its task is of, in a simulation
local here = {} -- the place of what runs and is no task's: a host, or what stands for the machine

local INTERNAL_ERROR = 0x1 -- of QUIC, RFC 9000 §20.1

--- The loop of this state, made at first use.
function task.loop()
  if not loop then loop = assert(core.loop()) end
  return loop
end

--- Called with the traceback of an error that no one caught in a task.
function task.on_error(trace)
  log.error(trace)
end

--- The text of an error, also of an object that cannot say what it is.
function task.text_of(value)
  local ok, text = pcall(tostring, value)
  return ok and text or ("an error object (%s) whose __tostring fails"):format(type(value))
end

--- Tells of an error that no one caught. The loop outlives a place for the log that fails. A simulation ends by it.
function task.report(trace)
  trace = task.text_of(trace)
  if places then
    loop:fail_by(trace)
    return
  end
  local ok, second = pcall(task.on_error, trace)
  if not ok then io.stderr:write(plain.lines(trace), "\nand in the log: ", task.text_of(second), "\n") end
end
local report = task.report
function turns.position() return queue_first end

local take_new -- the next task of this turn, when it has no coroutine yet

-- One coroutine runs task after task, as long as the next in the queue is a new one, before it waits for others.
local function work(fn, a, b, c)
  while true do
    local ok, trace = xpcall(fn, debug.traceback, a, b, c)
    if not ok then report(trace) end
    live = live - 1
    fn, a, b, c = take_new()
    if not fn then
      if idle_count >= MAX_IDLE then return end
      idle_count = idle_count + 1
      idle[idle_count] = coroutine.running()
      fn, a, b, c = coroutine.yield()
    end
  end
end

local pack = table.pack or function(...) return { n = select("#", ...), ... } end
local resume = core.resume or coroutine.resume -- a hook is a coroutine's in PUC Lua, which C has to know then

local function push(co, a, b, c, d)
  local at = queue_last
  queue[at + 1], queue[at + 2], queue[at + 3], queue[at + 4], queue[at + 5] = co, a, b, c, d
  queue_last = at + WIDTH
end

-- The coroutine of the first entry, and its values.
local function take_first()
  local at = queue_first
  local co, a, b, c, d = queue[at], queue[at + 1], queue[at + 2], queue[at + 3], queue[at + 4]
  queue[at], queue[at + 1], queue[at + 2], queue[at + 3], queue[at + 4] = false, false, false, false, false
  queue_first = at + WIDTH
  return co, a, b, c, d
end

function take_new()
  if queue_first > turn_last or queue[queue_first] ~= NEW then return nil end
  local _, fn, a, b, c = take_first()
  return fn, a, b, c
end

--- Whether a value is a function, or an object that is called.
function task.can_be_called(value)
  if type(value) == "function" then return true end
  local meta = getmetatable(value)
  return type(meta) == "table" and meta.__call ~= nil
end

local function begin_at(place, fn, args)
  places[current] = place
  return fn(args[1], args[2], args[3])
end

--- Starts fn(a, b, c) as a task of its own, at the next turn. `fn` may be an object that is called, as next is.
function task.go(fn, a, b, c)
  if type(fn) ~= "function" and not task.can_be_called(fn) then error("neap.go takes a function", 2) end
  live = live + 1
  if places then return push(NEW, begin_at, task.place(), fn, { a, b, c }) end
  push(NEW, fn, a, b, c)
end

--- Where the code that calls is: the host of a simulation, or a table that stands for the machine. What there is one of
-- for a whole program is kept in it, under a name of its module's.
function task.place()
  return places and current and places[current] or here
end

--- The same as task.go, at a host.
function task.go_at(place, fn, ...)
  live = live + 1
  push(NEW, begin_at, place, fn, { ... })
end

--- Whether a simulation runs the code that calls.
function task.is_simulated()
  return places ~= nil
end

--- What the waits of the task that calls are within: a scope, or nil.
function task.scope()
  return scopes and scopes[current]
end

--- From now on they are within another one.
function task.enter(within)
  scopes = scopes or setmetatable({}, { __mode = "k" })
  scopes[current] = within
end

--- Ends the wait of the task whose outermost scope this is, which is over; nothing, when it does not wait.
function task.interrupt(within)
  task.wake(within.waiter, INTERRUPTED)
end

-- A task whose scope is over, and was told so, waits no more: it ends here, or where somebody catches that. Others run
-- first, so that not even a loop that catches errors stops them.
local function refuse_wait(co)
  local over = scopes[co] and scope.find_over(scopes[co], core.now())
  if not over or not over.is_told then return end
  push(co)
  coroutine.yield()
  error(over.over, 0)
end

--- Something to wait on, for the task that calls.
function task.waiter()
  local co, is_main = coroutine.running()
  if not co or is_main then error("this waits: call it in a task (neap.go, neap.run or a handler)", 3) end
  if co ~= current then
    error("this waits, and cannot inside a coroutine of your own: wait in the task that resumes it, or use neap.go", 3)
  end
  if scopes then refuse_wait(co) end
  return { co = co }
end

--- Whether a task calls, so that it may wait.
function task.is_task()
  return current ~= nil and coroutine.running() == current
end

--- Ends a wait with these values; does nothing when it has ended already.
function task.wake(waiter, a, b, c, d)
  if waiter and not waiter.woken then
    waiter.woken = true
    push(waiter.co, a, b, c, d)
  end
end

-- Timers whose wait has ended stay in the heap until they are on top; when most are dead it is made
-- anew.
local function sweep_timers()
  if dead_timers < 1000 or dead_timers * 2 < timers.count then return end
  local old = timers
  timers, dead_timers = Heap.new(), 0
  for i = 1, old.count do
    if not old[i].waiter.woken then timers:push(old[i]) end
  end
end

local ULP = 2 ^ -52 -- of a number, times that number: the next one or the one behind it

-- When a wait is over. What is less than the clock can tell is rounded up: who waits for the rest of a time again and
-- again would else do so for ever where the clock stands between two events, in a simulation.
local function time_in(seconds)
  local now = core.now()
  local at = now + seconds
  if at == now and seconds > 0 then return now + now * ULP end
  return at
end

-- The end of a wait by a scope.
local function end_wait(within)
  local over = scope.find_over(within, core.now())
  over.is_told = true
  return nil, over.over.message, over.over.code, true
end

local function await_within(within, waiter, seconds)
  local now, deadline = core.now(), scope.deadline_of(within)
  if not waiter.woken and scope.find_over(within, now) then
    task.wake(waiter)
    coroutine.yield()
    return end_wait(within)
  end
  local at = seconds and time_in(seconds)
  local is_bounded = deadline and (not at or deadline < at)
  if is_bounded then at = deadline end
  local timed = at and timers:push { at = at, waiter = waiter }
  within.root.waiter = waiter
  local a, b, c, d = coroutine.yield()
  within.root.waiter = nil
  if a == TIMEOUT then
    if is_bounded then return end_wait(within) end
    return nil, "timeout", "timeout"
  end
  if timed then
    dead_timers = dead_timers + 1
    sweep_timers()
  end
  if a == INTERRUPTED then return end_wait(within) end
  return a, b, c, d
end

--- Waits on a waiter: the values of its wake, or nil, "timeout", "timeout" after `seconds` (nil: no
-- bound). nil, message, code, true when the task is cancelled, or a deadline of neap.with_timeout has passed.
function task.await(waiter, seconds)
  local within = scopes and scopes[waiter.co]
  if within then return await_within(within, waiter, seconds) end
  local timed = seconds and timers:push { at = time_in(seconds), waiter = waiter }
  local a, b, c, d = coroutine.yield()
  if a == TIMEOUT then return nil, "timeout", "timeout" end
  if timed then
    dead_timers = dead_timers + 1
    sweep_timers()
  end
  return a, b, c, d
end

--- Waits at a place of an object, `owner[slot]`, where task.wake_at finds the task: true, or nil,
-- "timeout", "timeout". One task at a time.
function task.wait_at(owner, slot, seconds)
  if owner[slot] then error("another task waits for this already", 3) end
  local waiter = task.waiter()
  owner[slot] = waiter
  local ok, message, code = task.await(waiter, seconds)
  -- Between the wake and now another task may have begun to wait here.
  if owner[slot] == waiter then owner[slot] = nil end
  if ok == nil then return nil, message, code end
  return true
end

--- Ends the wait at `owner[slot]`, if there is one.
function task.wake_at(owner, slot)
  local waiter = owner[slot]
  if waiter then
    owner[slot] = nil
    task.wake(waiter, true)
  end
end

--- Lets other tasks run for so many seconds: true, or nil, message, code when the task was cancelled, or a deadline
-- that it works under has passed.
function task.sleep(seconds)
  if type(seconds) ~= "number" or seconds < 0 then error("neap.sleep takes seconds", 2) end
  local _, message, code, is_over = task.await(task.waiter(), seconds)
  if is_over then return nil, message, code end
  return true
end

--- From now on `drive(conn)` is called for every connection of the endpoint that has something new. An error in it
-- ends that connection, with a line in the log, and nothing else. `answer(conn)`, if there is one, before that for one
-- whose handshake asks something, or that has ended. `admit()`, if there is one, before all that, each turn.
function task.attach(endpoint, drive, answer, admit)
  endpoints[#endpoints + 1] = { endpoint = endpoint, drive = drive, answer = answer, admit = admit,
    place = task.place() }
end

function task.detach(endpoint)
  local left = {} -- who goes through the list at this moment has the old one
  for _, attached in ipairs(endpoints) do
    if attached.endpoint == endpoint then attached.is_detached = true else left[#left + 1] = attached end
  end
  endpoints = left
end

--- Has the loop wait once until a socket can be read or written: then owner:_ready() is called. true, or nil, message,
-- code.
function task.watch(socket, owner, reads, writes)
  local ok, message, code = socket:watch(task.loop(), reads, writes)
  if not ok then return nil, message, code end
  local fd = socket:fd()
  if not watched[fd] then watched_count = watched_count + 1 end
  watched[fd] = owner
  return true
end

--- When nobody waits for a socket any more, and before it is closed.
function task.unwatch(socket)
  local fd = socket:fd()
  if not fd or not watched[fd] then return end
  socket:unwatch()
  watched[fd] = nil
  watched_count = watched_count - 1
end

--- Why the last listen failed, for who left its result alone; nil when one has succeeded since.
task.why_not = nil

--- A listen has failed. Beside a server that works nobody is told at the end: it is a line in the log.
function task.not_listening(message)
  task.why_not = message
  if holders > 0 then log.warn("not listening: " .. tostring(message)) end
end

--- A server holds the loop running; call with -1 when it ends.
function task.hold(count)
  local was_held = holders > 0
  holders = holders + count
  if count > 0 then task.why_not = nil end
  if count > 0 and not places then turns.begin() end
  if was_held ~= (holders > 0) then task.on_held(holders > 0) end
end

--- Called when the first server holds the loop, and when none does any more.
function task.on_held() end

--- Whether a server holds the loop.
function task.is_held()
  return holders > 0
end

-- A program that listens and ends without having run the loop has served nobody: it is told at its end.
local function remind()
  if has_run or holders == 0 then return end
  io.stderr:write("neap: a server listens and nothing runs it: call neap.run()\n")
end
task.reminder = newproxy and newproxy(true) or setmetatable({}, { __gc = remind })
if newproxy then getmetatable(task.reminder).__gc = remind end

--- The addresses of a host, as strings with the port; nil, message, "resolve", or "timeout" after
-- `seconds` (nil: no bound).
function task.resolve(host, port, seconds)
  return resolving:resolve(task, host, port, seconds)
end

local function take_idle()
  if idle_count == 0 then return coroutine.create(work) end
  local co = idle[idle_count]
  idle[idle_count] = nil
  idle_count = idle_count - 1
  return co
end

--- How many tasks have gone on so far.
function task.ran()
  return ran
end

--- Called when `count` tasks have run, and before anything is sent: for what is done once for many of them.
function task.settle() end

-- Runs the tasks whose entries end at `turn_last`.
local function run_slice()
  local count = (turn_last - queue_first + 1) / WIDTH
  while queue_first <= turn_last do
    local co, a, b, c, d = take_first()
    current = co == NEW and take_idle() or co
    local ok, trace = resume(current, a, b, c, d)
    if not ok then report(trace) end
  end
  current = nil
  ran = ran + count
  local ok, trace = xpcall(task.settle, debug.traceback, count)
  if not ok then report(trace) end
end

-- The peer of a connection that is alone would wait until all have run, and we for the peer afterwards.
local function run_ready()
  local last, is_alone = queue_last, driven == 1
  local width = (is_alone and ALONE or SLICE) * WIDTH
  while queue_first <= last do
    turn_last = math.min(last, queue_first + width - 1)
    run_slice()
    if is_alone and queue_first <= last then loop:flush() end
  end
  turn_last = last
  -- What is left moves down when it is less than what was taken.
  local left = queue_last - turn_last
  if left < queue_first then
    for i = 1, left do queue[i], queue[turn_last + i] = queue[turn_last + i], false end
    queue_first, queue_last = 1, left
  end
end

local function fire_timers()
  if not timers[1] then return end
  local now = core.now()
  while timers[1] and timers[1].at <= now do
    local timer = timers:pop()
    if timer.waiter.woken then
      dead_timers = math.max(0, dead_timers - 1)
    else
      task.wake(timer.waiter, TIMEOUT)
    end
  end
end

local function next_wait()
  if queue_first <= queue_last then return 0 end
  while timers[1] and timers[1].waiter.woken do
    timers:pop()
    dead_timers = math.max(0, dead_timers - 1)
  end
  return timers[1] and math.max(0, timers[1].at - core.now()) or nil
end

-- A connection that could not be driven: its peer is told INTERNAL_ERROR. It comes once more when it has drained.
local function give_up(conn, trace)
  local ok, peer = pcall(conn.peer, conn)
  report(("connection of %s, which ends now: %s"):format(ok and peer or "a peer that is gone", task.text_of(trace)))
  pcall(conn.close, conn, INTERNAL_ERROR, "", false)
end

local function drive_all(attached)
  local endpoint, drive, answer = attached.endpoint, attached.drive, attached.answer
  if attached.admit then attached.admit() end
  local conn, asks = endpoint:next()
  while conn do
    driven = driven + 1
    if cc._serve then cc._serve(conn) end
    if scheduling._serve then scheduling._serve(conn) end
    if answer and (asks or conn:is_draining() or conn:is_closed()) then answer(conn) end
    local ok, trace = xpcall(drive, debug.traceback, conn)
    if not ok then give_up(conn, trace) end
    conn, asks = endpoint:next()
  end
end

--- At the end of each turn from now on entry:look() is called, until it says true; another entry of that connection's
-- is forgotten.
function task.trace(conn, entry)
  for i = #traced, 1, -1 do
    if traced[i].conn == conn then table.remove(traced, i) end
  end
  entry.place = here
  traced[#traced + 1] = entry
end

local function look_at_traces()
  local nowhere = here
  for i = #traced, 1, -1 do
    here = traced[i].place
    if traced[i]:look() then table.remove(traced, i) end
  end
  here = nowhere
end

local function deliver()
  local nowhere = here
  driven = 0
  for _, attached in ipairs(endpoints) do
    if not attached.is_detached then
      here = attached.place
      local ok, trace = xpcall(drive_all, debug.traceback, attached)
      if not ok then report(trace) end
    end
  end
  here = nowhere
  resolving:deliver(task, loop)
  local fd = watched_count > 0 and loop:next_watch()
  while fd do
    if watched[fd] then watched[fd]:_ready() end
    fd = loop:next_watch()
  end
  local signal = loop:signal()
  while signal do
    task.on_signal(signal)
    signal = loop:signal()
  end
  if traced[1] then look_at_traces() end
end

--- Called with "TERM" or "INT" once task.catch_signals was called.
function task.on_signal()
  task.stop()
end

function task.catch_signals()
  task.loop():catch_signals()
end

--- Sends all that may leave now, also what one turn has no room for: for what is said last.
function task.flush()
  task.loop()
  while loop:flush() do end
end

--- One turn of the loop. `is_over`, asked when what was ready has run, ends it before it waits: what ran may have been
-- the last that anything was waited for.
function task.turn(is_over)
  run_ready()
  loop:flush()
  if is_over and is_over() then return end
  if meter and woken then meter(core.now() - woken) end
  local has_waited, took = loop:wait(next_wait())
  if has_waited and took then turns.tell_end(took) end
  woken = meter and core.now()
  deliver()
  fire_timers()
end

--- One turn for a loop of somebody else's, without a wait: what has come, then the tasks that are ready, then what they
-- send. An error when it is called from a task, or while task.run runs.
function task.step()
  if running then error("a loop runs already: a step is for a loop of your own", 2) end
  task.loop()
  running, has_run = true, true
  local begun = meter and core.now()
  local ok, trace = xpcall(function()
    loop:wait(0)
    deliver()
    fire_timers()
    run_ready()
    has_more = loop:flush()
  end, debug.traceback)
  running = false
  turns.rest()
  if meter then meter(core.now() - (begun or core.now())) end
  if not ok then error(trace, 0) end
end

--- From now on meter(seconds) is called before each wait of the loop: how long nothing was taken from the network since
-- the wait before. nil: no more.
function task.meter(fn)
  meter, woken = fn, nil
end

--- Seconds until a step is wanted though nothing comes; nil: not before something does.
function task.timeout()
  if has_more then return 0 end
  local own, its = next_wait(), task.loop():timeout()
  if own and its then return math.min(own, its) end
  return own or its
end

--- Whether a loop is running in this state.
function task.is_running()
  return running
end

--- Ends task.run after the current turn.
function task.stop()
  stopping = true
end

--- Whether anything is left to do: a server listens, or a task is alive.
function task.is_needed()
  return live > 0 or holders > 0
end

--- For on_end: connections go on, and no task does, as long as is_wanted(), and for `seconds` at most.
function task.linger(seconds, is_wanted)
  local deadline = core.now() + seconds
  while is_wanted() do
    loop:flush()
    local left = deadline - core.now()
    if left <= 0 then return end
    loop:wait(left)
    deliver()
  end
end

--- Called when the loop has ended: for what has to be kept, should the program end too.
function task.on_end() end

--- The network, the clock and the tasks of a simulation, for task.within: `its_loop` does what that of the binding
-- does, and has fail_by(trace) for errors that no one caught; `now` is its clock.
function task.new_world(its_loop, now)
  return {
    queue = {}, queue_first = 1, queue_last = 0, turn_last = 0, timers = Heap.new(), dead_timers = 0,
    endpoints = {}, driven = 0, resolving = Resolving.new(), watched = {}, watched_count = 0, live = 0, holders = 0,
    loop = its_loop, running = true, stopping = false, places = setmetatable({}, { __mode = "k" }), here = its_loop,
    now = now, traced = {},
  }
end

local function keep(world)
  world.queue, world.queue_first, world.queue_last, world.turn_last = queue, queue_first, queue_last, turn_last
  world.timers, world.dead_timers, world.endpoints, world.driven = timers, dead_timers, endpoints, driven
  world.resolving, world.watched, world.watched_count = resolving, watched, watched_count
  world.live, world.holders, world.loop, world.running, world.stopping = live, holders, loop, running, stopping
  world.current, world.places, world.here, world.now, world.traced = current, places, here, core.now, traced
end

local function bring(world)
  queue, queue_first, queue_last, turn_last = world.queue, world.queue_first, world.queue_last, world.turn_last
  timers, dead_timers, endpoints, driven = world.timers, world.dead_timers, world.endpoints, world.driven
  resolving, watched, watched_count = world.resolving, world.watched, world.watched_count
  live, holders, loop, running, stopping = world.live, world.holders, world.loop, world.running, world.stopping
  current, places, here, core.now, traced = world.current, world.places, world.here, world.now, world.traced
end

--- fn(...) in a world of task.new_world: its tasks, timers and endpoints are there, those outside stand still. Its
-- results; an error of fn's is raised again, outside. Not for a world that is entered already.
function task.within(world, fn, ...)
  local outside = {}
  keep(outside)
  bring(world)
  local results = pack(pcall(fn, ...))
  keep(world)
  bring(outside)
  if not results[1] then error(results[2], 0) end
  return (table.unpack or unpack)(results, 2, results.n)
end

--- Whether task.stop was called, in a world that is entered again: it is forgotten then.
function task.take_stop()
  local asked = stopping
  stopping = false
  return asked
end

--- Runs fn (if given) as a task, and the loop until it is finished; without fn until stop, or until
-- nothing is left to do: no server listens, no task is alive. With fn: what fn returned, or an error
-- of fn's. Inside a running loop fn is called as it stands, by the task that asks.
function task.run(fn, ...)
  has_run = true
  if running then
    if fn then return fn(...) end
    return true
  end
  task.loop()
  local finished, ok, results = false, true, {}
  if fn then
    local args = pack(...)
    task.go(function()
      results = pack(xpcall(function() return fn((table.unpack or unpack)(args, 1, args.n)) end, debug.traceback))
      ok, finished = results[1], true
    end)
  end
  running, stopping = true, false
  local function is_over()
    return stopping or finished or not task.is_needed()
  end
  local turned, trace = xpcall(function()
    while not is_over() do task.turn(is_over) end
    task.flush()
  end, debug.traceback)
  running = false
  task.on_end()
  turns.rest()
  if not turned then error(trace, 0) end
  if not ok then error(results[2], 0) end
  return (table.unpack or unpack)(results, 2, results.n)
end

return task
