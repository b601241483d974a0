--- A name server for specs, over UDP and TCP at a port of loopback: what it says to a question is the spec's to decide.
local neap = require "neap"

local server = {}

server.TYPES = { A = 1, NS = 2, CNAME = 5, SOA = 6, PTR = 12, MX = 15, TXT = 16, AAAA = 28, SRV = 33, SVCB = 64,
  HTTPS = 65 }
local names = {}
for name, number in pairs(server.TYPES) do names[number] = name end

server.number = require "spec.support.big_endian"
local number = server.number

--- A text with its length before it.
function server.text(text)
  return string.char(#text) .. text
end

--- A name in the form of the wire.
function server.name(name)
  return (name:gsub("%.$", ""):gsub("([^.]+)%.?", server.text)) .. "\0"
end

function server.ipv4(text)
  return (text:gsub("(%d+)%.?", function(part) return string.char(tonumber(part)) end))
end

--- A record: its data as bytes.
function server.record(name, kind, ttl, data, class)
  return server.name(name) .. number(server.TYPES[kind] or kind, 2) .. number(class or 1, 2) .. number(ttl, 4) ..
    number(#data, 2) .. data
end

--- The SOA record of a zone in which nothing is found for `minimum` seconds.
function server.soa(zone, ttl, minimum)
  return server.record(zone, "SOA", ttl, server.name("ns." .. zone) .. server.name("admin." .. zone) ..
    number(1, 4):rep(4) .. number(minimum, 4))
end

--- The data of an SVCB or HTTPS record: params is a list of { key, bytes }.
function server.svcb(priority, target, params)
  local out = { number(priority, 2), server.name(target) }
  for _, param in ipairs(params or {}) do out[#out + 1] = number(param[1], 2) .. number(#param[2], 2) .. param[2] end
  return table.concat(out)
end

--- A message that answers a question: { answers = { record, … }, authority = { … }, rcode =, flags = (an answer's) }.
function server.message(question, parts)
  local answers, authority = parts.answers or {}, parts.authority or {}
  return question.id .. number((parts.flags or 0x8180) + (parts.rcode or 0), 2) .. number(1, 2) ..
    number(#answers, 2) .. number(#authority, 2) .. "\0\0" .. question.bytes ..
    table.concat(answers) .. table.concat(authority)
end

-- { name =, kind =, id =, bytes = the question as it stands, protocol = }
local function read_question(message, protocol)
  local labels, at = {}, 13
  while message:byte(at) ~= 0 do
    local size = message:byte(at)
    labels[#labels + 1] = message:sub(at + 1, at + size)
    at = at + size + 1
  end
  local kind = message:byte(at + 1) * 256 + message:byte(at + 2)
  return { name = table.concat(labels, "."), kind = names[kind] or kind, id = message:sub(1, 2),
    bytes = message:sub(13, at + 4), protocol = protocol }
end

--- Starts one, for a task: { address =, count =, asked = { "A name", … }, close = }. `decide(question)` gives the parts
-- of a message, a list of whole messages (strings), or nil for none.
function server.start(decide)
  local udp, tcp
  for _ = 1, 20 do -- the same port for both
    udp = assert(neap.socket.udp())
    assert(udp:setsockname("127.0.0.1", 0))
    local _, port = udp:getsockname()
    tcp = neap.socket.bind("127.0.0.1", port)
    if tcp then break end
    udp:close()
  end
  assert(tcp, "no port is free for both protocols")
  local self = { count = 0, asked = {} }
  local host, port = udp:getsockname()
  self.address = host .. ":" .. port

  local function messages_for(message, protocol)
    local question = read_question(message, protocol)
    self.count = self.count + 1
    self.asked[self.count] = question.kind .. " " .. question.name
    local parts = decide(question)
    if not parts then return {} end
    return type(parts[1]) == "string" and parts or { server.message(question, parts) }
  end

  neap.go(function()
    while true do
      local message, ip, from = udp:receivefrom()
      if not message then return end
      neap.go(function()
        for _, out in ipairs(messages_for(message, "udp")) do udp:sendto(out, ip, from) end
      end)
    end
  end)
  neap.go(function()
    while true do
      local client = tcp:accept()
      if not client then return end
      neap.go(function()
        client:settimeout(5)
        local size = client:receive(2)
        while size do
          local message = client:receive(size:byte(1) * 256 + size:byte(2))
          if not message then break end
          for _, out in ipairs(messages_for(message, "tcp")) do client:send(number(#out, 2) .. out) end
          size = client:receive(2)
        end
        client:close()
      end)
    end
  end)
  function self.close()
    udp:close()
    tcp:close()
  end
  return self
end

return server
