/* SPDX-License-Identifier: BSD-3-Clause */
/* 'vitfit plan': which runs, what they cost, what they will tell, and
 * what they cannot.
 */
#include "config.h"

#include "src/base/err.h"
#include "src/base/field.h"
#include "src/base/json.h"
#include "src/fit/command.h"
#include "src/fit/design.h"
#include "src/fit/fit.h"
#include "src/fit/fitfile.h"

#include <math.h>
#include <string.h>

static const char *const star_grid[LAW_DIMS]  = { "608,768,928,1088,1328,1648",
                                                  "8,10,12,16,20,24",
                                                  "1088,1360,1728,2160,2592,3072" };
static const char *const cross_grid[LAW_DIMS] = { "416,512,608,768", "6,8,10,12",
                                                  "768,928,1088,1360" };
static const double grid_images               = 600e6;

struct plan {
    const struct options *o;
    struct sweep sweep,
        star; /* what is planned; the star that an optimal one is from */
    struct machine machine;
    bool has_machine, has_star, is_guess;
    double noise, shared; /* and the part of its variance that a shape's points share */
    struct design_law law;
    struct expected expected[LAW_DIMS], before[LAW_DIMS];
};

/* ---- options --------------------------------------------------------------------- */

static int whole_number(int64_t *whole, double x, const char *text, const char *option)
{
    if (x != floor(x) || x > 1e15)
        return ERR(ERR_USAGE, "--%s=%s: expected whole numbers", option, text);
    *whole = (int64_t)x;
    return 0;
}

static int whole_numbers(int64_t *x, int *count, int most, const char *text,
                         const char *option)
{
    double real[SWEEP_VALUES];
    const int n = options_numbers(real, most, text, ',', option);

    if (n < 0)
        return n;
    for (int i = 0; i < n; i++) {
        TRY(whole_number(&x[i], real[i], text, option));
        if (i > 0 && real[i] <= real[i - 1])
            return ERR(ERR_USAGE, "--%s=%s: the values must rise", option, text);
    }
    *count = n;
    return 0;
}

static int parse_values(struct sweep *s, const struct options *o)
{
    const char *const given[LAW_DIMS] = { o->width, o->depth, o->mlp };
    bool is_any                       = false;

    for (int k = 0; k < LAW_DIMS; k++)
        is_any |= given[k][0] != '\0';
    for (int k = 0; k < LAW_DIMS; k++) {
        const char *preset = s->is_star ? star_grid[k] : cross_grid[k];

        /* A star of the user's own has the arms that were given. */
        if (given[k][0] == '\0' && is_any && s->is_star)
            continue;
        TRY(whole_numbers(s->value[k], &s->values[k], SWEEP_VALUES,
                          given[k][0] != '\0' ? given[k] : preset, law_dim_name[k]));
    }
    return 0;
}

static int parse_centre(struct sweep *s, const struct options *o)
{
    const char *text = o->centre[0] != '\0' ? o->centre : "1968/40/6144";
    double x[LAW_DIMS];
    const int n = options_numbers(x, LAW_DIMS, text, '/', "centre");

    if (n >= 0 && n != LAW_DIMS)
        return ERR(ERR_USAGE, "--centre=%s: expected C/L/F", text);
    for (int k = 0; k < LAW_DIMS && n > 0; k++)
        TRY(whole_number(&s->centre[k], x[k], text, "centre"));
    return n < 0 ? n : 0;
}

static int parse_steps(struct sweep *s, const struct options *o)
{
    if (o->steps[0] == '\0' && !s->is_star) {
        s->step[0]     = llround(grid_images / (double)o->batch);
        s->step_values = 1;
        return 0;
    }
    return whole_numbers(s->step, &s->step_values, SWEEP_STEPS,
                         o->steps[0] != '\0' ? o->steps : "500K,1M,2M", "steps");
}

static int parse(struct plan *p)
{
    const struct options *o = p->o;
    struct sweep *s         = &p->sweep;

    if (o->star && o->grid)
        return ERR(ERR_USAGE, "--star and --grid are two sweeps: one at a time");
    s->is_star  = !o->grid;
    p->noise    = o->noise > 0 ? o->noise : 0.01;
    p->shared   = noise_usual;
    s->training = command_training(o);
    TRY(parse_values(s, o));
    TRY(parse_centre(s, o));
    TRY(parse_steps(s, o));
    if (o->machine[0] != '\0') {
        TRY(machine_find(&p->machine, o->machine));
        p->has_machine = true;
    }
    if (o->design == DESIGN_OPTIMAL && !s->is_star)
        return ERR(ERR_USAGE, "--design=optimal is for --star");
    if (o->design == DESIGN_OPTIMAL && o->seeds > 1)
        return ERR(ERR_USAGE, "--design=optimal adds points itself, --seeds does not");
    return 0;
}

