--- A small JSON service: notes in memory, in a group of routes with CORS and a check of what is sent.
--   neap run examples/rest_api.lua
--   neap get -X POST -d '{"text":"tide tables"}' --insecure https://localhost:4433/api/v1/notes
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

local api = app:group("/api/v1")

-- CORS: pages of these origins may use the service from a browser, which asks by OPTIONS first.
local ORIGINS = { ["https://notes.example"] = true }

api:use(function(req, res, next)
  local origin = req.headers.origin
  res:header("vary", "origin")
  if ORIGINS[origin] then res:header("access-control-allow-origin", origin) end
  if req.method == "OPTIONS" and req.headers["access-control-request-method"] then
    return 204, nil, { ["access-control-allow-methods"] = "GET, POST, DELETE", ["access-control-max-age"] = "600",
      ["access-control-allow-headers"] = "content-type" }
  end
  next()
end)

-- What a note holds: the name of each field, and what is wrong with a value of it.
local NOTE = {
  text = function(value)
    if type(value) ~= "string" then return "text is missing" end
    if value == "" or #value > 2000 then return "text has 1 to 2000 bytes" end
  end,
  urgent = function(value)
    if value ~= nil and type(value) ~= "boolean" then return "urgent is true or false" end
  end,
}

-- The JSON of a request, checked; an error that says all that is wrong.
local function checked(req, fields)
  local value, message = req:json(64 * 1024)
  if type(value) ~= "table" then
    error { status = 400, message = { errors = { message or "an object is expected" } } }
  end
  local errors = neap.json.array()
  for name, fault in pairs(fields) do errors[#errors + 1] = fault(value[name]) end
  for name in pairs(value) do
    if not fields[name] then errors[#errors + 1] = "unknown field " .. tostring(name) end
  end
  table.sort(errors)
  if errors[1] then error { status = 422, message = { errors = errors } } end
  return value
end

local function find(req)
  return notes[tonumber(req.params.id)] or error { status = 404, message = "no such note" }
end

api:get("/notes", function()
  local all = neap.json.array()
  for id = 1, last do
    if notes[id] then all[#all + 1] = notes[id] end
  end
  return all
end)

api:post("/notes", function(req, res)
  local note = checked(req, NOTE)
  last = last + 1
  notes[last] = { id = last, text = note.text, urgent = note.urgent }
  res:header("location", "/api/v1/notes/" .. last)
  return 201, notes[last]
end)

api:get("/notes/:id", find)

api:delete("/notes/:id", function(req)
  notes[find(req).id] = nil
  return 204
end)

assert(app:listen())
neap.run()
