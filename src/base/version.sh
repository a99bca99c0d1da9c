#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
# Usage: version.sh SRCDIR VERSION
# Print a line of C that tells which commit the sources are: from git in a checkout, from
# the file that 'make dist' leaves in a tarball, else VERSION alone.
set -e
if [ -f "$1/.version" ]; then
    exec cat "$1/.version"
fi
git=
if [ -e "$1/.git" ]; then
    git=$(git -C "$1" describe --always --dirty --tags 2>/dev/null) || git=
fi
echo "#define VERSION_GIT \"${git:-$2}\""