/* ---- what it can tell ------------------------------------------------------------ */

/* The law to plan with: of --fit, or a guess. */
static int choose_law(struct plan *p)
{
    struct fitfile f;
    double centre[LAW_DIMS];

    p->is_guess = p->o->fit[0] == '\0';
    if (p->is_guess) {
        design_guess(&p->law, &p->sweep);
        return 0;
    }
    TRY(fitfile_read(&f, p->o->fit));
    if (f.kind != LAW_SOVIT)
        return ERR(ERR_USAGE, "--fit=%s: is no fit of --law=sovit", p->o->fit);
    if (p->o->noise == 0 && f.noise > 0)
        p->noise = f.noise;
    if (isfinite(f.shared))
        p->shared = f.shared;
    for (int k = 0; k < LAW_DIMS; k++)
        centre[k] = (double)p->sweep.centre[k];
    for (int i = 0; i < f.dims; i++) {
        for (int k = 0; k < LAW_DIMS; k++) {
            struct law_dim d;

            if (strcmp(f.dim[i], law_dim_name[k]) != 0 || !f.has_dim[i])
                continue;
            fitfile_dim(&d, &f, i, centre);
            if (!(d.alpha > 0 && d.beta > 0))
                continue;
            p->law.dim[k] = d;
            p->law.has[k] = true;
        }
    }
    return 0;
}

static int parse_budget(double *cost, const struct plan *p)
{
    const char *text = p->o->budget;
    int n;

    *cost = sweep_flops(&p->sweep);
    if (text[0] == '\0')
        return 0;
    if (text[strlen(text) - 1] == 's')
        return ERR(ERR_USAGE, "--budget=%s: a plan's budget is in FLOP", text);
    n = options_numbers(cost, 1, text, ',', "budget");
    return n < 0 ? n : 0;
}

static int make_design(struct plan *p)
{
    struct sweep better;
    double cost;

    if (!p->sweep.is_star) /* a fitted law knows where a grid's optimum is */
        return p->o->fit[0] != '\0' ? choose_law(p) : 0;
    TRY(choose_law(p));
    design_expect(p->expected, &p->sweep, &p->law, p->noise, p->shared);
    if (p->o->design == DESIGN_STAR)
        return 0;
    TRY(parse_budget(&cost, p));
    TRY(design_within(&better, &p->sweep, &p->law, cost,
                      p->has_machine ? &p->machine : NULL));
    memcpy(p->before, p->expected, sizeof p->before);
    p->star     = p->sweep;
    p->has_star = true;
    p->sweep    = better;
    design_expect(p->expected, &p->sweep, &p->law, p->noise, p->shared);
    return 0;
}

/* ---- print ----------------------------------------------------------------------- */

static void print_runs(FILE *out, const struct plan *p)
{
    const struct sweep *s = &p->sweep;

    fprintf(out, "%-5s%-17s%-18s%9s%11s%11s  %s\n", "run", "id", "shape", "steps",
            "FLOP", "device-s", "state");
    for (int i = 0; i < s->runs; i++) {
        const struct run *r = &s->run[i];
        char shape[64], steps[24], seconds[24] = "-", state[32];

        snprintf(shape, sizeof shape, "%lld/%lld/%lld", (long long)r->x[0],
                 (long long)r->x[1], (long long)r->x[2]);
        snprintf(steps, sizeof steps, "%lldK", (long long)r->step[r->steps - 1] / 1000);
        if (r->step[r->steps - 1] % 1000 != 0)
            snprintf(steps, sizeof steps, "%lld", (long long)r->step[r->steps - 1]);
        if (isfinite(r->cost.seconds))
            snprintf(seconds, sizeof seconds, "%.3g",
                     r->cost.seconds * sweep_images(s, r));
        snprintf(state, sizeof state, "%d/%d", r->done, r->steps);
        fprintf(out, "%-5d%-17s%-18s%9s%11.3g%11s  %s\n", i + 1, r->id, shape, steps,
                r->cost.forward * sweep_images(s, r), seconds,
                r->done == r->steps ? "done"
                : r->done > 0       ? state
                                    : "to do");
    }
}

