/* SPDX-License-Identifier: BSD-3-Clause */
/* 'vitfit plot KIND FILES': reads what the kind needs, and draws. */
#include "config.h"

#include "src/base/err.h"
#include "src/fit/command.h"
#include "src/fit/plot_law.h"
#include "src/fit/plot_runs.h"

#include <string.h>

struct drawing {
    const struct options *o;
    char *const *file;
    int files;
    struct plot *plot;
    char dim[LAW_DIMS][OPTIONS_WORD];
    int dims;
};

static const char *metric(const struct drawing *d, const char *otherwise)
{
    return d->o->y[0] != '\0' ? d->o->y : otherwise;
}

static int need_files(const struct drawing *d, const char *what)
{
    return d->files > 0 ? 0 : ERR(ERR_USAGE, "this picture needs %s", what);
}

static int read_fit(struct fitfile *f, const struct drawing *d)
{
    if (d->o->fit[0] == '\0')
        return ERR(ERR_USAGE, "this picture needs --fit=FILE, from vitfit fit --json");
    TRY(fitfile_read(f, d->o->fit));
    if (f->kind == LAW_ADDITIVE)
        return ERR(ERR_USAGE, "--fit=%s: an additive law has no optimum to draw",
                   f->path);
    return 0;
}

/* Runs with their dimensions and compute. */
static int read_shapes(struct points *p, const struct drawing *d, const char *y)
{
    struct columns c = { .y            = y,
                         .vars         = d->dims + 1,
                         .options      = "--y, --dims and --compute",
                         .skip_missing = d->o->skip_missing };

    for (int k = 0; k < d->dims; k++)
        c.var[k] = d->dim[k];
    c.var[d->dims] = d->o->compute;
    return points_read(p, d->file, d->files, &c);
}

/* Runs with the variables that the fit's law has, and compute: 6 N D for chinchilla. */
static int read_for(struct points *p, const struct fitfile *f, const struct drawing *d)
{
    struct columns c = { .y            = metric(d, f->y),
                         .options      = "--y, --compute and --flops",
                         .skip_missing = d->o->skip_missing };
    double centre[LAW_VARS];

    TRY(need_files(d, "a file of runs"));
    for (int k = 0; k < f->dims; k++)
        c.var[k] = f->dim[k];
    if (f->kind == LAW_SOVIT) {
        c.vars         = f->dims + 1;
        c.var[f->dims] = d->o->compute;
        TRY(points_read(p, d->file, d->files, &c));
        points_centre(centre, p, f->dims);
        for (int k = 0; k < f->dims; k++) /* of an arm that could not be fitted */
            centre[k] = f->has_dim[k] ? f->centre[k] : centre[k];
        points_arms(p, centre, f->dims);
        return 0;
    }

    struct table *t;

    TRY(table_read(&t, d->file[0]));
    if (d->o->flops[0] != '\0')
        c.flops = d->o->flops;
    else if (table_column(t, f->dim[1]) < 0)
        c.flops = "flops";
    table_close(&t);
    c.vars = 2;
    TRY(points_read(p, d->file, d->files, &c));
    p->vars = 3;
    for (int i = 0; i < p->rows; i++) {
        double *x = p->x + (size_t)i * LAW_VARS;

        x[2] = 6 * x[0] * x[1];
    }
    return 0;
}

/* ---- kinds ----------------------------------------------------------------------- */

static int draw_isoflop(struct drawing *d)
{
    struct fitfile f;
    struct points p;

    TRY(read_fit(&f, d));
    TRY(read_for(&p, &f, d));
    plot_isoflop(d->plot, &f, &p);
    points_close(&p);
    return 0;
}

static int draw_exponents(struct drawing *d)
{
    struct fitfile f;

    TRY(read_fit(&f, d));
    return plot_exponents(d->plot, &f);
}

