/* SPDX-License-Identifier: BSD-3-Clause */
/* What a plan promises is what fits of its points find: expected errors against the
 * spread over planted data sets, of the star and of the better design at equal cost.
 */
#include "config.h"

#include "src/base/err.h"
#include "src/fit/fit.h"
#include "tests/planted.h"
#include "tests/tap.h"

#include <math.h>
#include <string.h>

enum { SETS = 120 };

static const char *const dim[] = { "width", "depth", "mlp" };
static const double noise      = 0.001;

static bool on_arm(const struct points *p, int row, const void *what)
{
    return p->arm[row] == *(const int *)what;
}

/* The standard deviation of s over data sets. */
static void spread(double sd[LAW_DIMS], const struct sweep *s,
                   const struct design_law *l, double shared)
{
    const struct fit_options o = { .level = 0.8, .no_search = true };
    double sum[LAW_DIMS] = { 0 }, squares[LAW_DIMS] = { 0 };

    for (int set = 0; set < SETS; set++) {
        struct points all;

        planted_shared_points(&all, s, l, noise, shared, 100 + set);
        for (int k = 0; k < LAW_DIMS; k++) {
            struct points copy, mine;
            struct fit f;
            struct law law;

            points_copy(&copy, &all);
            points_take(&mine, &copy, on_arm, &k);
            law_sovit_arm(&law, dim, 3, k, "compute");
            if (fit_open(&f, &law, &mine, &o) != 0)
                die("%s", err_sentence());
            sum[k] += f.slope[0].value;
            squares[k] += f.slope[0].value * f.slope[0].value;
            fit_close(&f);
            points_close(&mine);
            points_close(&copy);
        }
        points_close(&all);
    }
    for (int k = 0; k < LAW_DIMS; k++)
        sd[k] = sqrt((squares[k] - sum[k] * sum[k] / SETS) / (SETS - 1));
}

static double aim(const struct expected *e)
{
    double sum = 0;

    for (int k = 0; k < LAW_DIMS; k++)
        sum += pow(e[k].error / e[k].s, 2);
    return sum;
}

static void compare(const char *name, const struct sweep *s, const struct design_law *l,
                    const struct expected *e, double shared)
{
    double sd[LAW_DIMS];

    spread(sd, s, l, shared);
    for (int k = 0; k < LAW_DIMS; k++)
        ok(fabs(log(sd[k] / e[k].error)) < 0.25,
           "%s: the error of s_%s is as expected: %.5f found, %.5f expected", name,
           dim[k], sd[k], e[k].error);
}

/* Points that cannot tell: fewer than constants, or one number of steps. */
static void unable(const struct planted *p)
{
    struct sweep few = p->sweep;
    struct expected e[LAW_DIMS];

    few.run  = NULL;
    few.runs = few.drops = 0;
    few.step_values      = 1;
    if (sweep_make(&few, NULL) != 0)
        die("%s", err_sentence());
    design_expect(e, &few, &p->law, noise, 0);
    ok(isnan(e[0].error) && e[0].points == 6, "six points cannot tell seven constants");
    sweep_close(&few);
}

/* What a plan costs is what its runs cost with their forks, and that is kept within. */
static void budgets(const struct planted *p)
{
    const double star    = sweep_flops(&p->sweep);
    const double share[] = { 1, 0.6 };
    struct expected before[LAW_DIMS], e[LAW_DIMS];
    struct sweep best;

    design_expect(before, &p->sweep, &p->law, noise, 0);
    for (int i = 0; i < 2; i++) {
        if (design_within(&best, &p->sweep, &p->law, share[i] * star, NULL) != 0)
            die("%s", err_sentence());
        design_expect(e, &best, &p->law, noise, 0);
        ok(sweep_flops(&best) <= share[i] * star &&
               sweep_flops(&best) > 0.9 * share[i] * star,
           "a plan for %g of the star's cost takes %.3f", share[i],
           sweep_flops(&best) / star);
        ok(isfinite(aim(e)) && (i > 0 || aim(e) < aim(before)),
           "and can tell: its squared errors are %.2f of the star's",
           aim(e) / aim(before));
        sweep_close(&best);
    }
    ok(design_within(&best, &p->sweep, &p->law, 1e-3 * star, NULL) == ERR_USAGE,
       "too little is refused");
    err_forget();
}

/* Widths of 12 heads and of 24 lie 24 apart: the best of them tell the same, and as
 * much as those of one head, which lie 16 apart.
 */
static void heads(const struct planted *p)
{
    static const int64_t width[] = { 384, 480, 576, 672, 768, 864 };
    static const int64_t heads[] = { 12, 24, 1 };
    struct expected e[3][LAW_DIMS];

    for (int i = 0; i < 3; i++) {
        struct sweep star = { .training    = p->sweep.training,
                              .is_star     = true,
                              .step_values = p->sweep.step_values },
                     best;

        star.training.heads = heads[i];
        star.values[0]      = sizeof width / sizeof width[0];
        memcpy(star.value[0], width, sizeof width);
        memcpy(star.centre, p->sweep.centre, sizeof star.centre);
        memcpy(star.step, p->sweep.step, sizeof star.step);
        if (sweep_make(&star, NULL) != 0 ||
            design_improve(&best, &star, &p->law, design_cost(&star), NULL) != 0)
            die("%s", err_sentence());
        design_expect(e[i], &best, &p->law, noise, 0);
        sweep_close(&best);
        sweep_close(&star);
    }
    ok(e[0][0].error == e[1][0].error, "12 heads and 24 have a plan as good");
    ok(e[0][0].error < 1.02 * e[2][0].error, "which is as good as for any widths");
    tap_note("%.6f, %.6f and %.6f", e[0][0].error, e[1][0].error, e[2][0].error);
}

int main(void)
{
    struct expected star[LAW_DIMS], better[LAW_DIMS], forks[LAW_DIMS];
    struct sweep best;
    struct planted p;

    planted_open(&p);
    design_expect(star, &p.sweep, &p.law, noise, 0);
    compare("star", &p.sweep, &p.law, star, 0);
    design_expect(forks, &p.sweep, &p.law, noise, 0.75);
    compare("star of forks", &p.sweep, &p.law, forks, 0.75);
    ok(forks[1].error > 1.3 * star[1].error, "which tell less of s_depth than runs do");
    tap_note("%.2f, %.2f and %.2f times the errors", forks[0].error / star[0].error,
             forks[1].error / star[1].error, forks[2].error / star[2].error);
    if (design_improve(&best, &p.sweep, &p.law, design_cost(&p.sweep), NULL) != 0)
        die("%s", err_sentence());
    design_expect(better, &best, &p.law, noise, 0);
    ok(design_cost(&best) <= design_cost(&p.sweep), "the better design costs no more");
    ok(aim(better) < 0.6 * aim(star), "and its squared errors are %.2f of the star's",
       aim(better) / aim(star));
    compare("better", &best, &p.law, better, 0);
    unable(&p);
    budgets(&p);
    heads(&p);
    sweep_close(&best);
    planted_close(&p);
    return tap_done();
}
