/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,3,4,6 */
/* The same model on a mesh and on one rank: loss and gradients of a step, and
 * parameters after three steps of AdamW; with both forms of collective
 * matmul, which must be the one that ran, and of data ranks that share nodes.
 * Sizes divide nothing, and some model ranks have no class at all.
 */
#include "config.h"

#include "tests/alone.h"
#include "tests/ranks.h"

#include <stdio.h>

/* Ring passes of a forward and backward: five for each pair of products of n rows, and
 * three for keys and values of the pooling head, of which two ranks need two.
 */
static int64_t rings_expected(const struct spec *s, const struct model_options *o)
{
    const int64_t pairs = s->L * (s->wiring == WIRING_PARALLEL ? 1 : 2);

    if (o->M == 1 || o->form == CMM_PLAIN)
        return 0;
    return 5 * pairs + (s->pool == POOL_MAP ? 3 - (o->M == 2) : 0);
}

static void compare(const struct alone *a, const struct model_options *o,
                    const char *what)
{
    char name[128];
    struct model m;

    snprintf(name, sizeof name, "%s on %dx%d %s, by %d", what, o->D, o->M,
             o->form == CMM_PLAIN ? "plain" : "ring", o->near);
    model_open(&m, o, MPI_COMM_WORLD);
    alone_compare(&m, a, o->optim.lr, name);
    if (!ok(m.mesh->rings == (ALONE_STEPS + 1) * rings_expected(&m.spec, o),
            "and the form that was asked for"))
        tap_note("%lld ring passes", (long long)m.mesh->rings);
    model_close(&m);
}

static void check(struct model_options o, int ranks, const char *what)
{
    struct alone a;

    alone_run(&a, o);
    for (int M = 1; M <= ranks; M++) {
        if (ranks % M != 0 || M > 3)
            continue;
        o.M = M;
        o.D = ranks / M;
        for (int form = CMM_PLAIN; form <= CMM_RING; form++) {
            o.form  = (enum cmm_form)form;
            o.near  = 0;
            o.shard = SHARD_NONE;
            compare(&a, &o, what);
        }
        for (o.near = 2; o.near < o.D; o.near++) {
            for (int shard = SHARD_NONE; shard <= SHARD_FULL; shard++) {
                o.shard = (enum param_shard)shard;
                if (o.D % o.near == 0)
                    compare(&a, &o, what);
            }
        }
    }
    alone_free(&a);
}

int main(int argc, char **argv)
{
    const int ranks        = ranks_open(&argc, &argv, "t420-mesh");
    struct model_options o = model_odd(WIRING_PARALLEL, POOL_MAP, LOSS_SIGMOID);

    check(o, ranks, "parallel, map, sigmoid");
    o.spec.classes = 2;
    o.spec.loss    = LOSS_SOFTMAX;
    check(o, ranks, "parallel, map, softmax of two classes");
    o = model_odd(WIRING_SEQUENTIAL, POOL_CLS, LOSS_SOFTMAX);
    check(o, ranks, "sequential, cls, softmax");
    o              = model_odd(WIRING_SEQUENTIAL, POOL_MAP, LOSS_SIGMOID);
    o.spec.qk_norm = 1;
    check(o, ranks, "sequential, map, sigmoid, QK-norm");
    o = model_odd(WIRING_PARALLEL, POOL_GAP, LOSS_SOFTMAX);
    check(o, ranks, "parallel, gap, softmax");
    return ranks_done();
}
