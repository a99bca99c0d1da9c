/* SPDX-License-Identifier: BSD-3-Clause */
/* Seconds from the system's monotonic clock, or from the source that was set: one that
 * a simulator drives, for one.
 */
#include "config.h"

#include "src/base/clock.h"

#include "src/base/own.h"

#include <stddef.h>
#include <stdio.h>
#include <time.h>

double clock_monotonic(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double (*source)(void) = clock_monotonic;

static double ahead_of_process;
static void (*pass_on)(double seconds);

/* Seconds that were spent and have not passed at the source. */
static double *ahead(void)
{
    struct own *o = own();

    return o != NULL ? &o->ahead : &ahead_of_process;
}

double clock_now(void)
{
    return source() + *ahead();
}

void clock_spend(double seconds)
{
    *ahead() += seconds;
}

void clock_settle(void)
{
    double *spent        = ahead();
    const double seconds = *spent;

    if (pass_on == NULL || seconds <= 0)
        return;
    *spent = 0;
    pass_on(seconds);
}

double clock_take_back(void)
{
    double *spent        = ahead();
    const double seconds = *spent;

    *spent = 0;
    return seconds;
}

void clock_set_pass(void (*pass)(double seconds))
{
    pass_on = pass;
}

void clock_set(double (*now)(void))
{
    source = now != NULL ? now : clock_monotonic;
}

double clock_displaced(void)
{
    FILE *file = fopen("/proc/self/schedstat", "r");
    long long ran, displaced = 0; /* nanoseconds */

    if (file == NULL)
        return 0;
    if (fscanf(file, "%lld %lld", &ran, &displaced) != 2)
        displaced = 0;
    fclose(file);
    return 1e-9 * (double)displaced;
}

void clock_date(char text[24])
{
    const time_t now = time(NULL);
    struct tm utc;

    gmtime_r(&now, &utc);
    strftime(text, 24, "%Y-%m-%dT%H:%M:%SZ", &utc);
}
