# The Lua module neap/core.so and the program neap, which carries the Lua library inside.

set(binding_dir "${CMAKE_CURRENT_SOURCE_DIR}/lua/binding")
file(GLOB binding_sources CONFIGURE_DEPENDS lua/binding/*.c)
list(REMOVE_ITEM binding_sources "${binding_dir}/main.c")
if(NOT binding_sources)
  return()
endif()

# What the C core does not need.
add_library(neap_lua_libraries INTERFACE)
foreach(library BROTLI ZSTD CARES)
  if(${library}_FOUND)
    target_compile_definitions(neap_lua_libraries INTERFACE NEAP_HAVE_${library}=1)
    target_include_directories(neap_lua_libraries INTERFACE ${${library}_INCLUDE_DIRS})
    target_link_libraries(neap_lua_libraries INTERFACE ${${library}_LINK_LIBRARIES})
  endif()
endforeach()

add_library(neap_binding OBJECT ${binding_sources})
target_include_directories(neap_binding PRIVATE ${MODULE_LUA_INCLUDE_DIRS})
target_link_libraries(neap_binding PUBLIC neap_options neap_lua_libraries)

# lua_* is left open: the interpreter that loads the module has it.
add_library(neap_core_module MODULE $<TARGET_OBJECTS:neap_binding> ${core_objects})
set_target_properties(neap_core_module PROPERTIES
  PREFIX "" OUTPUT_NAME core LIBRARY_OUTPUT_DIRECTORY "${CMAKE_CURRENT_BINARY_DIR}/lua/neap")
target_link_libraries(neap_core_module PRIVATE neap_options neap_lua_libraries)
target_link_options(neap_core_module PRIVATE
  -Wl,--version-script=${CMAKE_CURRENT_SOURCE_DIR}/scripts/cmake/core_module.map)

# The Lua library as one table of C arrays.
file(GLOB_RECURSE lua_sources CONFIGURE_DEPENDS RELATIVE "${CMAKE_CURRENT_SOURCE_DIR}/lua" lua/neap/*.lua)
list(FILTER lua_sources EXCLUDE REGEX "neap/meta[a-z_]*\\.lua$") # for editors only
set(embedded_c "${CMAKE_CURRENT_BINARY_DIR}/embedded_lua.c")
list(TRANSFORM lua_sources PREPEND "${CMAKE_CURRENT_SOURCE_DIR}/lua/" OUTPUT_VARIABLE lua_source_paths)
list(JOIN lua_sources "\n" lua_source_lines)
file(GENERATE OUTPUT "${CMAKE_CURRENT_BINARY_DIR}/embedded_lua.list" CONTENT "${lua_source_lines}")
add_custom_command(
  OUTPUT "${embedded_c}"
  COMMAND ${CMAKE_COMMAND} -DROOT=${CMAKE_CURRENT_SOURCE_DIR}/lua
    -DLIST=${CMAKE_CURRENT_BINARY_DIR}/embedded_lua.list -DOUTPUT=${embedded_c}
    -P "${CMAKE_CURRENT_SOURCE_DIR}/scripts/cmake/embed_lua.cmake"
  DEPENDS ${lua_source_paths} "${CMAKE_CURRENT_BINARY_DIR}/embedded_lua.list"
    "${CMAKE_CURRENT_SOURCE_DIR}/scripts/cmake/embed_lua.cmake"
  COMMENT "Embedding the Lua library"
  VERBATIM)

if(EXISTS "${binding_dir}/main.c")
  if(PROGRAM_LUA STREQUAL MODULE_LUA)
    set(program_binding neap_binding)
  else()
    add_library(neap_program_binding OBJECT ${binding_sources})
    target_include_directories(neap_program_binding PRIVATE ${PROGRAM_LUA_INCLUDE_DIRS})
    target_link_libraries(neap_program_binding PUBLIC neap_options neap_lua_libraries)
    set(program_binding neap_program_binding)
  endif()
  add_executable(neap "${binding_dir}/main.c" "${embedded_c}" $<TARGET_OBJECTS:${program_binding}> ${core_objects})
  target_include_directories(neap PRIVATE "${binding_dir}" ${PROGRAM_LUA_INCLUDE_DIRS})
  target_link_libraries(neap PRIVATE neap_options neap_lua_libraries ${PROGRAM_LUA_LIBRARIES})
  # Lua modules in C find lua_* in the program that loads them.
  set_target_properties(neap PROPERTIES ENABLE_EXPORTS ON)
endif()
