/* SPDX-License-Identifier: BSD-3-Clause */
/* For tables of options: a heading, and where a value lies in the program's struct,
 * which the table's file calls OPTS_VALUES.
 */
#ifndef BASE_OPTS_TABLE_H
#define BASE_OPTS_TABLE_H

#include "src/base/opts.h"

#include <stddef.h>

#define AT(field)   .offset = offsetof(OPTS_VALUES, field)
#define TEXT(field) AT(field), .size = sizeof((OPTS_VALUES *)0)->field
#define TITLE(text)                                                                    \
    {                                                                                  \
        .name = text, .type = OPT_TITLE                                                \
    }

#endif
