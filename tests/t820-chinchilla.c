/* SPDX-License-Identifier: BSD-3-Clause */
/* The published Chinchilla runs: the sum of Huber losses ends below that of the
 * published refit (E 1.8172, A 482.01, B 2085.43, alpha 0.3478, beta 0.3658; arXiv
 * 2404.10102) on the same rows, from starts that know nothing of it.
 */
#include "config.h"

#include "src/base/err.h"
#include "src/fit/fit.h"
#include "tests/tap.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const double published[] = { 482.01, 2085.43, 1.8172, 0.3478, 0.3658 };

int main(void)
{
    const struct columns columns = {
        .y = "loss", .var = { "params", "tokens" }, .vars = 2, .flops = "flops"
    };
    const struct fit_options o = { .objective = OBJECTIVE_HUBER,
                                   .delta     = 1e-3,
                                   .bootstrap = 100,
                                   .level     = 0.8,
                                   .no_search = true };
    const char *folder         = getenv("srcdir");
    double theta[POWERS_PARAMS], reference;
    struct points p, highest;
    char path[1024], *file = path;
    struct law l;
    struct fit f;
    int near = 0;

    snprintf(path, sizeof path, "%s/tests/data/chinchilla-isoflop.csv",
             folder != NULL ? folder : ".");
    if (points_read(&p, &file, 1, &columns) != 0)
        die("%s", err_sentence());
    points_take_largest(&highest, &p, 5, -1);
    ok(p.rows == 240 && highest.rows == 5, "245 runs, the 5 of highest loss left out");
    law_chinchilla(&l, "params", "tokens");
    if (fit_open(&f, &l, &p, &o) != 0)
        die("%s", err_sentence());

    points_raw(theta, published, &f.centre, &l);
    for (int j = 0; j < l.coefs; j++) /* the way back */
        theta[j] = published[j] * published[j] / theta[j];
    reference = powers_value(&f.model, theta);
    tap_note("objective %.10g, of the published refit %.10g", f.end.value, reference);
    tap_note("E %.4f, A %.2f, B %.2f, alpha %.4f, beta %.4f", f.raw[2], f.raw[0],
             f.raw[1], f.raw[3], f.raw[4]);
    for (int i = 0; i < f.starts; i++) {
        const double *from = f.start[i].from + 3;

        tap_note("start alpha %.4f, beta %.4f: %.8g ends at %.10g", from[0], from[1],
                 f.start[i].value, f.start[i].end.value);
        near += fabs(log(from[0] / published[3])) < 0.1 &&
                fabs(log(from[1] / published[4])) < 0.1;
    }
    ok(f.end.value <= reference,
       "the objective is not above that of the published refit");
    ok(reference < 1.01 * f.end.value, "which is close to the minimum");
    ok(near == 0, "no start is near it");
    ok(f.agreeing == f.starts, "all %d starts end at the same minimum (%d)", f.starts,
       f.agreeing);
    ok(f.end.gradient < 1e-9, "where the gradient is zero (%.1e)", f.end.gradient);
    for (int k = 0; k < 2; k++) {
        const struct estimate *e = &f.param[3 + k];

        ok(e->lo < published[3 + k] && published[3 + k] < e->hi &&
               e->identified == VERDICT_YES,
           "%s %.4f within %.4f .. %.4f", l.exp_name[k], published[3 + k], e->lo,
           e->hi);
    }
    ok(f.slope[0].lo < 0.5126 && 0.5126 < f.slope[0].hi,
       "best parameters grow as compute^%.3f", f.slope[0].value);
    fit_close(&f);
    points_close(&highest);
    points_close(&p);
    return tap_done();
}
