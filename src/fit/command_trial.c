/* SPDX-License-Identifier: BSD-3-Clause */
/* 'vitfit trial': how a predicted shape did beside others at equal compute. */
#include "config.h"

#include "src/base/err.h"
#include "src/base/json.h"
#include "src/fit/command.h"
#include "src/fit/trial.h"

#include <math.h>
#include <string.h>

int command_read_trial(struct points *p, const struct options *o, char *const *word,
                       int words, const char *y)
{
    struct columns c = { .y            = y,
                         .vars         = LAW_DIMS + 1,
                         .options      = "--y and --compute",
                         .skip_missing = o->skip_missing };

    if (words == 0)
        return ERR(ERR_USAGE, "a trial needs a file of runs");
    for (int k = 0; k < LAW_DIMS; k++)
        c.var[k] = law_dim_name[k];
    c.var[LAW_DIMS] = o->compute;
    return points_read(p, word, words, &c);
}

int command_open_trial(struct trial *t, struct fitfile *f, const struct points *p,
                       const struct options *o)
{
    double first[LAW_DIMS];
    int n = LAW_DIMS;

    if (o->fit[0] != '\0')
        TRY(fitfile_read(f, o->fit));
    if (o->shape[0] != '\0')
        n = options_numbers(first, LAW_DIMS, o->shape, '/', "shape");
    if (n >= 0 && n != LAW_DIMS)
        return ERR(ERR_USAGE, "--shape=%s: expected C/L/F", o->shape);
    if (n < 0)
        return n;
    return trial_open(t, p, o->shape[0] != '\0' ? first : NULL,
                      o->fit[0] != '\0' ? f : NULL);
}

/* A number, or "-" where there is none. */
static const char *number_text(char text[16], double x, const char *format)
{
    if (isfinite(x))
        snprintf(text, 16, format, x);
    else
        strcpy(text, "-");
    return text;
}

static void print(FILE *out, const struct trial *t, const char *y)
{
    const struct trial_shape *first = &t->shape[0];
    char error[16], against[16], far[16], expected[16], left[256] = "";

    fprintf(out, "%d runs of %d shapes%s\n", t->points->rows, t->shapes,
            t->is_equal ? " at equal compute" : ", NOT at equal compute");
    points_left_out(left, sizeof left, t->points, y);
    if (left[0] != '\0')
        fprintf(out, "left out: %s\n", left);
    fprintf(out, "\n");
    fprintf(out, "%-16s%5s%10s %11.11s%11s%11s%6s%9s\n", "shape", "runs", "FLOP", y,
            "std. error", "against it", "in se", "law");
    for (int s = 0; s < t->shapes; s++) {
        const struct trial_shape *one = &t->shape[s];
        const double change           = one->mean / first->mean - 1;
        const double both             = hypot(one->error, first->error);
        char shape[64];

        snprintf(shape, sizeof shape, "%g/%g/%g", one->x[0], one->x[1], one->x[2]);
        fprintf(out, "%-16s%5d%10.3g%12.5g%11s%11s%6s%9s\n", shape, one->runs,
                one->compute, one->mean, number_text(error, one->error, "%.2g"),
                s > 0 ? number_text(against, 100 * change, "%+.2f %%") : "",
                s > 0 ? number_text(far, (one->mean - first->mean) / both, "%+.1f")
                      : "",
                number_text(expected, one->expected, "%.5g"));
    }
    fprintf(out, "\nin se: the difference from %g/%g/%g in its standard errors.\n",
            first->x[0], first->x[1], first->x[2]);
}

static json_t *make_json(const struct trial *t, const char *y)
{
    json_t *list = json_array();

    for (int s = 0; s < t->shapes; s++) {
        const struct trial_shape *one = &t->shape[s];

        json_array_append_new(
            list, json_pack("{s[fff] si sf sf so so}", "shape", one->x[0], one->x[1],
                            one->x[2], "runs", one->runs, "compute", one->compute,
                            "mean", one->mean, "error", json_finite(one->error),
                            "expected", json_finite(one->expected)));
    }
    return json_pack("{ss so}", "y", y, "shapes", list);
}

int command_trial(FILE *out, const struct options *o, char *const *word, int words)
{
    const char *y = o->y[0] != '\0' ? o->y : "err_10shot";
    struct fitfile f;
    struct points p;
    struct trial t;
    int rc;

    TRY(command_read_trial(&p, o, word, words, y));
    rc = command_open_trial(&t, &f, &p, o);
    if (rc == 0) {
        print(out, &t, y);
        rc = command_save(make_json(&t, y), o->json);
    }
    points_close(&p);
    return rc;
}
