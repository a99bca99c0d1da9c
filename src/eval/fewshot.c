/* SPDX-License-Identifier: BSD-3-Clause */
/* One permutation of each class a seed, from which all numbers of shots are taken. */
#include "config.h"

#include "src/eval/fewshot.h"

#include "mesh/guard.h"
#include "src/base/clock.h"
#include "src/base/mem.h"
#include "src/eval/linear.h"
#include "src/eval/permute.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- shots ----------------------------------------------------------------------- */

/* The rows of a part by class: those of class k are row[first[k]] ..
 * row[first[k+1]].
 */
struct classes {
    int64_t *row, *first;
    int64_t count;
};

static void classes_open(struct classes *c, const struct part *p, int64_t count)
{
    int64_t *next = mem_new((size_t)count + 1, sizeof *next);

    c->count = count;
    c->row   = mem_new((size_t)p->rows, sizeof *c->row);
    c->first = mem_new((size_t)count + 1, sizeof *c->first);
    for (int64_t i = 0; i < p->rows; i++)
        c->first[part_label(p, i) + 1]++;
    for (int64_t k = 0; k < count; k++)
        next[k + 1] = c->first[k + 1] += c->first[k];
    for (int64_t i = 0; i < p->rows; i++)
        c->row[next[part_label(p, i)]++] = p->row[i];
    mem_free(next);
}

static void classes_close(struct classes *c)
{
    mem_free(c->row);
    mem_free(c->first);
}

/* The order of a seed: it starts from the order of the set, not of another seed. */
static void permute_classes(struct classes *c, const struct classes *from,
                            uint64_t seed)
{
    struct permute p;

    permute_open(&p, seed);
    memcpy(c->row, from->row, (size_t)from->first[from->count] * sizeof *c->row);
    for (int64_t k = 0; k < c->count; k++)
        permute_shuffle(&p, c->row + c->first[k], c->first[k + 1] - c->first[k]);
}

/* The first 'shots' of each class, or as many as it has. */
static void take(struct part *p, const struct features *of, const struct classes *c,
                 int64_t shots)
{
    *p = (struct part){ .of  = of,
                        .row = mem_new((size_t)c->first[c->count], sizeof *p->row) };
    for (int64_t k = 0; k < c->count; k++) {
        for (int64_t i = c->first[k]; i < c->first[k + 1] && i < c->first[k] + shots;
             i++)
            p->row[p->rows++] = c->row[i];
    }
}

/* ---- one regression -------------------------------------------------------------- */

/* X and Y of a part; 'x' is owned by the caller. */
static int make_rows(struct ridge_rows *rows, double **x, const struct part *p,
                     const struct scale *s, int64_t K)
{
    const int64_t D = s->width + 1;
    int32_t *about  = mem_new(2 * (size_t)p->rows, sizeof *about);
    int64_t own     = 0;
    void *room      = NULL;
    int rc;

    *rows = (struct ridge_rows){
        .N = p->rows, .D = D, .K = K, .owner = about, .label = about + p->rows
    };
    for (int64_t i = 0; i < p->rows; i++) {
        about[i]           = p->of->owner[p->row[i]];
        about[p->rows + i] = part_label(p, i);
        own += part_own(p, i) != NULL;
    }
    rc  = mem_alloc(&room, (size_t)(own * D) * sizeof **x);
    *x  = room;
    own = 0;
    for (int64_t i = 0; i < p->rows && rc == 0; i++) {
        if (part_own(p, i) != NULL)
            scale_apply(*x + own++ * D, s, part_own(p, i));
    }
    rows->x = *x;
    return mesh_agree(p->of->mesh, rc);
}

static int open_ridge(struct ridge **ridge, const struct part *p, const struct scale *s,
                      const struct fewshot *f, int64_t K)
{
    struct ridge_rows rows;
    double *x;
    int rc = make_rows(&rows, &x, p, s, K);

    if (rc == 0)
        rc = ridge_open(ridge, &rows, p->of->mesh, f->solver, f->threads);
    mem_free(x);
    mem_free((void *)rows.owner);
    return rc;
}

/* error[i] of every l2. */
static int regress(struct fewshot_result *r, double *error, const struct part *taken,
                   const struct part *test, const struct fewshot *f, int64_t K)
{
    const double constant = 100;
    struct ridge *ridge   = NULL;
    const double start    = clock_now();
    struct scale scale;
    const struct linear all = { .part = test, .scale = &scale, .K = K };
    double *w;
    int rc;

    scale_open(&scale, taken->of->width, taken, constant);
    rc = open_ridge(&ridge, taken, &scale, f, K);
    if (rc == 0) {
        w = mem_new((size_t)(K * (scale.width + 1)), sizeof *w);
        for (int i = 0; i < f->l2s; i++) {
            ridge_solve(w, ridge, f->l2[i]);
            error[i] = 1 - linear_look(NULL, &all, w).right;
        }
        mem_free(w);
        snprintf(r->about, sizeof r->about, "%s", ridge_about(ridge));
    }
    ridge_close(&ridge);
    scale_close(&scale);
    r->seconds += clock_now() - start;
    guard_alive();
    return rc;
}

/* ---- all of them ----------------------------------------------------------------- */

int fewshot_run(struct fewshot_result *r, const struct part *learn,
                const struct part *test, const struct fewshot *f)
{
    const struct features *of = learn->of;
    const int64_t K = of->classes > test->of->classes ? of->classes : test->of->classes;
    struct classes classes, permuted;
    int rc = 0;

    *r = (struct fewshot_result){ 0 };
    classes_open(&classes, learn, K);
    classes_open(&permuted, learn, K);
    for (int s = 0; s < f->seeds && rc == 0; s++) {
        permute_classes(&permuted, &classes, (uint64_t)f->seed[s]);
        for (int i = 0; i < f->shot_count && rc == 0; i++) {
            struct part taken;

            take(&taken, of, &permuted, f->shots[i]);
            r->rows[i] = taken.rows;
            rc         = regress(r, r->error[i][s], &taken, test, f, K);
            part_free(&taken);
        }
    }
    classes_close(&classes);
    classes_close(&permuted);
    return rc;
}

double fewshot_mean(const struct fewshot_result *r, const struct fewshot *f,
                    int64_t shots)
{
    double sum = 0;

    for (int i = 0; i < f->shot_count; i++) {
        if (f->shots[i] != shots)
            continue;
        for (int s = 0; s < f->seeds; s++)
            sum += r->error[i][s][0];
        return sum / f->seeds;
    }
    return NAN;
}
