# Finds Mbed TLS, libsodium, libcrypto, zlib and the Luas.
# Sets MBEDTLS_INCLUDE_DIRS, MBEDTLS_LIBRARIES; SODIUM_*; LIBCRYPTO_*; ZLIB_*; MODULE_LUA_* (for neap/core.so), PROGRAM_LUA_* (for neap).

find_package(PkgConfig)

# Debian 12 has no .pc file for Mbed TLS. The names of the hints are those of luarocks.
find_path(MBEDTLS_INCLUDE_DIR mbedtls/version.h HINTS ${MBEDTLS_INCDIR} ${MBEDTLS_DIR}/include)
find_library(MBEDTLS_mbedcrypto_LIBRARY mbedcrypto
  HINTS ${MBEDTLS_LIBDIR} ${MBEDTLS_DIR}/lib ${MBEDTLS_DIR}/library)
if(NOT MBEDTLS_INCLUDE_DIR OR NOT MBEDTLS_mbedcrypto_LIBRARY)
  message(FATAL_ERROR "Mbed TLS (2.28 or 3.6) was not found.\n"
    "On Debian: apt-get install libmbedtls-dev, or run scripts/bootstrap.\n"
    "Elsewhere: cmake -DMBEDTLS_DIR=PREFIX, or -DMBEDTLS_INCDIR=… -DMBEDTLS_LIBDIR=…")
endif()
set(version_header "${MBEDTLS_INCLUDE_DIR}/mbedtls/build_info.h") # 3.x
if(NOT EXISTS "${version_header}")
  set(version_header "${MBEDTLS_INCLUDE_DIR}/mbedtls/version.h") # 2.28
endif()
file(STRINGS "${version_header}" version_line REGEX "define MBEDTLS_VERSION_STRING ")
string(REGEX MATCH "[0-9]+\\.[0-9]+\\.[0-9]+" MBEDTLS_VERSION "${version_line}")
if(MBEDTLS_VERSION VERSION_LESS 2.28)
  message(FATAL_ERROR "Mbed TLS in ${MBEDTLS_INCLUDE_DIR} is ${MBEDTLS_VERSION}; neap needs 2.28 or 3.6")
endif()
message(STATUS "Mbed TLS ${MBEDTLS_VERSION}: ${MBEDTLS_mbedcrypto_LIBRARY}")
set(MBEDTLS_INCLUDE_DIRS ${MBEDTLS_INCLUDE_DIR})
set(MBEDTLS_LIBRARIES ${MBEDTLS_mbedcrypto_LIBRARY})

if(NEAP_SODIUM AND PkgConfig_FOUND)
  pkg_check_modules(SODIUM libsodium)
endif()
if(NOT SODIUM_FOUND)
  message(STATUS "libsodium: not used (X25519 and ChaCha20-Poly1305 from Mbed TLS, no Ed25519)")
endif()

if(NOT NEAP_WITH_LIBCRYPTO) # AUTO counts as true
  set(LIBCRYPTO_FOUND OFF)
  set(LIBCRYPTO_LINK_LIBRARIES "")
elseif(PkgConfig_FOUND)
  pkg_check_modules(LIBCRYPTO libcrypto>=3.0 libcrypto<4)
endif()
if(NEAP_WITH_LIBCRYPTO AND NOT NEAP_WITH_LIBCRYPTO STREQUAL "AUTO" AND NOT LIBCRYPTO_FOUND)
  message(FATAL_ERROR "OpenSSL's libcrypto (3.x) was not found by pkg-config, and NEAP_WITH_LIBCRYPTO is ON.\n"
    "On Debian: apt-get install libssl-dev, or run scripts/bootstrap")
elseif(NOT LIBCRYPTO_FOUND)
  message(STATUS "libcrypto: not used (signatures and key exchange from Mbed TLS)")
endif()

if(NOT NEAP_WITH_ZLIB) # AUTO counts as true
  set(ZLIB_FOUND OFF)
  set(ZLIB_LINK_LIBRARIES "")
