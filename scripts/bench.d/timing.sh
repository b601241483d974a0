#!/usr/bin/env bash
# timing [COUNT]: whether the time that it takes says what is secret: t-values between two secrets, of a million measurements, and
# their difference in standard deviations. Above 4.5 something is seen (spec/quic/timing_spec.lua counts instructions).
set -euo pipefail
scripts/build bench timing_program
exec build/bench/timing_program measure "${1:-1000000}"