static void print_totals(FILE *out, const struct plan *p)
{
    const struct sweep *s = &p->sweep;
    double train = 0, seconds = 0;
    int points = 0, done = 0, left = 0;

    for (int i = 0; i < s->runs; i++) {
        const struct run *r = &s->run[i];
        const double images = sweep_images(s, r);

        points += r->steps;
        done += r->done;
        left += r->done < r->steps;
        train += r->cost.train * images;
        seconds += r->cost.seconds * images;
    }
    fprintf(out, "\n%d runs give %d points: %d done, %d runs to do\n", s->runs, points,
            done, left);
    fprintf(out, "cost: %.4g FLOP forward, %.4g FLOP of training\n", sweep_flops(s),
            train);
    if (p->has_machine)
        fprintf(out, "      %.4g device-seconds on %s\n", seconds, p->machine.name);
    if (points > s->runs)
        fprintf(out,
                "(points as forks of one run a shape; each by itself: %.4g FLOP)\n",
                design_cost(s));
    for (int i = 0; i < s->drops; i++)
        field_print(out, sizeof "dropped", "dropped", "%lld/%lld/%lld: %s",
                    (long long)s->dropped[i].x[0], (long long)s->dropped[i].x[1],
                    (long long)s->dropped[i].x[2], s->dropped[i].why);
}

static void print_expected(FILE *out, const struct plan *p)
{
    const double level = p->o->level, z = fit_student(level, 1 << 30);

    if (!p->sweep.is_star)
        return;
    fprintf(out,
            "\nWhat it can tell, at %.3g %% noise of the metric and the law of %s,\nif "
            "the points of a shape share %.3g %% of the noise's variance:\n",
            100 * p->noise, p->is_guess ? "equal terms" : p->o->fit, 100 * p->shared);
    fprintf(out, "%-10s%8s%9s%12s%22s%17s\n", "", "points", "s", "std. error",
            "expected interval", p->has_star ? "star's error" : "");
    for (int k = 0; k < LAW_DIMS; k++) {
        const struct expected *e = &p->expected[k];
        char range[32] = "-", before[32] = "";

        if (!p->law.has[k])
            continue;
        if (p->has_star)
            snprintf(before, sizeof before, "%.4g, x %.2f", p->before[k].error,
                     e->error / p->before[k].error);
        if (!isfinite(e->error)) {
            fprintf(out, "%-10s%8d%9.3g%12s%22s%17s\n", law_dim_name[k], e->points,
                    e->s, "-", "not identified", before);
            continue;
        }
        snprintf(range, sizeof range, "%.3g .. %.3g", e->s * exp(-z * e->error / e->s),
                 e->s * exp(z * e->error / e->s));
        fprintf(out, "%-10s%8d%9.3g%12.3g%22s%17s\n", law_dim_name[k], e->points, e->s,
                e->error, range, before);
    }
}

/* Sentences about what cannot come out of it. */
static void print_warnings(FILE *out, const struct plan *p)
{
    const struct sweep *s = &p->sweep;

    for (int k = 0; k < LAW_DIMS; k++) {
        const struct expected *e = &p->expected[k];

        if (s->values[k] > 0 && s->values[k] < 3)
            fprintf(out,
                    "warning: with %d values of %s an optimum could only lie on the "
                    "grid's edge\n",
                    s->values[k], law_dim_name[k]);
        if (s->is_star && s->values[k] > 0 &&
            s->value[k][s->values[k] - 1] > s->centre[k])
            fprintf(out,
                    "warning: a star goes down from its centre, but %s has values "
                    "above %lld\n",
                    law_dim_name[k], (long long)s->centre[k]);
        if (s->is_star && p->law.has[k] && isfinite(e->error) &&
            2 * fit_student(p->o->level, 1 << 30) * e->error / e->s > log(2))
            fprintf(out,
                    "warning: s_%s will not be identified: its interval will span "
                    "more than\n         a factor of 2\n",
                    law_dim_name[k]);
    }
}

