--- What specs of traces share: a folder for them, and reading them, each event held against the schema.
local core = require "neap.core"
local helper = require "spec.helper"
local json = require "neap.json"
local schema = require "qlog.schema"

local traces = {}

--- busted's `it` for what needs traces: in a build without them (NEAP_WITH_QLOG) it is skipped, and says why.
function traces.needed(it, pending)
  if not core.without_qlog then return it end
  return function(name) pending(name .. ": built without qlog") end
end

--- fn(path of a new folder, which is gone afterwards).
function traces.in_folder(fn)
  local folder = os.tmpname()
  os.remove(folder)
  assert(os.execute("mkdir -m 700 " .. folder) ~= nil)
  local ok, message = pcall(fn, folder)
  os.execute("rm -rf " .. folder)
  if not ok then error(message, 0) end
end

--- Names of what is in a folder.
function traces.files(folder)
  local list, pipe = {}, assert(io.popen("ls " .. folder))
  for name in pipe:lines() do list[#list + 1] = name end
  pipe:close()
  return list
end

--- header, events, a count of events by name. Every one is checked.
function traces.read(path)
  local bytes = assert(helper.read_file(path))
  local records, counts, last = {}, {}, 0
  assert(bytes:sub(1, 1) == "\30", "no record first")
  for record in bytes:gmatch("\30([^\30]*)") do
    assert(record:sub(-1) == "\n", "a record that does not end")
    records[#records + 1] = assert(json.decode(record))
  end
  local header = table.remove(records, 1)
  local ok, why = schema.header(header)
  if not ok then error("header: " .. why, 0) end
  for at, event in ipairs(records) do
    why = schema.refuse(event)
    if why then error(("event %d: %s"):format(at, why), 0) end
    assert(event.time >= last, "time goes on")
    last = event.time
    counts[event.name] = (counts[event.name] or 0) + 1
  end
  return header, records, counts
end

--- The path and name of the trace of a "client" or "server".
function traces.side(folder, which)
  for _, name in ipairs(traces.files(folder)) do
    if name:find("^%x+_" .. which .. "%.sqlog$") then return folder .. "/" .. name, name end
  end
  error("no trace of the " .. which)
end

--- The data of the first event of that name that fits(data).
function traces.find(events, name, fits)
  for _, event in ipairs(events) do
    if event.name == name and (not fits or fits(event.data)) then return event.data end
  end
end

return traces
