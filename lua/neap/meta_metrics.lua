---@meta neap
--- Types of metrics for editors (LuaCATS). Nothing runs from here.

---@class neap
---@field metrics fun(): neap.Metrics

---@class neap.Metrics
local Metrics = {}

---@class neap.MetricOptions
---@field labels? string[]
---@field buckets? number[] of a histogram: upper bounds, rising

---@param name string
---@param help? string
---@param options? neap.MetricOptions
---@return neap.Metric
function Metrics:counter(name, help, options) end

---@param name string
---@param help? string
---@param options? neap.MetricOptions
---@return neap.Metric
function Metrics:gauge(name, help, options) end

---@param name string
---@param help? string
---@param options? neap.MetricOptions
---@return neap.Metric
function Metrics:histogram(name, help, options) end

--- fn(metrics) is called before each reading.
---@param fn fun(metrics: neap.Metrics)
---@return neap.Metrics
function Metrics:before(fn) end

---@return string
function Metrics:render() end

---@return neap.Handler
function Metrics:handler() end

---@class neap.Metric
local Metric = {}

---@param amount? number
---@param labels? table<string, any>
---@return neap.Metric
function Metric:inc(amount, labels) end

---@param amount number
---@param labels? table<string, any>
---@return neap.Metric
function Metric:set(amount, labels) end

---@param amount number
---@param labels? table<string, any>
---@return neap.Metric
function Metric:observe(amount, labels) end
