# Finds Mbed TLS, libsodium, libcrypto, zlib, libnghttp2, brotli, zstd, c-ares and the Luas.
# Sets MBEDTLS_INCLUDE_DIRS, MBEDTLS_LIBRARIES, MBEDTLS_BACK_END (its folder in core/crypto); SODIUM_*; LIBCRYPTO_*; ZLIB_*; NGHTTP2_*; MODULE_LUA_* (for neap/core.so), PROGRAM_LUA_* (for neap).

find_package(PkgConfig)

# Debian 12 has no .pc file for Mbed TLS. The names of the hints are those of luarocks. Its version says how it is called.
find_path(MBEDTLS_INCLUDE_DIR mbedtls/version.h HINTS ${MBEDTLS_INCDIR} ${MBEDTLS_DIR}/include)
set(MBEDTLS_VERSION "")
foreach(header version.h build_info.h) # of 2.28, of those that follow
  if(EXISTS "${MBEDTLS_INCLUDE_DIR}/mbedtls/${header}")
    file(STRINGS "${MBEDTLS_INCLUDE_DIR}/mbedtls/${header}" version_line REGEX "define MBEDTLS_VERSION_STRING ")
    if(version_line MATCHES "[0-9]+\\.[0-9]+\\.[0-9]+")
      set(MBEDTLS_VERSION "${CMAKE_MATCH_0}")
    endif()
  endif()
endforeach()
if(MBEDTLS_VERSION VERSION_GREATER_EQUAL 4)
  set(MBEDTLS_BACK_END psa)
  set(mbedtls_library tfpsacrypto)
else()
  set(MBEDTLS_BACK_END mbedtls)
  set(mbedtls_library mbedcrypto)
endif()
find_library(MBEDTLS_${mbedtls_library}_LIBRARY ${mbedtls_library}
  HINTS ${MBEDTLS_LIBDIR} ${MBEDTLS_DIR}/lib ${MBEDTLS_DIR}/lib64 ${MBEDTLS_DIR}/library)
if(NOT MBEDTLS_INCLUDE_DIR OR NOT MBEDTLS_${mbedtls_library}_LIBRARY)
  message(FATAL_ERROR "Mbed TLS (2.28, 3.6 or 4) was not found.\n"
    "On Debian: apt-get install libmbedtls-dev, or run scripts/bootstrap.\n"
    "Elsewhere: cmake -DMBEDTLS_DIR=PREFIX, or -DMBEDTLS_INCDIR=… -DMBEDTLS_LIBDIR=…")
endif()
if(MBEDTLS_VERSION VERSION_LESS 2.28)
  message(FATAL_ERROR "Mbed TLS in ${MBEDTLS_INCLUDE_DIR} is ${MBEDTLS_VERSION}; neap needs 2.28, 3.6 or 4")
endif()
set(MBEDTLS_INCLUDE_DIRS ${MBEDTLS_INCLUDE_DIR})
set(MBEDTLS_LIBRARIES ${MBEDTLS_${mbedtls_library}_LIBRARY})
message(STATUS "Mbed TLS ${MBEDTLS_VERSION}: ${MBEDTLS_LIBRARIES}")

# Its TLS, beside it: for streams of bytes alone.
set(TLS_STREAMS_FOUND OFF)
if(NEAP_WITH_TCP)
  foreach(library mbedx509 mbedtls)
    find_library(MBEDTLS_${library}_LIBRARY ${library}
      HINTS ${MBEDTLS_LIBDIR} ${MBEDTLS_DIR}/lib ${MBEDTLS_DIR}/lib64 ${MBEDTLS_DIR}/library)
  endforeach()
  if(EXISTS "${MBEDTLS_INCLUDE_DIR}/mbedtls/ssl.h" AND MBEDTLS_mbedtls_LIBRARY AND MBEDTLS_mbedx509_LIBRARY)
    set(TLS_STREAMS_FOUND ON)
    list(PREPEND MBEDTLS_LIBRARIES ${MBEDTLS_mbedtls_LIBRARY} ${MBEDTLS_mbedx509_LIBRARY})
    if(MBEDTLS_VERSION VERSION_LESS 3)
      message(STATUS "TLS over TCP: 1.2 alone (Mbed TLS ${MBEDTLS_VERSION}); 3.6 has 1.3 too")
    else()
      message(STATUS "TLS over TCP: 1.2 and 1.3; their ephemeral keys are drawn by Mbed TLS's own generator")
    endif()
  else()
    message(STATUS "TLS over TCP: none, as libmbedtls and libmbedx509 were not found beside ${MBEDTLS_LIBRARIES}")
  endif()
