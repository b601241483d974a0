local answers = require "neap.answers"
local core = require "neap.core"
local neap = require "neap"
local web = require "support.web"

describe("responses that leave together", function()
  -- Asks for all paths at once: what came, by path.
  local function get_all(client, url, paths)
    local got, left, waiter = {}, #paths, neap.task.waiter()
    for _, path in ipairs(paths) do
      neap.go(function()
        local r, message, code = client:get(url .. path)
        got[path] = r and { r.status, (r:body()) } or { message, code }
        left = left - 1
        if left == 0 then neap.task.wake(waiter, true) end
      end)
    end
    neap.task.await(waiter, 10)
    return got
  end

  -- Every third of 20 that leave together is a bad one, and nobody else's affair.
  local function check_mixed(client, url)
    local paths = {}
    for n = 1, 20 do paths[n] = (n % 3 == 0 and "/bad/" or "/good/") .. n end
    for path, one in pairs(get_all(client, url, paths)) do
      local expected = path:find("bad") and { 500, "internal server error\n" } or { 200, path:match("%d+") }
      assert.same(expected, one, path)
    end
  end

  -- How often core.answer is called while fn runs, and for how many responses.
  local function counted(fn)
    local calls, count, answer = 0, 0, core.answer
    core.answer = function(list, first, last)
      calls, count = calls + 1, count + (last - first + 1) / 6
      return answer(list, first, last)
    end
    local ok, err = pcall(fn)
    core.answer = answer
    if not ok then error(err, 0) end
    return calls, count
  end

  -- What answers.go_on is told while fn runs.
  local function told(fn)
    local list, go_on = {}, answers.go_on
    answers.go_on = function(res, taken)
      list[#list + 1] = taken
      return go_on(res, taken)
    end
    local ok, err = pcall(fn)
    answers.go_on = go_on
    if not ok then error(err, 0) end
    return list
  end

  it("are each its request's, of many handlers, statuses and connections, in fewer calls than responses", function()
    local function build(app)
      app:get("/text/:n", function(req) return "n is " .. req.params.n end)
      app:get("/json/:n", function(req) return { n = req.params.n } end)
      app:get("/status/:n", function(req) return 300 + tonumber(req.params.n), "s" .. req.params.n end)
      app:get("/header/:n", function(req, res)
        res:header("x-n", req.params.n)
        return "h"
      end)
      app:get("/empty/:n", function() return 204 end)
      app:get("/late/:n", function(req)
        neap.sleep(0)
        return "late " .. req.params.n
      end)
    end
    local calls, count = counted(function()
      web.with_app(build, function(client, url)
        local paths = {}
        for n = 100, 130 do
          for _, kind in ipairs { "text", "json", "status", "header", "empty", "late" } do
            paths[#paths + 1] = ("/%s/%d"):format(kind, n)
          end
        end
        local other = neap.client { ca = web.identity().cert }
        for _, got in ipairs { get_all(client, url, paths), get_all(other, url, paths) } do
          for n = 100, 130 do
            assert.same({ 200, "n is " .. n }, got["/text/" .. n])
            assert.same({ 200, ('{"n":"%d"}'):format(n) }, got["/json/" .. n])
            assert.same({ 300 + n, "s" .. n }, got["/status/" .. n])
            assert.same({ 200, "h" }, got["/header/" .. n])
            assert.same({ 204, "" }, got["/empty/" .. n])
            assert.same({ 200, "late " .. n }, got["/late/" .. n])
          end
        end
        other:close()
      end)
    end)
    assert.equal(2 * 31 * 5, count)
    assert.is_true(calls < count / 2, calls .. " calls")
  end)

  -- What the loop had sent when each of 90 handlers began, whose requests came at once, by so many clients in turn.
  local function sent_before(clients)
    local sent = {}
    web.with_app(function(app)
      app:get("/:n", function(req)
        sent[#sent + 1] = neap.task.loop():stats().messages_sent
        return req.params.n
      end)
    end, function(client, url)
      local asking = { client }
      for i = 2, clients do asking[i] = neap.client { ca = web.identity().cert } end
      for _, one in ipairs(asking) do assert(one:get(url .. "/0")) end
      neap.sleep(0.05)
      sent = {}
      local left, waiter = 90, neap.task.waiter()
      for n = 1, 90 do
        neap.go(function()
          assert.equal(tostring(n), assert(asking[n % clients + 1]:get(url .. "/" .. n)):body())
          left = left - 1
          if left == 0 then neap.task.wake(waiter, true) end
        end)
      end
      assert(neap.task.await(waiter, 10))
      for i = 2, clients do asking[i]:close() end
    end)
    return sent
  end

  it("leave every 32 where one connection asked, whose peer goes on meanwhile", function()
    local sent = sent_before(1)
    assert.equal(90, #sent)
    for n = 2, 90 do assert.equal(n % 32 == 1, sent[n] > sent[n - 1], n) end
  end)

  it("leave when all have run where several connections asked", function()
    local sent = sent_before(2)
    assert.equal(90, #sent)
    for n = 2, 90 do assert.equal(sent[1], sent[n], n) end
  end)

  it("are not held up by one of them that the core refuses, which is a 500", function()
    local log = web.logged(function()
      web.with_app(function(app)
        app:get("/good/:n", function(req) return req.params.n end)
        app:get("/bad/:n", function(req, res)
          res:header("x-a", "b\r\nc: d")
          return req.params.n
        end)
      end, function(client, url)
        check_mixed(client, url)
      end)
    end)
    assert.equal(6, select(2, log:gsub("error GET /bad/%d+: field \"x%-a\" has a line break", "")))
  end)

  it("go on where a stream had no room for all of it, and are whole", function()
    local taken = told(function()
      web.with_app(function(app)
        app:get("/:n", function(req) return (req.params.n .. ";"):rep(2000) end)
      end, function(client, url)
        local got = get_all(client, url, { "/1", "/2", "/3", "/4" })
        for n = 1, 4 do assert.same({ 200, (n .. ";"):rep(2000) }, got["/" .. n]) end
      end, { send_buffer = 512 })
    end)
    assert.equal(4, #taken)
    assert.is_true(taken[1] > 0 and taken[1] < 4000)
  end)

  it("that nobody wants any more harm nobody", function()
    local refusals
    local log = web.logged(function()
      refusals = told(function()
        web.with_app(function(app)
          app:get("/last", function() return "still there" end)
          app:get("/:n", function(req)
            -- Its client leaves while this waits.
            while req:is_open() do neap.sleep(0.001) end
            return "gone"
          end)
        end, function(client, url, server)
          for n = 1, 5 do
            local r, _, code = client:get(url .. "/" .. n, { timeout = 0.05 })
            assert.same({ nil, "timeout" }, { r, code })
          end
          assert.equal("still there", (assert(client:get(url .. "/last")):body()))
          local _, session = next(server.sessions)
          for _ = 1, 200 do
            if session.count > 0 then neap.sleep(0.01) end
          end
          assert.equal(0, session.count)
          assert.is_nil(next(session.exchanges))
        end)
      end)
    end)
    assert.equal("", log)
    assert.equal(5, #refusals)
    assert.equal("state", refusals[1][2])
  end)

  it("are not held up by one at which giving them to the core raises an error, which is a 500", function()
    local answer = core.answer
    local log = web.logged(function()
      web.with_app(function(app)
        app:get("/good/:n", function(req) return req.params.n end)
        app:get("/bad/:n", function() return 299, "bad" end)
      end, function(client, url)
        core.answer = function(list, first, last)
          for at = first, last, 6 do
            if list[at + 2] == 299 then list[at + 3] = { "x-a", {} } end
          end
          return answer(list, first, last)
        end
        check_mixed(client, url)
      end)
    end)
    core.answer = answer
    assert.equal(6, select(2, log:gsub("error GET /bad/%d+: ", "")))
  end)

  it("have no value without a text: that is an error of its handler", function()
    if not newproxy then return end -- in PUC Lua tostring itself raises an error
    local money = newproxy(true)
    getmetatable(money).__tostring = function() return nil end
    local log = web.logged(function()
      web.with_app(function(app)
        app:get("/good", function() return "ok" end)
        app:get("/bad", function(_, res)
          res:header("x-price", money)
          return "x"
        end)
        app:get("/worse", function() return 200, "x", { "x-price", money } end)
      end, function(client, url)
        local got = get_all(client, url, { "/good", "/bad", "/worse" })
        assert.same({ 200, "ok" }, got["/good"])
        assert.equal(500, got["/bad"][1])
        assert.equal(500, got["/worse"][1])
      end)
    end)
    assert.equal(2, select(2, log:gsub('the value of "x%-price" has no text', "")))
  end)

  it("have headers of their own, whatever a handler does with a response that has ended", function()
    web.with_app(function(app)
      local kept
      app:get("/first", function(_, res)
        kept = res
        res:header("x-user", "first")
        return "first"
      end)
      app:get("/second", function()
        if kept then kept:headers():set("x-user", "second"):set("x-more", "1") end
        return "second"
      end)
    end, function(client, url)
      assert(client:get(url .. "/second")):body()
      local got, left, waiter = {}, 2, neap.task.waiter()
      for _, path in ipairs { "/first", "/second" } do
        neap.go(function()
          got[path] = assert(client:get(url .. path))
          left = left - 1
          if left == 0 then neap.task.wake(waiter, true) end
        end)
      end
      neap.task.await(waiter, 10)
      assert.equal("first", got["/first"].headers["x-user"])
      assert.is_nil(got["/first"].headers["x-more"])
    end)
  end)
end)
