/* SPDX-License-Identifier: BSD-3-Clause */
/* Factors of a tensor, and their sizes. */
#include "config.h"

#include "src/plan/factor.h"

/* Axes below this size are not worth an average. */
enum { LEAST_SIZE = 32 };

/* The largest axis but 'but' (-1: of all); the last of equals. */
static int largest(const struct param *p, int but)
{
    int found = -1;

    for (int i = 0; i < p->dims; i++) {
        if (i != but && (found < 0 || p->dim[i] >= p->dim[found]))
            found = i;
    }
    return found;
}

void factor_make(struct factor *f, const struct param *p, int M, int m)
{
    *f = (struct factor){ .outer = 1, .along = 1, .inner = 1 };
    if (p->dims < 2)
        return;
    f->over[FACTOR_ROW] = largest(p, -1);
    f->over[FACTOR_COL] = largest(p, f->over[FACTOR_ROW]);
    f->is_factored      = p->dim[f->over[FACTOR_COL]] >= LEAST_SIZE;
    for (int which = FACTOR_ROW; which <= FACTOR_COL; which++) {
        f->size[which]     = 1;
        f->is_joint[which] = M > 1 && p->split == f->over[which];
    }
    for (int i = p->dims - 1; i >= 0; i--) {
        const int64_t extent =
            i == p->split ? range_size(param_range(p, M, m)) : p->dim[i];

        for (int which = FACTOR_ROW; which <= FACTOR_COL; which++) {
            if (i != f->over[which]) {
                f->step[which][i] = f->size[which];
                f->size[which] *= extent;
            }
        }
        if (i == f->over[FACTOR_COL])
            f->along = extent;
        else if (i != f->over[FACTOR_ROW] && i > f->over[FACTOR_COL])
            f->inner *= extent;
        else if (i != f->over[FACTOR_ROW])
            f->outer *= extent;
    }
}

void factor_sizes(struct factor_sizes *n, const struct params *p, int M, int m)
{
    *n = (struct factor_sizes){ 0 };
    for (int i = 0; i < p->count; i++) {
        struct factor f;

        factor_make(&f, &p->param[i], M, m);
        if (!f.is_factored)
            continue;
        for (int which = FACTOR_ROW; which <= FACTOR_COL; which++)
            *(f.is_joint[which] ? &n->joint : &n->own) += f.size[which];
        *(f.is_joint[FACTOR_COL] ? &n->joint_means : &n->means) += f.outer * f.inner;
    }
}
