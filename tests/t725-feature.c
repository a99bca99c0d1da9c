/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=4 */
/* Features are those of the images, whatever the mesh and the batch, through a file and
 * back; labels are the images'.
 */
#include "config.h"

#include "src/eval/feature.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "tests/model.h"
#include "tests/ranks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { COUNT = 23, KINDS = 3 };

static const int64_t kinds[KINDS]    = { FEATURE_POOLED, FEATURE_LOGITS, 1 };
static const char *const name[KINDS] = { "pre_logits", "logits", "block:1" };

/* All rows of 'f' on every rank of its mesh; the caller frees them. */
static float *whole(const struct features *f)
{
    float *all = mem_new((size_t)(f->count * f->width), sizeof *all);

    for (int64_t i = 0; i < f->count; i++) {
        if (f->owner[i] == f->mesh->rank)
            memcpy(all + i * f->width, f->x + f->place[i] * f->width,
                   (size_t)f->width * sizeof *all);
    }
    MPI_Allreduce(MPI_IN_PLACE, all, (int)(f->count * f->width), MPI_FLOAT, MPI_SUM,
                  f->mesh->comm[AXIS_ALL]);
    return all;
}

static double gap(const struct features *f, const float *all)
{
    float *own   = whole(f);
    double worst = 0;

    for (int64_t i = 0; i < f->count * f->width; i++)
        worst = tap_worse(worst, fabs((double)own[i] - (double)all[i]));
    mem_free(own);
    return worst;
}

/* What a model says of itself: block 1's mean over rows of the batch that was last. */
static void test_mesh(struct model_options o, float *const *wanted,
                      const int32_t *label, int D, int M, int64_t B)
{
    struct features f[KINDS];
    struct model m;
    bool has_labels = true;

    o.D = D;
    o.M = M;
    o.B = B;
    model_open(&m, &o, MPI_COMM_WORLD);
    model_stir(&m);
    ok(features_run(f, kinds, KINDS, m.step, m.data, COUNT) == 0,
       "%dx%d, batches of %lld", D, M, (long long)B);
    for (int k = 0; k < KINDS; k++) {
        close_to(gap(&f[k], wanted[k]), 0, 1e-6, "%dx%d: %s are those of one rank", D,
                 M, name[k]);
        for (int i = 0; i < COUNT; i++)
            has_labels = has_labels && f[k].label[i] == label[i];
        features_free(&f[k]);
    }
    ok(has_labels, "%dx%d: every row has its label", D, M);
    model_close(&m);
}

static void test_file(struct mesh *mesh, const struct features *f)
{
    char path[64] = "", part[80];
    struct features back;
    float *all = whole(f);
    int rank;

    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    if (rank == 0)
        snprintf(path, sizeof path, "/tmp/t725-%d.h5", (int)getpid());
    MPI_Bcast(path, sizeof path, MPI_CHAR, 0, MPI_COMM_WORLD);
    ok(features_write(f, path) == 0, "features are written");
    ok(features_read(&back, mesh, path) == 0 && gap(&back, all) == 0 &&
           memcmp(back.label, f->label, COUNT * sizeof *f->label) == 0 &&
           back.classes == f->classes,
       "and read back, bit for bit");
    features_free(&back);
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0)
        unlink(path);
    snprintf(part, sizeof part, "/nonexistent%s", path);
    ok(features_write(f, part) == ERR_IO, "a place that is not there is an error");
    ok(features_read(&back, mesh, path) == ERR_DATA, "and so is a file that is not");
    mem_free(all);
}

/* One rank's features, on all ranks. */
static void test_pool(enum pool pool)
{
    struct model_options o = model_odd(WIRING_SEQUENTIAL, pool, LOSS_SIGMOID);
    struct features f[KINDS];
    float *wanted[KINDS];
    int32_t label[COUNT];
    struct model m;

    model_open(&m, &o, MPI_COMM_SELF);
    model_stir(&m);
    if (features_run(f, kinds, KINDS, m.step, m.data, COUNT) != 0)
        die("no features");
    for (int k = 0; k < KINDS; k++)
        wanted[k] = whole(&f[k]);
    memcpy(label, f[0].label, sizeof label);
    for (int k = 0; k < KINDS; k++)
        features_free(&f[k]);
    model_close(&m);

    test_mesh(o, wanted, label, 4, 1, 8);
    test_mesh(o, wanted, label, 2, 2, 7);
    test_mesh(o, wanted, label, 1, 4, 5);
    for (int k = 0; k < KINDS; k++)
        mem_free(wanted[k]);
}

/* The mean over rows, by plain loops, of a batch that holds all images. */
static void test_mean(void)
{
    struct model_options o = model_odd(WIRING_PARALLEL, POOL_CLS, LOSS_SIGMOID);
    struct features f;
    double *rows, worst = 0;
    int64_t N, C;
    struct model m;

    o.D = 4;
    o.B = COUNT;
    model_open(&m, &o, MPI_COMM_WORLD);
    N = m.spec.N;
    C = m.spec.C;
    if (features_run(&f, &kinds[2], 1, m.step, m.data, COUNT) != 0)
        die("no features");
    rows = mem_new((size_t)mat_size(vit_block_rows(m.vit, 1)), sizeof *rows);
    model_get(&m, rows, vit_block_rows(m.vit, 1));
    for (int64_t i = 0; i < f.own; i++) {
        for (int64_t c = 0; c < C; c++) {
            double mean = 0;

            for (int64_t n = 0; n < N; n++)
                mean += rows[(i * N + n) * C + c] / (double)N;
            worst = tap_worse(worst, fabs(mean - (double)f.x[i * C + c]));
        }
    }
    close_to(worst, 0, 1e-6, "block:1 is the mean over the rows that the block leaves");
    mem_free(rows);
    test_file(m.mesh, &f);
    features_free(&f);
    model_close(&m);
}

int main(int argc, char **argv)
{
    ranks_open(&argc, &argv, "t725-feature");
    test_pool(POOL_MAP);
    test_pool(POOL_CLS);
    test_mean();
    return ranks_done();
}
