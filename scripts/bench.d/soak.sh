#!/usr/bin/env bash
# soak [SECONDS]: a server under mixed load for 600 seconds: requests over HTTP/3, 2 and 1.1, handshakes, uploads, events, slow readers,
# clients that leave at every point. What it holds each ten seconds; fails when memory grows by 1 MB a minute or more after the
# first, descriptors are more at the end, or the log has a line.
set -euo pipefail
scripts/bootstrap --test
scripts/build release
exec luajit scripts/bench.d/soak.lua "$@"
