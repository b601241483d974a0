-- HTTP/1.1 with programs of others, over real sockets.
local helper = require "spec.helper"
local leash = require "spec.support.leash"
local stories = require "spec.tcp.stories"
local tcp = require("neap.units").tcp

local WAIT = 10000 -- ms, at most, for anything

local function script(words)
  return ("python3 %s/spec/tcp/http1_peer.py %s"):format(helper.quote(helper.source_dir), words)
end

-- Carries what there is between a transport and its socket until `done`; false when the peer has ended.
local function carry(unit, socket, take)
  while true do
    for event in unit.poll, unit do take(event) end
    local bytes = unit:send()
    while bytes ~= "" do
      if not socket:send(bytes) then return false end
      for event in unit.poll, unit do take(event) end
      bytes = unit:send()
    end
    if take() then return true end
    if unit:is_over() then return false end
    local came = assert(socket:receive(WAIT), "nothing came")
    if came == "" then unit:end_of_input() end
    while came ~= "" do
      local taken = unit:receive(came)
      if not taken then break end
      came = came:sub(taken + 1)
      for event in unit.poll, unit do take(event) end
    end
  end
end

-- A handler that reads all and says how much it was.
local function handler(unit)
  local method, path, size, left = nil, nil, 0, nil
  local told = {}
  local function go_on(stream)
    while left and left > 0 do
      local taken = unit:send_body(stream, ("z"):rep(math.min(left, 50000)), left <= 50000)
      if not taken then return end
      left = left - taken
    end
  end
  return function(event)
    if not event then return false end
    local stream = event.stream
    if event.type == "headers" then
      method, path = event.fields[1][2], event.fields[4][2]
      size = #stories.body(unit, stream) -- the first time asks for it
    elseif event.type == "data" then
      size = size + #stories.body(unit, stream)
    elseif event.type == "finished" then
      told[#told + 1] = ("%s %s %d"):format(method, path, size)
      local fields = { { ":status", "200" }, { "x-told", method .. " " .. size } }
      if path ~= "/chunks" then fields[3] = { "content-length", path == "/nothing" and "0" or "100000" } end
      unit:send_response(stream, fields, path == "/nothing")
      left = path ~= "/nothing" and 100000 or nil
      go_on(stream)
    elseif event.type == "writable" then
      go_on(stream)
    end
  end, told
end

-- Our server and a client, whose command gets the port: what the server was told, and what the client printed.
local function serve(command, connections)
  local listener, port = tcp.listen()
  local log = os.tmpname()
  local client = leash.start(command:gsub("PORT", port), log)
  local all = {}
  for _ = 1, connections or 1 do
    local socket = assert(listener:accept(WAIT))
    local unit = stories.server()
    local take, told = handler(unit)
    carry(unit, socket, take)
    for _, words in ipairs(told) do all[#all + 1] = words end
    socket:close()
    assert.equal(0, unit:stats().malformed)
    assert.equal(0, unit:free())
  end
  listener:close()
  leash.wait_until(function() return leash.status(client) end)
  local printed = helper.read_file(log)
  assert.equal(0, leash.stop(client), printed)
  os.remove(log)
  return all, printed
end

describe("HTTP/1.1 of others", function()
  after_each(leash.end_all)

  it("asks our server: Python's http.client", function()
    if not helper.has_program("python3") then return pending("python3 is not here") end
    local told, printed = serve(script("ask PORT"))
    assert.same({ "GET /a 0", "HEAD /a 0", "POST /b 200000", "PUT /c 30008", "DELETE /nothing 0", "GET /chunks 0" },
      told)
    assert.equal("GET /a 200 100000 GET 0\nHEAD /a 200 0 HEAD 0\nPOST /b 200 100000 POST 200000\n"
      .. "PUT /c 200 100000 PUT 30008\nDELETE /nothing 200 0 DELETE 0\nGET /chunks 200 100000 GET 0\n", printed)
  end)

  it("asks our server: curl, which waits for a 100", function()
    if not helper.has_program("curl") then return pending("curl is not here") end
    local file = os.tmpname()
    helper.write_file(file, ("u"):rep(2000000))
    local options = " -sS -m 20 -o /dev/null -w '%{http_code} %{size_download} %{num_connects}\\n' "
    local told, printed = serve("curl -H 'Expect: 100-continue' -T " .. helper.quote(file) .. options
      .. "http://127.0.0.1:PORT/up --next" .. options .. "http://127.0.0.1:PORT/b")
    os.remove(file)
    assert.same({ "PUT /up 2000000", "GET /b 0" }, told)
    assert.equal("200 100000 1\n200 100000 0\n", printed)
    told, printed = serve("curl -sS -m 20 -0 http://127.0.0.1:PORT/chunks -w '%{size_download}' -o /dev/null")
    assert.same({ "GET /chunks 0" }, told)
    assert.equal("100000", printed)
  end)

  it("answers our client: Python's http.server", function()
    if not helper.has_program("python3") then return pending("python3 is not here") end
    local log = os.tmpname()
    local server = leash.start(script("serve"), log)
    local port = leash.wait_until(function() return tonumber((helper.read_file(log) or ""):match("^(%d+)\n")) end)
    local socket, unit = assert(tcp.connect(port)), stories.client()
    local function ask(method, path, body)
      local stream = assert(unit:send_request({ { ":method", method }, { ":scheme", "http" },
        { ":authority", "127.0.0.1" }, { ":path", path }, { "x-name", "v" } }, body == nil))
      local left, size, words, is_whole = body, 0, {}, false
      local function go_on()
        while left do
          local taken = unit:send_body(stream, left, true)
          if not taken then return end
          left = taken < #left and left:sub(taken + 1) or nil
        end
      end
      go_on()
      carry(unit, socket, function(event)
        if not event then return is_whole and unit:open_requests() == 0 end
        if event.type == "headers" then
          for _, field in ipairs(event.fields) do
            if field[1] == "x-told" then words[1] = field[2] end
          end
        elseif event.type == "data" then
          size = size + #stories.body(unit, stream)
        elseif event.type == "trailers" then
          words[2] = event.fields[1][1]
        elseif event.type == "writable" then
          go_on()
        end
        is_whole = is_whole or event.type == "finished"
      end)
      assert.is_true(is_whole)
      return table.concat(words, " "), size
    end
    assert.same({ "GET /a v", 100000 }, { ask("GET", "/a") })
    assert.same({ "HEAD /a v", 0 }, { ask("HEAD", "/a") })
    assert.same({ "POST /b v", 300000 }, { ask("POST", "/b", ("x"):rep(300000)) })
    assert.same({ "GET /chunks v x-sum", 100000 }, { ask("GET", "/chunks") })
    assert.is_false(unit:is_over())
    assert.same({ "GET /end v", 100000 }, { ask("GET", "/end") })
    assert.is_true(unit:is_over())
    socket:close()
    leash.stop(server)
    os.remove(log)
  end)
end)
