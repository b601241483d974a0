# What only specs need: spec_host (an interpreter with neap.core and neap.units inside) and the C examples.

file(GLOB unit_sources CONFIGURE_DEPENDS spec/support/units_*.c)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${unit_sources})
set(unit_rows "")
foreach(source IN LISTS unit_sources)
  string(REGEX REPLACE ".*/units_(.*)\\.c$" "\\1" room "${source}")
  # A room may need a second file, which opens nothing.
  file(STRINGS "${source}" opener REGEX "^int neap_units_${room}\\(lua_State \\*[A-Za-z]*\\)$")
  if(opener)
    string(APPEND unit_rows "UNITS(${room})\n")
  endif()
endforeach()
file(GENERATE OUTPUT "${CMAKE_CURRENT_BINARY_DIR}/tests/units_list.h" CONTENT "${unit_rows}")

pkg_check_modules(GNUTLS gnutls)

add_executable(spec_host spec/support/spec_host.c spec/support/units.c ${unit_sources} ${core_objects})
target_include_directories(spec_host PRIVATE
  spec/support lua/binding "${CMAKE_CURRENT_BINARY_DIR}/tests" ${MODULE_LUA_INCLUDE_DIRS})
target_compile_definitions(spec_host PRIVATE NEAP_SOURCE_DIR="${CMAKE_CURRENT_SOURCE_DIR}"
  NEAP_BUILD_DIR="${CMAKE_CURRENT_BINARY_DIR}")
if(NOT NEAP_WITH_ISSUING)
  target_compile_definitions(spec_host PRIVATE NEAP_NO_ISSUING=1)
endif()
if(NEAP_WITH_P256)
  target_compile_definitions(spec_host PRIVATE NEAP_P256=1)
endif()
target_link_libraries(spec_host PRIVATE neap_options ${MODULE_LUA_LIBRARIES} m ${CMAKE_DL_LIBS})
set_target_properties(spec_host PROPERTIES ENABLE_EXPORTS ON)
# A full socket cannot be had on loopback, nor a short read from a disk: units_runtime_loop.c and units_transfer.c say
# which call is one.
target_link_options(spec_host PRIVATE -Wl,--wrap=sendmmsg,--wrap=preadv,--wrap=writev)
if(TARGET neap_binding)
  target_sources(spec_host PRIVATE $<TARGET_OBJECTS:neap_binding>)
  target_link_libraries(spec_host PRIVATE neap_lua_libraries)
  target_compile_definitions(spec_host PRIVATE NEAP_HAVE_BINDING=1)
endif()
if(GNUTLS_FOUND)
  target_compile_definitions(spec_host PRIVATE NEAP_HAVE_GNUTLS=1)
  target_include_directories(spec_host PRIVATE ${GNUTLS_INCLUDE_DIRS})
  target_link_libraries(spec_host PRIVATE ${GNUTLS_LINK_LIBRARIES})
endif()

# Lua with nothing below it, for scripts/bench lua.
if(TARGET neap_binding)
  add_executable(bench_lua EXCLUDE_FROM_ALL
    scripts/bench.d/lua_stub.c $<TARGET_OBJECTS:neap_binding> ${core_objects})
  foreach(name h3_new h3_free h3_poll h3_respond h3_send_response h3_send_body h3_peer_setting conn_is_server)
    target_link_options(bench_lua PRIVATE -Wl,--wrap=neap_${name})
  endforeach()
  target_include_directories(bench_lua PRIVATE lua/binding ${MODULE_LUA_INCLUDE_DIRS})
  target_link_libraries(bench_lua PRIVATE neap_options neap_lua_libraries ${MODULE_LUA_LIBRARIES} m ${CMAKE_DL_LIBS})
  set_target_properties(bench_lua PROPERTIES ENABLE_EXPORTS ON)
endif()

# scripts/bench crypto has its AES-GCM beside ours.
pkg_check_modules(LIBCRYPTO_BENCH libcrypto)
if(LIBCRYPTO_BENCH_FOUND)
  set_property(SOURCE spec/support/units_engines_time.c APPEND PROPERTY COMPILE_DEFINITIONS NEAP_HAVE_LIBCRYPTO=1)
  target_include_directories(spec_host PRIVATE ${LIBCRYPTO_BENCH_INCLUDE_DIRS})
  target_link_libraries(spec_host PRIVATE ${LIBCRYPTO_BENCH_LINK_LIBRARIES})
endif()

# Endpoints in memory, for scripts/bench scale and many.
add_executable(bench_scale EXCLUDE_FROM_ALL scripts/bench.d/scale.c ${core_objects})
target_link_libraries(bench_scale PRIVATE neap_options)
# …, for scripts/bench instructions: by public functions alone.
add_executable(bench_instructions EXCLUDE_FROM_ALL scripts/bench.d/instructions.c ${core_objects})
target_link_libraries(bench_instructions PRIVATE neap_options)

file(GLOB example_sources CONFIGURE_DEPENDS examples/*.c)
foreach(source IN LISTS example_sources)
  get_filename_component(name "${source}" NAME_WE)
  add_executable(example_${name} "${source}")
  target_link_libraries(example_${name} PRIVATE neap_static)
endforeach()

# For spec/quic/timing_spec.lua, which runs it in valgrind, and scripts/bench timing: the core as people run it, without the
# sanitizers that the rest of a build of the specs has.
include(CheckIncludeFile)
check_include_file(valgrind/memcheck.h HAVE_VALGRIND)
if(HAVE_VALGRIND)
  set(timing_sources ${crypto_sources})
  foreach(room base wire tls recovery streams paths quic host)
    list(APPEND timing_sources core/${room}/*.c)
  endforeach()
  file(GLOB timing_sources CONFIGURE_DEPENDS ${timing_sources})
  add_executable(timing_program EXCLUDE_FROM_ALL spec/support/timing_program.c ${timing_sources})
  foreach(property INCLUDE_DIRECTORIES COMPILE_DEFINITIONS LINK_LIBRARIES)
    get_target_property(values neap_options INTERFACE_${property})
    set_target_properties(timing_program PROPERTIES ${property} "${values}")
  endforeach()
  get_target_property(values neap_crypto COMPILE_DEFINITIONS)
  target_compile_definitions(timing_program PRIVATE ${values})
  target_compile_options(timing_program PRIVATE -O2 -g)
  target_link_libraries(timing_program PRIVATE m)
endif()
