#!/usr/bin/env bash
# many [CONNECTIONS STREAMS MEGABYTES]: bulk on 10 streams of 1000 connections at once, in memory, behind a link of
# 10 Gbit/s: how it is shared, and the server's memory.
set -euo pipefail
scripts/build bench bench_scale
[ $# -gt 0 ] || set -- 1000 10 2000
exec build/bench/bench_scale many "$@"
