/* SPDX-License-Identifier: BSD-3-Clause */
/* Bootstrap: the fit of many data sets like the one at hand, in threads.  What data set
 * r holds depends on the seed and r alone, so the threads do not matter.
 *
 * Residuals of a fit are smaller than the noise, because the fit follows the noise;
 * and a spread that is itself estimated has the tails of Student's t.  Both are
 * made up for by one factor.
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
    double
        *residual; /* [rows] relative, centred, of the noise's size; NULL: weigh rows */
    uint64_t seed, stream;
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
static double draw(const struct shared *s, int replica, int i, int rows)
{
    const uint64_t index = (uint64_t)replica * (uint64_t)rows + (uint64_t)i;

    return rng_uniform(s->seed, s->stream, index);
}

/* Exponential weights with a mean of 1. */
static void weigh_rows(struct powers *m, const struct shared *s, int replica)
{
    double sum = 0;

    for (int i = 0; i < m->rows; i++) {
        m->weight[i] = -log1p(-draw(s, replica, i, m->rows));
        sum += m->weight[i];
    }
    for (int i = 0; i < m->rows; i++)
        m->weight[i] *= s->f->model.weight[i] * m->rows / sum;
}

static void draw_residuals(struct powers *m, const struct shared *s, int replica)
{
    for (int i = 0; i < m->rows; i++) {
        const double f = powers_predict(&s->f->model, s->f->theta, i);
        const double e = s->residual[(int)(draw(s, replica, i, m->rows) * m->rows)];

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

static double *make_residuals(const struct fit *f, const struct fit_options *o)
{
    const int rows = f->model.rows, free = rows - powers_params(&f->model);
    double *residual   = mem_new((size_t)rows, sizeof *residual);
    const double scale = sqrt((double)rows / free) * fit_student(o->level, free) /
                         fit_student(o->level, 1 << 30);
    double mean = 0;

    for (int i = 0; i < rows; i++) {
        residual[i] = f->model.y[i] / powers_predict(&f->model, f->theta, i) - 1;
        mean += residual[i] / rows;
    }
    for (int i = 0; i < rows; i++)
        residual[i] = scale * (residual[i] - mean);
    return residual;
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
    struct shared s = { .f        = f,
                        .seed     = (uint64_t)o->seed,
                        .stream   = rng_hash("bootstrap"),
                        .replicas = o->bootstrap,
                        .threads  = o->threads > 0 ? o->threads : usable_cores() };
    struct worker worker[THREADS_MOST];

    f->replicas         = o->bootstrap;
    f->has_weighed_rows = has_rows;
    if (o->bootstrap == 0)
        return;
    f->replica = mem_new((size_t)o->bootstrap * (size_t)powers_params(&f->model),
                         sizeof *f->replica);
    s.replica  = f->replica;
    s.residual = has_rows ? NULL : make_residuals(f, o);
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
