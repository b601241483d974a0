#!/usr/bin/env bash
# profile: where the CPU time of a download goes, server and client: the kernel, AEAD, copies, the rest; by perf.
# --write puts the table into docs/performance.md.
set -euo pipefail
command -v perf >/dev/null || { echo "bench: needs perf: apt-get install linux-perf" >&2; exit 1; }
scripts/bootstrap --test
scripts/build release neap
exec luajit scripts/bench.d/profile.lua "$@"
