/* SPDX-License-Identifier: BSD-3-Clause */
/* The bar is redrawn ten times a second at most, lines come every ten seconds. */
#include "config.h"

#include "src/data/meter.h"

#include "src/base/clock.h"
#include "src/base/log.h"

#include <stdio.h>
#include <unistd.h>

static double pause_of(const struct meter *m)
{
    return m->is_terminal ? 0.1 : 10;
}

void meter_open(struct meter *m, const char *what, int64_t total)
{
    *m      = (struct meter){ .what        = what,
                              .total       = total,
                              .is_terminal = isatty(STDERR_FILENO) != 0 };
    m->next = clock_now() + pause_of(m);
}

static void draw_bar(const struct meter *m)
{
    enum { WIDTH = 40 };
    const int full = (int)(WIDTH * m->done / m->total);

    fprintf(stderr, "\r%s [", m->what);
    for (int i = 0; i < WIDTH; i++)
        fputc(i < full ? '#' : '.', stderr);
    fprintf(stderr, "] %lld of %lld", (long long)m->done, (long long)m->total);
    fflush(stderr);
}

void meter_step(struct meter *m)
{
    const double now = clock_now();

    m->done++;
    if (now < m->next)
        return;
    m->next       = now + pause_of(m);
    m->has_spoken = true;
    if (m->is_terminal)
        draw_bar(m);
    else
        fprintf(stderr, "%s: %s, %lld of %lld\n", log_program(), m->what,
                (long long)m->done, (long long)m->total);
}

void meter_clear(struct meter *m)
{
    if (m->is_terminal && m->has_spoken)
        fprintf(stderr, "\r\033[K");
    m->has_spoken = false;
}
