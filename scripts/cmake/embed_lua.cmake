# cmake -DROOT=lua -DLIST=file -DOUTPUT=embedded_lua.c -P embed_lua.cmake
# LIST names the files, one a line, relative to ROOT: neap/init.lua becomes the module "neap".

file(STRINGS "${LIST}" files)
set(arrays "")
set(rows "")
set(index 0)
foreach(file IN LISTS files)
  string(REGEX REPLACE "\\.lua$" "" module "${file}")
  string(REGEX REPLACE "/init$" "" module "${module}")
  string(REPLACE "/" "." module "${module}")
  file(READ "${ROOT}/${file}" hex HEX)
  file(SIZE "${ROOT}/${file}" size)
  string(REGEX REPLACE "(................................)" "\\1\n    " hex "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," hex "${hex}")
  # An empty file still needs an element, which the size does not count.
  string(APPEND arrays "static const unsigned char data_${index}[] = {\n    ${hex}0};\n")
  string(APPEND rows "    {\"${module}\", data_${index}, ${size}},\n")
  math(EXPR index "${index} + 1")
endforeach()
file(WRITE "${OUTPUT}" "/* Generated from lua/ by scripts/cmake/embed_lua.cmake. */
#include \"embedded.h\"

${arrays}
const struct neap_embedded_lua neap_embedded_lua[] = {
${rows}    {0, 0, 0},
};
")
