/* SPDX-License-Identifier: BSD-3-Clause */
/* How far a long job is, on stderr: a bar on a terminal, else a line now and then. */
#ifndef DATA_METER_H
#define DATA_METER_H

#include <stdbool.h>
#include <stdint.h>

struct meter {
    const char *what; /* "checking"; borrowed */
    int64_t done, total;
    double next; /* when to speak again */
    bool is_terminal, has_spoken;
};

void meter_open(struct meter *m, const char *what, int64_t total);

/* One more is done.  One thread at a time. */
void meter_step(struct meter *m);

/* Take the bar away, before other words are said or at the end. */
void meter_clear(struct meter *m);

#endif
