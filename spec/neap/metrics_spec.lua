-- Figures for Prometheus.
local neap = require "neap"
local web = require "support.web"

-- The samples of an exposition: name{labels} → number; each line must be one, or a comment that the format knows.
local function parse(text)
  local samples, types = {}, {}
  for line in text:gmatch("[^\n]+") do
    local name, kind = line:match("^# TYPE (%S+) (%a+)$")
    if name then
      assert(not types[name], "two types of " .. name)
      types[name] = kind
    elseif not line:find("^# HELP %S+ .") then
      local sample, value = line:match("^([%a_:][%w_:]*{?[^}]*}?) ([%d.e+-]+)$")
      assert(sample and tonumber(value), line)
      assert(samples[sample] == nil, "twice: " .. line)
      samples[sample] = tonumber(value)
    end
  end
  return samples, types
end

describe("neap.metrics", function()
  it("counts an app's responses, connections and the loop, in text that Prometheus reads", function()
    local metrics = neap.metrics()
    finally(function() neap.task.meter(nil) end)
    web.with_app(function(app)
      app:use(metrics)
      app:get("/items/:id", function() return "item" end)
      app:get("/slow", function()
        neap.sleep(0.03)
        return "slow"
      end)
      app:get("/metrics", metrics:handler())
    end, function(client, url, server)
      for i = 1, 3 do assert(client:get(url .. "/items/" .. i)):body() end
      assert(client:get(url .. "/slow")):body()
      assert(client:get(url .. "/none")):body()
      assert(client:request("BREW", url .. "/none")):body()
      local res = assert(client:get(url .. "/metrics"))
      assert.equal("text/plain; version=0.0.4; charset=utf-8", res.headers["content-type"])
      local samples, types = parse(res:body())
      assert.equal(3, samples['neap_requests_total{method="GET",route="/items/:id",status="200",protocol="h3"}'])
      assert.equal(1, samples['neap_requests_total{method="other",route="",status="404",protocol="h3"}'])
      assert.equal(12, samples['neap_response_bytes_total{route="/items/:id"}'])
      assert.equal(1, samples['neap_request_duration_seconds_count{route="/slow"}'])
      assert.equal(0, samples['neap_request_duration_seconds_bucket{route="/slow",le="0.025"}'])
      assert.equal(1, samples['neap_request_duration_seconds_bucket{route="/slow",le="10"}'])
      assert.equal(6, samples["neap_rtt_seconds_count"])
      assert.is_true(samples["neap_packets_sent_total"] > 0)
      assert.equal(0, samples["neap_packets_lost_total"])
      assert.is_true(samples["neap_loop_lag_seconds_count"] > 5)
      local label = ('{server="%s"}'):format(server.address)
      assert.equal(1, samples["neap_server_accepted_total" .. label])
      assert.equal(1, samples["neap_server_connections" .. label])
      assert.is_true(samples["neap_memory_used" .. label] > 0)
      assert.is_true(samples["neap_lua_memory_bytes"] > 0)
      assert.is_true(samples["process_resident_memory_bytes"] > 1e6)
      assert.equal("histogram", types.neap_rtt_seconds)
      assert.equal("gauge", types.neap_server_connections)
      assert.equal("counter", types.neap_server_accepted_total)
    end)
  end)

  it("has what the program counts, with labels escaped and their number bounded", function()
    local metrics = neap.metrics()
    finally(function() neap.task.meter(nil) end)
    local jobs = metrics:counter("jobs_total", "jobs\ndone", { labels = { "kind" } })
    jobs:inc(1, { kind = 'a"b\\c\n' }):inc(2.5, { kind = "plain" }):inc(1, { kind = "plain" })
    metrics:gauge("level", "of the tide"):set(-3.25)
    metrics:before(function(all) all.by_name.level:inc(1) end)
    local sizes = metrics:histogram("sizes", "of things", { buckets = { 1, 10 } })
    for _, size in ipairs { 0.5, 1, 5, 100 } do sizes:observe(size) end
    local text = metrics:render()
    assert.is_truthy(text:find('jobs_total{kind="a\\"b\\\\c\\n"} 1\n', 1, true))
    assert.is_truthy(text:find("# HELP jobs_total jobs\\ndone\n", 1, true))
    local samples = parse(text)
    assert.equal(3.5, samples['jobs_total{kind="plain"}'])
    assert.equal(-2.25, samples.level)
    assert.same({ 2, 3, 4, 4, 106.5 }, { samples['sizes_bucket{le="1"}'], samples['sizes_bucket{le="10"}'],
      samples['sizes_bucket{le="+Inf"}'], samples.sizes_count, samples.sizes_sum })
    for i = 1, 2000 do jobs:inc(1, { kind = i }) end
    samples = parse(metrics:render():gsub('jobs_total{kind="a[^\n]*\n', ""))
    assert.equal(1002, samples.neap_metrics_dropped_total)
    assert.is_nil(samples['jobs_total{kind="1999"}'])
  end)

  it("refuses names that are none, and one that is there", function()
    local metrics = neap.metrics()
    finally(function() neap.task.meter(nil) end)
    assert.error_matches(function() metrics:counter("a b") end, "name has letters")
    assert.error_matches(function() metrics:counter("neap_requests_total") end, "already")
    assert.error_matches(function() metrics:gauge("x", "y", { labels = { "a-b" } }) end, "label's name")
    assert.error_matches(function() metrics:gauge("x", "y", { label = {} }) end, "unknown option 'label'")
  end)
end)

describe("conn:figures", function()
  it("gives numbers of conn:stats() by their names", function()
    web.with_app(function(app)
      app:get("/", function(req)
        local conn = req._session.conn
        local stats = conn:stats()
        local lost, received = conn:figures("packets_lost", "packets_received")
        assert.same({ stats.packets_lost, stats.packets_received }, { lost, received })
        assert.error_matches(function() conn:figures("tide") end, "not the name of a figure")
        return "fine"
      end)
    end, function(client, url) assert.equal("fine", assert(client:get(url .. "/")):body()) end)
  end)
end)
