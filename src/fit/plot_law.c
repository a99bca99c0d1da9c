/* SPDX-License-Identifier: BSD-3-Clause */
/* A law drawn: its data blocks first, then the commands that use them. */
#include "config.h"

#include "src/fit/plot_law.h"

#include "src/base/err.h"

#include <math.h>

enum { CURVE = 120, LEVELS = 4, LEVELS_LONG = 7 };
enum { GROWTH_MOST = 2 }; /* of an exponent that is not identified, on an axis */

/* Curves: compute of chinchilla's runs spans decades, of a star's
 * little more than one.
 */
static int levels_of(const struct fitfile *f)
{
    return f->kind == LAW_CHINCHILLA ? LEVELS_LONG : LEVELS;
}

/* Place i of n in a range, evenly in logarithms. */
static double between(struct bounds b, int i, int n)
{
    return b.lo * pow(b.hi / b.lo, i / (n - 1.0));
}

static const double *row(const struct points *p, int i)
{
    return p->x + (size_t)i * LAW_VARS;
}

static double compute(const struct points *p, int i)
{
    return row(p, i)[p->vars - 1];
}

static bool is_on(const struct fitfile *f, const struct points *p, int i, int k)
{
    return f->kind == LAW_CHINCHILLA || p->arm[i] == k;
}

/* The law at size x of dimension k and compute t. */
static double value_at(const struct fitfile *f, int k, double x, double t)
{
    const double both[LAW_VARS] = { x, t / (6 * x) };

    if (f->kind == LAW_CHINCHILLA)
        return law_value(&f->law, f->theta, LAW_EVERY, both);
    return law_dim_value(&f->constants[k], x, t);
}

/* The size with the least metric at compute t: where 6 N D = t, for chinchilla. */
static double best_at(const struct fitfile *f, int k, double t)
{
    if (f->kind == LAW_CHINCHILLA) {
        const double A = f->theta[0], B = f->theta[1], a = f->theta[3], b = f->theta[4];

        return pow(a * A / (b * B), 1 / (a + b)) * pow(t / 6, b / (a + b));
    }
    return law_dim_best(&f->constants[k], t);
}

static bool has_best(const struct fitfile *f, int k)
{
    return f->kind == LAW_CHINCHILLA ||
           (f->has_dim[k] && f->constants[k].alpha > 0 && f->constants[k].beta > 0);
}

/* 1.2e19 as people write it. */
static void print_power(FILE *out, double x)
{
    const int power = (int)floor(log10(x));

    fprintf(out, "'%.1f·10^{%d}' %.6g", x / pow(10, power), power, x);
}

/* Palette and colour bar over compute, with marks where curves are drawn. */
static void print_palette(struct plot *plot, struct bounds t, int levels, bool has_box)
{
    fprintf(plot->script,
            "set palette defined (0 '#440154', 0.25 '#3B528B', 0.5 '#21918C', 0.75 "
            "'#5EC962', 1 '#E6C700')\nset cbrange [%.6g:%.6g]\nset logscale cb\n",
            t.lo / 1.01, t.hi * 1.01);
    if (!has_box) {
        fprintf(plot->script, "unset colorbox\nunset label 99\n");
        return;
    }
    fprintf(plot->script,
            "set colorbox user origin screen 0.90, screen 0.22 size screen "
            "0.015, screen 0.62\nset label 99 'compute, FLOP' at screen "
            "0.945, screen 0.89 center\n"
            "set cbtics (");
    for (int j = 0; j < levels; j++) {
        fprintf(plot->script, "%s", j > 0 ? ", " : "");
        print_power(plot->script, between(t, j, levels));
    }
    fprintf(plot->script, ")\n");
}

/* ---- IsoFLOP --------------------------------------------------------------------- */

/* The runs of panel k; how many. */
static int print_runs(struct plot *plot, const struct fitfile *f,
                      const struct points *p, int k, struct bounds *x, struct bounds *y,
                      struct bounds *t)
{
    int printed = 0;

