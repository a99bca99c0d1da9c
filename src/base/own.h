/* SPDX-License-Identifier: BSD-3-Clause */
/* What clock.c, err.c and log.c keep for a rank between calls.  A rank is a process, so
 * that they have it in variables; but all ranks of a simulation are one process, and
 * there a hook says whose turn it is.
 */
#ifndef BASE_OWN_H
#define BASE_OWN_H

#include "src/base/log.h"

#include <stdbool.h>

/* The sentence of an error, if one is kept. */
struct own_kept {
    bool is_kept;
    char text[1024];
};

/* Who speaks. */
struct own_log {
    const char *program;
    int rank;
    enum log_level level;
    char host[HOST_NAME];
};
#define OWN_LOG_AT_START                                                               \
    {                                                                                  \
        .program = "vitbench", .rank = -1, .level = LOG_WARNING                        \
    }

struct own {
    double
        ahead; /* seconds that were spent and have not passed at the clock's source */
    struct own_kept kept;
    struct own_log log;
};

/* The things of the rank whose turn it is; NULL: those of the process. */
struct own *own(void);

/* From now on 'find' tells it. */
void own_set(struct own *(*find)(void));

#endif
