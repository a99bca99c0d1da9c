/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,4 */
/* The few-shot protocol against plain loops: the images that are drawn, mean and
 * deviation of these, the constant, the regression by its closed form, hits.  Errors
 * are shares of images, so they are the same numbers.
 */
#include "config.h"

#include "src/eval/fewshot.h"

#include "src/eval/permute.h"
#include "tests/closed.h"
#include "tests/clouds.h"
#include "tests/ranks.h"

#include <math.h>

enum { COUNT = 120, WIDTH = 20, K = 5, D = WIDTH + 1 };

static struct mesh *mesh;

/* The numbers of the images that are drawn, class after class; returns how many. */
static int64_t draw(int64_t *row, const struct clouds *c, int64_t shots, int64_t seed)
{
    struct permute p;
    int64_t taken = 0;

    permute_open(&p, (uint64_t)seed);
    for (int k = 0; k < K; k++) {
        int64_t of[COUNT], n = 0;

        for (int64_t i = 0; i < COUNT; i++) {
            if (c->f.label[i] == k)
                of[n++] = i;
        }
        permute_shuffle(&p, of, n);
        for (int64_t i = 0; i < shots && i < n; i++)
            row[taken++] = of[i];
    }
    return taken;
}

/* Bring 'x' [n, D] to mean 0 and deviation 1 by the statistics of rows 'row'. */
static void whiten(double *x, const float *from, int64_t n, const struct clouds *c,
                   const int64_t *row, int64_t rows)
{
    for (int w = 0; w < WIDTH; w++) {
        double mean = 0, square = 0;

        for (int64_t i = 0; i < rows; i++)
            mean += c->all[row[i] * WIDTH + w] / (double)rows;
        for (int64_t i = 0; i < rows; i++)
            square += pow(c->all[row[i] * WIDTH + w] - mean, 2) / (double)rows;
        for (int64_t i = 0; i < n; i++)
            x[i * D + w] = (from[i * WIDTH + w] - mean) / (sqrt(square) + 1e-5);
    }
    for (int64_t i = 0; i < n; i++)
        x[i * D + WIDTH] = 100;
}

static double plain_error(const struct clouds *learn, const struct clouds *test,
                          int64_t shots, int64_t seed, double l2)
{
    static double all[COUNT * D], x[COUNT * D], z[COUNT * D], w[K * D];
    int64_t row[COUNT];
    int32_t label[COUNT];
    const int64_t n = draw(row, learn, shots, seed);
    int wrong       = 0;

    whiten(all, learn->all, COUNT, learn, row, n);
    whiten(z, test->all, COUNT, learn, row, n);
    for (int64_t i = 0; i < n; i++) {
        memcpy(x + i * D, all + row[i] * D, D * sizeof *x);
        label[i] = learn->f.label[row[i]];
    }
    closed_ridge(w, x, label, n, D, K, l2);
    for (int64_t i = 0; i < COUNT; i++) {
        double best = -INFINITY;
        int choice  = 0;

        for (int k = 0; k < K; k++) {
            double score = 0;

            for (int j = 0; j < D; j++)
                score += w[k * D + j] * z[i * D + j];
            choice = score > best ? k : choice;
            best   = fmax(best, score);
        }
        wrong += choice != test->f.label[i];
    }
    return wrong / (double)COUNT;
}

int main(int argc, char **argv)
{
    const int ranks  = ranks_open(&argc, &argv, "t720-fewshot");
    struct fewshot f = { .shots      = { 1, 2, 10, 1000 },
                         .shot_count = 4,
                         .seed       = { 0, 1, 2 },
                         .seeds      = 3,
                         .l2         = { 1024, 1 },
                         .l2s        = 2,
                         .threads    = 1 };
    struct clouds learn_clouds, test_clouds;
    struct fewshot_result r;
    struct part learn, test;
    double sum = 0;

    if (mesh_open(&mesh, MPI_COMM_WORLD, ranks, 1) != 0)
        return 99;
    clouds_open(&learn_clouds, mesh, COUNT, WIDTH, K, 0.5, 1);
    clouds_open(&test_clouds, mesh, COUNT, WIDTH, K, 0.5, 11);
    part_all(&learn, &learn_clouds.f);
    part_all(&test, &test_clouds.f);
    ok(fewshot_run(&r, &learn, &test, &f) == 0, "few shots by %s", r.about);
    for (int i = 0; i < f.shot_count; i++) {
        for (int s = 0; s < f.seeds; s++) {
            for (int j = 0; j < f.l2s; j++)
                close_to(r.error[i][s][j],
                         plain_error(&learn_clouds, &test_clouds, f.shots[i], f.seed[s],
                                     f.l2[j]),
                         1e-9, "%lld shots, seed %lld, l2 %g: the error of plain loops",
                         (long long)f.shots[i], (long long)f.seed[s], f.l2[j]);
        }
    }
    for (int s = 0; s < 3; s++)
        sum += r.error[2][s][0] / 3;
    close_to(fewshot_mean(&r, &f, 10), sum, 1e-12,
             "the mean over seeds, of the first l2");
    ok(isnan(fewshot_mean(&r, &f, 5)), "and none of shots that were not run");
    ok(r.rows[0] == K && r.rows[3] == COUNT, "no more images than there are");
    part_free(&learn);
    part_free(&test);
    clouds_close(&learn_clouds);
    clouds_close(&test_clouds);
    mesh_close(&mesh);
    return ranks_done();
}
