/* SPDX-License-Identifier: BSD-3-Clause */
/* The record of a run, and the verdicts that follow from it. */
#include "config.h"

#include "bench/result.h"

#include "src/base/clock.h"
#include "src/base/log.h"
#include "src/base/mem.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const spent_name[SPENT_PARTS] = {
    [SPENT_OPENING] = "opening",
    [SPENT_TUNING]  = "tuning",
    [SPENT_STEPS]   = "steps",
    [SPENT_CHECKS]  = "checks",
};

enum { CASES_GROW = 16, WARNINGS = 16 };

struct result *result_open(void)
{
    struct result *r = mem_new(1, sizeof *r);

    clock_date(r->start);
    r->tuned = json_object();
    return r;
}

void result_close(struct result **result)
{
    struct result *r = *result;

    if (r == NULL)
        return;
    for (int i = 0; i < r->count; i++) {
        mem_free(r->cases[i].row);
        mem_free(r->cases[i].cost);
    }
    mem_free(r->cases);
    json_decref(r->options);
    json_decref(r->env);
    json_decref(r->build);
    json_decref(r->system);
    json_decref(r->tuned);
    mem_free(r);
    *result = NULL;
}

struct case_result *result_add(struct result *r)
{
    const size_t n = (size_t)r->count;

    if (n % CASES_GROW == 0)
        r->cases = mem_grow(r->cases, n, n + CASES_GROW, sizeof *r->cases);
    return &r->cases[r->count++];
}

void result_warn(struct result *r, const char *fmt, ...)
{
    char text[sizeof r->warning[0]];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    WARN("%s", text);
    if (r->warnings == WARNINGS)
        snprintf(text, sizeof text, "and more, on stderr");
    else
        r->warnings++;
    memcpy(r->warning[r->warnings - 1], text, sizeof text);
}

/* ---- statistics ------------------------------------------------------------------ */

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* The value below which the share 'q' of the sorted 'x' lies, between neighbours. */
static double quantile(const double *x, int n, double q)
{
    const double at = q * (n - 1);
    const int i     = (int)at;

    return i + 1 < n ? x[i] + (at - i) * (x[i + 1] - x[i]) : x[n - 1];
}

void stat_of(struct stat *s, double *seconds, int n, int warmup)
{
    enum { PERCENTILES_FROM = 20 };
    double sum = 0, squares = 0;

    *s = (struct stat){ n, warmup, NAN, NAN, NAN, NAN, NAN, NAN, NAN };
    if (n < 1)
        return;
    qsort(seconds, (size_t)n, sizeof *seconds, compare);
    for (int i = 0; i < n; i++)
        sum += seconds[i];
    s->mean = sum / n;
    for (int i = 0; i < n; i++)
        squares += (seconds[i] - s->mean) * (seconds[i] - s->mean);
    s->median = quantile(seconds, n, 0.5);
    s->min    = seconds[0];
    s->max    = seconds[n - 1];
    s->cv     = n > 1 ? sqrt(squares / (n - 1)) / s->mean : NAN;
    if (n >= PERCENTILES_FROM) {
        s->p5  = quantile(seconds, n, 0.05);
        s->p95 = quantile(seconds, n, 0.95);
    }
}

/* ---- verdicts -------------------------------------------------------------------- */

static void say_reason(struct case_result *c, enum status status, const char *fmt,
                       va_list args)
{
    const size_t used = strlen(c->reason), room = sizeof c->reason;
    char text[256];

    vsnprintf(text, sizeof text, fmt, args);
    snprintf(c->reason + used, room - used, "%s%s", used > 0 ? "; " : "", text);
    c->status = status;
}

void case_fail(struct case_result *c, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    say_reason(c, STATUS_FAIL, fmt, args);
    va_end(args);
}

void case_skip(struct case_result *c, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    say_reason(c, STATUS_SKIP, fmt, args);
    va_end(args);
}

