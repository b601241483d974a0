local pair = require "binding.pair"
local runtime = require("neap.units").runtime

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
    assert.is_true(messages >= 1000000 / 1200, messages .. " messages")
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

  it("is never early on kernels without epoll_pwait2", function()
    local passed = runtime.old_kernel()
    assert.is_true(passed >= 1.5e6 and passed < 1e9, passed)
  end)
end)