    fprintf(plot->script, "$runs%d << EOD\n", k);
    for (int i = 0; i < p->rows; i++) {
        if (!is_on(f, p, i, k))
            continue;
        plot_widen(x, row(p, i)[k]);
        plot_widen(y, p->y[i]);
        plot_widen(t, compute(p, i));
        fprintf(plot->script, "%.8g %.8g %.8g\n", row(p, i)[k], p->y[i], compute(p, i));
        printed++;
    }
    fprintf(plot->script, "EOD\n");
    return printed;
}

/* Curves at some levels of compute, and their lowest points; how many of these. */
static int print_curves(struct plot *plot, const struct fitfile *f, int k,
                        struct bounds x, struct bounds t)
{
    const int levels         = levels_of(f);
    const struct bounds wide = { x.lo / 1.1, x.hi * 1.1 };
    int lowest               = 0;

    fprintf(plot->script, "$curves%d << EOD\n", k);
    for (int j = 0; j < levels; j++) {
        for (int i = 0; i < CURVE; i++) {
            const double at = between(wide, i, CURVE), c = between(t, j, levels);

            fprintf(plot->script, "%.8g %.8g %.8g\n", at, value_at(f, k, at, c), c);
        }
        fprintf(plot->script, "\n");
    }
    fprintf(plot->script, "EOD\n$best%d << EOD\n", k);
    for (int j = 0; j < levels && has_best(f, k); j++) {
        const double c = between(t, j, levels), at = best_at(f, k, c);

        if (!(at > wide.lo && at < wide.hi))
            continue;
        lowest++;
        fprintf(plot->script, "%.8g %.8g %.8g\n", at, value_at(f, k, at, c), c);
    }
    fprintf(plot->script, "EOD\n");
    return lowest;
}

static void print_panel(struct plot *plot, const struct fitfile *f,
                        const struct points *p, int k, struct bounds x, struct bounds y,
                        int lowest)
{
    const bool has_law  = f->kind == LAW_CHINCHILLA || f->has_dim[k];
    const bool is_first = k == 0;
    struct sizes sizes  = { 0 };

    for (int i = 0; i < p->rows; i++) {
        if (is_on(f, p, i, k))
            plot_size(&sizes, row(p, i)[k]);
    }
    plot_range(plot, "x", x, 0.04);
    plot_sizes(plot, &sizes);
    fprintf(plot->script, "set yrange [%.6g:%.6g]\n", y.lo - 0.06 * (y.hi - y.lo),
            y.hi + 0.12 * (y.hi - y.lo));
    fprintf(plot->script, "set logscale x\nset xlabel ");
    plot_quote(plot, f->dim[k]);
    fprintf(plot->script, "\n%s", is_first ? "set ylabel " : "unset ylabel\n");
    if (is_first)
        plot_quote(plot, f->y);
    fprintf(plot->script, "\nplot ");
    if (has_law)
        fprintf(plot->script,
                "$curves%d using 1:2:3 with lines lw 2 lc palette title 'law at one "
                "compute', ",
                k);
    if (lowest > 0)
        fprintf(plot->script, "$best%d using 1:2", k);
    else if (is_first) /* the key is for all panels */
        fprintf(plot->script, "NaN");
    if (lowest > 0 || is_first)
        fprintf(plot->script, " with points pt 2 ps 1.3 lw 2 lc rgb '#D00000' title "
                              "'lowest of a curve', ");
    fprintf(plot->script,
            "$runs%d using 1:2:3 with points pt 7 ps 0.9 lc palette title 'runs'\n", k);
}

void plot_isoflop(struct plot *plot, const struct fitfile *f, const struct points *p)
{
    const int panels          = f->kind == LAW_CHINCHILLA ? 1 : f->dims;
    struct bounds x[LAW_DIMS] = { { 0 } }, y = { 0 }, t = { 0 };
    int lowest[LAW_DIMS] = { 0 }, runs = 0;
    char title[160];

    for (int k = 0; k < panels; k++)
        runs += print_runs(plot, f, p, k, &x[k], &y, &t);
    for (int k = 0; k < panels; k++) {
        if (f->kind == LAW_CHINCHILLA || f->has_dim[k])
            lowest[k] = print_curves(plot, f, k, x[k], t);
    }
    snprintf(title, sizeof title, "IsoFLOP curves: %s against size, %d runs", f->y,
             runs);
    fprintf(plot->script,
            "set multiplot layout 1,%d margins 0.07,0.88,0.29,0.9 spacing 0.05 title ",
            panels);
    plot_quote(plot, title);
    fprintf(plot->script, " font ',14'\n"
                          "set key at screen 0.48,0.09 center samplen 3\n");
    for (int k = 0; k < panels; k++) {
        print_palette(plot, t, levels_of(f), k == 0);
        if (k > 0)
            fprintf(plot->script, "unset key\n");
        if (x[k].hi > 0)
            print_panel(plot, f, p, k, x[k], y, lowest[k]);
    }
    fprintf(plot->script, "unset multiplot\n");
}

