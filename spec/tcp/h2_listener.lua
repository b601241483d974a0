-- HTTP/2 without TLS on the loopback address, for programs that speak it: a small application behind transports, in the
-- process of the spec.
local units = require("neap.units")
local h2 = require("spec.tcp.h2")

local listener = {}

-- Echoes a body; /big is 300000 bytes.
local function answer(server, event, bodies)
  local id = event.stream
  if event.type == "headers" then
    local fields = {}
    for _, field in ipairs(event.fields) do fields[field[1]] = field[2] end
    bodies[id] = { path = fields[":path"], got = {} }
  elseif event.type == "data" then
    local part = server:recv_body(id)
    while part do
      table.insert(bodies[id].got, part)
      part = server:recv_body(id)
    end
  elseif event.type == "finished" then
    local body = bodies[id]
    local got = table.concat(body.got)
    body.left = body.path == "/big" and ("0123456789"):rep(30000) or #got > 0 and got or "hello\n"
    server:send_response(id, h2.with(h2.OK, { "content-length", tostring(#body.left) }), false)
  elseif event.type == "reset" or event.type == "stopped" then
    server:cancel(id, h2.code.REQUEST_CANCELLED)
    bodies[id] = nil
  end
  local body = bodies[id]
  if body and body.left and (event.type == "finished" or event.type == "writable") then
    local taken = server:send_body(id, body.left, true) or 0
    body.left = body.left:sub(taken + 1)
    if body.left == "" then bodies[id] = nil end
  end
end

local function turn(one)
  local bytes = one.socket:receive(0)
  if bytes == "" then return false end
  if bytes then one.waiting = one.waiting .. bytes end
  if one.waiting ~= "" then one.waiting = one.waiting:sub((one.server:receive(one.waiting) or #one.waiting) + 1) end
  local event = one.server:poll()
  while event and event.type ~= "closed" do
    answer(one.server, event, one.bodies)
    event = one.server:poll()
  end
  bytes = one.server:send()
  if bytes ~= "" then one.socket:send(bytes) end
  return not one.server:is_over() or bytes ~= ""
end

--- A listening socket and its port; serve(socket, is_done) answers until is_done() says so.
listener.open = units.tcp.listen

function listener.serve(socket, is_done)
  local open = {}
  while not is_done() do
    local accepted = socket:accept(1)
    if accepted then open[#open + 1] = { socket = accepted, server = h2.server(), bodies = {}, waiting = "" } end
    for i = #open, 1, -1 do
      if not turn(open[i]) then
        local one = table.remove(open, i)
        one.server:free()
        one.socket:close()
      end
    end
  end
  for _, one in ipairs(open) do
    one.server:free()
    one.socket:close()
  end
end

return listener
