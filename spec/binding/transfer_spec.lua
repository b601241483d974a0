--- Bodies between streams and files.
local core = require "neap.core"
local helper = require "helper"
local pair = require "binding.pair"

local GET = { ":method", "GET", ":scheme", "https", ":authority", "localhost", ":path", "/a" }

local function events(h3)
  local list = {}
  while true do
    local event = { h3:poll() }
    if not event[1] then return list end
    list[#list + 1] = event
  end
end

describe("a body", function()
  local dir, content, both, stream

  before_each(function()
    dir = helper.make_dir()
    content = {}
    for i = 1, 30000 do content[i] = ("%09d\n"):format(i) end
    content = table.concat(content)
    helper.write_file(dir .. "/in", content)
    both = pair.new()
    both.asking, both.answering = core.h3(both.client), core.h3(both.server)
    both:pump()
    stream = both.asking:send_request(GET, true)
    both:pump()
    events(both.answering)
  end)

  after_each(function() helper.remove_dir(dir) end)

  -- Sends [offset, offset + count) of a file and saves what comes; all that save_body said at the end.
  local function transfer(file, offset, count, out)
    assert(both.answering:send_response(stream, { ":status", 200, "content-length", count }))
    local saved, ended, said = 0, false, nil
    local function send()
      local taken, message, code = both.answering:send_file(stream, file, offset, count, true)
      if not taken then assert(code == "again", message) end
      offset, count = offset + (taken or 0), count - (taken or 0)
    end
    send()
    both:run(function()
      for _, event in ipairs(events(both.answering)) do
        if event[1] == "writable" and count > 0 then send() end
      end
      local got
      repeat
        for _, event in ipairs(events(both.asking)) do ended = ended or event[1] == "finished" end
        said = { both.asking:save_body(stream, out) }
        got = said[1]
        saved = saved + (got or 0)
      until not got
      both:pump()
      return ended or said[3] == "system"
    end)
    return saved, said
  end

  it("goes from a file to a file", function()
    local out = assert(core.create_file(dir .. "/out"))
    assert.equal(#content, (transfer(assert(core.open_file(dir .. "/in")), 0, #content, out)))
    assert.is_true(out:close())
    assert.is_true(content == helper.read_file(dir .. "/out"))
  end)

  it("is whole though every call comes short or is interrupted", function()
    local shorten = require("neap.units").transfer.shorten
    finally(function() shorten(0) end)
    shorten(1777)
    local out = assert(core.create_file(dir .. "/out"))
    assert.equal(#content, (transfer(assert(core.open_file(dir .. "/in")), 0, #content, out)))
    assert.is_true(shorten(0) > 4 * #content / 1777) -- two attempts each, in and out
    assert.is_true(content == helper.read_file(dir .. "/out"))
  end)

  it("may be a part of a file, or nothing of it", function()
    for _, range in ipairs { { 12345, 100001 }, { #content - 1, 1 }, { 5, 0 } } do
      local out = assert(core.create_file(dir .. "/out"))
      assert.equal(range[2], (transfer(assert(core.open_file(dir .. "/in")), range[1], range[2], out)))
      assert.is_true(content:sub(range[1] + 1, range[1] + range[2]) == helper.read_file(dir .. "/out"))
      stream = both.asking:send_request(GET, true)
      both:pump()
      events(both.answering)
    end
  end)

  it("is cut off when its file is shorter than was promised", function()
    assert(both.answering:send_response(stream, { ":status", 200, "content-length", #content + 1 }))
    local file = assert(core.open_file(dir .. "/in"))
    local offset = #content - 100
    assert.same({ nil, "the file became shorter while it was sent", "truncated" },
      { both.answering:send_file(stream, file, offset, 101, true) })
    both:pump()
    events(both.asking)
    assert.equal(content:sub(-100), both.asking:recv_body(stream)) -- what there was is on its way
    assert.same({}, events(both.asking))
  end)

  it("says what the system says of a file", function()
    assert(both.answering:send_response(stream, { ":status", 200 }))
    local folder = assert(core.open_beneath(dir, "."))
    local _, message, code, number = both.answering:send_file(stream, folder, 0, 10, true)
    assert.same({ "reading a file: Is a directory", "system", 21 }, { message, code, number })
    assert.equal(4, both.answering:send_body(stream, "tide", true))
    both:pump()
    events(both.asking)
    _, message, code, number = both.asking:save_body(stream, assert(core.create_file("/dev/full")))
    assert.same({ "write: No space left on device", "system", 28 }, { message, code, number })
    assert.equal("tide", both.asking:recv_body(stream)) -- nothing is lost
  end)

  it("says what becomes of the stream", function()
    local file = assert(core.open_file(dir .. "/in"))
    assert.equal("state", (select(3, both.answering:send_file(stream, file, 0, 10))))
    assert(both.answering:send_response(stream, { ":status", 200 }))
    assert.equal("again", (select(3, both.asking:save_body(stream, file))))
    assert.is_true(both.asking:stop_body(stream, 0x100))
    both:pump()
    assert.equal("stopped", (select(3, both.answering:send_file(stream, file, 0, 10))))
    both.client:close(0x100)
    both:pump()
    assert.equal("closed", (select(3, both.answering:send_file(stream, file, 0, 10))))
    file:close()
    assert.has_error(function() both.answering:send_file(stream, file, 0, 10) end, "the file is closed")
  end)

  it("waits for a pipe that is full, though it does not block", function()
    helper.write_file(dir .. "/script.lua", [[
      local core = require "neap.core"
      local out = assert(core.create_file())
      for _ = 1, 20 do assert(out:write(("x"):rep(65536))) end
      assert(out:close())
    ]])
    -- Whoever shares the pipe may have set it so: here dd does.
    local output, status = helper.run((
      "sh -c '(dd if=/dev/null oflag=nonblock status=none; %s/neap run %s/script.lua)' | (sleep 0.2; wc -c)"
    ):format(helper.build_dir, dir))
    assert.same({ 0, tostring(20 * 65536) }, { status, output:match("%d+") })
  end)
end)

describe("core.open_file", function()
  it("opens regular files only, and says why not", function()
    local dir = helper.make_dir()
    finally(function() helper.remove_dir(dir) end)
    helper.run(("mkfifo %s/pipe"):format(dir))
    for path, what in pairs { [dir] = "Is a directory", [dir .. "/pipe"] = "Permission denied", ["/dev/null"] =
      "Permission denied", [dir .. "/none"] = "No such file" } do
      local file, message, code = core.open_file(path)
      assert.is_nil(file)
      assert.equal("system", code)
      assert.is_truthy(message:find(path .. ": " .. what, 1, true), message)
    end
  end)
end)

describe("core.create_file", function()
  it("empties what is there, and says why it cannot be", function()
    local dir = helper.make_dir()
    finally(function() helper.remove_dir(dir) end)
    helper.write_file(dir .. "/out", "before")
    local file = assert(core.create_file(dir .. "/out"))
    assert.is_true(file:write("af", "", "ter"))
    assert.is_true(file:close())
    assert.is_true(file:close())
    assert.equal("after", helper.read_file(dir .. "/out"))
    assert.matches("none/out: No such file", (select(2, core.create_file(dir .. "/none/out"))))
  end)
end)