elseif(PkgConfig_FOUND)
  pkg_check_modules(ZLIB zlib)
endif()
if(NEAP_WITH_ZLIB AND NOT NEAP_WITH_ZLIB STREQUAL "AUTO" AND NOT ZLIB_FOUND)
  message(FATAL_ERROR "zlib was not found by pkg-config, and NEAP_WITH_ZLIB is ON.\n"
    "On Debian: apt-get install zlib1g-dev, or run scripts/bootstrap")
elseif(NOT ZLIB_FOUND)
  message(STATUS "zlib: not used (certificates are not compressed)")
endif()

if(NEAP_LUA STREQUAL "none")
  set(MODULE_LUA "")
  return()
endif()

# luarocks names the headers of the Lua it installs for. Those of 5.1 mean LuaJIT, whose modules are in the same
# folders: handlers wait inside of pcall, which Lua 5.1 itself cannot, and is told by neap/init.lua.
if(NEAP_LUA)
  set(lua_wanted ${NEAP_LUA})
else()
  set(lua_wanted luajit)
  if(LUA_INCLUDE_DIR AND EXISTS "${LUA_INCLUDE_DIR}/lua.h")
    file(STRINGS "${LUA_INCLUDE_DIR}/lua.h" lua_version_line REGEX "define[ \t]+LUA_VERSION_(NUM|MINOR)")
    if(lua_version_line MATCHES "50([2-9])|MINOR(_N)?[ \t]+\"?([2-9])")
      set(lua_wanted "lua5.${CMAKE_MATCH_1}${CMAKE_MATCH_3}")
    endif()
  endif()
endif()
if(NOT lua_wanted MATCHES "^(luajit|lua5\\.[34])$")
  message(FATAL_ERROR "neap is for LuaJIT, Lua 5.3 and 5.4, not for ${lua_wanted} (NEAP_LUA, LUA_INCLUDE_DIR)")
endif()

if(NOT PkgConfig_FOUND)
  message(FATAL_ERROR "pkg-config was not found; it is needed to find Lua.\nOn Debian: run scripts/bootstrap")
endif()
pkg_check_modules(LUAJIT luajit)
if(lua_wanted STREQUAL "luajit")
  set(prefix LUAJIT)
else()
  set(prefix PUC_LUA)
  pkg_check_modules(PUC_LUA ${lua_wanted})
endif()
if(NOT ${prefix}_FOUND)
  message(FATAL_ERROR "${lua_wanted} was not found by pkg-config.\n"
    "On Debian: apt-get install libluajit-5.1-dev (or lib${lua_wanted}-dev), or run scripts/bootstrap")
endif()
set(MODULE_LUA ${lua_wanted})
set(MODULE_LUA_INCLUDE_DIRS ${${prefix}_INCLUDE_DIRS})
set(MODULE_LUA_LIBRARIES ${${prefix}_LINK_LIBRARIES})

# The program embeds LuaJIT, from its static library where there is one; PUC Lua where there is no LuaJIT.
if(LUAJIT_FOUND)
  set(prefix LUAJIT)
  set(PROGRAM_LUA luajit)
else()
  set(PROGRAM_LUA ${lua_wanted})
endif()
set(PROGRAM_LUA_INCLUDE_DIRS ${${prefix}_INCLUDE_DIRS})
list(GET ${prefix}_LIBRARIES 0 lua_library_name)
find_library(PROGRAM_LUA_STATIC_LIBRARY lib${lua_library_name}.a HINTS ${${prefix}_LIBRARY_DIRS} ${${prefix}_LIBDIR})
if(PROGRAM_LUA_STATIC_LIBRARY)
  set(PROGRAM_LUA_LIBRARIES ${PROGRAM_LUA_STATIC_LIBRARY} m ${CMAKE_DL_LIBS})
else()
  set(PROGRAM_LUA_LIBRARIES ${${prefix}_LINK_LIBRARIES})
endif()
message(STATUS "Lua: neap/core.so for ${MODULE_LUA}, neap embeds ${PROGRAM_LUA}")
