/* SPDX-License-Identifier: BSD-3-Clause */
/* From files to fits. */
#include "config.h"

#include "src/fit/study.h"

#include "src/base/clock.h"
#include "src/base/err.h"

#include <math.h>
#include <string.h>

/* ---- the runs -------------------------------------------------------------------- */

/* The columns that the law wants. */
static int choose_columns(struct columns *c, struct study *s)
{
    static const char *const options[] = { "--y, --dims and --compute, or --law,",
                                           "--y, --params, --tokens and --flops",
                                           "--y and --terms" };
    const struct options *o            = s->options;
    int n;

    switch ((enum law_kind)o->law) {
    case LAW_SOVIT:
        n = options_words(s->dim, LAW_DIMS, o->dims, "dims");
        if (n < 1)
            return n < 0 ? n : ERR(ERR_USAGE, "--dims names no column");
        s->dims = n;
        strcpy(s->dim[n++], o->compute);
        break;
    case LAW_CHINCHILLA:
        strcpy(s->dim[0], o->params);
        strcpy(s->dim[1], o->tokens);
        n = 2;
        break;
    default:
        n = options_words(s->dim, LAW_VARS, o->terms, "terms");
        if (n < 1)
            return n < 0 ? n : ERR(ERR_USAGE, "--law=additive needs --terms=COLUMN,..");
    }
    for (int v = 0; v < n; v++)
        c->var[v] = s->dim[v];
    c->vars         = n;
    c->options      = options[o->law];
    c->skip_missing = o->skip_missing;
    snprintf(s->y, sizeof s->y, "%s",
             o->y[0] != '\0'            ? o->y
             : o->law == LAW_CHINCHILLA ? "loss"
                                        : "err_10shot");
    c->y = s->y;
    return 0;
}

/* Without --tokens and --flops, files that have no tokens but flops say which. */
static int choose_flops(const char **flops, const struct study *s)
{
    const struct options *o = s->options;
    struct table *t;

    *flops = NULL;
    if (o->law != LAW_CHINCHILLA)
        return 0;
    if (o->flops[0] != '\0') {
        *flops = o->flops;
        return 0;
    }
    TRY(table_read(&t, s->file[0]));
    if (table_column(t, o->tokens) < 0 && table_column(t, "flops") >= 0)
        *flops = "flops";
    table_close(&t);
    return 0;
}

static bool is_middle(const struct points *p, int row, const void *what)
{
    (void)what;
    return p->arm[row] == ARM_CENTRE;
}

static bool is_off(const struct points *p, int row, const void *what)
{
    (void)what;
    return p->arm[row] == ARM_NONE;
}

/* The only one of several dimensions that varies, or -1. */
static int only_arm(const struct study *s)
{
    int only = -1, varying = 0;

    for (int k = 0; k < s->dims; k++) {
        if (points_values(&s->points, LAW_EVERY, k) > 1) {
            only = k;
            varying++;
        }
    }
    return s->dims > 1 && varying == 1 ? only : -1;
}

/* Whether runs of arms that --dims leaves out lie at the most frequent value of the one
 * dimension that it names: they are many more than those of any size on its own arm.
 */
static bool has_other_arms(const struct study *s)
{
    const struct points *p = &s->points;
    int most               = 0;

    for (int i = 0; i < p->rows; i++) {
        const double x = p->x[(size_t)i * LAW_VARS];
        const int same = points_frequency(p, 0, x);

        if (!points_same(x, s->centre[0]) && same > most)
            most = same;
    }
    return points_frequency(p, 0, s->centre[0]) > 2 * most;
}

static int find_centre(struct study *s)
{
    const char *text = s->options->centre;
    int only         = only_arm(s), n;

    points_centre(s->centre, &s->points, s->dims);
    if (s->dims == 1 && !has_other_arms(s))
        only = 0;
    if (only >= 0) /* its runs do not tell where the centre lies on the arm */
        s->centre[only] = NAN;
    if (text[0] == '\0')
        return 0;
    n = options_numbers(s->centre, s->dims, text, '/', "centre");
    if (n >= 0 && n != s->dims)
        return ERR(ERR_USAGE, "--centre=%s has %d sizes, there are %d dimensions", text,
                   n, s->dims);
    return n < 0 ? n : 0;
}