static int draw_frontier(struct drawing *d)
{
    struct fitfile f;
    struct points p;
    int rc;

    TRY(read_fit(&f, d));
    TRY(read_for(&p, &f, d));
    rc = plot_frontier(d->plot, &f, &p);
    points_close(&p);
    return rc;
}

static int draw_pareto(struct drawing *d)
{
    struct points p;

    TRY(need_files(d, "a file of runs"));
    TRY(read_shapes(&p, d, metric(d, "err_10shot")));
    points_average(&p);
    plot_pareto(d->plot, &p, d->dims, metric(d, "err_10shot"));
    points_close(&p);
    return 0;
}

static int draw_curves(struct drawing *d)
{
    const char *dim[LAW_DIMS];
    bool has_shapes = true;
    struct points p;
    struct table *t;

    TRY(need_files(d, "files of runs or of steps"));
    TRY(table_read(&t, d->file[0]));
    for (int k = 0; k < d->dims; k++)
        has_shapes &= table_column(t, d->dim[k]) >= 0;
    table_close(&t);
    if (!has_shapes) {
        const bool is_given = strcmp(d->o->compute, "compute") != 0;

        return plot_files(d->plot, d->file, d->files, is_given ? d->o->compute : "step",
                          metric(d, "loss"));
    }
    TRY(read_shapes(&p, d, metric(d, "err_10shot")));
    points_average(&p);
    for (int k = 0; k < d->dims; k++)
        dim[k] = d->dim[k];
    plot_shapes(d->plot, &p, dim, d->dims, d->o->compute, metric(d, "err_10shot"));
    points_close(&p);
    return 0;
}

static int draw_design(struct drawing *d)
{
    TRY(need_files(d, "one plan.jsonl, or several to compare"));
    return plot_design(d->plot, d->file, d->files);
}

static int draw_trial(struct drawing *d)
{
    const char *y = metric(d, "err_10shot");
    struct fitfile f;
    struct points p;
    struct trial t;
    int rc;

    TRY(command_read_trial(&p, d->o, d->file, d->files, y));
    rc = command_open_trial(&t, &f, &p, d->o);
    if (rc == 0)
        plot_trial(d->plot, &t, y);
    points_close(&p);
    return rc;
}

static const struct {
    const char *name;
    int (*draw)(struct drawing *d);
    int width, height;
} kinds[] = {
    { "isoflop", draw_isoflop, 1200, 520 },  { "exponents", draw_exponents, 860, 420 },
    { "frontier", draw_frontier, 860, 560 }, { "pareto", draw_pareto, 860, 560 },
    { "curves", draw_curves, 960, 560 },     { "design", draw_design, 1200, 480 },
    { "trial", draw_trial, 860, 520 },
};

enum { KINDS = sizeof kinds / sizeof kinds[0] };

int command_plot(FILE *out, const struct options *o, char *const *word, int words)
{
    struct plot plot;
    struct drawing d = { .o = o, .plot = &plot };
    int i            = 0, rc;

    if (words == 0)
        return ERR(ERR_USAGE, "vitfit plot needs a kind: isoflop, exponents, frontier, "
                              "pareto, curves, design, trial");
    while (i < KINDS && strcmp(word[0], kinds[i].name) != 0)
        i++;
    if (i == KINDS)
        return ERR(ERR_USAGE,
                   "vitfit plot '%s': expected isoflop, exponents, frontier, pareto, "
                   "curves, design or trial",
                   word[0]);
    d.file  = word + 1;
    d.files = words - 1;
    d.dims  = options_words(d.dim, LAW_DIMS, o->dims, "dims");
    if (d.dims < 1)
        return d.dims < 0 ? d.dims : ERR(ERR_USAGE, "--dims names no column");
    TRY(plot_open(&plot, o->out, kinds[i].width, kinds[i].height));
    rc = kinds[i].draw(&d);
    if (rc == 0)
        rc = plot_finish(&plot);
    plot_close(&plot);
    if (rc == 0)
        fprintf(out, "wrote %s\n", o->out);
    return rc;
}
