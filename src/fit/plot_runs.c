/* SPDX-License-Identifier: BSD-3-Clause */
/* gnuplot scripts of runs. */
#include "config.h"

#include "src/fit/plot_runs.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/fit/pareto.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS_MOST = 12, LOOKS = 7 }; /* names in a key; looks of a curve's size */

static const double *row(const struct points *p, int i)
{
    return p->x + (size_t)i * LAW_VARS;
}

static void shape_text(char *text, size_t size, const double *x, int dims)
{
    size_t used = 0;

    text[0] = '\0';
    for (int k = 0; k < dims && used < size; k++)
        used +=
            (size_t)snprintf(text + used, size - used, "%s%g", k > 0 ? "/" : "", x[k]);
}

/* The run of shape 's' with the least compute above 'after'; -1 if there is none. */
static int next_run(const struct pareto *f, int s, double after)
{
    const struct points *p = f->points;
    int next               = -1;

    for (int i = 0; i < p->rows; i++) {
        const double compute = row(p, i)[f->dims];

        if (f->shape_of[i] == s && compute > after &&
            (next < 0 || compute < row(p, next)[f->dims]))
            next = i;
    }
    return next;
}

/* The runs of every shape by compute; the range of compute. */
static struct bounds print_shapes(struct plot *plot, const struct pareto *f)
{
    struct bounds t = { 0 };

    for (int s = 0; s < f->shapes; s++) {
        fprintf(plot->script, "$shape%d << EOD\n", s);
        for (int i = next_run(f, s, 0); i >= 0;) {
            const double compute = row(f->points, i)[f->dims];

            plot_widen(&t, compute);
            fprintf(plot->script, "%.8g %.8g\n", compute, f->points->y[i]);
            i = next_run(f, s, compute);
        }
        fprintf(plot->script, "EOD\n");
    }
    return t;
}

static void print_axes(struct plot *plot, const char *x, const char *y)
{
    fprintf(plot->script, "set logscale x\nset xlabel ");
    plot_quote(plot, strcmp(x, "compute") == 0 ? "compute, FLOP" : x);
    fprintf(plot->script, "\nset ylabel ");
    plot_quote(plot, y);
    fprintf(plot->script, "\n");
}

/* ---- Pareto ---------------------------------------------------------------------- */

static void print_frontier(struct plot *plot, const struct pareto *f, double most)
{
    fprintf(plot->script, "$frontier << EOD\n");
    for (int i = 0; i < f->count; i++) {
        const struct stretch *s = &f->stretch[i];
        const double hi         = isinf(s->hi) ? most : s->hi;

        for (int j = 0; j <= 20; j++) {
            const double t = s->lo * pow(hi / s->lo, j / 20.0);

            fprintf(plot->script, "%.8g %.8g\n", t, pareto_curve(f, s->shape, t));
        }
    }
    fprintf(plot->script, "EOD\n");
}

void plot_pareto(struct plot *plot, const struct points *p, int dims, const char *y)
{
    char shape[64], label[128];
    struct bounds t;
    struct pareto f;

    pareto_open(&f, p, dims);
    t = print_shapes(plot, &f);
    print_frontier(plot, &f, t.hi);
    plot_title(plot, "Pareto frontier of the grid: the lowest metric for each compute");
    print_axes(plot, "compute", y);
    plot_range(plot, "x", t, 0.04);
    if (f.best >= 0) {
        const struct stretch *s = &f.stretch[f.best];

        shape_text(shape, sizeof shape, f.x + (size_t)s->shape * LAW_VARS, dims);
        snprintf(label, sizeof label, "x0 = %s, from t0 = %.3g FLOP", shape, s->lo);
        fprintf(plot->script, "set label 1 ");
        plot_quote(plot, label);
        fprintf(plot->script,
                " at graph 0.03, graph 0.06 left font ',12' tc rgb '%s'\n"
                "set object 1 circle at %.8g,%.8g size screen 0.008 fc rgb '%s' fs "
                "solid front\n",
                plot_colour(1), s->lo, s->y, plot_colour(1));
    }
    fprintf(plot->script, "plot ");
    for (int s = 0; s < f.shapes; s++)
        fprintf(plot->script,
                "$shape%d using 1:2 with linespoints pt 7 ps 0.6 lw 1 lc rgb '#AAAAAA' "
                "%s, ",
                s, s == 0 ? "title 'runs of one shape'" : "notitle");
    fprintf(plot->script,
            "$frontier using 1:2 with lines lw 3 lc rgb '%s' title 'frontier'",
            plot_colour(0));
    if (f.best >= 0)
        fprintf(plot->script,
                ", $shape%d using 1:2 with linespoints pt 7 ps 0.8 lw 1.5 lc rgb '%s' "
                "title 'runs of x0'",
                f.stretch[f.best].shape, plot_colour(1));
    fprintf(plot->script, "\n");
    pareto_close(&f);
}