/* ---- exponents ------------------------------------------------------------------- */

/* The end of the axis: intervals that tell nothing may be as long as they like. */
static double axis_end(const struct fitfile *f)
{
    double end = 0;

    for (int k = 0; k < f->dims; k++) {
        const struct growth *g = &f->growth[k];

        if (isfinite(g->value))
            end = fmax(end, fmin(g->value, GROWTH_MOST));
        if (isfinite(g->hi))
            end = fmax(end, fmin(g->hi, g->is_identified ? g->hi : GROWTH_MOST));
    }
    return 1.25 * end + 0.05;
}

/* Values with their intervals, of what is identified or of the rest; how many. */
static int print_growths(struct plot *plot, const struct fitfile *f, double end,
                         bool is_identified)
{
    int printed = 0;

    fprintf(plot->script, "$%s << EOD\n", is_identified ? "known" : "unknown");
    for (int k = 0; k < f->dims; k++) {
        const struct growth *g = &f->growth[k];

        if (g->is_identified != is_identified || !isfinite(g->value))
            continue;
        printed++;
        fprintf(plot->script, "%.6g %d %.6g %.6g\n", fmin(g->value, end), f->dims - k,
                isfinite(g->lo) ? fmin(g->lo, end) : g->value,
                isfinite(g->hi) ? fmin(g->hi, end) : fmin(g->value, end));
    }
    fprintf(plot->script, "EOD\n");
    return printed;
}

int plot_exponents(struct plot *plot, const struct fitfile *f)
{
    const double end  = axis_end(f);
    const int known   = print_growths(plot, f, end, true);
    const int unknown = print_growths(plot, f, end, false);
    char title[160];

    if (known + unknown == 0)
        return ERR(ERR_DATA, "%s: no dimension has an exponent to draw", f->path);
    snprintf(title, sizeof title,
             "Growth exponents s: the best size grows as compute^s (%g %% intervals)",
             100 * f->level);
    plot_title(plot, title);
    fprintf(plot->script,
            "set xlabel 's'\nset xrange [0:%.4g]\nset yrange [0.4:%.1f]\n"
            "set ytics (",
            end, f->dims + 0.8);
    for (int k = 0; k < f->dims; k++) {
        fprintf(plot->script, "%s", k > 0 ? ", " : "");
        plot_quote(plot, f->dim[k]);
        fprintf(plot->script, " %d", f->dims - k);
    }
    fprintf(plot->script, ")\n");
    for (int k = 0; k < f->dims; k++) {
        const struct growth *g = &f->growth[k];
        const double at        = isfinite(g->value) ? fmin(g->value, 0.9 * end) : 0;

        fprintf(plot->script, "set label %d '%.3g%s' at %.6g,%.2f %s font ',11'\n",
                k + 1, isfinite(g->value) ? g->value : 0,
                g->is_identified ? "" : " (not identified)", at, f->dims - k + 0.22,
                at < 0.2 * end   ? "left"
                : at > 0.8 * end ? "right"
                                 : "center");
        if (!isfinite(g->value))
            fprintf(plot->script, "set label %d '  not fitted'\n", k + 1);
    }
    fprintf(plot->script, "unset key\nplot ");
    if (known > 0)
        fprintf(plot->script,
                "$known using 1:2:3:4 with xerrorbars pt 7 ps 1.4 lw 2.5 lc rgb '%s'%s",
                plot_colour(0), unknown > 0 ? ", " : "\n");
    if (unknown > 0)
        fprintf(plot->script,
                "$unknown using 1:2:3:4 with xerrorbars pt 6 ps 1.4 lw 1.5 lc rgb "
                "'%s'\n",
                plot_colour(1));
    return 0;
}

