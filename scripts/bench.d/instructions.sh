#!/usr/bin/env bash
# instructions [OTHER_PROGRAM]: instructions that client and server together execute for a handshake, an exchange of 100
# bytes, a request and a MiB, by valgrind: the same on a busy machine, but no time. OTHER_PROGRAM is the bench_instructions
# of another checkout (`scripts/build bench bench_instructions` there), to be shown beside.
set -euo pipefail
scripts/build bench bench_instructions
programs=("${1:-}" build/bench/bench_instructions)
[ -n "${programs[0]}" ] || unset 'programs[0]'

# Instructions of PROGRAM doing ROW so often.
count() {
    valgrind --tool=cachegrind --cache-sim=no --cachegrind-out-file=/dev/null "$1" "$2" "$3" 2>&1 |
        sed -n 's/,//g; s/.*I *refs: *//p'
}

echo "| instructions of both sides | ${1:+before | }now |"
echo "|---|---${1:+|---}|"
for row in "handshake 10 30" "exchange 200 1200" "request 200 1200" "bulk 4 20"; do
    read -r name few many <<<"$row"
    line="| $name |"
    for program in "${programs[@]}"; do
        less=$(count "$program" "$name" "$few") more=$(count "$program" "$name" "$many")
        line+=" $(((more - less) / (many - few))) |"
    done
    echo "$line"
done
