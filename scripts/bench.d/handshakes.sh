#!/usr/bin/env bash
# handshakes: µs of a server's CPU for a full handshake (X25519) with a P-256 certificate and with an Ed25519 one, and how
# many of the former in the kernel: with libcrypto, with Mbed TLS and libsodium, and gtlsserver's; where scripts/peers has
# made its root, its gtlsserver and Mbed TLS 3.6. libsodium signs by Ed25519 for all of neap's: what P-256 costs more is its
# signature. And what one costs that resumes a session, with a request behind it, and with the request by 0-RTT.
#   NEAP_BENCH_ROUNDS=3 NEAP_BENCH_HANDSHAKES=3000   all programs in turn; medians are printed
set -euo pipefail
rounds=${NEAP_BENCH_ROUNDS:-3}
count=${NEAP_BENCH_HANDSHAKES:-3000}
scripts/bootstrap --test
scripts/build release neap
scripts/build release-mbedtls neap
declare -A programs=(
    [libcrypto]=build/release/neap
    [mbedtls]=build/release-mbedtls/neap
    [gtlsserver]=$(command -v gtlsserver || true)
)
root=$(scripts/peers path)
if [ -e "$root/usr/sbin/gtlsserver" ]; then
    programs[gtlsserver]="$(scripts/peers loader) $root/usr/sbin/gtlsserver"
    if [ "$(id -u)" = 0 ]; then
        scripts/peers build release-mbedtls neap
        programs[mbedtls3]="$(scripts/peers loader) $root/var/neap/release-mbedtls/neap"
    fi
fi

work=$(mktemp -d)
server=""
stop_server() {
    [ -z "$server" ] || { kill "$server" 2>/dev/null && wait "$server" 2>/dev/null || true; }
    server=""
}
trap 'stop_server; rm -rf "$work"' EXIT
make_certificate() {
    openssl req -x509 -newkey "${@:2}" -nodes -keyout "$work/$1.key" -out "$work/$1.cert" -days 2 -subj /CN=localhost \
        -addext subjectAltName=DNS:localhost,IP:127.0.0.1 2>/dev/null
}
make_certificate p256 ec -pkeyopt ec_paramgen_curve:P-256
make_certificate ed25519 ed25519
for kind in resumed request early; do
    cp "$work/p256.key" "$work/$kind.key"
    cp "$work/p256.cert" "$work/$kind.cert"
done
mkdir "$work/www"

is_bound() { grep -qi ":$(printf %04X "$1") " /proc/net/udp /proc/net/udp6; }

# measure NAME COMMAND…: one round with a server whose port is where the command says PORT; a NAME that ends with
# "resumed", "request" or "early" has handshakes of this kind.
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
        "${name##*.}" >>"$work/$name" || { tail -5 "$work/$name.log" >&2; exit 1; }
    stop_server
}

for _ in $(seq "$rounds"); do
    for key in p256 ed25519 resumed request early; do
        for name in libcrypto mbedtls mbedtls3; do
            # shellcheck disable=SC2086 # the loader is several words
            [ -z "${programs[$name]:-}" ] || measure $name.$key ${programs[$name]} serve "$work/www" --quiet \
                --early --listen 127.0.0.1:PORT --cert "$work/$key.cert" --key "$work/$key.key"
        done
        # shellcheck disable=SC2086
        [ -z "${programs[gtlsserver]}" ] || [ $key = early ] || measure gtlsserver.$key ${programs[gtlsserver]} -q -d "$work/www" \
            127.0.0.1 PORT "$work/$key.key" "$work/$key.cert"
    done
done

# median NAME COLUMN: of the rounds.
median() {
    sort -n "$work/$1" | awk -v column="$2" '{ values[NR] = $column } END { print values[int((NR + 1) / 2)] }'
}

printf '| server | P-256, µs a handshake | in the kernel | Ed25519, µs | resumed, µs | with a request | by 0-RTT |\n'
printf '|---|---|---|---|---|---|---|\n'
for name in libcrypto mbedtls mbedtls3 gtlsserver; do
    [ -n "${programs[$name]:-}" ] || continue
    title=$name
    # shellcheck disable=SC2086
    [ $name = gtlsserver ] || title="neap, $(${programs[$name]} --version | sed 's/.*(//; s/;.*//')"
    [ $name = gtlsserver ] || by_0rtt=$(median $name.early 1)
    printf '| %s | %d | %d | %d | %d | %d | %s |\n' "$title" "$(median $name.p256 1)" "$(median $name.p256 2)" \
        "$(median $name.ed25519 1)" "$(median $name.resumed 1)" "$(median $name.request 1)" "${by_0rtt:--}"
    by_0rtt=""
done
