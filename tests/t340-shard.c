/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,4,6 */
/* The model's memory: initial values are the same on every mesh; gradients are summed
 * over the data axis, those of replicated tensors over both, and nothing else moves.
 */
#include "config.h"

#include "mesh/shard.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "tests/ranks.h"

#include <string.h>

static struct spec make_spec(void)
{
    const struct spec_options o = { .shape   = "54/2/70/6",
                                    .wiring  = WIRING_PARALLEL,
                                    .qk_norm = 1,
                                    .gelu    = GELU_TANH,
                                    .pool    = POOL_MAP,
                                    .loss    = LOSS_SIGMOID,
                                    .image   = 28,
                                    .patch   = 7,
                                    .classes = 3 };
    struct spec s;

    if (spec_make(&s, &o) != 0)
        die("%s", err_sentence());
    return s;
}

static double element(struct mat a, int64_t r, int64_t c)
{
    return dtype_load(a.dtype, mat_ptr(a), r * a.ld + c);
}

static void set_element(struct mat a, int64_t r, int64_t c, double value)
{
    dtype_store(a.dtype, mat_ptr(a), r * a.ld + c, value);
}

/* A small integer for each logical element and rank. */
static double gradient(const struct mesh *mesh, int64_t index, int d, int m)
{
    return (double)((index * 7 + 3 * (d * mesh->M + m)) % 11 - 5);
}

static void test_values(struct shard *sh)
{
    const struct layout *l = sh->layout;
    bool is_right = true, is_whole = true, is_zero = true;
    int64_t padding = 0;

    for (int i = 0; i < l->params.count; i++) {
        const struct item *it = &l->item[i];
        const struct mat a = shard_item_param(sh, it), g = shard_item_grad(sh, it);

        for (int64_t r = 0; r < it->rows; r++) {
            for (int64_t c = 0; c < it->cols; c++) {
                is_right &=
                    element(a, r, c) == param_init(it->param, 7, item_index(it, r, c));
                is_zero &= element(g, r, c) == 0;
                set_element(a, r, c, 0);
            }
        }
        const int block      = it->param->block < 0 ? 0 : it->param->block;
        const struct mat at  = shard_param(sh, it->group, it->slot, block);
        const struct mat dat = shard_grad(sh, it->group, it->slot, block);

        is_whole &= a.buf == at.buf && a.ld == at.ld && a.offset >= at.offset &&
                    g.buf == dat.buf && dat.rows == at.rows;
    }
    for (int g = 0; g < l->groups; g++) {
        const struct mat all = mat_of(&sh->param[g], dev_dtype(sh->dev), 1, l->size[g]);

        for (int64_t k = 0; k < l->size[g]; k++)
            padding += element(all, 0, k) != 0;
    }
    ok(is_right, "%dx%d: initial values are those of the table", l->D, l->M);
    ok(is_zero && padding == 0, "gradients and padding are zero");
    ok(is_whole, "items are parts of their slots");
    ok(mat_is_none(shard_param(sh, GROUP_EMBED, SLOT_IN, 0)),
       "a slot that a group has not is none");
}

static void test_sums(struct shard *sh)
{
    struct mesh *mesh                        = sh->mesh;
    const struct layout *l                   = sh->layout;
    struct traffic_count want[TRAFFIC_KINDS] = { { 0 } };
    const size_t size                        = dtype_size(dev_acc(sh->dev));
    bool is_right                            = true;

    for (int i = 0; i < l->params.count; i++) {
        const struct item *it = &l->item[i];

        for (int64_t r = 0; r < it->rows; r++) {
            for (int64_t c = 0; c < it->cols; c++)
                set_element(shard_item_grad(sh, it), r, c,
                            gradient(mesh, item_index(it, r, c), mesh->d, mesh->m));
        }
    }
    mesh_count_reset(mesh);
    for (int g = l->groups - 1; g >= 0; g--) {
        shard_gather_start(sh, g);
        shard_gather_finish(sh, g);
        shard_scatter_start(sh, g);
        shard_scatter_finish(sh, g);
        if (g == l->groups - 1)
            traffic_allreduce(&want[REDUCE], l->size[g], size, mesh->M, mesh->m);
        traffic_allreduce(&want[g == l->groups - 1 ? REDUCE : GRAD_SCATTER], l->size[g],
                          size, mesh->D, mesh->d);
    }
    for (int i = 0; i < l->params.count; i++) {
        const struct item *it = &l->item[i];

        for (int64_t r = 0; r < it->rows; r++) {
            for (int64_t c = 0; c < it->cols; c++) {
                double sum = 0;

                for (int d = 0; d < mesh->D; d++) {
                    for (int m = 0; m < mesh->M; m++) {
                        if (m == mesh->m || it->is_replicated)
                            sum += gradient(mesh, item_index(it, r, c), d, m);
                    }
                }
                is_right &= element(shard_item_grad(sh, it), r, c) == sum;
            }
        }
    }
    ok(is_right, "%dx%d: gradients are summed over their replicas", l->D, l->M);
    ok(memcmp(mesh->sent, want, sizeof want) == 0, "with the messages of the plan");
}

int main(int argc, char **argv)
{
    static const enum dtype dtypes[] = { DTYPE_F64, DTYPE_F32 };
    const int size                   = ranks_open(&argc, &argv, "t340-shard");
    const struct spec s              = make_spec();

    for (int D = 1; D <= size; D++) {
        struct mesh *mesh;
        struct layout l;

        if (size % D != 0)
            continue;
        if (mesh_open(&mesh, MPI_COMM_WORLD, D, size / D) != 0)
            die("%s", err_sentence());
        layout_make(&l, &s, HEAD_INIT_NORMAL, mesh->D, mesh->M, mesh->d, mesh->m);
        for (int t = 0; t < 2; t++) {
            struct dev *dev;
            struct shard *sh;

            if (dev_open(&dev, "cpu:ref", dtypes[t], 1) != 0 ||
                shard_open(&sh, mesh, dev, &l, 7) != 0)
                die("%s", err_sentence());
            test_values(sh);
            test_sums(sh);
            shard_close(&sh);
            ok(sh == NULL, "closed");
            dev_close(&dev);
        }
        layout_free(&l);
        mesh_close(&mesh);
    }
    return ranks_done();
}
