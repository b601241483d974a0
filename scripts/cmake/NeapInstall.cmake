# Where things go. luarocks sets INSTALL_LUA, INSTALL_LIB and INSTALL_BIN to folders of its tree.

if(MODULE_LUA STREQUAL "luajit")
  set(lua_abi 5.1)
else()
  string(REPLACE lua "" lua_abi ${MODULE_LUA})
endif()
set(INSTALL_LUA "${CMAKE_INSTALL_DATADIR}/lua/${lua_abi}" CACHE STRING "Folder of Lua files")
set(INSTALL_LIB "${CMAKE_INSTALL_LIBDIR}/lua/${lua_abi}" CACHE STRING "Folder of Lua modules in C")
set(INSTALL_BIN "${CMAKE_INSTALL_BINDIR}" CACHE STRING "Folder of the program")

set(private_libs "-lmbedx509 -lmbedcrypto")
if(SODIUM_FOUND)
  string(APPEND private_libs " -lsodium")
endif()
configure_file(scripts/cmake/neap.pc.in "${CMAKE_CURRENT_BINARY_DIR}/neap.pc" @ONLY)

if(NEAP_INSTALL_C)
  install(TARGETS neap_static neap_shared
    ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
  install(FILES core/include/neap.h core/include/neap_runtime.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
  install(FILES "${CMAKE_CURRENT_BINARY_DIR}/neap.pc" DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
endif()

if(TARGET neap)
  install(TARGETS neap RUNTIME DESTINATION ${INSTALL_BIN})
endif()
if(TARGET neap_core_module)
  install(TARGETS neap_core_module LIBRARY DESTINATION ${INSTALL_LIB}/neap)
  install(DIRECTORY lua/neap DESTINATION ${INSTALL_LUA} FILES_MATCHING PATTERN "*.lua")
endif()
