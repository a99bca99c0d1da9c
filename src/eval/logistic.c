/* SPDX-License-Identifier: BSD-3-Clause */
/* Each penalty starts where the one before it has ended. */
#include "config.h"

#include "src/eval/logistic.h"

#include "src/base/mem.h"
#include "src/eval/lbfgs.h"

#include <math.h>
#include <string.h>

struct penalised {
    struct linear of;
    double l2;
};

static double value(void *ctx, double *g, const double *w, int64_t n)
{
    const struct penalised *p = ctx;
    const int64_t D           = p->of.scale->width + 1;
    double sum                = linear_look(g, &p->of, w).loss;

    for (int64_t i = 0; i < n; i++) {
        if (i % D == D - 1)
            continue;
        sum += p->l2 / 2 * w[i] * w[i];
        g[i] += p->l2 * w[i];
    }
    return sum;
}

/* With a gradient of 1e-6 small penalties end far from their minimum. */
static struct lbfgs fit(double *w, const struct linear *l, double l2)
{
    struct penalised p = { .of = *l, .l2 = l2 };
    struct lbfgs how   = { .tolerance = 1e-7, .steps_most = 1000 };

    p.of.loss = LOSS_SOFTMAX;
    lbfgs_run(w, &how, l->K * (l->scale->width + 1), value, &p);
    return how;
}

/* Fit to 'most' with every penalty, and leave in 'w' what does best on 'held': the
 * fewest errors, then the least loss.
 */
static void choose(double *w, struct logistic_result *r, const struct linear *most,
                   const struct linear *held, const struct logistic *o)
{
    const size_t bytes = (size_t)(most->K * (most->scale->width + 1)) * sizeof *w;
    double *next = mem_new(bytes, 1), least = INFINITY;

    for (int i = 0; i < o->l2s; i++) {
        struct verdicts v;

        r->steps[i] = fit(next, most, o->l2[i]).steps;
        v           = linear_look(NULL, held, next);
        r->error[i] = 1 - v.right;
        if (i > 0 && (r->error[i] > r->error[r->chosen] ||
                      (r->error[i] == r->error[r->chosen] && !(v.loss < least))))
            continue;
        r->chosen = i;
        least     = v.loss;
        memcpy(w, next, bytes);
    }
    mem_free(next);
}

int logistic_run(double *w, struct logistic_result *r, const struct linear *l,
                 const struct logistic *o)
{
    const struct mesh *mesh = l->part->of->mesh;
    struct linear most = *l, held = *l;
    struct part parts[2] = { 0 };
    struct lbfgs last;
    int rc = part_split(&parts[0], l->part, o->share, false);

    *r = (struct logistic_result){ 0 };
    if (rc == 0)
        rc = part_split(&parts[1], l->part, o->share, true);
    rc = mesh_agree(mesh, rc);
    if (rc == 0) {
        most.part = &parts[0];
        held.part = &parts[1];
        held.loss = LOSS_SOFTMAX;
        choose(w, r, &most, &held, o);
        last            = fit(w, l, o->l2[r->chosen]);
        r->last_steps   = last.steps;
        r->is_converged = last.is_converged;
    }
    part_free(&parts[0]);
    part_free(&parts[1]);
    return rc;
}
