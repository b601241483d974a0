#!/usr/bin/env bash
# requests [PROGRAM…]: what a request costs a server's CPU, of several builds of neap, build/release/neap unless told, by a
# function with a parameter and by a constant response, without and with busy_poll 0, and of gtlsserver: short runs by turns under one client, so that what others do on the machine
# meets all of them. The medians, and the least.
#   NEAP_BENCH_ROUNDS=15 NEAP_BENCH_SECONDS=0.5   of each
#   NEAP_BENCH_LOADS="1x100 32x10"                connections and streams
#   NEAP_BENCH_BEFORE="chrt -r 5"                 before every command: others' programs wait meanwhile; needs root
set -euo pipefail
scripts/bootstrap --test
scripts/build release
root=$(scripts/peers path)
if [ -e "$root/usr/sbin/gtlsserver" ]; then
    NEAP_BENCH_ROOT=$root
    NEAP_BENCH_LOADER=$(scripts/peers loader)
    export NEAP_BENCH_ROOT NEAP_BENCH_LOADER
fi
exec luajit scripts/bench.d/requests.lua "$@"
