--- Figures of a program as text that Prometheus reads (exposition format 0.0.4): neap's own, and those that the program
-- counts. docs/metrics.md lists them.
local ordered = require "neap.ordered"
local options = require "neap.options"
local server = require "neap.server"
local task = require "neap.task"
local turns = require "neap.safety.turns"

local MOST_SERIES = 1000 -- sets of labels that a metric has: further ones are not counted, and that is

local SECONDS = { 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10 }

local METHODS = { GET = true, HEAD = true, POST = true, PUT = true, DELETE = true, PATCH = true, OPTIONS = true,
  CONNECT = true, TRACE = true }

-- ---- one metric

local function escape(text)
  return (tostring(text):gsub('[\\"\n]', { ["\\"] = "\\\\", ['"'] = '\\"', ["\n"] = "\\n" }))
end

local function number(value)
  if value == math.huge then return "+Inf" end
  if value % 1 == 0 and math.abs(value) < 2 ^ 53 then return ("%.0f"):format(value) end
  return ("%.9g"):format(value)
end

local Metric = {}
Metric.__index = Metric

-- The series of values of the labels, in the order in which they were named.
local function series(self, values)
  local names = self.labels
  local key = names[1] and tostring(values and values[names[1]] or "") or ""
  for i = 2, #names do key = key .. "\0" .. tostring(values and values[names[i]] or "") end
  local one = self.by_key[key]
  if one then return one end
  if self.count >= MOST_SERIES then
    self.owner.dropped = self.owner.dropped + 1
    return nil
  end
  local parts = {}
  for i, name in ipairs(names) do parts[i] = ('%s="%s"'):format(name, escape(values and values[name] or "")) end
  one = { text = table.concat(parts, ","), value = 0, sum = 0 }
  for i = 1, #(self.buckets or {}) do one[i] = 0 end
  self.count = self.count + 1
  self.by_key[key] = one
  self.list[self.count] = one
  return one
end

--- Adds to a counter or gauge, 1 unless told, of these values of its labels.
function Metric:inc(amount, values)
  local one = series(self, values)
  if one then one.value = one.value + (amount or 1) end
  return self
end

--- Sets a gauge.
function Metric:set(amount, values)
  local one = series(self, values)
  if one then one.value = amount end
  return self
end

--- Counts an observation of a histogram.
function Metric:observe(amount, values)
  local one = series(self, values)
  if not one then return self end
  for i, bound in ipairs(self.buckets) do
    if amount <= bound then
      one[i] = one[i] + 1
      break
    end
  end
  one.value, one.sum = one.value + 1, one.sum + amount
  return self
end

