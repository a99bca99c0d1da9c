/* SPDX-License-Identifier: BSD-3-Clause */
/* Which source the images come from, with which options.  Held-out images are never
 * augmented.
 */
#include "config.h"

#include "src/train/source.h"

#include "src/base/err.h"
#include "src/data/h5set.h"

#include <math.h>
#include <string.h>

/* Images to look at of a source without an end. */
enum { HELD_OUT = 1024 };

/* True if a file is meant. */
static bool is_set(const char *name)
{
    return strcmp(name, "fractal") != 0 && strcmp(name, "noise") != 0;
}

static int open_one(struct data **data, const struct data_options *with,
                    const char *name)
{
    if (strcmp(name, "fractal") == 0)
        return data_open_fractal(data, with);
    if (strcmp(name, "noise") == 0)
        return data_open_noise(data, with->image, with->classes,
                               with->is_held_out ? with->seed + 1 : with->seed);
    return data_open_file(data, name, with);
}

/* Whether the other set is the one that is trained on, by whatever name. */
static bool is_trained_on(const struct source *s, const struct train_options *o)
{
    return strcmp(o->holdout, o->data) == 0 ||
           (s->held->identity != 0 && s->held->identity == s->train->identity);
}

/* The images held out of the set itself, or those of another set. */
static int open_held(struct source *s, const struct data_options *all,
                     const struct train_plan *p, const struct train_options *o)
{
    const bool is_other      = isnan(p->holdout);
    struct data_options with = *all;

    if (p->holdout == 0)
        return 0;
    with.augment     = AUGMENT_NONE;
    with.mixup       = 0;
    with.smoothing   = 0;
    with.order       = ORDER_FILE;
    with.is_held_out = !is_other;
    TRY(open_one(&s->held, &with, is_other ? o->holdout : o->data));
    if (is_other && is_set(o->holdout) && is_set(o->data))
        TRY(h5set_same_classes(o->data, o->holdout));
    if (is_other && is_trained_on(s, o))
        return ERR(ERR_USAGE,
                   "--holdout=%s holds the images that are trained on: give a share of "
                   "them, or another set",
                   o->holdout);
    s->held_count = s->held->count > 0 ? s->held->count : HELD_OUT;
    return 0;
}

int source_open(struct source *s, const struct train_plan *p,
                const struct train_options *o, const struct mesh *mesh)
{
    struct data_options with = {
        .image     = p->spec.image,
        .classes   = is_set(o->data) && !o->has_classes ? 0 : p->spec.K,
        .seed      = (uint64_t)o->seed,
        .augment   = (enum augment)o->augment,
        .order     = (enum order)o->order,
        .holdout   = isnan(p->holdout) ? 0 : p->holdout,
        .held_most = p->held_most,
        .mixup     = o->mixup,
        .smoothing = o->label_smoothing,
        .rank      = mesh->rank,
        .ranks     = mesh->size,
    };
    int rc;

    *s = (struct source){ 0 };
    rc = open_one(&s->train, &with, o->data);
    if (rc == 0) {
        with.classes = s->train->classes;
        rc           = open_held(s, &with, p, o);
    }
    if (rc != 0)
        source_close(s);
    return rc;
}

void source_close(struct source *s)
{
    data_close(&s->train);
    data_close(&s->held);
}
