/* SPDX-License-Identifier: BSD-3-Clause */
/* Laws that are known: found exactly without noise, well with a little, and called not
 * identified, or refused, where the data cannot tell.
 */
#include "config.h"

#include "src/base/err.h"
#include "src/fit/fit.h"
#include "tests/forms.h"
#include "tests/planted.h"
#include "tests/tap.h"

#include <math.h>
#include <string.h>

static const char *const dim[] = { "width", "depth", "mlp" };
static const double growth[]   = { 0.22, 0.45, 0.6 };

static bool on_arm(const struct points *p, int row, const void *what)
{
    return p->arm[row] == *(const int *)what;
}

static struct fit_options quiet(void)
{
    return (struct fit_options){ .level = 0.8, .profile = true };
}

/* The law of arm k fitted to the rows of that arm alone. */
static int fit_arm(struct fit *f, const struct points *all, int k,
                   const struct fit_options *o)
{
    struct points copy, mine;
    struct law l;
    int rc;

    points_copy(&copy, all);
    points_take(&mine, &copy, on_arm, &k);
    law_sovit_arm(&l, dim, 3, k, "compute");
    rc = fit_open(f, &l, &mine, o);
    points_close(&mine);
    points_close(&copy);
    return rc;
}

static double worst_exponent(const struct fit *f, const double *truth)
{
    double worst = 0;

    for (int k = 0; k < f->law.exps; k++)
        worst = tap_worse(worst, fabs(f->raw[f->law.coefs + k] - truth[k]));
    return worst;
}

/* ---- without noise --------------------------------------------------------------- */

static void arms(const struct planted *p)
{
    const struct fit_options o = quiet();
    struct points all;

    planted_points(&all, &p->sweep, &p->law, 0, 1);
    for (int k = 0; k < 3; k++) {
        const struct law_dim *d = &p->law.dim[k];
        const double truth[]    = { d->a, d->b, d->c };
        struct fit f;

        ok(fit_arm(&f, &all, k, &o) == 0 && worst_exponent(&f, truth) < 1e-5 &&
               fabs(f.slope[0].value - growth[k]) < 1e-5,
           "eq. 2, %s: a, b, c and s are found", dim[k]);
        ok(f.agreeing > f.starts / 2 && f.slope[0].identified == VERDICT_YES,
           "from %d of %d starts, and identified", f.agreeing, f.starts);
        close_to(f.raw[0] / d->alpha, 1, 1e-3, "and alpha, not centred any more");
        fit_close(&f);
    }
    points_close(&all);
}

static void forms(void)
{
    const struct fit_options o = quiet();

    for (int kind = 0; kind < FORMS; kind++) {
        struct form form;
        struct fit f;

        form_open(&form, (enum form_kind)kind);
        const int rc       = fit_open(&f, &form.law, &form.points, &o);
        const double worst = form_worst(&form, f.raw);

        ok(rc == 0 && worst < 0.005, "%s: exponents are found, off by %.0e",
           form_name[kind], worst);
        tap_note("from %d of %d starts", f.agreeing, f.starts);
        fit_close(&f);
        form_close(&form);
    }
}

static void huber(void)
{
    struct fit_options o = quiet();
    struct form form;
    struct fit f;

    o.objective = OBJECTIVE_HUBER;
    o.delta     = 1e-3;
    form_open(&form, FORM_CHINCHILLA);
    ok(fit_open(&f, &form.law, &form.points, &o) == 0 &&
           form_worst(&form, f.raw) < 1e-4,
       "by the sum of Huber's function, too");
    fit_close(&f);
    form_close(&form);
}

/* ---- with noise, and worse ------------------------------------------------------- */

static void little_noise(const struct planted *p)
{
    static const double within[] = { 0.01, 0.03, 0.08 };
    const struct fit_options o   = quiet();
    double worst[3]              = { 0 };

    for (int set = 0; set < 5; set++) {
        struct points all;

        planted_points(&all, &p->sweep, &p->law, 0.001, set);
        for (int k = 0; k < 3; k++) {
            struct fit f;

            if (fit_arm(&f, &all, k, &o) == 0)
                worst[k] = tap_worse(worst[k], fabs(f.slope[0].value - growth[k]));
            fit_close(&f);
        }
        points_close(&all);
    }
    for (int k = 0; k < 3; k++)
        ok(worst[k] < within[k], "0.1 %% noise: s_%s within %g (%.4f)", dim[k],
           within[k], worst[k]);
}

static double width_of(const struct estimate *e)
{
    return e->profile_hi - e->profile_lo;
}

