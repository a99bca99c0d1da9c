/* SPDX-License-Identifier: BSD-3-Clause */
/* A law drawn: its data blocks first, then the commands that use them. */
#include "config.h"

#include "src/fit/plot_law.h"

#include <math.h>
#include <string.h>

enum { CURVE = 120, LEVELS = 4, LEVELS_LONG = 7, TICS_MOST = 8 };

/* Curves: compute of chinchilla's runs spans decades, of a star's little more than one. */
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

static void print_runs(struct plot *plot, const struct fitfile *f,
                       const struct points *p, int k, struct bounds *x,
                       struct bounds *y, struct bounds *t)
{
    fprintf(plot->script, "$runs%d << EOD\n", k);
    for (int i = 0; i < p->rows; i++) {
        if (!is_on(f, p, i, k))
            continue;
        plot_widen(x, row(p, i)[k]);
        plot_widen(y, p->y[i]);
        plot_widen(t, compute(p, i));
        fprintf(plot->script, "%.8g %.8g %.8g\n", row(p, i)[k], p->y[i], compute(p, i));
    }
    fprintf(plot->script, "EOD\n");
}

/* Curves at some levels of compute, and their lowest points. */
static void print_curves(struct plot *plot, const struct fitfile *f, int k,
                         struct bounds x, struct bounds t)
{
    const int levels         = f->kind == LAW_CHINCHILLA ? 7 : LEVELS;
    const struct bounds wide = { x.lo / 1.1, x.hi * 1.1 };

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

        if (at > wide.lo && at < wide.hi)
            fprintf(plot->script, "%.8g %.8g %.8g\n", at, value_at(f, k, at, c), c);
    }
    fprintf(plot->script, "EOD\n");
}

/* The sizes that were run, if they are few. */
static void print_tics(struct plot *plot, const struct fitfile *f,
                       const struct points *p, int k)
{
    double seen[TICS_MOST];
    int n = 0;

    for (int i = 0; i < p->rows && n <= TICS_MOST; i++) {
        bool is_new = is_on(f, p, i, k);

        for (int j = 0; j < n && is_new; j++)
            is_new = seen[j] != row(p, i)[k];
        if (is_new && n == TICS_MOST)
            n++;
        else if (is_new)
            seen[n++] = row(p, i)[k];
    }
    if (n > TICS_MOST) {
        fprintf(plot->script, "set xtics autofreq\nset format x '10^{%%T}'\n");
        return;
    }
    fprintf(plot->script, "set xtics (");
    for (int j = 0; j < n; j++)
        fprintf(plot->script, "%s'%g' %g", j > 0 ? ", " : "", seen[j], seen[j]);
    fprintf(plot->script, ")\n");
}

static void print_panel(struct plot *plot, const struct fitfile *f, int k,
                        struct bounds x, struct bounds y, bool is_first, bool has_law)
{
    plot_range(plot, "x", x, 0.04);
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
                "compute', "
                "$best%d using 1:2 with points pt 2 ps 1.3 lw 2 lc rgb '#D00000' title "
                "'lowest of a curve', ",
                k, k);
    fprintf(plot->script,
            "$runs%d using 1:2:3 with points pt 7 ps 0.9 lc palette title 'runs'\n", k);
}

void plot_isoflop(struct plot *plot, const struct fitfile *f, const struct points *p)
{
    const int panels          = f->kind == LAW_CHINCHILLA ? 1 : f->dims;
    struct bounds x[LAW_DIMS] = { { 0 } }, y = { 0 }, t = { 0 };
    char title[160];

    for (int k = 0; k < panels; k++)
        print_runs(plot, f, p, k, &x[k], &y, &t);
    for (int k = 0; k < panels; k++) {
        if (f->kind == LAW_CHINCHILLA || f->has_dim[k])
            print_curves(plot, f, k, x[k], t);
    }
    snprintf(title, sizeof title, "IsoFLOP curves: %s against size, %d runs", f->y,
             p->rows);
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
        print_tics(plot, f, p, k);
        if (x[k].hi > 0)
            print_panel(plot, f, k, x[k], y, k == 0,
                        f->kind == LAW_CHINCHILLA || f->has_dim[k]);
    }
    fprintf(plot->script, "unset multiplot\n");
}

/* ---- exponents ------------------------------------------------------------------- */

