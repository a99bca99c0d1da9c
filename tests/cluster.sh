#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Usage: cluster.sh HOSTS RATE COMMAND [ARGUMENT ..]
#        cluster.sh on HOST COMMAND [ARGUMENT ..]         within it: on another host
#
# Several hosts in one machine, for programs that must cross a network:
#
#   host0  10.77.0.1  --[ RATE ]--+
#   host1  10.77.0.2  --[ RATE ]--+-- a bridge in the namespace "switch"
#   ..                            |
#
# COMMAND runs on host0.  An mpirun in it has one slot on every host and reaches the
# others without ssh, by TCP.  RATE is tc's, as 1gbit, and limits what a host sends.
# "ip -n switch link set port1 down" pulls the cable of host1.  A packet that is not
# acknowledged breaks its connection after about 13 seconds, not 15 minutes as usual.
# Congestion is controlled by reno, which every namespace may use: a machine's bbr takes what
# the bucket lets through at first for the speed of the link, and stalls.
#
# Hosts and switch are alone (alone.sh): they and all processes in them end with this
# command, even if it is killed, and several clusters do not see each other.
# Host n has core n alone, or shares it where there are more hosts than cores.
# Needs root, iproute2, util-linux.  The exit status is that of COMMAND, or 77 with a
# sentence on stderr where there can be no cluster.
net=10.77.0
retries=5 # of a packet: 0.2 s, doubled each time
here=$(cd "$(dirname "$0")" && pwd)

cannot() {
    echo "cluster.sh: $1" >&2
    exit 77
}

# on HOST COMMAND ..: in its network, by its name, on its core: what the kernel sends for a
# host it does where the host computes, and no host takes another one's time.
on() {
    host=$1
    core=$((${1#host} % $(getconf _NPROCESSORS_ONLN)))
    shift
    # shellcheck disable=SC2016 # expanded there
    exec ip netns exec "$host" unshare --uts taskset -c $core \
        sh -c 'hostname "$0" && exec "$@"' "$host" "$@"
}

plug_in() {
    ip netns add "host$1" &&
        ip link add eth0 netns "host$1" type veth peer name "port$1" netns switch &&
        ip -n "host$1" addr add "$net.$(($1 + 1))/24" dev eth0 &&
        ip -n "host$1" link set lo up &&
        ip -n "host$1" link set eth0 up &&
        ip -n switch link set "port$1" master br0 &&
        ip -n switch link set "port$1" up &&
        tc -n "host$1" qdisc add dev eth0 root tbf rate "$2" burst 256kb latency 50ms &&
        ip netns exec "host$1" \
            sh -c "echo $retries >/proc/sys/net/ipv4/tcp_retries2 &&
                   echo reno >/proc/sys/net/ipv4/tcp_congestion_control"
}

build() {
    ip netns add switch &&
        ip -n switch link add br0 type bridge &&
        ip -n switch link set br0 up || return
    host=0
    while [ "$host" -lt "$1" ]; do
        plug_in "$host" "$2" || return
        echo "$net.$((host + 1)) slots=1" >>/run/cluster-hosts
        host=$((host + 1))
    done
}

prepare_mpi() {
    export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
    export OMPI_MCA_plm=rsh OMPI_MCA_plm_rsh_agent="sh $here/cluster.sh agent"
    export OMPI_MCA_orte_default_hostfile=/run/cluster-hosts
    export OMPI_MCA_pml=ob1 OMPI_MCA_btl=tcp,self
    export OMPI_MCA_btl_tcp_if_include=$net.0/24 OMPI_MCA_oob_tcp_if_include=$net.0/24
    export OMPI_MCA_hwloc_base_binding_policy=none
    [ "$1" -le "$(getconf _NPROCESSORS_ONLN)" ] || export OMPI_MCA_mpi_yield_when_idle=1
}

case $1 in
on)
    shift
    on "$@"
    ;;
agent) # what Open MPI calls instead of ssh: an address and the words of a command line
    host=host$((${2##*.} - 1))
    shift 2
    on "$host" sh -c "$*"
    ;;
inside)
    build "$2" "$3" || cannot 'this kernel has no bridge, veth or tbf for us'
    prepare_mpi "$2"
    shift 3
    on host0 "$@"
    ;;
[1-9]*)
    [ $# -ge 3 ] || exit 2
    for tool in ip tc hostname taskset; do
        command -v $tool >/dev/null || cannot "$tool is missing (Debian: iproute2, util-linux)"
    done
    for launcher in mpirun "${MPIEXEC:-mpirun}"; do # of the path and of the programs
        "$launcher" --version 2>/dev/null | grep -Eq '\(Open(RTE| MPI)\) 4\.' ||
            cannot 'only mpirun of Open MPI 4 is known to cross it'
    done
    exec sh "$here/alone.sh" sh "$here/cluster.sh" inside "$@"
    ;;
*)
    sed -n '3,4s/^# //p' "$0" >&2
    exit 2
    ;;
esac
