#!/usr/bin/env bash
# lua: what Lua and the binding cost a request, with nothing below them; µs of CPU, the median of 5 rounds.
set -euo pipefail
scripts/bootstrap --test
scripts/build bench bench_lua
export LUA_PATH="$PWD/lua/?.lua;$PWD/lua/?/init.lua;;"
measure() {
    printf '%s\t' "$1${2:+, $2 pieces of middleware}"
    NEAP_BENCH_PATH=$1 NEAP_BENCH_MIDDLEWARE=${2:-0} build/bench/bench_lua scripts/bench.d/lua.lua 500
}
for path in /constant /hello /hello/tide /json; do measure $path; done
measure /hello 3