/* Sort the rows onto arms; what the form has no use for goes away. */
static int sort_arms(struct study *s)
{
    struct points off;

    TRY(find_centre(s));
    points_arms(&s->points, s->centre, s->dims);
    if (s->form == FORM_JOINT && s->options->centre[0] == '\0')
        return 0; /* there may be no star at all */
    points_take(&s->middle, &s->points, is_middle, NULL);
    if (s->form == FORM_JOINT)
        return 0;
    points_take(&off, &s->points, is_off, NULL);
    s->off_arms = off.rows;
    points_close(&off);
    if (s->points.rows > 0)
        return 0;
    return ERR(ERR_DATA,
               "no run differs from the centre %g/%g/%g in one dimension alone: give "
               "--centre, or --joint for a grid",
               s->centre[0], s->centre[1], s->centre[2]);
}

/* The variable that is compute, of a law of --terms; -1: none. */
static int find_compute(const struct study *s)
{
    int v = s->points.vars - 1;

    while (v >= 0 && strcmp(s->dim[v], s->options->compute) != 0)
        v--;
    return v;
}

/* Move the runs of most compute aside. */
static int hold_out(struct study *s)
{
    const struct options *o = s->options;
    int compute             = s->dims;

    if (o->hold_out == 0)
        return 0;
    if (o->law == LAW_CHINCHILLA) { /* N D */
        compute = 2;
        for (int i = 0; i < s->points.rows; i++) {
            double *x = s->points.x + (size_t)i * LAW_VARS;

            x[compute] = x[0] * x[1];
        }
    }
    if (o->law == LAW_ADDITIVE) {
        compute = find_compute(s);
        if (compute < 0)
            return ERR(ERR_USAGE, "--hold-out needs compute: none of --terms is '%s'",
                       o->compute);
    }
    points_take_largest(&s->held, &s->points, (int)o->hold_out, compute);
    return 0;
}

static int read_runs(struct study *s)
{
    const struct options *o = s->options;
    struct columns columns  = { 0 };
    struct points dropped;

    TRY(choose_columns(&columns, s));
    TRY(choose_flops(&columns.flops, s));
    TRY(points_read(&s->points, s->file, s->files, &columns));
    points_take_largest(&dropped, &s->points, (int)o->drop_highest, -1);
    s->dropped = dropped.rows;
    points_close(&dropped);
    if (o->law == LAW_SOVIT)
        TRY(sort_arms(s));
    return hold_out(s);
}

/* ---- the fits -------------------------------------------------------------------- */

static void make_law(struct law *l, const struct study *s, int k)
{
    const char *name[LAW_VARS];

    for (int v = 0; v < LAW_VARS; v++)
        name[v] = s->dim[v];
    if (s->options->law == LAW_CHINCHILLA) {
        law_chinchilla(l, name[0], name[1]);
    } else if (s->options->law == LAW_ADDITIVE) {
        law_additive(l, name, s->points.vars);
        l->along = find_compute(s);
    } else if (s->form == FORM_ARMS) {
        law_sovit_arm(l, name, s->dims, k, name[s->dims]);
    } else if (s->form == FORM_SHARED) {
        law_sovit_shared(l, name, s->dims, name[s->dims]);
    } else {
        law_sovit_joint(l, name, s->dims, name[s->dims]);
    }
}

static bool on_arm(const struct points *p, int row, const void *what)
{
    return p->arm[row] == *(const int *)what;
}

/* Every arm by itself; an arm that cannot be fitted does not keep the
 * others from it.
 */
static int fit_arms(struct study *s, const struct fit_options *o)
{
    int rc = 0, good = 0;

    s->fits = s->dims;
    for (int k = 0; k < s->dims; k++) {
        struct points copy, mine;
        struct law law;
        int one;

        make_law(&law, s, k);
        points_copy(&copy, &s->points);
        points_take(&mine, &copy, on_arm, &k);
        one = fit_open(&s->fit[k], &law, &mine, o);
        points_close(&mine);
        points_close(&copy);
        if (one == 0) {
            good++;
            continue;
        }
        rc = one;
        snprintf(s->why[k], sizeof s->why[k], "%s", err_sentence());
        if (one != ERR_DATA)
            return one;
    }
    if (good == 0)
        return ERR(rc, "no dimension can be fitted; %s: %s", s->dim[s->dims - 1],
                   s->why[s->dims - 1]);
    err_forget();
    return 0;
}