/* With a fitted law: is the optimum inside the values at the compute of the runs? */
static void print_edges(FILE *out, const struct plan *p)
{
    const struct sweep *s = &p->sweep;

    for (int k = 0; k < LAW_DIMS && !p->is_guess; k++) {
        double x_lo = INFINITY, x_hi = 0, t_lo = INFINITY, t_hi = 0, lo, hi;

        for (int i = 0; i < s->runs; i++) {
            const struct run *r = &s->run[i];
            const double t      = r->cost.forward * (double)s->training.batch;

            if (r->arm >= 0 && r->arm != k)
                continue;
            x_lo = fmin(x_lo, (double)r->x[k]);
            x_hi = fmax(x_hi, (double)r->x[k]);
            t_lo = fmin(t_lo, t * (double)r->step[0]);
            t_hi = fmax(t_hi, t * (double)r->step[r->steps - 1]);
        }
        if (!p->law.has[k] || x_hi == 0)
            continue;
        lo = law_dim_best(&p->law.dim[k], t_lo);
        hi = law_dim_best(&p->law.dim[k], t_hi);
        if (hi <= x_lo || lo >= x_hi)
            fprintf(
                out,
                "warning: at the compute of these runs the optimal %s is %.4g to "
                "%.4g, outside\n         the grid: an optimum could only lie on its "
                "edge\n",
                law_dim_name[k], lo, hi);
    }
}

static json_t *make_json(const struct plan *p)
{
    const double z = fit_student(p->o->level, 1 << 30);
    json_t *runs = json_array(), *expected = json_object();

    for (int i = 0; i < p->sweep.runs; i++)
        json_array_append_new(runs, plan_json(&p->sweep, &p->sweep.run[i]));
    for (int k = 0; k < LAW_DIMS; k++) {
        const struct expected *e = &p->expected[k];

        if (p->sweep.is_star && p->law.has[k])
            json_object_set_new(
                expected, law_dim_name[k],
                json_pack("{so so so so}", "value", json_finite(e->s), "error",
                          json_finite(e->error), "lo",
                          json_finite(e->s * exp(-z * e->error / e->s)), "hi",
                          json_finite(e->s * exp(z * e->error / e->s))));
    }
    return json_pack("{ss sf sf so so}", "sweep", p->sweep.is_star ? "star" : "grid",
                     "noise", p->noise, "shared", p->shared, "expected", expected,
                     "runs", runs);
}

/* ---- what plans of other commands share ------------------------------------------ */

struct training command_training(const struct options *o)
{
    return (struct training){ .batch    = o->batch,
                              .warmup   = o->warmup_steps,
                              .cooldown = o->cooldown_steps,
                              .heads    = o->heads,
                              .patch    = o->patch,
                              .image    = o->image,
                              .classes  = o->classes,
                              .seed     = o->seed,
                              .seeds    = o->seeds,
                              .more     = o->train_args };
}

int command_look(struct sweep *s, const struct options *o)
{
    const char *y = o->y[0] == '\0' && o->probe_args[0] != '\0' ? "err_10shot" : o->y;
    char records[sizeof o->out + 16];

    snprintf(records, sizeof records, "%s/records.jsonl", o->out);
    return sweep_look(s, o->out[0] != '\0' ? records : "", y);
}

int command_write(FILE *out, const struct sweep *s, const struct options *o)
{
    if (o->out[0] == '\0')
        return 0;
    TRY(plan_write(s, o->out, o->probe_args));
    fprintf(out, "\nwrote %s/plan.jsonl and %s/array.sbatch\n", o->out, o->out);
    return 0;
}

/* ---- all together ---------------------------------------------------------------- */

static int make(FILE *out, struct plan *p)
{
    const struct options *o = p->o;

    TRY(parse(p));
    TRY(sweep_make(&p->sweep, p->has_machine ? &p->machine : NULL));
    if (p->sweep.runs == 0)
        return ERR(ERR_SHAPE, "no shape of this sweep can be trained%s%s",
                   p->sweep.drops > 0 ? ": " : "",
                   p->sweep.drops > 0 ? p->sweep.dropped[0].why : "");
    TRY(make_design(p));
    TRY(command_look(&p->sweep, o));
    print_runs(out, p);
    print_totals(out, p);
    print_expected(out, p);
    print_warnings(out, p);
    print_edges(out, p);
    TRY(command_write(out, &p->sweep, o));
    return command_save(make_json(p), o->json);
}

int command_plan(FILE *out, const struct options *o, char *const *word, int words)
{
    struct plan p = { .o = o };
    int rc;

    if (words > 0)
        return ERR(ERR_USAGE, "vitfit plan takes options only, not '%s'", word[0]);
    rc = make(out, &p);
    sweep_close(&p.sweep);
    sweep_close(&p.star);
    return rc;
}
