#!/usr/bin/env bash
# compare: bulk, requests, handshakes, idle memory and sizes, and in the same run those of Debian 13's gtlsserver and
# gtlsclient, nginx, haproxy and caddy (by scripts/peers, which needs root and debootstrap; without it Debian 12's
# gtlsserver and gtlsclient). --write puts the tables into docs/performance.md: on a machine that does nothing else.
#   NEAP_BENCH_SECONDS=5       length of each measurement of a rate
#   NEAP_BENCH_ROUNDS=3        rounds of all measurements, all programs in turn; medians are printed
#   NEAP_BENCH_MEGABYTES=1024  of a bulk transfer
#   NEAP_BENCH_IDLE=10000      idle connections; 0: they are not measured
#   NEAP_BENCH_BEFORE=          words before every server and client, such as chrt -r 5
set -euo pipefail
scripts/bootstrap --test
scripts/build release
scripts/build small
if [ "$(id -u)" = 0 ] && command -v debootstrap >/dev/null; then
    scripts/peers
    NEAP_BENCH_ROOT=$(scripts/peers path)
    NEAP_BENCH_LOADER=$(scripts/peers loader)
    export NEAP_BENCH_ROOT NEAP_BENCH_LOADER
fi
exec luajit scripts/bench.d/compare.lua "$@"