endif()

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

if(NOT NEAP_WITH_HTTP2) # AUTO counts as true
  set(NGHTTP2_FOUND OFF)
  set(NGHTTP2_LINK_LIBRARIES "")
elseif(PkgConfig_FOUND)
  pkg_check_modules(NGHTTP2 libnghttp2>=1.50)
endif()
# Since 1.57, and where distributions mended CVE-2023-44487 in earlier ones.
if(NGHTTP2_FOUND)
  include(CheckSymbolExists)
  set(CMAKE_REQUIRED_INCLUDES ${NGHTTP2_INCLUDE_DIRS})
  set(CMAKE_REQUIRED_LIBRARIES ${NGHTTP2_LINK_LIBRARIES})
  check_symbol_exists(nghttp2_option_set_stream_reset_rate_limit nghttp2/nghttp2.h NGHTTP2_HAS_RESET_RATE)
  unset(CMAKE_REQUIRED_INCLUDES)
  unset(CMAKE_REQUIRED_LIBRARIES)
endif()
if(NEAP_WITH_HTTP2 AND NOT NEAP_WITH_HTTP2 STREQUAL "AUTO" AND NOT NGHTTP2_FOUND)
  message(FATAL_ERROR "libnghttp2 (1.50 or later) was not found by pkg-config, and NEAP_WITH_HTTP2 is ON.\n"
    "On Debian: apt-get install libnghttp2-dev, or run scripts/bootstrap")
elseif(NOT NGHTTP2_FOUND)
  message(STATUS "libnghttp2: not used (no HTTP/2 over TCP)")
endif()

if(NEAP_LUA STREQUAL "none")
  set(MODULE_LUA "")
  return()
endif()

# Content codings of responses: for the Lua module and the program alone.
foreach(coding BROTLI ZSTD)
  set(${coding}_FOUND OFF)
endforeach()
if(NEAP_WITH_CODINGS AND PkgConfig_FOUND) # AUTO counts as true
  pkg_check_modules(BROTLI libbrotlienc)
  pkg_check_modules(ZSTD libzstd)
endif()
if(NEAP_WITH_CODINGS AND NOT NEAP_WITH_CODINGS STREQUAL "AUTO" AND NOT (BROTLI_FOUND AND ZSTD_FOUND))
  message(FATAL_ERROR "libbrotlienc or libzstd was not found by pkg-config, and NEAP_WITH_CODINGS is ON.\n"
    "On Debian: apt-get install libbrotli-dev libzstd-dev, or run scripts/bootstrap")
endif()

# Questions to name servers: for the Lua module and the program alone.
set(CARES_FOUND OFF)
if(NEAP_WITH_CARES AND PkgConfig_FOUND) # AUTO counts as true
  pkg_check_modules(CARES libcares>=1.18)
endif()
if(NEAP_WITH_CARES AND NOT NEAP_WITH_CARES STREQUAL "AUTO" AND NOT CARES_FOUND)
  message(FATAL_ERROR "c-ares (1.18 or later) was not found by pkg-config, and NEAP_WITH_CARES is ON.\n"
    "On Debian: apt-get install libc-ares-dev, or run scripts/bootstrap")
elseif(NOT CARES_FOUND)
  message(STATUS "c-ares: not used (names are looked up in threads, and no other records)")
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
