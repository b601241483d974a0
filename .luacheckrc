-- The library runs on LuaJIT and on PUC Lua 5.4, so only what "max" knows is used.
std = "max"
max_line_length = 120 -- the aim is 100
max_string_line_length = false -- texts that people read, commands
exclude_files = { "build", "lua_modules", ".luarocks" }
ignore = { "212/self", "212/_.*" }
files["spec"] = { std = "+busted", globals = { "spec_host" } }
files["lua/neap/meta*.lua"] = { ignore = { "211", "212", "241", "631" } }
files["spec/vectors"] = { max_line_length = false }
