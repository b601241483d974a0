#!/usr/bin/env bash
# goodput [--write]: what arrives over the public runner's link (10 Mbit/s, 15 ms each way, a queue of 25 datagrams) without
# losses and with 2 % of them, beside ngtcp2's gtlsserver and gtlsclient; and how that link is shared by a flow of each.
# --write puts the tables into docs/performance.md. By scripts/peers, which needs root and debootstrap.
#   NEAP_BENCH_ROUNDS=5     rounds: all of them at once in each, with the same losses by number; medians are printed
#   NEAP_BENCH_MEGABYTES=5  of a transfer
#   NEAP_BENCH_SECONDS=20   for which a link is shared
#   NEAP_BENCH_BEFORE=      words before every program, such as chrt -r 5
set -euo pipefail
scripts/bootstrap --test
scripts/build release neap
scripts/peers
exec luajit scripts/bench.d/goodput.lua "$@"