void plot_exponents(struct plot *plot, const struct fitfile *f)
{
    double most = 0;
    char title[160];
    int known = 0;

    fprintf(plot->script, "$known << EOD\n");
    for (int k = 0; k < f->dims; k++) {
        const struct growth *g = &f->growth[k];

        if (isfinite(g->hi))
            most = fmax(most, g->hi);
        if (isfinite(g->value))
            most = fmax(most, g->value);
        if (g->is_identified)
            fprintf(plot->script, "%.6g %d %.6g %.6g\n", g->value, f->dims - k, g->lo,
                    g->hi);
    }
    fprintf(plot->script, "EOD\n$unknown << EOD\n");
    for (int k = 0; k < f->dims; k++) {
        const struct growth *g = &f->growth[k];

        if (!g->is_identified && isfinite(g->value))
            fprintf(plot->script, "%.6g %d %.6g %.6g\n", g->value, f->dims - k,
                    isfinite(g->lo) ? g->lo : g->value,
                    isfinite(g->hi) ? g->hi : g->value);
    }
    fprintf(plot->script, "EOD\n");
    snprintf(title, sizeof title,
             "Growth exponents s: the best size grows as compute^s (%g %% intervals)",
             100 * f->level);
    plot_title(plot, title);
    fprintf(plot->script,
            "set xlabel 's'\nset xrange [0:%.4g]\nset yrange [0.4:%.1f]\n"
            "set ytics (",
            1.25 * most + 0.05, f->dims + 0.8);
    for (int k = 0; k < f->dims; k++) {
        fprintf(plot->script, "%s", k > 0 ? ", " : "");
        plot_quote(plot, f->dim[k]);
        fprintf(plot->script, " %d", f->dims - k);
    }
    fprintf(plot->script, ")\n");
    for (int k = 0; k < f->dims; k++) {
        if (isfinite(f->growth[k].value))
            fprintf(plot->script,
                    "set label %d '%.3g%s' at %.6g,%.2f center font ',11'\n", k + 1,
                    f->growth[k].value,
                    f->growth[k].is_identified ? "" : " (not identified)",
                    f->growth[k].value, f->dims - k + 0.22);
    }
    for (int k = 0; k < f->dims; k++)
        known += f->growth[k].is_identified;
    fprintf(plot->script, "set key bottom right\nplot ");
    if (known > 0)
        fprintf(plot->script,
                "$known using 1:2:3:4 with xerrorbars pt 7 ps 1.4 lw 2.5 lc rgb '%s' "
                "title 'identified'%s",
                plot_colour(0), known < f->dims ? ", " : "\n");
    if (known < f->dims)
        fprintf(plot->script,
                "$unknown using 1:2:3:4 with xerrorbars pt 6 ps 1.4 lw 1.5 lc rgb '%s' "
                "title 'not identified'\n",
                plot_colour(1));
}

/* ---- optima against compute ------------------------------------------------------ */

void plot_frontier(struct plot *plot, const struct fitfile *f, const struct points *p)
{
    struct bounds t = { 0 }, wide, size = { 0 };

    for (int i = 0; i < p->rows; i++)
        plot_widen(&t, compute(p, i));
    wide = (struct bounds){ t.lo / 3, t.hi * 100 };
    for (int k = 0; k < f->dims; k++) {
        fprintf(plot->script, "$size%d << EOD\n", k);
        for (int i = 0; i < CURVE && has_best(f, k); i++) {
            const double c = between(wide, i, CURVE), N = best_at(f, 0, c);
            const double best =
                f->kind == LAW_CHINCHILLA && k == 1 ? c / (6 * N) : best_at(f, k, c);

            plot_widen(&size, best);
            fprintf(plot->script, "%.8g %.8g\n", c, best);
        }
        fprintf(plot->script, "EOD\n");
    }
    plot_title(plot, "Compute-optimal size of each dimension, and where it is "
                     "extrapolated");
    fprintf(
        plot->script,
        "set logscale xy\nset format x '10^{%%T}'\nset xlabel 'compute, FLOP'\n"
        "set ylabel 'size'\nset key top left reverse Left\n"
        "set object 1 rectangle from %.6g, graph 0 to %.6g, graph 1 fc rgb "
        "'#EEF3F8' fs solid noborder behind\n"
        "set label 1 'compute of the runs' at %.6g, graph 0.03 center font ',10' tc "
        "rgb '#555555'\n",
        t.lo, t.hi, sqrt(t.lo * t.hi));
    plot_range(plot, "x", wide, 0);
    plot_range(plot, "y", size, 0.06);
    if (f->kind == LAW_CHINCHILLA)
        fprintf(plot->script, "set format y '10^{%%T}'\n");
    fprintf(plot->script, "plot ");
    for (int k = 0; k < f->dims; k++) {
        char title[96];

        snprintf(title, sizeof title, "%s ~ t^%.3g%s", f->dim[k], f->growth[k].value,
                 f->growth[k].is_identified ? "" : " (not identified)");
        fprintf(plot->script,
                "%s$size%d using 1:($1 <= %.8g ? $2 : 1/0) with lines lw 3 lc rgb '%s' "
                "title ",
                k > 0 ? ", " : "", k, t.hi, plot_colour(k));
        plot_quote(plot, title);
        fprintf(plot->script,
                ", $size%d using 1:($1 > %.8g ? $2 : 1/0) with lines lw 3 dt 2 lc rgb "
                "'%s' notitle",
                k, t.hi, plot_colour(k));
    }
    fprintf(plot->script, "\n");
}
