#!/bin/sh
# roam.sh PROGRAM HOW: a client with two uplinks in one namespace, a server in another; runs the program at both. With $RATE, as
# tc names it, what the server sends on each is slower. Run it in new user, network and mount namespaces, with $NEAP.
program="spec/runtime/$1"
mount -t tmpfs none /run 2>/dev/null && ip netns add client 2>/dev/null || { echo "no namespaces"; exit 0; }
set -e
ip netns add server
for i in 0 1; do
    ip link add "c$i" netns client type veth peer name "s$i" netns server
    ip -n client addr add "10.$((i + 1)).0.2/24" dev "c$i"
    ip -n server addr add "10.$((i + 1)).0.1/24" dev "s$i"
    ip -n client link set "c$i" up
    ip -n server link set "s$i" up
    ip -n client route add 10.9.0.0/24 via "10.$((i + 1)).0.1" dev "c$i" metric "$((i + 100))"
done
if [ -n "$RATE" ]; then
    for i in 0 1; do
        ip netns exec server tc qdisc add dev "s$i" root tbf rate "$RATE" burst 64kb latency 50ms ||
            { echo "no namespaces with rates"; exit 0; }
    done
fi
ip -n client link set lo up
ip -n server link set lo up
ip -n server addr add 10.9.0.1/24 dev lo

for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    echo "route add 10.50.$i.0/24 dev c1"
    echo "route del 10.50.$i.0/24 dev c1"
done > /run/flood

log=$(mktemp)
trap 'kill "$pid" 2>/dev/null || true; cat "$log"; rm -f "$log"' EXIT
ip netns exec server env HOME=/run "$NEAP" run "$program" server > "$log" 2>&1 &
pid=$!
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    grep -q "listening" "$log" && break
    sleep 0.2
done
ip netns exec client "$NEAP" run "$program" client "$2" 2>&1
