#!/usr/bin/env bash
# identities: what many certificates of a server cost: µs of CPU for a handshake, both sides, with one and with 4096 of
# them, and how long the server stands still while it reads them again.
#   NEAP_BENCH_HANDSHAKES=2000
set -euo pipefail
scripts/bootstrap --test
scripts/build release neap
exec build/release/neap run scripts/bench.d/identities.lua "${NEAP_BENCH_HANDSHAKES:-2000}"
