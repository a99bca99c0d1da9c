/* SPDX-License-Identifier: BSD-3-Clause */
/* Rows from tables, their arms, and the model that a law makes of them. */
#include "config.h"

#include "src/fit/points.h"

#include "src/base/err.h"
#include "src/base/log.h"
#include "src/base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Exponents are looked for here; one that ends at an edge is not identified. */
static const double exp_least = 0.003, exp_most = 9;

bool points_same(double a, double b)
{
    return fabs(a - b) <= 1e-9 * fabs(b);
}

/* True if the variables of rows i and j are the same, but for 'along' (-1: none). */
static bool is_alike(const struct points *p, int i, int j, int along)
{
    int v = 0;

    while (v < p->vars &&
           (v == along || points_same(p->x[(size_t)i * LAW_VARS + (size_t)v],
                                      p->x[(size_t)j * LAW_VARS + (size_t)v])))
        v++;
    return v == p->vars;
}

/* ---- reading --------------------------------------------------------------------- */

static void points_open(struct points *p, int rows, int vars)
{
    *p      = (struct points){ .vars = vars };
    p->y    = mem_new((size_t)rows, sizeof *p->y);
    p->x    = mem_new((size_t)rows * LAW_VARS, sizeof *p->x);
    p->arm  = mem_new((size_t)rows, sizeof *p->arm);
    p->rows = 0;
}

void points_close(struct points *p)
{
    mem_free(p->y);
    mem_free(p->x);
    mem_free(p->arm);
    *p = (struct points){ 0 };
}

static int positive(double *x, const struct table *t, int i, const char *name,
                    const char *options)
{
    const int rc = table_number(x, t, i, name, -INFINITY);

    if (rc != 0 && table_column(t, name) < 0)
        return ERR(rc, "%s; %s name others", err_sentence(), options);
    TRY(rc);
    if (*x > 0)
        return 0;
    return ERR(ERR_DATA, "%s: line %d, column %s: %g is not above 0", t->path,
               t->line[i], name, *x);
}

static bool is_missing(const struct table *t, int i, const char *y)
{
    return table_cell(t, i, table_column(t, y))->kind == CELL_NONE;
}

static int metric(double *y, const struct table *t, int i, const char *name,
                  const char *options)
{
    if (table_column(t, name) >= 0 && is_missing(t, i, name))
        return ERR(
            ERR_DATA,
            "%s: line %d, column %s: the value is missing; --skip-missing leaves "
            "such runs out",
            t->path, t->line[i], name);
    return positive(y, t, i, name, options);
}

/* Row i of 't' behind the rows of 'p'. */
static int read_row(struct points *p, const struct table *t, int i,
                    const struct columns *c)
{
    double *x = p->x + (size_t)p->rows * LAW_VARS;

    TRY(metric(&p->y[p->rows], t, i, c->y, c->options));
    for (int v = 0; v < p->vars; v++) {
        if (c->flops == NULL || v == 0) {
            TRY(positive(&x[v], t, i, c->var[v], c->options));
        } else {
            TRY(positive(&x[v], t, i, c->flops, c->options));
            x[v] /= 6 * x[0];
        }
    }
    p->arm[p->rows++] = ARM_NONE;
    return 0;
}

static bool is_done(const struct table *t, int i)
{
    const struct cell *c = table_cell(t, i, table_column(t, "status"));

    return c->kind != CELL_TEXT || strcmp(c->text, "done") == 0;
}

/* The last row of 'p', with 'id', takes the place of its run from an earlier file: the
 * row of the first 'before' whose id and variables are its.  Unlike runs keep theirs,
 * whatever they are called: numbers of lines make ids that mean nothing elsewhere.
 */
static void take_place(struct points *p, const struct cell **id, int before)
{
    const int last = p->rows - 1;

    for (int i = 0; i < before && id[last]->kind != CELL_NONE; i++) {
        if (table_compare(id[i], id[last]) != 0 || !is_alike(p, i, last, -1))
            continue;
        p->y[i] = p->y[last];
        p->rows--;
        p->again++;
        return;
    }
}

static bool is_variable(const struct columns *c, const char *name)
{
    bool is = false;

    for (int v = 0; v < c->vars; v++)
        is |= strcmp(c->var[v], name) == 0;
    return is;
}

/* Warn of runs that one law, or one frontier, is not for: what they were trained on is
 * not the same, and none of the variables.
 */
static void look_for_mixture(struct table **t, int tables, const struct columns *c)
{
    static const char *const same[] = { "data", "image", "patch" };

    for (size_t k = 0; k < sizeof same / sizeof same[0]; k++) {
        const struct cell *first = NULL;
        bool is_mixed            = false;

        for (int f = 0; f < tables; f++) {
            for (int i = 0; i < t[f]->rows; i++) {
                const struct cell *one =
                    table_cell(t[f], i, table_column(t[f], same[k]));

                if (one->kind == CELL_NONE || !is_done(t[f], i))
                    continue;
                if (first == NULL)
                    first = one;
                is_mixed |= table_compare(first, one) != 0;
            }
        }
        if (is_mixed && !is_variable(c, same[k]))
            WARN("%s%s: the runs differ in '%s': they may have no law in common",
                 t[0]->path, tables > 1 ? " and others" : "", same[k]);
    }
}

