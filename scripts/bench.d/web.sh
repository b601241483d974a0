#!/usr/bin/env bash
# web [--write]: what requests through an application cost a server's CPU, over HTTP/3, 2 and 1.1: a Lua handler, JSON behind five middlewares,
# a file of 1 KiB, a proxy; neap, nginx (its Lua module is OpenResty's) and haproxy of Debian 13 by turns under one client.
#   NEAP_BENCH_ROUNDS=5 NEAP_BENCH_SECONDS=1   of each
set -euo pipefail
scripts/bootstrap --test
scripts/peers
scripts/build release
NEAP_BENCH_ROOT=$(scripts/peers path)
NEAP_BENCH_LOADER=$(scripts/peers loader)
export NEAP_BENCH_ROOT NEAP_BENCH_LOADER
exec luajit scripts/bench.d/web.lua "$@"
