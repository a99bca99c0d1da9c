/* SPDX-License-Identifier: BSD-3-Clause */
/* Bootstrap: the fit of many data sets like the one at hand, in threads.  What data set
 * r holds depends on the seed and r alone, so the threads do not matter.
 *
 * Residuals of a fit are smaller than the noise, because the fit follows the noise;
 * and a spread that is itself estimated has the tails of Student's t.  Both are
 * made up for by one factor.  A run's residual is the sum of one of its own and one of
 * its shape (noise.h), both drawn from those of the fit.
 *
 * Rows are not drawn with replacement but weighed at random, which is the same in
 * the mean (the Bayesian bootstrap).  Whole numbers of rows, a third of them none,
 * make the minimum of a sum that is nearly one of absolute values jump from row to
 * row: of planted data sets under log-Huber 87 % had the truth within 80 %
 * intervals, with weights 84 %.
 */
#include "config.h"

#include "src/fit/fit.h"

#include "src/base/mem.h"
#include "src/base/rng.h"

#include <math.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

enum { THREADS_MOST = 256 };

struct shared {
    const struct fit *f;
    double *residual;   /* [rows] relative, centred, of size 1; NULL: weigh rows */
    double own, common; /* what a run's and its shape's are multiplied with */
    uint64_t seed, stream, shape_stream;
    double *replica;
    int replicas, threads;
};

struct worker {
    const struct shared *s;
    int number;
    pthread_t thread;
    bool is_running;
};

/* Number i of a data set of 'rows', even between 0 and 1. */
static double draw(const struct shared *s, uint64_t stream, int replica, int i)
{
    const int rows       = s->f->model.rows;
    const uint64_t index = (uint64_t)replica * (uint64_t)rows + (uint64_t)i;

    return rng_uniform(s->seed, stream, index);
}

/* Exponential weights with a mean of 1. */
static void weigh_rows(struct powers *m, const struct shared *s, int replica)
{
    double sum = 0;

    for (int i = 0; i < m->rows; i++) {
        m->weight[i] = -log1p(-draw(s, s->stream, replica, i));
        sum += m->weight[i];
    }
    for (int i = 0; i < m->rows; i++)
        m->weight[i] *= s->f->model.weight[i] * m->rows / sum;
}

static void draw_residuals(struct powers *m, const struct shared *s, int replica)
{
    for (int i = 0; i < m->rows; i++) {
        const double f      = powers_predict(&s->f->model, s->f->theta, i);
        const double own    = draw(s, s->stream, replica, i);
        const double common = draw(s, s->shape_stream, replica, s->f->shape[i]);
        const double e      = s->own * s->residual[(int)(own * m->rows)] +
                         s->common * s->residual[(int)(common * m->rows)];

        m->y[i] = f * (e > -0.95 ? 1 + e : 0.05);
    }
}

static void *work(void *arg)
{
    const struct worker *w = arg;
    const struct shared *s = w->s;
    const int params       = powers_params(&s->f->model);
    struct powers m;

    powers_copy(&m, &s->f->model);
    for (int r = w->number; r < s->replicas; r += s->threads) {
        double *raw = s->replica + (size_t)r * (size_t)params;
        double theta[POWERS_PARAMS];
        struct polish end;

        if (s->residual != NULL)
            draw_residuals(&m, s, r);
        else
            weigh_rows(&m, s, r);
        memcpy(theta, s->f->theta, sizeof theta);
        powers_polish(&end, &m, theta);
        points_raw(raw, theta, &s->f->centre, &s->f->law);
        if (!isfinite(end.value))
            raw[0] = NAN;
    }
    powers_close(&m);
    return NULL;
}

static void make_residuals(struct shared *s, const struct fit_options *o)
{
    const struct fit *f = s->f;
    const int rows      = f->model.rows;
    double mean = 0, squares = 0, tails;

    s->residual = mem_new((size_t)rows, sizeof *s->residual);
    for (int i = 0; i < rows; i++) {
        s->residual[i] = f->model.y[i] / powers_predict(&f->model, f->theta, i) - 1;
        mean += s->residual[i] / rows;
    }
    for (int i = 0; i < rows; i++) {
        s->residual[i] -= mean;
        squares += s->residual[i] * s->residual[i] / rows;
    }
    for (int i = 0; i < rows && squares > 0; i++)
        s->residual[i] /= sqrt(squares);
    tails  = fit_student(o->level, f->parts.freedom) / fit_student(o->level, 1 << 30);
    s->own = tails * sqrt(f->parts.own);
    s->common = tails * sqrt(f->parts.shared);
}

/* The cores that this process may use. */
static int usable_cores(void)
{
    cpu_set_t set;
    int count = 1;

    if (sched_getaffinity(0, sizeof set, &set) == 0)
        count = CPU_COUNT(&set);
    return count;
}

void fit_bootstrap(struct fit *f, const struct fit_options *o)
{
    const bool has_rows =
        o->resample == RESAMPLE_ROWS ||
        (o->resample == RESAMPLE_AUTO && o->objective == OBJECTIVE_HUBER);
    struct shared s = { .f            = f,
                        .seed         = (uint64_t)o->seed,
                        .stream       = rng_hash("bootstrap"),
                        .shape_stream = rng_hash("bootstrap of shapes"),
                        .replicas     = o->bootstrap,
                        .threads      = o->threads > 0 ? o->threads : usable_cores() };
    struct worker worker[THREADS_MOST];

    f->replicas         = o->bootstrap;
    f->has_weighed_rows = has_rows;
    if (o->bootstrap == 0)
        return;
    f->replica = mem_new((size_t)o->bootstrap * (size_t)powers_params(&f->model),
                         sizeof *f->replica);
    s.replica  = f->replica;
    if (!has_rows)
        make_residuals(&s, o);
    if (s.threads > THREADS_MOST)
        s.threads = THREADS_MOST;
    for (int i = 0; i < s.threads; i++) {
        struct worker *w = &worker[i];

        *w            = (struct worker){ .s = &s, .number = i };
        w->is_running = i > 0 && pthread_create(&w->thread, NULL, work, w) == 0;
    }
    for (int i = 0; i < s.threads; i++) {
        if (!worker[i].is_running) /* the first, and what the system refused */
            work(&worker[i]);
    }
    for (int i = 0; i < s.threads; i++) {
        if (worker[i].is_running)
            pthread_join(worker[i].thread, NULL);
    }
    mem_free(s.residual);
}
