--- Takes uploads of any size without keeping them in memory, and sends a stream of any size.
--   neap run examples/upload.lua
--   neap get -X POST -d @big.bin --insecure https://localhost:4433/upload
local neap = require "neap"
local app = neap.app()

app:post("/upload", function(req)
  local size, sum = 0, 0
  for chunk in req:chunks() do -- an upload that breaks off ends the handler here
    size = size + #chunk
    sum = (sum * 31 + chunk:byte(1)) % 4294967296
  end
  return 201, { bytes = size, sum = sum }
end)

app:get("/download/:bytes", function(req, res)
  local left = tonumber(req.params.bytes) or 0
  res:header("content-type", "application/octet-stream")
  local block = ("neap tide "):rep(1638)
  while left > 0 do
    local piece = left < #block and block:sub(1, left) or block
    res:write(piece) -- waits here while the client is slower than we are; one that leaves ends the handler
    left = left - #piece
  end
  res:finish()
end)

assert(app:listen())
neap.run()
