/* SPDX-License-Identifier: BSD-3-Clause */
/* The profile: the device counts seconds, FLOPs and bytes of each operation; here they
 * are divided by what the machine could do.
 */
#include "config.h"

#include "bench/profile.h"

#include "src/base/json.h"
#include "src/base/mem.h"

#include <math.h>
#include <stdlib.h>

static const double BANDWIDTH_SECONDS = 0.5;

void profile_start(struct bench *b)
{
    dev_costs_start(b->dev);
}

/* ---- rows ------------------------------------------------------------------------ */

static int longer_first(const void *a, const void *b)
{
    const struct cost *x = a, *y = b;

    return (x->seconds < y->seconds) - (x->seconds > y->seconds);
}

static double rate(double count, double seconds)
{
    return count > 0 && seconds > 0 ? count / seconds : NAN;
}

static struct cost cost_of(const struct dev_cost *d, int steps, double peak,
                           double bandwidth)
{
    struct cost c = {
        .calls       = (double)d->calls / steps,
        .seconds     = d->seconds / steps,
        .flops_per_s = rate(d->flops, d->seconds),
        .bytes_per_s = rate(d->bytes, d->seconds),
    };

    c.of_peak      = c.flops_per_s / peak;
    c.of_bandwidth = c.bytes_per_s / bandwidth;
    snprintf(c.name, sizeof c.name, "%s", d->name);
    return c;
}

void profile_finish(struct case_result *c, struct bench *b, int steps, double seconds)
{
    const double bandwidth = dev_bandwidth(b->dev, BANDWIDTH_SECONDS);
    struct cost other      = { .name         = "other",
                               .seconds      = seconds,
                               .flops_per_s  = NAN,
                               .bytes_per_s  = NAN,
                               .of_peak      = NAN,
                               .of_bandwidth = NAN };
    const struct dev_cost *all;
    int count;

    all = dev_costs(b->dev, &count); /* no rank times on, or its later steps differ */
    if (b->result == NULL)
        return;
    c->cost      = mem_new((size_t)count + 1, sizeof *c->cost);
    c->bandwidth = bandwidth;
    for (int i = 0; i < count; i++) {
        if (all[i].calls > 0)
            c->cost[c->costs++] = cost_of(&all[i], steps, b->peak, bandwidth);
    }
    for (int i = 0; i < c->costs; i++)
        other.seconds -= c->cost[i].seconds;
    other.seconds = fmax(other.seconds, 0);
    qsort(c->cost, (size_t)c->costs, sizeof *c->cost, longer_first);
    c->cost[c->costs++] = other;
    for (int i = 0; i < c->costs; i++)
        c->cost[i].share = c->cost[i].seconds / seconds;
}

/* ---- writers --------------------------------------------------------------------- */

/* "  123.4  56.7", or dashes: a rate in 1e9 and its share of the best in percent. */
static void print_rate(FILE *out, double value, double share)
{
    if (isnan(value))
        fprintf(out, "%9s%7s", "-", "-");
    else
        fprintf(out, "%9.1f%7.1f", value * 1e-9, 100 * share);
}

void profile_text(FILE *out, const struct case_result *c)
{
    if (c->costs == 0)
        return;
    fprintf(out, "  %-21s%7s%10s%7s%9s%7s%9s%7s\n", "operation", "calls", "ms", "step%",
            "GFLOP/s", "peak%", "GB/s", "mem%");
    for (int i = 0; i < c->costs; i++) {
        const struct cost *k = &c->cost[i];

        fprintf(out, "  %-21.21s%7.0f%10.3f%7.1f", k->name, k->calls, 1e3 * k->seconds,
                100 * k->share);
        print_rate(out, k->flops_per_s, k->of_peak);
        print_rate(out, k->bytes_per_s, k->of_bandwidth);
        fprintf(out, "\n");
    }
    fprintf(out,
            "  of rank 0, a mean step; memory moves %.1f GB/s at best\n"
            "  other: messages, waiting, the host's own work\n",
            c->bandwidth * 1e-9);
}

json_t *profile_json(const struct case_result *c)
{
    json_t *all = json_array();

    for (int i = 0; i < c->costs; i++) {
        const struct cost *k = &c->cost[i];

        json_array_append_new(
            all,
            json_pack("{ss sf sf sf so so so so}", "name", k->name, "calls", k->calls,
                      "seconds", k->seconds, "share", k->share, "flops_per_s",
                      json_finite(k->flops_per_s), "of_peak", json_finite(k->of_peak),
                      "bytes_per_s", json_finite(k->bytes_per_s), "of_bandwidth",
                      json_finite(k->of_bandwidth)));
    }
    return all;
}
