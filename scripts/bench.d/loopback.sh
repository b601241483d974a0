#!/usr/bin/env bash
# loopback [CONNECTIONS...]: a server's CPU a request with 1, 100, 10000 connections of which 1 % talk, over sockets: those
# that talk have one request at a time each, alone and while the others are there.
#   NEAP_BENCH_REQUESTS=20000 of each, three rounds in turn; medians are printed
set -euo pipefail
[ $# -gt 0 ] || set -- 1 100 10000
requests=${NEAP_BENCH_REQUESTS:-20000}
port=$((20000 + $$ % 20000))
scripts/bootstrap --test
scripts/build release neap
work=$(mktemp -d)
running=""
stop() {
    [ -z "$running" ] || kill $running 2>"$work/kill" || true
    wait
    running=""
}
trap 'stop; rm -rf "$work"' EXIT
build/release/neap cert "$work" >"$work/cert.log"

# Nanoseconds that a process was on a core.
cpu_of() {
    awk '{ sum += $1 } END { printf "%.0f", sum }' "/proc/$1/task/"*/schedstat
}

# measure TALKING IDLE → µs a request
measure() {
    local talking=$1 server before
    build/release/neap run scripts/bench.d/handler.lua "$port" "$work/cert.pem" "$work/key.pem" >"$work/server" 2>&1 &
    server=$!
    running="$server"
    until grep -q listening "$work/server"; do sleep 0.05; done
    if [ "$2" -gt 0 ]; then
        : >"$work/idle"
        build/release/neap run scripts/bench.d/idle.lua "$port" "$2" hold 600 >"$work/idle" &
        running="$running $!"
        until grep -q open "$work/idle"; do kill -0 $! && sleep 0.1; done
    fi
    before=$(cpu_of "$server")
    build/release/neap bench -k -c "$talking" -m 1 -n "$requests" "https://127.0.0.1:$port/hello/tide" >"$work/load"
    awk -v ns="$(($(cpu_of "$server") - before))" -v count="$requests" 'BEGIN { printf "%.2f\n", ns / 1000 / count }'
    stop
}

talking_of() {
    echo $(($1 >= 200 ? $1 / 100 : 1))
}

for _ in 1 2 3; do
    for count in "$@"; do
        talking=$(talking_of "$count")
        measure "$talking" 0 >>"$work/alone.$count"
        measure "$talking" "$((count - talking))" >>"$work/beside.$count"
    done
done
median() {
    sort -n "$1" | sed -n 2p
}
echo "| connections | that talk | server: µs of CPU a request, when they are alone | beside the others |"
echo "|---|---|---|---|"
for count in "$@"; do
    echo "| $count | $(talking_of "$count") | $(median "$work/alone.$count") | $(median "$work/beside.$count") |"
done