static int read_tables(struct points *p, struct table **t, int tables,
                       const struct columns *c)
{
    int rows = 0, rc = 0;
    const struct cell **id;

    for (int f = 0; f < tables; f++)
        rows += t[f]->rows;
    points_open(p, rows, c->vars);
    id = mem_new((size_t)rows, sizeof(struct cell *));
    for (int f = 0; f < tables && rc == 0; f++) {
        const int before = p->rows;

        for (int i = 0; i < t[f]->rows && rc == 0; i++) {
            if (!is_done(t[f], i)) {
                p->failed++;
            } else if (c->skip_missing && is_missing(t[f], i, c->y)) {
                p->missing++;
            } else {
                id[p->rows] = table_cell(t[f], i, table_column(t[f], "id"));
                rc          = read_row(p, t[f], i, c);
                if (rc == 0)
                    take_place(p, id, before);
            }
        }
    }
    mem_free(id);
    if (rc == 0 && p->rows == 0)
        rc = ERR(ERR_DATA, "%s: there are no finished runs in it", t[0]->path);
    if (rc != 0)
        points_close(p);
    else
        look_for_mixture(t, tables, c);
    return rc;
}

int points_read(struct points *p, char *const *file, int files, const struct columns *c)
{
    struct table **t = mem_new((size_t)files, sizeof(struct table *));
    int rc           = 0;

    for (int f = 0; f < files && rc == 0; f++) {
        rc = table_read(&t[f], file[f]);
        if (rc == 0)
            table_keep_last(t[f], "id");
    }
    if (rc == 0)
        rc = read_tables(p, t, files, c);
    for (int f = 0; f < files; f++)
        table_close(&t[f]);
    mem_free(t);
    return rc;
}

void points_left_part(char *text, size_t size, int n, const char *why)
{
    const size_t used = strlen(text);

    if (n > 0)
        snprintf(text + used, size - used, "%s%d %s", used > 0 ? ", " : "", n, why);
}

void points_left_out(char *text, size_t size, const struct points *p, const char *y)
{
    char without[128];

    points_left_part(text, size, p->failed, "failed");
    snprintf(without, sizeof without, "without %s", y);
    points_left_part(text, size, p->missing, without);
    points_left_part(text, size, p->again, "in two files");
}

/* ---- arms ------------------------------------------------------------------------ */

void points_arms(struct points *p, const double *centre, int dims)
{
    for (int i = 0; i < p->rows; i++) {
        const double *x = p->x + (size_t)i * LAW_VARS;
        int others      = 0;

        p->arm[i] = ARM_CENTRE;
        for (int k = 0; k < dims; k++) {
            if (!points_same(x[k], centre[k])) {
                p->arm[i] = k;
                others++;
            }
        }
        if (others > 1)
            p->arm[i] = ARM_NONE;
    }
}

int points_frequency(const struct points *p, int var, double x)
{
    int same = 0;

    for (int i = 0; i < p->rows; i++)
        same += points_same(p->x[(size_t)i * LAW_VARS + (size_t)var], x);
    return same;
}

void points_centre(double *centre, const struct points *p, int dims)
{
    for (int k = 0; k < dims; k++) {
        int most = 0;

        for (int i = 0; i < p->rows; i++) {
            const double x = p->x[(size_t)i * LAW_VARS + (size_t)k];
            const int same = points_frequency(p, k, x);

            if (same > most || (same == most && x > centre[k])) {
                most      = same;
                centre[k] = x;
            }
        }
    }
}

int points_shapes(int *shape, const struct points *p, int along)
{
    int shapes = 0;

    for (int i = 0; i < p->rows; i++) {
        int j = 0;

        while (j < i && (along < 0 || !is_alike(p, i, j, along)))
            j++;
        shape[i] = j < i ? shape[j] : shapes++;
    }
    return shapes;
}

int points_values(const struct points *p, int arm, int var)
{
    int n = 0;

    for (int i = 0; i < p->rows; i++) {
        bool is_new = arm == LAW_EVERY || p->arm[i] == arm;

        for (int j = 0; j < i && is_new; j++)
            is_new = (arm != LAW_EVERY && p->arm[j] != arm) ||
                     !points_same(p->x[(size_t)j * LAW_VARS + (size_t)var],
                                  p->x[(size_t)i * LAW_VARS + (size_t)var]);
        n += is_new;
    }
    return n;
}

/* ---- parts ----------------------------------------------------------------------- */

static void copy_row(struct points *to, const struct points *from, int i)
{
    const int n = to->rows++;

    to->y[n]   = from->y[i];
    to->arm[n] = from->arm[i];
    memmove(to->x + (size_t)n * LAW_VARS, from->x + (size_t)i * LAW_VARS,
            LAW_VARS * sizeof *to->x);
}

