/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,4 */
/* What a model and its optimizer keep goes to a file and comes back onto another mesh,
 * sharded over the data axis or not, to the bit.
 */
#include "config.h"

#include "src/step/state.h"
#include "tests/model.h"
#include "tests/ranks.h"
#include "tests/scratch.h"

#include "src/base/err.h"
#include "src/base/mem.h"

static const char *folder;

static void save(char *path, struct model *m)
{
    const struct ckpt_meta meta = { .step = 2 };
    struct ckpt_list list;
    struct ckpt *c;

    state_list(&list, m->vit, m->optim);
    if (ckpt_open(&c, m->mesh, m->dev, &list, folder, 1, NULL) != 0 ||
        ckpt_start(c, &meta) != 0 || ckpt_finish(c) != 0)
        die("%s", err_sentence() != NULL ? err_sentence() : "not saved");
    snprintf(path, CKPT_PATH, "%s", ckpt_path(c));
    ckpt_close(&c);
    state_free(&list);
}

/* The largest difference between what 'm' owns and the whole tensors of 'alone'. */
static double gap(struct model *m, struct model *alone)
{
    const struct layout *l = vit_layout(alone->vit);
    double largest         = 0;

    for (int i = 0; i < l->params.count; i++) {
        const struct item *it = &l->item[i];
        struct piece piece[LAYOUT_PIECES];
        double *whole = mem_new((size_t)(it->rows * it->cols), sizeof *whole);

        if (layout_pieces(piece, l, it, 0, 0) != 1)
            die("%s is not whole", it->param->name);
        for (int of = MODEL_PARAM; of <= MODEL_NU; of++) {
            struct model_gap g;

            if (of == MODEL_GRAD)
                continue;
            model_get(alone, whole, model_piece(alone, it, piece, (enum model_of)of));
            g       = model_compare(m, &vit_layout(m->vit)->item[i], (enum model_of)of,
                                    whole);
            largest = tap_worse(largest, g.largest);
        }
        mem_free(whole);
    }
    return coll_largest(m->mesh, AXIS_ALL, largest);
}

static void check(struct model_options from, struct model_options to)
{
    struct model_options one = to;
    struct model a, b, alone;
    char path[CKPT_PATH];
    struct step_result r;

    one.D = one.M = 1;
    model_open(&a, &from, MPI_COMM_WORLD);
    for (int s = 0; s < 2; s++)
        step_run(a.step, 1, &r);
    save(path, &a);

    model_open(&alone, &one, MPI_COMM_SELF);
    ok(gap(&a, &alone) > 0, "two steps change a model");
    ok(state_load(alone.vit, alone.optim, path) == 0 && gap(&a, &alone) == 0,
       "%dx%d, shard %s, saves what one rank loads", from.D, from.M,
       param_shard_name(from.shard, from.D));
    model_close(&a);

    model_open(&b, &to, MPI_COMM_WORLD);
    ok(state_load(b.vit, b.optim, path) == 0 && gap(&b, &alone) == 0,
       "and %dx%d, shard %s, as well", to.D, to.M, param_shard_name(to.shard, to.D));
    step_run(b.step, 1, &r);
    ok(r.is_finite && gap(&b, &alone) > 0, "and goes on with it");
    model_close(&b);
    model_close(&alone);
}

int main(int argc, char **argv)
{
    const int ranks           = ranks_open(&argc, &argv, "t515-state-mesh");
    struct model_options full = model_odd(WIRING_PARALLEL, POOL_MAP, LOSS_SIGMOID);
    struct model_options none;

    full.dtype = DTYPE_F32;
    full.D     = ranks;
    full.shard = SHARD_FULL;
    none       = full;
    none.shard = SHARD_NONE;
    folder     = scratch_open();
    check(full, none);
    check(none, full);
    full.D = (ranks + 1) / 2;
    full.M = ranks / full.D;
    none.D = 1;
    none.M = ranks;
    if (ranks > 1) {
        check(full, none);
        full.spec.wiring = WIRING_SEQUENTIAL;
        none.spec        = full.spec;
        check(none, full);
    }
    return ranks_done();
}
