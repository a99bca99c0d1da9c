# shellcheck shell=sh disable=SC2034
# SPDX-License-Identifier: BSD-3-Clause
# What tests of whole programs on the emulated GPU share: its libraries are found.
# shellcheck source=tests/tap.sh
. "${srcdir:-.}/tests/tap.sh"
build=${top_builddir:-.}
LD_LIBRARY_PATH=$build/tests/emu${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH

# emulated PROGRAM: its name with that GPU; all is skipped if this build has none.
emulated() {
    program=$build/tests/emu/$1
    [ -x "$program" ] || skip_all "there is no $1 with an emulated GPU in this build"
}
