-- build/dev/neap run scripts/gen_options.lua --write: docs/options.md and lua/neap/meta_options.lua from the rows of
-- core/quic/options.h and of lua/neap/options.lua. Without --write it only returns what belongs into them: a table of
-- texts by path.
local core = require "neap.core"
local rows = require "neap.options"
local MATERIAL, preset = rows.MATERIAL, rows.preset

local docs = { [[
# Options

Of `neap_config_set` in C, by the same names in Lua: `app:listen`, `neap.client`, `neap.quic`, `neap.sim` and
`core.config` take them. Times are seconds in Lua and milliseconds in C, booleans are true and false in Lua and 1 and 0
in C. `neap options` prints this list. It is made from the table in `core/quic/options.h` by
`build/dev/neap run scripts/gen_options.lua --write`. Certificates and the like are [below](#certificates-and-the-like).

| option | what it does | it is | default |
|---|---|---|---|]] }

local types = { [[
---@meta neap.options
--- The options of core/quic/options.h for editors, made by scripts/gen_options.lua. Nothing runs from here.

---@class neap.NumberOptions]] }

for _, option in ipairs(core.options()) do
  local kind = option.unit == "boolean" and "boolean" or option.unit == "seconds" and "number" or "integer"
  if option.unit == "choice" then
    local words = {}
    for word in option.range:gsub(" or ", ", "):gmatch("[%w_]+") do words[#words + 1] = ('"%s"'):format(word) end
    kind = table.concat(words, "|")
    if option.name == "congestion_control" then kind = kind .. "|string" end -- of neap.cc.register
    if option.name == "retry" then kind = kind .. "|boolean|integer|fun(info: neap.Arrival): string" end
  end
  docs[#docs + 1] = ("| `%s` | %s | %s | %s |"):format(option.name, option.text,
    option.range:gsub("a whole number", option.unit == "bytes" and "bytes" or "%0"), preset(option))
  types[#types + 1] = ("---@field %s? %s %s%s"):format(option.name, kind,
    (option.unit == "seconds" or option.unit == "bytes") and option.unit .. ": " or "", option.text)
end

docs[#docs + 1] = [[

## Certificates and the like
The same functions in Lua take these; C has functions of `neap.h` and `neap_env` for them. What one takes besides (`port`,
`read_timeout`, `follow`, `server_name` and the rest) is typed in `lua/neap/meta*.lua`: `neap.ListenOptions`,
`neap.ClientOptions`, `neap.QuicOptions`, `neap.NodeOptions`.

| option | what it is |
|---|---|]]
for _, row in ipairs(MATERIAL) do docs[#docs + 1] = ("| `%s` | %s |"):format(row[1], row[2]) end

local files = {
  ["docs/options.md"] = table.concat(docs, "\n") .. "\n",
  ["lua/neap/meta_options.lua"] = table.concat(types, "\n") .. "\n",
}

if arg and arg[1] == "--write" then
  for path, text in pairs(files) do
    local file = assert(io.open(path, "w"))
    file:write(text)
    file:close()
  end
end

return files