/* ---- learning curves ------------------------------------------------------------- */

static void print_curve_plots(struct plot *plot, int curves, char (*name)[128])
{
    fprintf(plot->script, "plot ");
    for (int s = 0; s < curves; s++) {
        fprintf(plot->script, "%s$shape%d using 1:2 with %s lw 2 lc rgb '%s' dt %d ",
                s > 0 ? ", " : "", s, "linespoints pt 7 ps 0.5", plot_colour(s),
                s / 7 + 1);
        if (curves <= KEYS_MOST) {
            fprintf(plot->script, "title ");
            plot_quote(plot, name[s]);
        } else {
            fprintf(plot->script, "notitle");
        }
    }
    fprintf(plot->script, "\n");
}

static int find_look(const struct sizes *z, double x)
{
    int at = 0;

    while (z->x[at] < x)
        at++;
    return at;
}

/* Too many shapes for a name each: the first dimension has the colour, the second the
 * dashes, the third the marks, and the key says which size is which.
 */
static const int mark[LOOKS]         = { 7, 6, 9, 8, 5, 4, 2 };
static const char *const dash[LOOKS] = { "solid",      "(12,5)", "(3,3)",
                                         "(12,4,3,4)", "(24,6)", "(12,4,3,4,3,4)",
                                         "(3,9)" };

static void print_looks(struct plot *plot, const struct pareto *f,
                        const struct sizes z[LAW_DIMS], const char *const *dim)
{
    fprintf(plot->script, "plot ");
    for (int s = 0; s < f->shapes; s++) {
        const double *x    = f->x + (size_t)s * LAW_VARS;
        int look[LAW_DIMS] = { 0 };

        for (int k = 0; k < f->dims; k++)
            look[k] = find_look(&z[k], x[k]);
        fprintf(
            plot->script,
            "$shape%d using 1:2 with linespoints lw 1.5 ps 0.9 lc rgb '%s' dt %s pt "
            "%d notitle, ",
            s, plot_colour(look[0]), dash[look[1]], mark[look[2]]);
    }
    for (int k = 0; k < f->dims; k++) {
        for (int i = 0; i < z[k].count; i++) {
            char name[128];

            snprintf(name, sizeof name, "%s %g", dim[k], z[k].x[i]);
            fprintf(plot->script, "%sNaN with ", k + i > 0 ? ", " : "");
            if (k == 2)
                fprintf(plot->script, "points pt %d lc rgb '#444444' ", mark[i]);
            else
                fprintf(plot->script, "lines lw 2 lc rgb '%s' dt %s ",
                        k == 0 ? plot_colour(i) : "#444444", dash[k == 1 ? i : 0]);
            fprintf(plot->script, "title ");
            plot_quote(plot, name);
        }
    }
    fprintf(plot->script, "\n");
}

static bool has_looks(struct sizes z[LAW_DIMS], const struct pareto *f)
{
    bool has = f->dims <= LAW_DIMS && f->shapes > KEYS_MOST;

    for (int k = 0; k < f->dims && has; k++) {
        z[k].count = 0;
        for (int s = 0; s < f->shapes; s++)
            plot_size(&z[k], f->x[(size_t)s * LAW_VARS + (size_t)k]);
        has = z[k].count <= LOOKS;
    }
    return has;
}

