/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN long
 * Intervals of the other forms mean what they say, too: of 1000 data sets with 0.3 %
 * noise about 80 % have the truth within their 80 % bootstrap interval.  What is judged
 * is what a fit is made for: growth exponents, and exponents where a law has no
 * optimum.
 *
 * A share of 1000 data sets is off by 1.3 % by chance alone (of 200 by 2.8 %, which is
 * too much for thirteen shares); each may be off by 6 %.
 */
#include "config.h"

#include "src/base/err.h"
#include "src/fit/fit.h"
#include "tests/forms.h"
#include "tests/tap.h"

#include <stdio.h>
#include <stdlib.h>

enum { SETS = 1000, BOOTSTRAPS = 200, FIRST = 5000, STARTS = 8 };

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

struct tally {
    int inside;
    double width[SETS];
};

static void look(struct tally *t, const struct estimate *e, double truth, int set)
{
    t->inside += e->lo <= truth && truth <= e->hi;
    t->width[set] = e->hi - e->lo;
}

/* Leaves the share in 'sum', too. */
static void judge(double *sum, struct tally *t, const char *form, const char *name)
{
    const double part = 100.0 * t->inside / SETS;

    qsort(t->width, SETS, sizeof *t->width, compare);
    ok(part >= 74 && part <= 86,
       "%s: %s is inside 74 to 86 %% of its intervals (%.1f %%, median width %.4f)",
       form, name, part, t->width[SETS / 2]);
    *sum += part;
}

static void cover(enum form_kind kind, enum objective objective)
{
    struct tally tally[POWERS_EXPS] = { 0 };
    struct form form;
    double sum = 0;
    char name[64];

    form_open(&form, kind);
    const struct law *l  = &form.law;
    const bool has_slope = kind == FORM_SHARED || kind == FORM_JOINT;
    const int judged     = has_slope ? l->slopes : l->exps;

    for (int set = 0; set < SETS; set++) {
        const struct fit_options o = { .objective = objective,
                                       .delta     = 1e-3,
                                       .bootstrap = BOOTSTRAPS,
                                       .level     = 0.8,
                                       .seed      = set,
                                       .no_search = true,
                                       .spread    = STARTS };
        struct fit f;

        form_measure(&form, 0.003, FIRST + set);
        if (fit_open(&f, l, &form.points, &o) != 0)
            die("%s", err_sentence());
        for (int k = 0; k < judged; k++) {
            if (has_slope)
                look(&tally[k], &f.slope[k], law_slope(l, form.theta, k), set);
            else
                look(&tally[k], &f.param[l->coefs + k], form.theta[l->coefs + k], set);
        }
        fit_close(&f);
    }
    snprintf(name, sizeof name, "%s%s", form_name[kind],
             objective == OBJECTIVE_HUBER ? ", huber" : "");
    for (int k = 0; k < judged; k++)
        judge(&sum, &tally[k], name, has_slope ? l->slope[k].name : l->exp_name[k]);
    ok(sum >= 74 * judged && sum <= 86 * judged,
       "%s: on the whole 74 to 86 %% (%.1f %%)", name, sum / judged);
    form_close(&form);
}

int main(void)
{
    for (int kind = 0; kind < FORMS; kind++)
        cover((enum form_kind)kind, OBJECTIVE_RELATIVE);
    cover(FORM_CHINCHILLA, OBJECTIVE_HUBER);
    return tap_done();
}