/* Profiles are as wide as Student's t has it at any level, and about as wide as the
 * bootstrap's intervals; also of an exponent that is a share of itself and another.
 */
static void profiles(const struct planted *p)
{
    static const double level[2] = { 0.8, 0.99 };
    struct fit_options o         = quiet();
    struct fit f[2];
    struct points all;
    struct form form;

    planted_points(&all, &p->sweep, &p->law, 0.0005, 3);
    for (int i = 0; i < 2; i++) {
        o.level = level[i];
        ok(fit_arm(&f[i], &all, 1, &o) == 0, "an arm, at %g %%", 100 * level[i]);
    }
    close_to(width_of(&f[1].slope[0]) / width_of(&f[0].slope[0]),
             fit_student(0.99, f[1].parts.freedom) /
                 fit_student(0.8, f[0].parts.freedom),
             0.2, "a profile's width goes with Student's t");
    fit_close(&f[0]);
    fit_close(&f[1]);
    points_close(&all);

    form_open(&form, FORM_CHINCHILLA);
    for (int i = 0; i < form.points.rows; i++)
        form.points.y[i] *= 1 + 0.001 * sin(i * i);
    o.level     = 0.8;
    o.bootstrap = 100;
    ok(fit_open(&f[0], &form.law, &form.points, &o) == 0, "Chinchilla's law");
    for (int i = 0; i < 2; i++) {
        const struct estimate *e = &f[0].slope[i];

        ok(width_of(e) > 0.5 * (e->hi - e->lo) && width_of(e) < 2 * (e->hi - e->lo),
           "%s: profile %.4f .. %.4f, bootstrap %.4f .. %.4f", f[0].law.slope[i].name,
           e->profile_lo, e->profile_hi, e->lo, e->hi);
    }
    fit_close(&f[0]);
    form_close(&form);
}

static void much_noise(const struct planted *p)
{
    struct fit_options o = quiet();
    struct points all;
    int known = 0;

    o.bootstrap = 100;
    planted_points(&all, &p->sweep, &p->law, 0.1, 1);
    for (int k = 0; k < 3; k++) {
        struct fit f;

        if (fit_arm(&f, &all, k, &o) == 0)
            known += f.slope[0].identified == VERDICT_YES;
        fit_close(&f);
    }
    ok(known == 0, "10 %% noise: nothing is identified");
    points_close(&all);
}

static void collinear(const struct planted *p)
{
    struct fit_options o = quiet();
    struct points all;
    struct fit f;

    o.bootstrap = 50;
    planted_points(&all, &p->sweep, &p->law, 0.003, 1);
    for (int i = 0; i < all.rows; i++) /* compute follows from the width alone */
        all.x[i * LAW_VARS + 3] = 1e15 * all.x[i * LAW_VARS];
    const int rc = fit_arm(&f, &all, 0, &o);

    ok(rc == 0 && f.slope[0].identified == VERDICT_NO,
       "compute that follows from the width: not identified, %s",
       f.slope[0].why != NULL ? f.slope[0].why : "");
    fit_close(&f);
    for (int i = 0; i < all.rows; i++)
        all.x[i * LAW_VARS + 3] = 1e19;
    ok(fit_arm(&f, &all, 0, &o) == ERR_DATA &&
           strstr(err_sentence(), "compute takes 1 values") != NULL,
       "one compute for all: refused");
    fit_close(&f);
    all.rows = 7;
    ok(fit_arm(&f, &all, 0, &o) == ERR_DATA &&
           strstr(err_sentence(), "7 rows are too few") != NULL,
       "seven rows for seven constants: refused");
    fit_close(&f);
    err_forget();
    points_close(&all);
}

/* Threads do not change a bit of the intervals. */
static void threads(const struct planted *p)
{
    struct fit_options o = quiet();
    struct points all;
    double lo[3];

    o.bootstrap = 40;
    planted_points(&all, &p->sweep, &p->law, 0.003, 1);
    for (int i = 0; i < 3; i++) {
        struct fit f;

        o.threads = 2 * i + 1;
        fit_arm(&f, &all, 1, &o);
        lo[i] = f.slope[0].lo;
        fit_close(&f);
    }
    ok(lo[0] == lo[1] && lo[1] == lo[2], "one, three and five threads: the same bits");
    points_close(&all);
}

int main(void)
{
    struct planted p;

    planted_open(&p);
    arms(&p);
    forms();
    huber();
    little_noise(&p);
    profiles(&p);
    much_noise(&p);
    collinear(&p);
    threads(&p);
    planted_close(&p);
    return tap_done();
}
