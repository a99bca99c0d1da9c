#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Usage: alone.sh COMMAND [ARGUMENT ..]
#
# COMMAND in namespaces of its own: no network but what it makes itself, an empty /run
# and TMPDIR, a host name that it may change, and no process but its own.  All of this,
# and every process that it has started, ends with this command, even if it is killed.
# The exit status is that of COMMAND, or 77 with a sentence on stderr where this cannot
# be done: it needs root and util-linux.
cannot() {
    echo "alone.sh: $1" >&2
    exit 77
}

if [ "$1" = inside ]; then # the first process of the new namespaces
    shift
    trap 'exit 99' HUP INT TERM
    mount -t tmpfs none /run || cannot 'this root may not mount'
    mkdir /run/tmp
    TMPDIR=/run/tmp "$@" &
    wait $!
    exit
fi
[ $# -gt 0 ] || exit 2
[ "$(id -u)" -eq 0 ] || cannot 'only root can make hosts and networks'
set -- unshare --net --uts --mount --ipc --pid --fork --kill-child --mount-proc \
    sh "$0" inside "$@"
unshare --net --uts --mount --ipc --pid --fork --mount-proc true 2>/dev/null ||
    cannot 'this root may not make namespaces, or unshare (Debian: util-linux) is missing'
exec "$@"
