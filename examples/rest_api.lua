--- A small JSON service: notes in memory, middleware, errors.
--   neap run examples/rest_api.lua
--   neap get -X POST -d '{"text":"tide tables"}' --insecure https://localhost:4433/notes
local neap = require "neap"
local app = neap.app()

local notes, last = {}, 0

app:use(function(req, res, next)
  local started = neap.now()
  next()
  -- The headers of what a handler wrote in pieces have left.
  if not res:is_started() then
    res:header("server-timing", ("app;dur=%.2f"):format((neap.now() - started) * 1000))
  end
  print(req.method, req.path, res:status())
end)

app:get("/notes", function()
  local all = neap.json.array()
  for id = 1, last do
    if notes[id] then all[#all + 1] = notes[id] end
  end
  return all
end)

app:post("/notes", function(req, res)
  local note, err = req:json(64 * 1024)
  if not note or type(note.text) ~= "string" then return 400, { error = err or "text is missing" } end
  last = last + 1
  notes[last] = { id = last, text = note.text }
  res:header("location", "/notes/" .. last)
  return 201, notes[last]
end)

app:get("/notes/:id", function(req)
  local note = notes[tonumber(req.params.id)]
  if not note then return 404, { error = "no such note" } end
  return note
end)

app:delete("/notes/:id", function(req)
  local id = tonumber(req.params.id)
  if not notes[id] then return 404, { error = "no such note" } end
  notes[id] = nil
  return 204
end)

app:on_error(function(err)
  neap.log.error(err)
  return 500, { error = "that was our fault" }
end)

assert(app:listen())
neap.run()
