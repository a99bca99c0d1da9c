/* SPDX-License-Identifier: BSD-3-Clause */
/* All ranks agree on the way in which each product is done.  With uneven shards some
 * may have met more products than others, or other ones: then nothing is chosen, and
 * all do as they would without timing.
 */
#include "config.h"

#include "bench/settle.h"

#include "src/base/rng.h"

#include <math.h>
#include <string.h>

/* A number of the kinds of products ("x W ", without their sizes) and of their ways, in
 * the order in which they were met.
 */
static double kinds_of(const struct dev_choice *choice, int count)
{
    uint64_t sum = 0;

    for (int i = 0; i < count; i++) {
        char kind[sizeof choice->name];

        snprintf(kind, sizeof kind, "%.*s", (int)strcspn(choice[i].name, "0123456789"),
                 choice[i].name);
        sum = rng_mix(sum ^ rng_hash(kind));
        for (int way = 0; way < choice[i].ways; way++)
            sum = rng_mix(sum ^ rng_hash(choice[i].way_name[way]));
    }
    return (double)(sum >> 11); /* exact */
}

bool settle_choices(struct mesh *mesh, struct dev_choice *choice, int count)
{
    const double kinds = kinds_of(choice, count);
    const bool is_same =
        coll_largest(mesh, AXIS_ALL, kinds) == coll_smallest(mesh, AXIS_ALL, kinds);

    for (int i = 0; i < count; i++) {
        struct dev_choice *c = &choice[i];

        for (int way = 0; is_same && way < c->ways; way++)
            c->seconds[way] = coll_largest(mesh, AXIS_ALL, c->seconds[way]);
        c->way = is_same ? dev_fastest(c) : 0;
    }
    return is_same;
}

static bool is_timed(const struct dev_choice *c)
{
    bool is_any = false;

    for (int way = 0; way < c->ways; way++)
        is_any |= isfinite(c->seconds[way]);
    return is_any;
}

/* "x W 2048x4304x1152": "oneDNN (0.0405 s, BLIS 0.0531 s)" */
static void record(struct result *r, const struct dev_choice *c)
{
    char text[160];
    int length = snprintf(text, sizeof text, "%s (%.3g s", c->way_name[c->way],
                          c->seconds[c->way]);

    for (int way = 0; way < c->ways; way++)
        if (way != c->way)
            length += snprintf(text + length, sizeof text - (size_t)length,
                               ", %s %.3g s", c->way_name[way], c->seconds[way]);
    snprintf(text + length, sizeof text - (size_t)length, ")");
    if (!is_timed(c))
        snprintf(text, sizeof text, "%s (not timed)", c->way_name[c->way]);
    json_object_set_new(r->tuned, c->name, json_string(text));
}

void settle_products(struct bench *b, struct setup *setup)
{
    struct step_result ignored;
    struct dev_choice *choice;
    int count, untimed = 0;
    bool is_same;

    dev_tune(b->dev, true);
    step_gradients(setup->step, &ignored);
    dev_tune(b->dev, false);
    choice  = dev_choices(b->dev, &count);
    is_same = settle_choices(b->mesh, choice, count);
    for (int i = 0; i < count; i++) {
        untimed += !is_timed(&choice[i]);
        if (b->result != NULL)
            record(b->result, &choice[i]);
    }
    if (!is_same && b->result != NULL)
        result_warn(b->result, "ranks met different products, for their shares are "
                               "uneven: they are done as without --tune");
    if (untimed > 0 && b->result != NULL)
        result_warn(b->result,
                    "%d of %d products were not timed, for want of memory: they are "
                    "done as without --tune",
                    untimed, count);
}
