#!/usr/bin/env bash
# lua: what Lua and the binding cost a request, with nothing below them; µs of CPU, the median of 5 rounds.
set -euo pipefail
scripts/bootstrap --test
scripts/build bench bench_lua
export LUA_PATH="$PWD/lua/?.lua;$PWD/lua/?/init.lua;;"
for path in /hello /hello/tide /json; do
    printf '%s\t' $path
    NEAP_BENCH_PATH=$path build/bench/bench_lua scripts/bench.d/lua.lua 500
done
