/* SPDX-License-Identifier: BSD-3-Clause */
#include "config.h"

#include "tests/planted.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/rng.h"

#include <math.h>
#include <string.h>

void planted_open(struct planted *p)
{
    static const int64_t value[LAW_DIMS][6] = { { 608, 768, 928, 1088, 1328, 1648 },
                                                { 8, 10, 12, 16, 20, 24 },
                                                { 1088, 1360, 1728, 2160, 2592,
                                                  3072 } };
    static const int64_t step[]             = { 500000, 1000000, 2000000 };

    *p = (struct planted){ .sweep = { .training    = { .batch    = 128,
                                                       .seeds    = 1,
                                                       .warmup   = 10000,
                                                       .cooldown = 50000,
                                                       .heads    = 16,
                                                       .patch    = 14,
                                                       .image    = 224,
                                                       .classes  = 1000,
                                                       .more     = "" },
                                      .centre      = { 1968, 40, 6144 },
                                      .is_star     = true,
                                      .values      = { 6, 6, 6 },
                                      .step_values = 3 } };
    for (int k = 0; k < LAW_DIMS; k++)
        memcpy(p->sweep.value[k], value[k], sizeof value[k]);
    memcpy(p->sweep.step, step, sizeof step);
    if (sweep_make(&p->sweep, NULL) != 0)
        die("%s", err_sentence());
    design_guess(&p->law, &p->sweep);
}

void planted_close(struct planted *p)
{
    sweep_close(&p->sweep);
}

void planted_points(struct points *p, const struct sweep *s,
                    const struct design_law *law, double noise, int seed)
{
    const uint64_t stream = rng_hash("planted");
    uint64_t index        = 0;
    int rows              = 0;

    for (int i = 0; i < s->runs; i++)
        rows += s->run[i].steps;
    *p     = (struct points){ .vars = LAW_DIMS + 1 };
    p->y   = mem_new((size_t)rows, sizeof *p->y);
    p->x   = mem_new((size_t)rows * LAW_VARS, sizeof *p->x);
    p->arm = mem_new((size_t)rows, sizeof *p->arm);
    for (int i = 0; i < s->runs; i++) {
        const struct run *r = &s->run[i];

        for (int j = 0; j < r->steps; j++) {
            const int n = p->rows++;
            double *x   = p->x + (size_t)n * LAW_VARS;
            const double t =
                r->cost.forward * (double)r->step[j] * (double)s->training.batch;

            for (int k = 0; k < LAW_DIMS; k++)
                x[k] = (double)r->x[k];
            x[LAW_DIMS] = t;
            p->arm[n]   = r->arm;
            p->y[n]     = law_dim_value(&law->dim[r->arm], x[r->arm], t) *
                      (1 + noise * rng_normal((uint64_t)seed, stream, index++));
        }
    }
}

void planted_shared_points(struct points *p, const struct sweep *s,
                           const struct design_law *law, double noise, double shared,
                           int seed)
{
    int *shape;

    planted_points(p, s, law, noise * sqrt(1 - shared), seed);
    shape = mem_new((size_t)p->rows, sizeof *shape);
    points_shapes(shape, p, LAW_DIMS);
    for (int i = 0; i < p->rows; i++)
        p->y[i] *= 1 + noise * sqrt(shared) *
                           rng_normal((uint64_t)seed, RNG_TEST, (uint64_t)shape[i]);
    mem_free(shape);
}

void planted_write(const char *path, const struct points *p)
{
    FILE *file = fopen(path, "w");

    if (file == NULL)
        die("%s cannot be written", path);
    fprintf(file, "width,depth,mlp,compute,err_10shot\n");
    for (int i = 0; i < p->rows; i++) {
        const double *x = p->x + (size_t)i * LAW_VARS;

        fprintf(file, "%.17g,%.17g,%.17g,%.17g,%.17g\n", x[0], x[1], x[2], x[3],
                p->y[i]);
    }
    fclose(file);
}
