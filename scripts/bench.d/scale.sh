#!/usr/bin/env bash
# scale [--talk PERCENT] [CONNECTIONS...]: CPU a packet of a server with 1, 100, 10000, 100000 connections of which 1 % talk,
# in memory; its worst call, what the pool has for each, and the worst call while maps and heaps grow alone.
set -euo pipefail
scripts/build bench bench_scale
exec build/bench/bench_scale scale "$@"