void plot_shapes(struct plot *plot, const struct points *p, const char *const *dim,
                 int dims, const char *x, const char *y)
{
    struct sizes size[LAW_DIMS];
    char(*name)[128];
    struct bounds t;
    struct pareto f;

    pareto_open(&f, p, dims);
    name = mem_new((size_t)f.shapes, sizeof *name);
    for (int s = 0; s < f.shapes; s++)
        shape_text(name[s], sizeof name[s], f.x + (size_t)s * LAW_VARS, dims);
    t = print_shapes(plot, &f);
    plot_title(plot, "Learning curves by shape");
    print_axes(plot, x, y);
    plot_range(plot, "x", t, 0.04);
    fprintf(plot->script, "set key outside right top\n");
    if (has_looks(size, &f))
        print_looks(plot, &f, size, dim);
    else
        print_curve_plots(plot, f.shapes, name);
    mem_free(name);
    pareto_close(&f);
}

/* The lines of a log that have both numbers; others tell of something else. */
static int print_log(struct plot *plot, const char *path, const char *x, const char *y)
{
    struct table *t;
    int lines = 0;

    TRY(table_read(&t, path));
    for (int i = 0; i < t->rows; i++) {
        const struct cell *at    = table_cell(t, i, table_column(t, x));
        const struct cell *value = table_cell(t, i, table_column(t, y));

        if (at->kind != CELL_NUMBER || value->kind != CELL_NUMBER)
            continue;
        fprintf(plot->script, "%.8g %.8g\n", at->number, value->number);
        lines++;
    }
    table_close(&t);
    if (lines == 0)
        return ERR(ERR_DATA, "%s: no line has both '%s' and '%s'", path, x, y);
    return 0;
}

int plot_files(struct plot *plot, char *const *file, int files, const char *x,
               const char *y)
{
    char(*name)[128] = mem_new((size_t)files, sizeof *name);
    int rc           = 0;

    for (int f = 0; f < files && rc == 0; f++) {
        const char *slash = strrchr(file[f], '/');

        snprintf(name[f], sizeof name[f], "%s", slash != NULL ? slash + 1 : file[f]);
        fprintf(plot->script, "$shape%d << EOD\n", f);
        rc = print_log(plot, file[f], x, y);
        fprintf(plot->script, "EOD\n");
    }
    if (rc == 0) {
        plot_title(plot, "Learning curves");
        print_axes(plot, x, y);
        fprintf(plot->script, "unset logscale x\nset key top right\n");
        print_curve_plots(plot, files, name);
    }
    mem_free(name);
    return rc;
}

/* ---- design ---------------------------------------------------------------------- */

struct extent {
    struct bounds x[LAW_DIMS], t;
    struct sizes size[LAW_DIMS];
};

static void print_point(struct plot *plot, struct extent *e, int k, double x, double t)
{
    plot_widen(&e->x[k], x);
    plot_size(&e->size[k], x);
    plot_widen(&e->t, t);
    fprintf(plot->script, "%.8g %.8g\n", x, t);
}

static double member(const json_t *o, const char *name)
{
    return json_number_value(json_object_get(o, name));
}

/* One line of a plan: the points of arm k. */
static int print_line(struct plot *plot, struct extent *e, const json_t *o, int k)
{
    const json_t *forks    = json_object_get(o, "cooldown_at");
    const double step_cost = member(o, "flops_per_image") * member(o, "batch");
    const double x         = member(o, law_dim_name[k]);
    const char *arm        = json_string_value(json_object_get(o, "arm"));

    if (arm == NULL || !(x > 0) || !(step_cost > 0))
        return ERR_DATA;
    if (strcmp(arm, law_dim_name[k]) != 0)
        return 0;
    for (size_t i = 0; i < json_array_size(forks); i++)
        print_point(plot, e, k, x,
                    step_cost * (json_number_value(json_array_get(forks, i)) +
                                 member(o, "cooldown_steps")));
    print_point(plot, e, k, x, step_cost * member(o, "steps"));
    return 0;
}

static int print_plan(struct plot *plot, struct extent *e, const char *path, int k)
{
    FILE *file = fopen(path, "r");
    char line[16384];
    int rc = 0;

    if (file == NULL)
        return err_unread(path);
    for (int n = 1; rc == 0 && fgets(line, sizeof line, file) != NULL; n++) {
        json_t *o = json_loads(line, 0, NULL);

        rc = print_line(plot, e, o, k);
        if (rc != 0)
            rc = ERR(ERR_DATA, "%s: line %d, column 1: is no run of a plan", path, n);
        json_decref(o);
    }
    fclose(file);
    return rc;
}