static int fit_all(struct study *s, const struct fit_options *o)
{
    struct law law;

    if (s->form == FORM_ARMS)
        return fit_arms(s, o);
    make_law(&law, s, 0);
    s->fits = 1;
    return fit_open(&s->fit[0], &law, &s->points, o);
}

/* Errors of points on which any of the fits may have a say. */
static void judge(struct errors *e, const struct study *s, const struct points *p)
{
    *e = (struct errors){ 0 };
    if (p->rows == 0)
        return;
    if (s->form != FORM_ARMS) {
        fit_errors(e, &s->fit[0], p);
        return;
    }
    for (int k = 0; k < s->dims; k++) {
        struct points copy, mine;
        struct errors one;

        if (s->fit[k].model.rows == 0)
            continue;
        points_copy(&copy, p);
        points_take(&mine, &copy, on_arm, &k);
        if (mine.rows > 0) {
            const int n = e->n + mine.rows;

            fit_errors(&one, &s->fit[k], &mine);
            e->rms  = sqrt((e->rms * e->rms * e->n + one.rms * one.rms * one.n) / n);
            e->mean = (e->mean * e->n + one.mean * one.n) / n;
            if (fabs(one.worst) > fabs(e->worst))
                e->worst = one.worst;
            e->n = n;
        }
        points_close(&mine);
        points_close(&copy);
    }
}

/* The centre lies on every arm: the first one that was fitted predicts it. */
static void judge_middle(struct study *s)
{
    int arm = 0;

    while (s->form == FORM_ARMS && arm < s->dims - 1 && s->fit[arm].model.rows == 0)
        arm++;
    for (int i = 0; i < s->middle.rows; i++)
        s->middle.arm[i] = arm;
    judge(&s->middle_errors, s, &s->middle);
}

int study_open(struct study *s, const struct options *o, char *const *file, int files)
{
    struct fit_options fit = { .objective = options_is_huber(o) ? OBJECTIVE_HUBER
                                                                : OBJECTIVE_RELATIVE,
                               .delta     = o->delta,
                               .bootstrap = (int)o->bootstrap,
                               .resample  = (enum resample)o->resample,
                               .level     = o->level,
                               .profile   = o->profile,
                               .threads   = (int)o->threads,
                               .seed      = o->seed };
    double start           = clock_now();
    int rc;

    *s = (struct study){ .options = o, .file = file, .files = files };
    if (files == 0)
        return ERR(ERR_USAGE, "vitfit fit needs a file of runs");
    s->form = o->law != LAW_SOVIT ? FORM_PLAIN
              : o->joint          ? FORM_JOINT
              : o->shared_c       ? FORM_SHARED
                                  : FORM_ARMS;
    if (o->law != LAW_SOVIT && (o->joint || o->shared_c))
        return ERR(ERR_USAGE, "--joint and --shared-c are for --law=sovit");
    s->objective = fit.objective;
    rc           = read_runs(s);
    if (rc == 0) {
        rc = fit_all(s, &fit);
        if (rc == ERR_DATA && s->held.rows + s->dropped > 0)
            rc = ERR(rc, "%s; --hold-out took %d, --drop-highest %d", err_sentence(),
                     s->held.rows, s->dropped);
    }
    if (rc != 0) {
        study_close(s);
        return rc;
    }
    judge(&s->held_errors, s, &s->held);
    judge_middle(s);
    s->seconds = clock_now() - start;
    return 0;
}

void study_close(struct study *s)
{
    for (int k = 0; k < LAW_DIMS; k++)
        fit_close(&s->fit[k]);
    points_close(&s->points);
    points_close(&s->middle);
    points_close(&s->held);
}

const struct fit *study_fit_of(const struct study *s, int k, int *slope)
{
    const int i = s->form == FORM_ARMS ? k : 0;

    *slope = s->form == FORM_ARMS ? 0 : k;
    return s->fit[i].model.rows > 0 ? &s->fit[i] : NULL;
}
