rockspec_format = "3.0"
package = "neap"
version = "scm-1"
source = {
  url = "git+file://.",
}
description = {
  summary = "QUIC and HTTP/3, scripted in Lua",
  detailed = [[
A small QUIC (v1 and v2) and HTTP/3 runtime: a C core on unpatched Mbed TLS shows connections, streams and requests
to Lua as objects; services, clients and protocol experiments are Lua scripts.
]],
  license = "BSD-2-Clause",
}
dependencies = {
  -- 5.1 is for LuaJIT: handlers wait inside of pcall, which PUC Lua 5.1 cannot and neap refuses.
  "lua >= 5.1, ~= 5.2, < 5.5",
}
external_dependencies = {
  MBEDTLS = { header = "mbedtls/version.h", library = "mbedcrypto" },
}
build = {
  type = "cmake",
  variables = {
    CMAKE_BUILD_TYPE = "Release",
    CMAKE_INSTALL_PREFIX = "$(PREFIX)",
    NEAP_INSTALL_C = "OFF",
    LUA_INCLUDE_DIR = "$(LUA_INCDIR)",
    MBEDTLS_INCDIR = "$(MBEDTLS_INCDIR)",
    MBEDTLS_LIBDIR = "$(MBEDTLS_LIBDIR)",
    INSTALL_LUA = "$(LUADIR)",
    INSTALL_LIB = "$(LIBDIR)",
    INSTALL_BIN = "$(BINDIR)",
  },
}
test = {
  type = "command",
  command = "scripts/test",
}
