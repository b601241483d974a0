-- The public QPACK interop data: header lists (.qif) and encoded files. A part of it is in spec/vectors, the whole is
-- read from the shared data where that is there.
local helper = require("spec.helper")

local qif = {}

qif.lists = { "netbsd-hq", "fb-req-hq", "fb-resp-hq" }

--- The header lists of a .qif: a list of lists of { name, value }.
function qif.parse(text)
  local lists, list = {}, {}
  for line in (text .. "\n"):gmatch("(.-)\n") do
    if line == "" then
      if #list > 0 then lists[#lists + 1] = list end
      list = {}
    elseif line:sub(1, 1) ~= "#" then
      local name, value = line:match("^([^\t]*)\t(.*)$")
      list[#list + 1] = { name, value }
    end
  end
  if #list > 0 then lists[#lists + 1] = list end
  return lists
end

function qif.read(name, pending)
  return qif.parse(helper.shared("qpack-interop/qifs/" .. name .. ".qif", pending))
end

--- The records of an encoded file: { stream = id, bytes = ... }; stream 0 is the encoder stream.
function qif.records(bytes)
  local records, at = {}, 1
  while at <= #bytes do
    local id, size = 0, 0
    for i = at, at + 7 do id = id * 256 + bytes:byte(i) end
    for i = at + 8, at + 11 do size = size * 256 + bytes:byte(i) end
    records[#records + 1] = { stream = id, bytes = bytes:sub(at + 12, at + 11 + size) }
    at = at + 12 + size
  end
  return records
end

--- Paths below the shared folder of the encoded files whose name matches.
function qif.files(pattern)
  local folder = helper.shared_dir .. "/qpack-interop/encoded"
  local output = helper.run("cd " .. helper.quote(folder) .. " && find . -type f | sort")
  local files = {}
  for path in output:gmatch("%./([^\n]+)") do
    if path:match(pattern) then files[#files + 1] = "qpack-interop/encoded/" .. path end
  end
  return files
end

return qif
