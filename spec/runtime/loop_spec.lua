local pair = require "binding.pair"
local runtime = require("neap.units").runtime
local units = require("neap.units").runtime_loop

describe("neap_loop_run", function()
  it("serves and connects in one loop, with callbacks", function()
    local cert, key = pair.certificate()
    local received, messages, turns = runtime.run(cert, key, 3000000, true)
    assert.equal(3000000, received)
    assert.is_true(messages > 0)
    assert.is_true(turns < 10000, turns .. " turns")
  end)

  it("sends each datagram alone where the kernel does not segment", function()
    local cert, key = pair.certificate()
    local received, messages = runtime.run(cert, key, 1000000, false)
    assert.equal(1000000, received)
    assert.is_true(messages >= 1000000 / 1452, messages .. " messages")
  end)
end)

describe("what could not be sent", function()
  it("leaves in order at its time, and not while the socket is full", function()
    local first, second, in_time, while_full = runtime.kept()
    assert.equal(0, while_full)
    assert.equal(3, first)
    assert.equal(3, second)
    assert.is_true(in_time)
  end)
end)

describe("datagrams of several connections to one place", function()
  it("leave in one message", function()
    local times, has_segmentation = runtime.shared(false)
    if not has_segmentation then return pending("no UDP_SEGMENT here") end
    assert.same({ { 8, 1, 1 }, { 8, 1, 1 }, { 8, 1, 1 } }, times)
  end)

  it("leave one by one where that is refused once, and are not tried so again", function()
    local times, has_segmentation = runtime.shared(true)
    if not has_segmentation then return pending("no UDP_SEGMENT here") end
    -- A refused call is made again once.
    assert.same({ { 8, 8, 3 }, { 8, 8, 1 }, { 8, 8, 1 } }, times)
  end)
end)

describe("a socket", function()
  -- covers: rfc9000#14.2
  -- covers: rfc9000#14.3
  it("never lets a datagram be fragmented", function()
    assert.same({ true, true }, { runtime.path_mtu() })
  end)
end)

describe("neap_loop_wait", function()
  it("returns when another thread wakes it", function()
    assert.is_true(runtime.woken())
  end)

  -- Which of the waits polled, as a text of digits.
  local function polled(waits)
    local list, times = runtime.busy_poll(waits)
    for i, is_so in ipairs(list) do list[i] = is_so and "1" or "0" end
    for i = 1, #waits do
      local least = ({ w = 0, s = 30e6, l = 80e6 })[waits:sub(i, i)]
      assert.is_true(times[i] >= least and times[i] < 1e10, times[i])
    end
    return table.concat(list)
  end

  it("polls before it sleeps where busy_poll is set and the wait before was short, no longer than it may", function()
    assert.equal("000", polled("lll"))
    assert.equal("0010", polled("lwll"))
  end)

  it("polls less and less often while that is in vain, and as before when it was not", function()
    -- Each short wait calls for the next; of those that may poll one does, then every second, fourth, eighth.
    assert.equal("01" .. "01" .. "0001" .. "00000001", polled("w" .. ("s"):rep(15)))
    assert.equal("01" .. "0" .. "0" .. "1", polled("w" .. "s" .. "s" .. "w" .. "s"))
  end)

  it("is never early on kernels without epoll_pwait2", function()
    local passed = runtime.old_kernel()
    assert.is_true(passed >= 1.5e6 and passed < 1e9, passed)
  end)
end)

describe("a full socket", function()
  for family, name in ipairs { "IPv4", "IPv6" } do
    it("of " .. name .. " stops nothing but what goes through it, and only it is waited for", function()
      local seen = units.full(family)
      assert.equal(1, seen.other_first)
      assert.equal(1, seen.other_second)
      assert.equal(0, seen.blocked)
      assert.is_true(seen.waits)
      assert.is_false(seen.other_waits)
      assert.is_true(seen.rests)
      assert.equal(2, seen.after)
      assert.is_false(seen.waits_after)
    end)
  end
end)

describe("a flush", function()
  it("sends a share of what many connections have, so that the loop reads in between", function()
    local first, all, flushes = units.shares(2000)
    assert.equal(2000, all)
    assert.is_true(first > 0 and first <= 512, first .. " in the first")
    assert.is_true(flushes >= 4 and flushes < 40, flushes .. " flushes")
  end)
end)

describe("a turn that receives more first packets than an endpoint keeps answers", function()
  it("sends what waits in between, and answers each", function()
    local cert, key = pair.certificate()
    assert.same({ 192, 0 }, { units.flood(cert, key, 4) })
  end)
end)

describe("a handler of neap_loop_run", function()
  it("may close and release each connection", function()
    assert.same({ 4, 0 }, { units.within("release") })
  end)

  it("may detach the endpoint that it is called for, and hears no more of it", function()
    assert.same({ 2, 0 }, { units.within("detach") })
  end)

  it("may free the endpoint that it is called for", function()
    assert.same({ 2, 0 }, { units.within("free") })
  end)

  it("may free all endpoints", function()
    assert.same({ 1, 0 }, { units.within("free all") })
  end)

  it("may free the loop, which ends it", function()
    assert.same({ 1, 0 }, { units.within("free loop") })
  end)
end)

describe("sockets for no endpoint", function()
  it("are refused with the reason", function()
    local listen, why, open, no_address = units.refused()
    assert.same({ -3, -3, -3 }, { listen, open, no_address })
    assert.is_truthy(why:find("no endpoint", 1, true))
  end)
end)