local function line(out, name, labels, value)
  out[#out + 1] = ("%s%s %s\n"):format(name, labels ~= "" and "{" .. labels .. "}" or "", number(value))
end

local function write_histogram(self, out, one)
  local below, before = 0, one.text ~= "" and one.text .. "," or ""
  for i, bound in ipairs(self.buckets) do
    below = below + one[i]
    line(out, self.name .. "_bucket", ('%sle="%s"'):format(before, number(bound)), below)
  end
  line(out, self.name .. "_bucket", before .. 'le="+Inf"', one.value)
  line(out, self.name .. "_sum", one.text, one.sum)
  line(out, self.name .. "_count", one.text, one.value)
end

local function head(out, name, kind, help)
  help = help:gsub("[\\\n]", { ["\\"] = "\\\\", ["\n"] = "\\n" })
  out[#out + 1] = ("# HELP %s %s\n# TYPE %s %s\n"):format(name, help, name, kind)
end

local function write_metric(self, out)
  head(out, self.name, self.kind, self.help)
  for i = 1, self.count do
    local one = self.list[i]
    if self.buckets then write_histogram(self, out, one) else line(out, self.name, one.text, one.value) end
  end
end

-- ---- the registry

local Metrics = {}
Metrics.__index = Metrics

local OWN = {
  labels = options.of("table", {}),
  buckets = options.of("table"),
}

local function add(self, kind, name, help, given)
  given = options.fill(given, OWN, "a metric", 3)
  if type(name) ~= "string" or not name:find("^[%a_:][%w_:]*$") then
    error("a metric's name has letters, digits, _ and :", 3)
  end
  if self.by_name[name] then error(("there is a metric %q already"):format(name), 3) end
  for _, label in ipairs(given.labels) do
    if type(label) ~= "string" or not label:find("^[%a_][%w_]*$") then
      error("a label's name has letters, digits and _", 3)
    end
  end
  local metric = setmetatable({ owner = self, kind = kind, name = name, help = tostring(help or name),
    labels = given.labels, buckets = kind == "histogram" and (given.buckets or SECONDS) or nil, by_key = {}, list = {},
    count = 0 }, Metric)
  self.by_name[name] = metric
  self.list[#self.list + 1] = metric
  return metric
end

--- A counter: only grows. Options: `labels`, a list of names.
function Metrics:counter(name, help, given)
  return add(self, "counter", name, help, given)
end

--- A gauge: goes up and down.
function Metrics:gauge(name, help, given)
  return add(self, "gauge", name, help, given)
end

--- A histogram; `buckets`: upper bounds, rising; of seconds from 1 ms to 10 s unless told.
function Metrics:histogram(name, help, given)
  return add(self, "histogram", name, help, given)
end

--- fn(metrics) is called before each reading, for gauges that are looked up then.
function Metrics:before(fn)
  self.readers[#self.readers + 1] = fn
  return self
end

-- Numbers of a table as metrics, one each, with where they came from.
local function write_figures(out, prefix, kind_of, all)
  local names, seen = {}, {}
  for _, one in ipairs(all) do
    for name, value in pairs(one.figures) do
      if type(value) == "number" and not seen[name] then
        seen[name] = true
        names[#names + 1] = name
      end
    end
  end
  table.sort(names)
  for _, name in ipairs(names) do
    local kind = kind_of(name)
    local whole = prefix .. name .. (kind == "counter" and "_total" or "")
    head(out, whole, kind, name:gsub("_", " "))
    for _, one in ipairs(all) do
      if type(one.figures[name]) == "number" then line(out, whole, one.labels, one.figures[name]) end
    end
  end
end

-- What goes up and down of a server's figures; all else only grows.
local GAUGES = { connections = true, half_open = true, answers_waiting = true, answers_most = true,
  arrivals_waiting = true, receive_held = true }

local function server_kind(name)
  return GAUGES[name] and "gauge" or "counter"
end

local function gauge() return "gauge" end
local function counter() return "counter" end

-- Of all proxies; those with the same name beside each other count as one.
local function upstream_figures()
  local upstreams, by_name, list = package.loaded["neap.proxy.upstream"], {}, {}
  for _, upstream in ipairs(upstreams and ordered.objects(upstreams.all) or {}) do
    local all = upstream:status()
    all.up, all.weight = all.up and 1 or 0, nil
    local one = by_name[upstream.name]
    if not one then
      one = { labels = ('upstream="%s"'):format(escape(upstream.name)), figures = {} }
      by_name[upstream.name], list[#list + 1] = one, one
    end
    for name, value in pairs(all) do
      if name == "up" then
        one.figures.up = math.min(one.figures.up or 1, value)
      elseif type(value) == "number" then
        one.figures[name] = (one.figures[name] or 0) + value
      end
    end
  end
  return list
end

local function upstream_kind(name)
  return (name == "requests" or name == "failures") and "counter" or "gauge"
end

local function resident_bytes()
  local file = io.open("/proc/self/status")
  local text = file and file:read("*a") or ""
  if file then file:close() end
  return (tonumber(text:match("VmRSS:%s*(%d+)")) or 0) * 1024
end

local function write_own(out)
  local stats, tcp, bounds, memory = {}, {}, {}, {}
  for i, one in ipairs(ordered.objects(server._all())) do
    local labels = ('server="%s"'):format(escape(one.address))
    local all = one:stats()
    stats[i] = { labels = labels, figures = all }
    if all.tcp then tcp[#tcp + 1] = { labels = labels, figures = all.tcp } end
    bounds[i] = { labels = labels, figures = one:bounds() }
    memory[i] = { labels = labels, figures = one._config:memory() }
  end
  write_figures(out, "neap_server_", server_kind, stats)
  write_figures(out, "neap_tcp_", server_kind, tcp)
  write_figures(out, "neap_bound_", counter, bounds)
  write_figures(out, "neap_memory_", gauge, memory)
  write_figures(out, "neap_upstream_", upstream_kind, upstream_figures())
  if not task.is_simulated() then
    write_figures(out, "neap_loop_", counter, { { labels = "", figures = task.loop():stats() } })
    head(out, "process_resident_memory_bytes", "gauge", "resident memory of the process")
    line(out, "process_resident_memory_bytes", "", resident_bytes())
    head(out, "neap_loop_stalls_total", "counter", "turns that blocked the loop for too long")
    line(out, "neap_loop_stalls_total", "", turns.blocked)
    head(out, "neap_turn_limit_total", "counter", "tasks that were ended because they computed for too long")
    line(out, "neap_turn_limit_total", "", turns.ended)
  end
  head(out, "neap_lua_memory_bytes", "gauge", "memory of the Lua state")
  line(out, "neap_lua_memory_bytes", "", collectgarbage("count") * 1024)
end

--- All of it as text.
function Metrics:render()
  for _, fn in ipairs(self.readers) do fn(self) end
  local out = {}
  for _, metric in ipairs(self.list) do write_metric(metric, out) end
  write_own(out)
  head(out, "neap_metrics_dropped_total", "counter", "observations without room for their labels")
  line(out, "neap_metrics_dropped_total", "", self.dropped)
  return table.concat(out)
end

--- A handler that answers with it.
function Metrics:handler()
  return function(_, res)
    return res:header("content-type", "text/plain; version=0.0.4; charset=utf-8"):header("cache-control", "no-store")
      :send(self:render())
  end
end

-- What is seen of a connection when one of its responses is over: the round trip, and what it lost since the last time.
local function look_at_path(self, session)
  local conn = session.conn
  if not conn.figures or session.closed then return end
  local rtt, sent, lost = conn:figures("rtt_smoothed", "packets_sent", "packets_lost")
  if not rtt then return end
  self.rtt:observe(rtt)
  local before = self.paths[session]
  if not before then
    before = { 0, 0 }
    self.paths[session] = before
  end
  self.packets_sent:inc(sent - before[1])
  self.packets_lost:inc(lost - before[2])
  before[1], before[2] = sent, lost
end

local function on_response(self, req, info)
  local labels = self.labels
  labels.method = METHODS[req.method] and req.method or "other"
  labels.route, labels.status, labels.protocol = req.route or "", info.status, req.proto
  self.requests:inc(1, labels)
  self.bytes:inc(info.bytes, labels)
  self.duration:observe(info.duration, labels)
  if info.reason then self.broken:inc(1, labels) end
  look_at_path(self, req._session)
end

--- A registry with what neap counts of requests, connections, bounds, memory and the loop. It is given to app:use,
-- which has it count that app's responses; app:get("/metrics", metrics:handler()) shows it.
return function()
  local self = setmetatable({ list = {}, by_name = {}, readers = {}, dropped = 0, labels = {},
    paths = setmetatable({}, { __mode = "k" }) }, Metrics)
  local by_route = { labels = { "method", "route", "status", "protocol" } }
  self.requests = self:counter("neap_requests_total", "responses that are over", by_route)
  self.bytes = self:counter("neap_response_bytes_total", "bytes of bodies sent", { labels = { "route" } })
  self.broken = self:counter("neap_responses_broken_total", "responses that were broken off", { labels = { "route" } })
  self.duration = self:histogram("neap_request_duration_seconds", "from a request's fields to the end of its response",
    { labels = { "route" } })
  self.rtt = self:histogram("neap_rtt_seconds", "smoothed round trip of a connection, at the end of each response")
  self.packets_sent = self:counter("neap_packets_sent_total", "QUIC packets, of connections when a response is over")
  self.packets_lost = self:counter("neap_packets_lost_total", "those of them that were lost")
  self.lag = self:histogram("neap_loop_lag_seconds", "how long the loop took nothing from the network",
    { buckets = { 0.0001, 0.001, 0.01, 0.1, 1 } })
  task.meter(function(seconds) self.lag:observe(seconds) end)
  self.on_response = function(req, _, info) return on_response(self, req, info) end
  return self
end
