#!/usr/bin/env bash
# crypto: what a message costs each engine of AES-GCM, and OpenSSL's libcrypto; ns of CPU, medians.
set -euo pipefail
scripts/bootstrap --test
scripts/build bench spec_host
exec build/bench/spec_host scripts/bench.d/crypto.lua
