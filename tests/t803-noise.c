/* SPDX-License-Identifier: BSD-3-Clause */
/* Noise in two parts: those that were planted are found, on the average of data sets,
 * and nothing is shared where there are no groups.  Laws other than eq. 2 look for it,
 * too: by the runs' own noise alone their intervals hold in 50 %.
 */
#include "config.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "src/fit/fit.h"
#include "src/fit/noise.h"
#include "tests/tap.h"

#include <math.h>

enum { GROUPS = 30, EACH = 4, ROWS = GROUPS * EACH, SETS = 50, COVERED = 200 };

static void make(struct points *p, int group[ROWS])
{
    *p     = (struct points){ .rows = ROWS, .vars = 2 };
    p->y   = mem_new(ROWS, sizeof *p->y);
    p->x   = mem_new(ROWS * LAW_VARS, sizeof *p->x);
    p->arm = mem_new(ROWS, sizeof *p->arm);
    for (int i = 0; i < ROWS; i++) {
        group[i]               = i / EACH;
        p->x[i * LAW_VARS]     = 100 + 50 * group[i];
        p->x[i * LAW_VARS + 1] = pow(3, i % EACH) * (1 + group[i] % 5);
    }
}

static void measure(struct points *p, double own, double shared, int set)
{
    const uint64_t seed = (uint64_t)set;

    for (int i = 0; i < ROWS; i++) {
        const double *x = p->x + i * LAW_VARS;

        p->y[i] = (20 / x[0] + 0.3 * pow(x[1], -0.5) + 0.1) *
                  (1 + own * rng_normal(seed, RNG_TEST, (uint64_t)i) +
                   shared * rng_normal(seed, RNG_LABEL, (uint64_t)(i / EACH)));
    }
}

/* The mean of both parts over data sets, as noise, and the least degrees of freedom. */
static struct noise find(struct points *p, const int *group, int groups, double own,
                         double shared)
{
    static const char *const var[] = { "x", "t" };
    const struct fit_options o     = { .level = 0.8 };
    struct noise mean              = { .freedom = ROWS };
    struct law l;

    law_additive(&l, var, 2);
    for (int set = 0; set < SETS; set++) {
        struct noise one;
        struct fit f;

        measure(p, own, shared, set);
        if (fit_open(&f, &l, p, &o) != 0)
            die("%s", err_sentence());
        noise_open(&one, &f.model, f.theta, group, groups);
        mean.own += one.own / SETS;
        mean.shared += one.shared / SETS;
        mean.freedom = one.freedom < mean.freedom ? one.freedom : mean.freedom;
        noise_close(&one);
        fit_close(&f);
    }
    mean.own    = sqrt(mean.own);
    mean.shared = sqrt(mean.shared);
    return mean;
}

/* In how many per cent of data sets the 80 % interval of x's exponent, which is 1,
 * holds it, where four fifths of the variance are what runs of one x share.
 */
static double cover(struct points *p)
{
    const struct fit_options o = {
        .level = 0.8, .profile = true, .no_search = true, .spread = 4
    };
    struct law l;
    int inside = 0;

    law_chinchilla(&l, "x", "t");
    for (int set = 0; set < COVERED; set++) {
        struct fit f;

        measure(p, 0.003, 0.006, 100 + set);
        if (fit_open(&f, &l, p, &o) != 0)
            die("%s", err_sentence());
        inside += f.param[3].lo <= 1 && 1 <= f.param[3].hi;
        fit_close(&f);
    }
    return 100.0 * inside / COVERED;
}

int main(void)
{
    int group[ROWS], alone[ROWS];
    struct points p;
    struct noise n;

    make(&p, group);
    for (int i = 0; i < ROWS; i++)
        alone[i] = i;
    n = find(&p, group, GROUPS, 0.01, 0.02);
    close_to(n.own / 0.01, 1, 0.03, "the runs' own noise is found beside shared one");
    close_to(n.shared / 0.02, 1, 0.05, "and what they share");
    ok(n.freedom < GROUPS + 10, "with degrees of freedom of groups (%d)", n.freedom);
    n = find(&p, group, GROUPS, 0.02, 0);
    close_to(n.own / 0.02, 1, 0.03, "noise that nothing is shared of");
    ok(n.shared < 0.006, "nearly nothing seems to be shared (%.4f)", n.shared);
    n = find(&p, alone, ROWS, 0.01, 0.02);
    close_to(n.own / sqrt(0.0005), 1, 0.05,
             "without groups all of it is the runs' own");
    ok(n.shared == 0 && n.freedom == ROWS - 5, "with all degrees of freedom");
    for (int i = 0; i < ROWS; i++)
        p.x[i * LAW_VARS] = 100 + 100 * (group[i] = i * 3 / ROWS);
    n = find(&p, group, 3, 0.001, 0);
    close_to(n.shared / n.own, sqrt(noise_usual / (1 - noise_usual)), 1e-6,
             "of three groups the law follows each: half is taken for shared");
    points_close(&p);
    make(&p, group);

    const double part = cover(&p);

    ok(part > 71 && part < 89,
       "what runs of a size share makes its intervals of chinchilla wider, too: 80 %% "
       "intervals hold in %.1f %%",
       part);
    points_close(&p);
    return tap_done();
}