/* ---- optima against compute ------------------------------------------------------ */

/* The best sizes of dimension k from end to end of 'wide', as far as they are sizes at
 * all: within a thousandfold of those that were run.  How many.
 */
static int print_best(struct plot *plot, const struct fitfile *f,
                      const struct points *p, int k, struct bounds wide,
                      struct bounds *size)
{
    struct bounds run = { 0 };
    int printed       = 0;

    for (int i = 0; i < p->rows; i++)
        plot_widen(&run, row(p, i)[k]);
    fprintf(plot->script, "$size%d << EOD\n", k);
    for (int i = 0; i < CURVE && has_best(f, k); i++) {
        const double c    = between(wide, i, CURVE);
        const double best = f->kind == LAW_CHINCHILLA && k == 1
                                ? c / (6 * best_at(f, 0, c))
                                : best_at(f, k, c);

        if (!(best > run.lo / 1000 && best < run.hi * 1000))
            continue;
        printed++;
        plot_widen(size, best);
        fprintf(plot->script, "%.8g %.8g\n", c, best);
    }
    fprintf(plot->script, "EOD\n");
    return printed;
}

/* Whole within the compute of the runs, 't', and broken on both sides of it. */
static void print_lines(struct plot *plot, const struct fitfile *f, int k,
                        struct bounds t, bool is_first)
{
    char title[96], value[24] = "";

    if (isfinite(f->growth[k].value))
        snprintf(value, sizeof value, " ~ t^%.3g", f->growth[k].value);
    snprintf(title, sizeof title, "%s%s%s", f->dim[k], value,
             f->growth[k].is_identified ? "" : " (not identified)");
    fprintf(plot->script,
            "%s$size%d using 1:($1 >= %.8g && $1 <= %.8g ? $2 : 1/0) with lines lw 3 "
            "lc rgb '%s' title ",
            is_first ? "plot " : ", ", k, t.lo, t.hi, plot_colour(k));
    plot_quote(plot, title);
    fprintf(plot->script,
            ", $size%d using 1:($1 < %.8g || $1 > %.8g ? $2 : 1/0) with lines lw 3 "
            "dt 2 lc rgb '%s' notitle",
            k, t.lo, t.hi, plot_colour(k));
}

int plot_frontier(struct plot *plot, const struct fitfile *f, const struct points *p)
{
    struct bounds t = { 0 }, wide, size = { 0 };
    bool is_drawn[LAW_DIMS];
    int drawn = 0;

    for (int i = 0; i < p->rows; i++)
        plot_widen(&t, compute(p, i));
    wide = (struct bounds){ t.lo / 3, t.hi * 100 };
    for (int k = 0; k < f->dims; k++)
        is_drawn[k] = print_best(plot, f, p, k, wide, &size) > 0;
    plot_title(plot, "Compute-optimal size of each dimension, and where it is "
                     "extrapolated");
    fprintf(
        plot->script,
        "set logscale xy\nset xlabel 'compute, FLOP'\n"
        "set ylabel 'size'\nset key top left reverse Left\n"
        "set object 1 rectangle from %.6g, graph 0 to %.6g, graph 1 fc rgb "
        "'#EEF3F8' fs solid noborder behind\n"
        "set label 1 'compute of the runs' at %.6g, graph 0.03 center font ',10' tc "
        "rgb '#555555'\n",
        t.lo, t.hi, sqrt(t.lo * t.hi));
    for (int k = 0; k < f->dims; k++) {
        if (!is_drawn[k])
            continue;
        if (drawn == 0) {
            plot_range(plot, "x", wide, 0);
            plot_range(plot, "y", size, 0.06);
        }
        print_lines(plot, f, k, t, drawn++ == 0);
    }
    fprintf(plot->script, "\n");
    return drawn > 0
               ? 0
               : ERR(ERR_DATA, "%s: no dimension has a best size to draw", f->path);
}
