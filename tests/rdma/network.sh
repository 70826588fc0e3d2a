#!/bin/sh
# Two RDMA devices, as if of two hosts: rxe0 (10.9.0.1) on eth0 and rxe1 (10.9.0.2) on eth1, the ends of one cable.
# What goes from one to the other crosses the cable, so that netem delays it and a link that is down stops it. The kernel
# would deliver it within the host; hence the rules that are looked up before the table of its own addresses.
set -e
ip -batch - <<'IP'
link set lo up
link add eth0 mtu 4200 type veth peer name eth1 mtu 4200
addr add 10.9.0.1/24 dev eth0
addr add 10.9.0.2/24 dev eth1
link set eth0 up
link set eth1 up
route add 10.9.0.2 dev eth0 table 101
route add 10.9.0.1 dev eth1 table 102
rule add pref 1 iif eth0 lookup local
rule add pref 1 iif eth1 lookup local
rule add pref 2 from 10.9.0.1 to 10.9.0.2 lookup 101
rule add pref 2 from 10.9.0.2 to 10.9.0.1 lookup 102
rule add pref 3 lookup local
rule del pref 0
IP
for end in all eth0 eth1; do
    echo 0 >/proc/sys/net/ipv4/conf/$end/rp_filter
    echo 1 >/proc/sys/net/ipv4/conf/$end/accept_local
done
rdma link add rxe0 type rxe netdev eth0
rdma link add rxe1 type rxe netdev eth1
