#!/bin/sh
# pmtu_router.sh ADDRESS MTU: a client, a router and a server in namespaces of their own; the link from the router to the
# server at ADDRESS (10.0.2.1 or [fd02::1]) has that MTU. Prints what `neap get -v` says of a download. Run it in new user,
# network and mount namespaces, with $NEAP.
set -e
mount -t tmpfs none /run 2>/dev/null && ip netns add client 2>/dev/null || { echo "no namespaces"; exit 0; }
ip netns add router
ip netns add server
ip link add c0 netns client type veth peer name r0 netns router
ip link add s0 netns server type veth peer name r1 netns router
set_up() { # namespace, interface, addresses
    ip -n "$1" addr add "$3" dev "$2"
    ip -n "$1" addr add "$4" dev "$2" nodad
    ip -n "$1" link set "$2" up
}
set_up client c0 10.0.1.1/24 fd01::1/64
set_up router r0 10.0.1.2/24 fd01::2/64
set_up router r1 10.0.2.2/24 fd02::2/64
set_up server s0 10.0.2.1/24 fd02::1/64
ip -n client route add default via 10.0.1.2
ip -n client -6 route add default via fd01::2
ip -n server route add default via 10.0.2.2
ip -n server -6 route add default via fd02::2
ip netns exec router sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding'
ip -n router link set r1 mtu "$2"
ip -n server link set s0 mtu "$2"

folder=$(mktemp -d)
trap 'kill "$pid" 2>/dev/null || true; wait; rm -rf "$folder"' EXIT
head -c 3000000 /dev/zero > "$folder/zeros"
ip netns exec server "$NEAP" serve "$folder" --listen "$1:4433" --quiet > "$folder/log" 2>&1 &
pid=$!
for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
    grep -q "listening" "$folder/log" && break
    sleep 0.2
done
ip netns exec client "$NEAP" get -k -s -v -o "$folder/got" "https://$1:4433/zeros" 2>&1
