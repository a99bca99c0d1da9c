#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Usage: slurm.sh CPUS COMMAND [ARGUMENT ..]
#
# A Slurm of one node, "node0", for COMMAND: sbatch, srun, arrays, requeue and signals
# work in it.  CPUS may be more than there are.
# The machine may stand still for minutes: the daemons wait for each other.
#
# The daemons are alone (alone.sh): all that is started ends with this command, and a
# Slurm that the machine may have is not touched.
# Needs root and Debian's slurm-wlm and munge.  The exit status is that of COMMAND, or 77
# with a sentence on stderr where there can be no Slurm.
here=$(cd "$(dirname "$0")" && pwd)
dir=/run/slurm
address=10.77.0.1
PATH=$PATH:/usr/sbin:/sbin

cannot() {
    echo "slurm.sh: $1" >&2
    exit 77
}

write_configuration() {
    cat >$dir/slurm.conf <<EOF
ClusterName=test
SlurmctldHost=node0($address)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket=$dir/munge.socket,cred_expire=5
StateSaveLocation=$dir/state
SlurmdSpoolDir=$dir/spool
SlurmctldPidFile=$dir/slurmctld.pid
SlurmdPidFile=$dir/slurmd.pid
SlurmctldLogFile=$dir/slurmctld.log
SlurmdLogFile=$dir/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000,sched_interval=5
MailProg=/bin/true
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=5
SlurmdTimeout=3600
MessageTimeout=60
MpiDefault=none
NodeName=node0 NodeAddr=$address CPUs=$1 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
EOF
    # In /tmp the folders of a Slurm that was killed would be in the way of the next one's.
    echo "PMIxCliTmpDirBase=$dir" >$dir/mpi.conf
}

# A name that this machine knows, and an address: with that of the loopback alone,
# names are not looked up.
prepare() {
    mkdir -p $dir/state $dir/spool &&
        printf '127.0.0.1 localhost\n%s node0\n' $address >$dir/hosts &&
        mount --bind $dir/hosts /etc/hosts &&
        hostname node0 && ip link set lo up &&
        ip link add eth0 type bridge && ip addr add $address/24 dev eth0 &&
        ip link set eth0 up
}

start() {
    head -c 1024 /dev/urandom >$dir/munge.key && chmod 400 $dir/munge.key
    munged --force --key-file=$dir/munge.key --socket=$dir/munge.socket \
        --pid-file=$dir/munged.pid --log-file=$dir/munged.log \
        --seed-file=$dir/munged.seed >$dir/out 2>&1 &&
        slurmctld >>$dir/out 2>&1 && slurmd >>$dir/out 2>&1 || return
    tries=0
    until [ "$(sinfo -h -o %T 2>/dev/null)" = idle ]; do
        tries=$((tries + 1))
        [ $tries -lt 300 ] || return
        sleep 0.1
    done
}

case $1 in
inside)
    prepare || cannot 'this root may not mount, or give the host a name or address'
    write_configuration "$2"
    shift 2
    export SLURM_CONF=$dir/slurm.conf
    if ! start; then
        cat $dir/out $dir/*.log >&2
        exit 99
    fi
    exec "$@"
    ;;
[1-9]*)
    [ $# -ge 2 ] || exit 2
    for tool in munged slurmctld slurmd sbatch ip; do
        command -v $tool >/dev/null ||
            cannot "$tool is missing (Debian: slurm-wlm munge iproute2)"
    done
    exec sh "$here/alone.sh" sh "$here/slurm.sh" inside "$@"
    ;;
*)
    sed -n '3s/^# //p' "$0" >&2
    exit 2
    ;;
esac
