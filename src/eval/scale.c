/* SPDX-License-Identifier: BSD-3-Clause */
/* Statistics in two passes, so that nothing cancels.
 */
#include "config.h"

#include "src/eval/scale.h"

#include "src/base/mem.h"

#include <math.h>

void scale_open(struct scale *s, int64_t width, const struct part *part,
                double constant)
{
    const double least = 1e-5;
    const double n     = part != NULL ? (double)part->rows : 1;

    s->width    = width;
    s->mean     = mem_new((size_t)width, sizeof *s->mean);
    s->one_over = mem_new((size_t)width, sizeof *s->one_over);
    s->constant = constant;
    for (int64_t c = 0; c < width && part == NULL; c++)
        s->one_over[c] = 1;
    if (part == NULL)
        return;
    for (int64_t i = 0; i < part->rows; i++) {
        const float *x = part_own(part, i);

        for (int64_t c = 0; c < width && x != NULL; c++)
            s->mean[c] += x[c] / n;
    }
    coll_host_sum(part->of->mesh, AXIS_ALL, s->mean, (int)width);
    for (int64_t i = 0; i < part->rows; i++) {
        const float *x = part_own(part, i);

        for (int64_t c = 0; c < width && x != NULL; c++)
            s->one_over[c] += (x[c] - s->mean[c]) * (x[c] - s->mean[c]) / n;
    }
    coll_host_sum(part->of->mesh, AXIS_ALL, s->one_over, (int)width);
    for (int64_t c = 0; c < width; c++)
        s->one_over[c] = 1 / (sqrt(s->one_over[c]) + least);
}

void scale_close(struct scale *s)
{
    mem_free(s->mean);
    mem_free(s->one_over);
    *s = (struct scale){ 0 };
}

void scale_apply(double *z, const struct scale *s, const float *x)
{
    for (int64_t c = 0; c < s->width; c++)
        z[c] = (x[c] - s->mean[c]) * s->one_over[c];
    z[s->width] = s->constant;
}