void result_judge(struct case_result *c)
{
    int bad_rows = 0;

    c->status    = STATUS_PASS;
    c->reason[0] = '\0';
    for (int i = 0; i < c->checks; i++) {
        if (c->check[i].status == STATUS_FAIL)
            case_fail(c, "check %s: residual %.3g is above %g", c->check[i].name,
                      c->check[i].residual, c->check[i].threshold);
    }
    for (int i = 0; i < c->rows; i++)
        bad_rows += c->row[i].status == STATUS_FAIL;
    if (bad_rows > 0)
        case_fail(c, "%d of %d rows are wrong", bad_rows, c->rows);
    if (c->mfu_measured > 1)
        case_fail(c, "MFU %.1f %% of the measured peak: a clock or the peak is wrong",
                  100 * c->mfu_measured);
    if (c->mfu_spec > 1)
        case_fail(c,
                  "MFU %.1f %% of the data sheet's peak: a clock or the peak is wrong",
                  100 * c->mfu_spec);
}

void result_judge_mfu(struct case_result *c, double percent, bool is_spec)
{
    const double mfu = is_spec ? c->mfu_spec : c->mfu_measured;

    if (percent > 0 && isnan(mfu))
        case_fail(c, "MFU is unknown, %g %% were required", percent);
    if (percent > 0 && 100 * mfu < percent)
        case_fail(c, "MFU %.1f %% is below the required %g %%", 100 * mfu, percent);
}

void result_hidden(char *text, size_t size, const struct comm *t)
{
    static const char *const words[] = {
        [HIDDEN_VALUE] = "",
        [HIDDEN_NONE]  = "none",
        [HIDDEN_SMALL] = "n/a (too small to tell)",
        [HIDDEN_CORES] = "n/a (moved by the cores)",
        [HIDDEN_WAITS] = "n/a (simulated)",
    };

    if (t->kind == HIDDEN_VALUE)
        snprintf(text, size, "%.0f %% (%.0f to %.0f)", 100 * t->hidden,
                 100 * t->hidden_lo, 100 * t->hidden_hi);
    else
        snprintf(text, size, "%s", words[t->kind]);
}

void result_judge_overlap(struct case_result *c, double percent)
{
    static const struct comm nothing = { .kind = HIDDEN_NONE };
    const struct comm *largest       = NULL;
    char text[64];
    int large = 0;

    for (int k = 0; k < TRAFFIC_KINDS && percent > 0; k++) {
        const struct comm *t = &c->comm[k];

        if (t->kind == HIDDEN_NONE)
            continue;
        if (largest == NULL || t->alone_s > largest->alone_s)
            largest = t;
        if (t->alone_s < RESULT_SMALLEST * c->steps.median)
            continue;
        large++;
        result_hidden(text, sizeof text, t);
        if (t->kind != HIDDEN_VALUE || 100 * t->hidden < percent)
            case_fail(c, "hidden share of %s: %s, %g %% were required", traffic_name[k],
                      text, percent);
    }
    if (percent <= 0 || large > 0)
        return;
    result_hidden(text, sizeof text, largest != NULL ? largest : &nothing);
    case_fail(c, "hidden share of messages: %s, %g %% were required", text, percent);
}

const struct case_result *result_rated(const struct result *r)
{
    for (int i = 0; i < r->count; i++) {
        if (r->cases[i].is_rated)
            return &r->cases[i];
    }
    return NULL;
}

int result_count(const struct result *r, enum status status)
{
    int n = 0;

    for (int i = 0; i < r->count; i++)
        n += r->cases[i].status == status;
    return n;
}

bool result_has_passed(const struct result *r)
{
    return result_count(r, STATUS_PASS) > 0 && result_count(r, STATUS_FAIL) == 0 &&
           result_count(r, STATUS_INCOMPLETE) == 0 && !r->is_incomplete;
}

/* How much of a case was checked. */
static int count_checked(const struct case_result *c)
{
    int n = c->checks;

    for (int i = 0; i < c->rows; i++)
        n += c->row[i].status != STATUS_SKIP;
    return n;
}

bool result_is_valid(const struct result *r)
{
    for (int i = 0; i < r->count; i++) {
        const struct case_result *c = &r->cases[i];

        if (c->status == STATUS_PASS && count_checked(c) == 0)
            return false;
    }
    return result_has_passed(r);
}