static void print_design_panel(struct plot *plot, const struct extent *e,
                               char *const *file, int files, int k)
{
    fprintf(plot->script, "set xlabel '%s'\n%s", law_dim_name[k],
            k == 0 ? "set ylabel 'compute, FLOP'\n" : "unset ylabel\nunset key\n");
    plot_range(plot, "x", e->x[k], 0.06);
    plot_sizes(plot, &e->size[k]);
    fprintf(plot->script, "plot ");
    for (int f = 0; f < files; f++) {
        fprintf(plot->script,
                "%s$plan%d_%d using 1:2 with points pt %d ps 1.2 lw 2 lc rgb '%s' "
                "title ",
                f > 0 ? ", " : "", k, f, f == 0 ? 7 : 4 + 2 * f, plot_colour(f));
        plot_quote(plot, file[f]);
    }
    fprintf(plot->script, "\n");
}

int plot_design(struct plot *plot, char *const *file, int files)
{
    struct extent e = { 0 };

    for (int k = 0; k < LAW_DIMS; k++) {
        for (int f = 0; f < files; f++) {
            fprintf(plot->script, "$plan%d_%d << EOD\n", k, f);
            TRY(print_plan(plot, &e, file[f], k));
            fprintf(plot->script, "EOD\n");
        }
    }
    if (e.t.hi == 0)
        return ERR(ERR_DATA, "%s: is no plan of a star", file[0]);
    fprintf(plot->script,
            "set multiplot layout 1,3 margins 0.09,0.98,0.3,0.88 spacing 0.06 title "
            "'Planned points: size of the dimension that an arm varies, and compute' "
            "font ',14'\n"
            "set logscale xy\n"
            "set key at screen 0.5,0.08 center\n");
    plot_range(plot, "y", e.t, 0.06);
    for (int k = 0; k < LAW_DIMS; k++) {
        if (e.x[k].hi > 0)
            print_design_panel(plot, &e, file, files, k);
    }
    fprintf(plot->script, "unset multiplot\n");
    return 0;
}

/* ---- a trial --------------------------------------------------------------------- */

void plot_trial(struct plot *plot, const struct trial *t, const char *y)
{
    bool has_law = false;
    char name[64];

    fprintf(plot->script, "$runs << EOD\n");
    for (int i = 0; i < t->points->rows; i++)
        fprintf(plot->script, "%d %.8g\n", t->shape_of[i], t->points->y[i]);
    fprintf(plot->script, "EOD\n$means << EOD\n");
    for (int s = 0; s < t->shapes; s++)
        fprintf(plot->script, "%d %.8g %.8g\n", s, t->shape[s].mean,
                isfinite(t->shape[s].error) ? t->shape[s].error : 0);
    fprintf(plot->script, "EOD\n$law << EOD\n");
    for (int s = 0; s < t->shapes; s++) {
        if (!isfinite(t->shape[s].expected))
            continue;
        has_law = true;
        fprintf(plot->script, "%d %.8g\n", s, t->shape[s].expected);
    }
    fprintf(plot->script, "EOD\n");
    plot_title(plot, t->is_equal
                         ? "The predicted shape (left) beside others at equal compute"
                         : "The predicted shape (left) beside others, NOT at equal "
                           "compute");
    fprintf(plot->script,
            "set xrange [-0.6:%.1f]\nset offsets 0,0,graph 0.1,graph 0.1\n"
            "set xlabel 'width/depth/mlp'\nset key outside top right\n"
            "set ylabel ",
            t->shapes - 0.4);
    plot_quote(plot, y);
    fprintf(plot->script, "\nset xtics (");
    for (int s = 0; s < t->shapes; s++) {
        shape_text(name, sizeof name, t->shape[s].x, LAW_DIMS);
        fprintf(plot->script, "%s'%s' %d", s > 0 ? ", " : "", name, s);
    }
    fprintf(plot->script,
            ")\nplot $runs using ($1 - 0.1):2 with points pt 6 ps 1 lc rgb '#888888' "
            "title 'a run', $means using 1:2:3 with yerrorbars pt 7 ps 1.5 lw 2 lc rgb "
            "'%s' title 'mean, standard error'",
            plot_colour(0));
    if (has_law)
        fprintf(plot->script,
                ", $law using ($1 + 0.1):2 with points pt 2 ps 1.5 lw 2 lc rgb '%s' "
                "title 'the law'",
                plot_colour(1));
    fprintf(plot->script, "\n");
}
