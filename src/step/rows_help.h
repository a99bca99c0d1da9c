/* SPDX-License-Identifier: BSD-3-Clause */
/* The last rows of a program's table of options, as rows.h has the others. */
/* clang-format off */
TITLE("Help; these run nothing and need no mpirun"),
{ "list-shapes", OPT_ACTION, NULL, NULL, "print the named shapes", AT(list_shapes) },
#include "src/base/opts_help.h"
