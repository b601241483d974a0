#!/usr/bin/env bash
# certificates: what the worst certificates of a peer cost.
set -euo pipefail
scripts/bootstrap --test
scripts/build bench spec_host
exec build/bench/spec_host scripts/bench.d/certificates.lua