void points_copy(struct points *copy, const struct points *p)
{
    points_open(copy, p->rows, p->vars);
    copy->failed  = p->failed;
    copy->missing = p->missing;
    copy->again   = p->again;
    for (int i = 0; i < p->rows; i++)
        copy_row(copy, p, i);
}

void points_take(struct points *to, struct points *from,
                 bool (*takes)(const struct points *p, int row, const void *what),
                 const void *what)
{
    bool *is_taken = mem_new((size_t)from->rows, sizeof *is_taken);
    const int rows = from->rows;

    points_open(to, rows, from->vars);
    for (int i = 0; i < rows; i++)
        is_taken[i] = takes(from, i, what);
    from->rows = 0;
    for (int i = 0; i < rows; i++)
        copy_row(is_taken[i] ? to : from, from, i);
    mem_free(is_taken);
}

static double key(const struct points *p, int row, int var)
{
    return var < 0 ? p->y[row] : p->x[(size_t)row * LAW_VARS + (size_t)var];
}

static bool is_chosen(const struct points *p, int row, const void *what)
{
    (void)p;
    return ((const bool *)what)[row];
}

void points_take_largest(struct points *to, struct points *from, int count, int var)
{
    bool *chosen = mem_new((size_t)from->rows, sizeof *chosen);

    for (int n = 0; n < count && n < from->rows; n++) {
        int best = -1;

        for (int i = 0; i < from->rows; i++) {
            if (!chosen[i] && (best < 0 || key(from, i, var) > key(from, best, var)))
                best = i;
        }
        chosen[best] = true;
    }
    points_take(to, from, is_chosen, chosen);
    mem_free(chosen);
}

/* The row of 'p' before 'end' with the variables of row i, or 'end'. */
static int find_alike(const struct points *p, int i, int end)
{
    int j = 0;

    while (j < end && !is_alike(p, j, i, -1))
        j++;
    return j;
}

void points_average(struct points *p)
{
    int *count = mem_new((size_t)p->rows, sizeof *count);
    int rows   = p->rows;

    p->rows = 0;
    for (int i = 0; i < rows; i++) {
        const int j = find_alike(p, i, p->rows);

        if (j == p->rows)
            copy_row(p, p, i);
        count[j]++;
        if (count[j] > 1)
            p->y[j] += (p->y[i] - p->y[j]) / count[j];
    }
    mem_free(count);
}

/* ---- the model ------------------------------------------------------------------- */

static double log_of(const struct points *p, int i, const struct factor *f)
{
    return log(p->x[(size_t)i * LAW_VARS + (size_t)f->var]);
}

static void find_centre(struct centre *c, const struct points *p, const struct term *t,
                        int j)
{
    int rows = 0;

    memset(c->at[j], 0, sizeof c->at[j]);
    for (int i = 0; i < p->rows; i++) {
        if (t->arm != LAW_EVERY && t->arm != p->arm[i])
            continue;
        rows++;
        for (int f = 0; f < t->factors; f++)
            c->at[j][f] += (log_of(p, i, &t->factor[f]) - c->at[j][f]) / rows;
    }
}

void points_model(struct powers *m, struct centre *c, const struct points *p,
                  const struct law *l)
{
    powers_open(m, p->rows, l->coefs, l->exps);
    memcpy(m->y, p->y, (size_t)p->rows * sizeof *m->y);
    for (int k = 0; k < l->exps; k++) {
        m->lo[l->coefs + k] = exp_least;
        m->hi[l->coefs + k] = exp_most;
    }
    for (int j = 0; j < l->coefs; j++) {
        const struct term *t = &l->term[j];

        find_centre(c, p, t, j);
        for (int i = 0; i < p->rows; i++) {
            const size_t at = (size_t)i * (size_t)l->coefs + (size_t)j;

            m->has[at] = t->arm == LAW_EVERY || t->arm == p->arm[i];
            for (int f = 0; f < t->factors; f++)
                m->h[at * (size_t)l->exps + (size_t)t->factor[f].exp] +=
                    t->factor[f].sign * (log_of(p, i, &t->factor[f]) - c->at[j][f]);
        }
    }
}

/* What a coefficient is to be multiplied with, as a logarithm. */
static double shift(const struct term *t, const double *exps, const double at[2])
{
    double sum = 0;

    for (int f = 0; f < t->factors; f++)
        sum -= t->factor[f].sign * exps[t->factor[f].exp] * at[f];
    return sum;
}

void points_raw(double *raw, const double *theta, const struct centre *c,
                const struct law *l)
{
    memcpy(raw, theta, (size_t)(l->coefs + l->exps) * sizeof *raw);
    for (int j = 0; j < l->coefs; j++)
        raw[j] *= exp(shift(&l->term[j], theta + l->coefs, c->at[j]));
}
