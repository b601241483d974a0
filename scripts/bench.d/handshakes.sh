#!/usr/bin/env bash
# handshakes: µs of a server's CPU for a full handshake (P-256 certificate, X25519), and how many of them in the kernel: with
# libcrypto, with Mbed TLS and libsodium, and gtlsserver's (Debian 13's by scripts/peers, where compare has made it).
#   NEAP_BENCH_ROUNDS=3 NEAP_BENCH_HANDSHAKES=3000   all programs in turn; medians are printed
set -euo pipefail
rounds=${NEAP_BENCH_ROUNDS:-3}
count=${NEAP_BENCH_HANDSHAKES:-3000}
scripts/bootstrap --test
scripts/build release neap
scripts/build release-mbedtls neap
gtlsserver=$(command -v gtlsserver)
if [ -e "$(scripts/peers path)/usr/sbin/gtlsserver" ]; then
    gtlsserver="$(scripts/peers loader) $(scripts/peers path)/usr/sbin/gtlsserver"
fi

work=$(mktemp -d)
server=""
stop_server() {
    [ -z "$server" ] || { kill "$server" 2>/dev/null && wait "$server" 2>/dev/null || true; }
    server=""
}
trap 'stop_server; rm -rf "$work"' EXIT
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$work/key.pem" -out "$work/cert.pem" \
    -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1 2>/dev/null
mkdir "$work/www"

is_bound() { grep -qi ":$(printf %04X "$1") " /proc/net/udp /proc/net/udp6; }

# measure NAME COMMAND…: one round with a server whose port is where the command says PORT.
measure() {
    local name=$1 port
    shift
    while port=$((20000 + RANDOM % 10000)) && is_bound "$port"; do :; done
    taskset -c 0 "${@//PORT/$port}" >"$work/$name.log" 2>&1 </dev/null &
    server=$!
    for _ in $(seq 200); do
        ! is_bound "$port" || break
        sleep 0.05
    done
    taskset -c $(($(nproc) - 1)) timeout 300 build/release/neap run scripts/bench.d/handshakes.lua "$port" "$server" "$count" \
        >>"$work/$name" || { tail -5 "$work/$name.log" >&2; exit 1; }
    stop_server
}

for _ in $(seq "$rounds"); do
    for build in release release-mbedtls; do
        measure $build build/$build/neap serve "$work/www" --quiet --listen 127.0.0.1:PORT \
            --cert "$work/cert.pem" --key "$work/key.pem"
    done
    # shellcheck disable=SC2086 # the loader is several words
    measure gtlsserver $gtlsserver -q -d "$work/www" 127.0.0.1 PORT "$work/key.pem" "$work/cert.pem"
done

# row TITLE NAME: the round in the middle.
row() {
    sort -n "$work/$2" | awk -v title="$1" '{ all[NR] = $1; kernel[NR] = $2 }
        END { middle = int((NR + 1) / 2); printf "| %s | %d | %d |\n", title, all[middle], kernel[middle] }'
}
printf '| server | µs a handshake | in the kernel |\n|---|---|---|\n'
row "neap, $(build/release/neap --version | sed 's/.*(//; s/;.*//')" release
row "neap, $(build/release-mbedtls/neap --version | sed 's/.*(//; s/;.*//')" release-mbedtls
row gtlsserver gtlsserver
