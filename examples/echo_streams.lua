--- Raw QUIC: a server that sends every line back in capitals, and a client that talks to it.
local neap = require "neap"

local function echo(conn)
  conn:on_stream(function(stream)
    for line in stream:lines() do assert(stream:write(line:upper() .. "\n")) end
  end)
end

neap.run(function()
  local server = assert(neap.quic.listen { host = "127.0.0.1", port = 0, alpn = { "echo/1" } })
  server:on_connection(echo)

  local conn = assert(neap.quic.connect("127.0.0.1:" .. server.port, { alpn = { "echo/1" }, verify_peer = false }))
  local stream = assert(conn:open_stream())
  for _, word in ipairs { "spring", "neap", "ebb" } do
    assert(stream:write(word .. "\n"))
    print(word, "->", (assert(stream:read("*l"))))
  end
  stream:finish()
  assert(stream:read("*a"))
  conn:close(0, "bye")
  server:close()
end)
