/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,4,6 */
/* Sharded parameters, blocks that are computed again, and micro-batches change nothing:
 * loss, gradients and parameters after three steps are those of one rank alone.  And at
 * no time are more than two groups of parameters and two of gradients whole; what was
 * given back is full of NaN.
 */
#include "config.h"

#include "tests/alone.h"
#include "tests/ranks.h"

#include <stdio.h>

static bool has_room(const struct shard *sh)
{
    return sh->params.most <= 2 && sh->grads.most <= 2 && sh->params.held == 0 &&
           sh->grads.held == 0;
}

static void compare(const struct alone *a, const struct model_options *o,
                    const char *what)
{
    char name[128];
    struct model m;

    snprintf(name, sizeof name, "%s on %dx%d, shard %s, remat %s, %d micro-batches",
             what, o->D, o->M, param_shard_name(o->shard, o->D), remat_name(o->remat),
             o->micros);
    model_open(&m, o, MPI_COMM_WORLD);
    alone_compare(&m, a, o->optim.lr, name);
    ok(has_room(vit_shard(m.vit)), "with two groups whole at most");
    if (o->D > 1 && o->shard == SHARD_FULL)
        ok(vit_shard(m.vit)->params.most == 2 && vit_shard(m.vit)->grads.most == 2,
           "one of them ahead");
    model_close(&m);
}

/* On D x 1 and D x 2, what is new alone and all of it together. */
static void check(struct model_options o, int ranks, const char *what)
{
    static const struct {
        enum param_shard shard;
        enum remat remat;
        int micros;
    } with[] = { { SHARD_FULL, REMAT_NONE, 1 },
                 { SHARD_FULL, REMAT_BLOCK, 1 },
                 { SHARD_FULL, REMAT_NONE, 3 },
                 { SHARD_FULL, REMAT_BLOCK, 3 },
                 { SHARD_NONE, REMAT_BLOCK, 3 } };
    struct alone a;

    alone_run(&a, o);
    for (o.M = 1; o.M <= 2 && o.M <= ranks; o.M++) {
        o.D    = ranks / o.M;
        o.form = o.M > 1 ? CMM_RING : CMM_PLAIN;
        for (size_t k = 0; k < sizeof with / sizeof with[0]; k++) {
            o.shard  = with[k].shard;
            o.remat  = with[k].remat;
            o.micros = with[k].micros;
            if (o.shard == SHARD_FULL && o.D == 1)
                continue;
            if (ranks % o.M == 0 && o.B / o.D >= o.micros)
                compare(&a, &o, what);
        }
    }
    alone_free(&a);
}

int main(int argc, char **argv)
{
    const int ranks        = ranks_open(&argc, &argv, "t436-full");
    struct model_options o = model_odd(WIRING_PARALLEL, POOL_MAP, LOSS_SIGMOID);

    /* Nothing divides anything; every row has an image for each of three micro-batches,
     * but on six rows, and some have one more.
     */
    o.spec.shape = "21/2/34/3";
    o.B          = 13;
    check(o, ranks, "parallel, map");
    o            = model_odd(WIRING_SEQUENTIAL, POOL_CLS, LOSS_SOFTMAX);
    o.spec.shape = "21/2/34/3";
    o.B          = 13;
    check(o, ranks, "sequential, cls");
    o.spec.shape = "21/1/34/3"; /* the first block is the last */
    o.spec.pool  = POOL_GAP;
    check(o, ranks, "one block, gap");
    return ranks_done();
}
