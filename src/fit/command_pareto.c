/* SPDX-License-Identifier: BSD-3-Clause */
/* 'vitfit pareto': the frontier of a grid sweep, and x0 for 'vitfit shape --from'. */
#include "config.h"

#include "src/base/err.h"
#include "src/fit/command.h"
#include "src/fit/pareto.h"

#include <math.h>

static void shape_text(char *text, size_t size, const struct pareto *f, int shape)
{
    const double *x = f->x + (size_t)shape * LAW_VARS;
    size_t used     = 0;

    text[0] = '\0';
    for (int k = 0; k < f->dims && used < size; k++)
        used +=
            (size_t)snprintf(text + used, size - used, "%s%g", k > 0 ? "/" : "", x[k]);
}

/* 'runs' are those that were read: the points of 'f' are means of their seeds. */
static void print(FILE *out, const struct pareto *f, int runs, const char *y)
{
    char shape[64], left[256] = "";

    fprintf(out, "%d runs of %d shapes; lowest %s for each compute\n", runs, f->shapes,
            y);
    points_left_out(left, sizeof left, f->points, y);
    if (left[0] != '\0')
        fprintf(out, "left out: %s\n", left);
    fprintf(out, "\n");
    fprintf(out, "  %-20s%12s%12s%9s %13.13s  %s\n", "shape", "from FLOP", "to FLOP",
            "times", y, "inside");
    for (int i = 0; i < f->count; i++) {
        const struct stretch *s = &f->stretch[i];
        char to[16] = "-", times[16] = "-";

        if (!isinf(s->hi)) {
            snprintf(to, sizeof to, "%.3g", s->hi);
            snprintf(times, sizeof times, "%.3g", s->hi / s->lo);
        }
        shape_text(shape, sizeof shape, f, s->shape);
        fprintf(out, "%c %-20s%12.3g%12s%9s%14.5g  %s\n", i == f->best ? '!' : ' ',
                shape, s->lo, to, times, s->y, f->is_interior[s->shape] ? "yes" : "no");
    }
    fprintf(out,
            "\ninside: the grid has smaller and larger sizes of each dimension.\n");
    if (f->best < 0) {
        fprintf(out, "No shape inside the grid is optimal at any compute: the optimum "
                     "lies on the\ngrid's edge or beyond it.\n");
        return;
    }
    shape_text(shape, sizeof shape, f, f->stretch[f->best].shape);
    fprintf(out,
            "x0 is %s: inside the grid, optimal over the widest range, from\nt0 = "
            "%.4g FLOP on:  vitfit shape --from=%s@%.4g --budget=..\n",
            shape, f->stretch[f->best].lo, shape, f->stretch[f->best].lo);
}

static json_t *make_json(const struct pareto *f)
{
    json_t *list = json_array(), *x0 = json_null();

    for (int i = 0; i < f->count; i++) {
        const struct stretch *s = &f->stretch[i];
        json_t *shape           = json_array();

        for (int k = 0; k < f->dims; k++)
            json_array_append_new(
                shape, json_real(f->x[(size_t)s->shape * LAW_VARS + (size_t)k]));
        if (i == f->best)
            x0 = json_pack("{sO sf}", "shape", shape, "t0", s->lo);
        json_array_append_new(
            list, json_pack("{so sf so sf sb}", "shape", shape, "lo", s->lo, "hi",
                            isinf(s->hi) ? json_null() : json_real(s->hi), "y", s->y,
                            "interior", (int)f->is_interior[s->shape]));
    }
    return json_pack("{so so}", "frontier", list, "x0", x0);
}

/* The dimensions and the compute of all runs. */
static int read_runs(struct points *p, const struct options *o, char *const *word,
                     int words, const char *y)
{
    char name[LAW_DIMS][OPTIONS_WORD];
    const int dims   = options_words(name, LAW_DIMS, o->dims, "dims");
    struct columns c = { .y            = y,
                         .vars         = dims + 1,
                         .options      = "--y, --dims and --compute",
                         .skip_missing = o->skip_missing };

    if (dims < 1)
        return dims < 0 ? dims : ERR(ERR_USAGE, "--dims names no column");
    if (words == 0)
        return ERR(ERR_USAGE, "vitfit pareto needs a file of runs");
    for (int k = 0; k < dims; k++)
        c.var[k] = name[k];
    c.var[dims] = o->compute;
    return points_read(p, word, words, &c);
}

int command_pareto(FILE *out, const struct options *o, char *const *word, int words)
{
    const char *y = o->y[0] != '\0' ? o->y : "err_10shot";
    struct points p;
    struct pareto f;
    int runs, rc;

    TRY(read_runs(&p, o, word, words, y));
    runs = p.rows;
    points_average(&p);
    pareto_open(&f, &p, p.vars - 1);
    print(out, &f, runs, y);
    rc = command_save(make_json(&f), o->json);
    pareto_close(&f);
    points_close(&p);
    return rc;
}
