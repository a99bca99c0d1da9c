/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,4,6 */
/* The model's memory, sharded over the data axis or not: initial values are the same on
 * every mesh, owned and gathered; gradients are summed over micro-batches and the data
 * axis, those of replicated tensors over both axes, and nothing else moves.
 */
#include "config.h"

#include "mesh/shard.h"

#include "src/base/err.h"
#include "tests/ranks.h"

#include <string.h>

static struct spec make_spec(const char *shape)
{
    const struct spec_options o = { .shape   = shape,
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

/* Visit the pieces that this rank owns. */
typedef void (*visit_fn)(struct shard *sh, const struct item *it, const struct piece *p,
                         void *ctx);

static void for_pieces(struct shard *sh, visit_fn visit, void *ctx)
{
    const struct layout *l = sh->layout;

    for (int i = 0; i < l->params.count; i++) {
        struct piece piece[LAYOUT_PIECES];
        const int pieces = layout_pieces(piece, l, &l->item[i], l->d, l->m);

        for (int k = 0; k < pieces; k++)
            visit(sh, &l->item[i], &piece[k], ctx);
    }
}

static void check_initial(struct shard *sh, const struct item *it,
                          const struct piece *p, void *ctx)
{
    const struct mat a = shard_piece_param(sh, it, p);
    bool *is_right     = ctx;

    for (int64_t r = 0; r < p->rows; r++) {
        for (int64_t c = 0; c < p->cols; c++)
            *is_right &= element(a, r, c) ==
                         param_init(it->param, 7, item_index(it, p->row + r, c));
    }
}

/* The whole group, as it is multiplied with. */
static bool is_group_right(struct shard *sh, int group)
{
    const struct layout *l = sh->layout;
    bool is_right          = true;

    for (int i = 0; i < l->params.count; i++) {
        const struct item *it = &l->item[i];
        const int block       = it->param->block < 0 ? 0 : it->param->block;
        const struct mat a    = shard_item_param(sh, it);
        const struct mat at   = shard_param(sh, it->group, it->slot, block);
        const struct mat g    = shard_item_grad(sh, it);
        const struct mat dat  = shard_grad(sh, it->group, it->slot, block);

        if (it->group != group)
            continue;
        for (int64_t r = 0; r < it->rows; r++) {
            for (int64_t c = 0; c < it->cols; c++)
                is_right &=
                    element(a, r, c) == param_init(it->param, 7, item_index(it, r, c));
        }
        is_right &= a.buf == at.buf && a.ld == at.ld && a.offset >= at.offset &&
                    g.buf == dat.buf && dat.rows == at.rows;
    }
    return is_right;
}

static void test_values(struct shard *sh)
{
    const struct layout *l = sh->layout;
    bool is_right = true, is_whole = true;
    int64_t padding = 0;

    for_pieces(sh, check_initial, &is_right);
    ok(is_right, "%dx%d, shard %s: initial values are those of the table", l->D, l->M,
       l->is_sharded ? "full" : "none");
    if (l->near < l->D)
        tap_note("%d data ranks share a node", l->near);
    for (int g = 0; g < l->groups; g++) {
        shard_gather_start(sh, g);
        shard_gather_finish(sh, g);
        is_whole &= shard_is_here(sh, g) && is_group_right(sh, g);
        shard_release(sh, g);
    }
    ok(is_whole,
       "also of every group when it is whole; items are parts of their slots");
    for (int g = 0; g < l->groups; g++) {
        const int64_t size   = shard_own_size(sh, g);
        const struct mat all = mat_of(&sh->grad[g], dev_acc(sh->dev), 1, size);

        for (int64_t k = 0; k < size; k++)
            padding += element(all, 0, k) != 0;
    }
    ok(padding == 0, "gradients are zero");
    ok(mat_is_none(shard_param(sh, GROUP_EMBED, SLOT_IN, 0)),
       "a slot that a group has not is none");
}

/* As backward does: the gradients of a group in micro-batch 'micro'. */
static void write_group(struct shard *sh, int group, int micro)
{
    const struct layout *l = sh->layout;
    const bool is_added    = shard_write(sh, group);

    for (int i = 0; i < l->params.count; i++) {
        const struct item *it = &l->item[i];
        const struct mat a    = shard_item_grad(sh, it);

        for (int64_t r = 0; it->group == group && r < it->rows; r++) {
            for (int64_t c = 0; c < it->cols; c++)
                set_element(a, r, c,
                            (is_added ? element(a, r, c) : 0) +
                                gradient(sh->mesh, item_index(it, r, c) + micro,
                                         sh->mesh->d, sh->mesh->m));
        }
    }
}

struct sums {
    int micros;
    bool is_right;
};

static void check_sums(struct shard *sh, const struct item *it, const struct piece *p,
                       void *ctx)
{
    const struct mesh *mesh = sh->mesh;
    const struct mat a      = shard_piece_grad(sh, it, p);
    struct sums *sums       = ctx;

    for (int64_t r = 0; r < p->rows; r++) {
        for (int64_t c = 0; c < p->cols; c++) {
            const int64_t index = item_index(it, p->row + r, c);
            double sum          = 0;

            for (int i = 0; i < mesh->size * sums->micros; i++) {
                const int rank = i % mesh->size;

                if (rank % mesh->M == mesh->m || it->is_replicated)
                    sum += gradient(mesh, index + i / mesh->size, rank / mesh->M,
                                    rank % mesh->M);
            }
            sums->is_right &= element(a, r, c) == sum;
        }
    }
}

/* What 'micros' micro-batches send: in each of them parts of sharded groups, else whole
 * groups after the last one.
 */
static void plan_sums(struct traffic_count want[TRAFFIC_KINDS], const struct shard *sh,
                      int micros)
{
    const struct layout *l = sh->layout;
    const size_t size      = dtype_size(dev_acc(sh->dev));
    int64_t bytes[64];

    for (int g = 0; g < l->groups; g++) {
        const bool is_last = g == l->groups - 1;
        const int d        = sh->mesh->d;

        if (is_last) {
            traffic_allreduce(&want[REDUCE], l->size[g], size, l->M, l->m);
            traffic_allreduce(&want[REDUCE], l->size[g], size, l->D, d);
            continue;
        }
        if (l->near > 1 && l->near < l->D) {
            for (int k = 0; k < (l->is_sharded ? micros : 1); k++)
                traffic_hops(&want[GRAD_SCATTER], layout_cut(l, g), size,
                             l->is_sharded ? HOPS_SCATTER : HOPS_SUM, l->D, d, l->near,
                             HOPS_RING);
            continue;
        }
        if (!l->is_sharded) {
            traffic_allreduce(&want[GRAD_SCATTER], l->size[g], size, l->D, d);
            continue;
        }
        for (int d = 0; d < l->D; d++)
            bytes[d] = layout_own_size(l, g, d) * (int64_t)size;
        for (int k = 0; k < micros; k++)
            traffic_ring_scatter(&want[GRAD_SCATTER], bytes, l->D, l->d);
    }
}

static void test_sums(struct shard *sh, int micros)
{
    const struct layout *l                   = sh->layout;
    struct traffic_count want[TRAFFIC_KINDS] = { { 0 } };
    struct sums sums                         = { micros, true };

    plan_sums(want, sh, micros);
    mesh_count_reset(sh->mesh);
    for (int k = 0; k < micros; k++) {
        shard_micro(sh, k, micros);
        for (int g = l->groups - 1; g >= 0; g--) {
            write_group(sh, g, k);
            if (g < l->groups - 1)
                shard_scatter_finish(sh, g + 1);
            shard_scatter_start(sh, g);
        }
        shard_scatter_finish(sh, 0);
    }
    for_pieces(sh, check_sums, &sums);
    ok(sums.is_right, "gradients of %d micro-batches are summed over their replicas",
       micros);
    ok(memcmp(sh->mesh->sent, want, sizeof want) == 0, "with the messages of the plan");
    ok(sh->grads.held == 0 && sh->grads.most == (l->is_sharded ? 2 : 0),
       "and two groups whole at most");
}

static void test_shard(struct mesh *mesh, const struct spec *s, enum dtype dtype,
                       enum param_shard shard, int near)
{
    struct layout l;
    struct dev *dev;
    struct shard *sh;

    layout_make(&l, s, HEAD_INIT_NORMAL, shard, mesh->D, mesh->M, near, mesh->d,
                mesh->m);
    if (dev_open(&dev, "cpu:ref", dtype, 1) != 0 ||
        shard_open(&sh, mesh, dev, &l, 7, true) != 0)
        die("%s", err_sentence());
    test_values(sh);
    test_sums(sh, 1);
    test_sums(sh, 3);
    shard_close(&sh);
    ok(sh == NULL, "closed");
    dev_close(&dev);
    layout_free(&l);
}

int main(int argc, char **argv)
{
    static const enum dtype dtypes[] = { DTYPE_F64, DTYPE_F32 };
    const int size                   = ranks_open(&argc, &argv, "t340-shard");
    const struct spec s              = make_spec("54/2/70/6");
    const struct spec large =
        make_spec("96/1/800/6"); /* more than is drawn at a time */

    for (int D = 1; D <= size; D++) {
        struct mesh *mesh;

        if (size % D != 0)
            continue;
        if (mesh_open(&mesh, MPI_COMM_WORLD, D, size / D) != 0)
            die("%s", err_sentence());
        for (int near = D; near > 0; near--)
            for (int t = 0; t < 4 && D % near == 0; t++)
                test_shard(mesh, &s, dtypes[t % 2], (enum param_shard)(t / 2), near);
        if (size == 1)
            test_shard(mesh, &large, DTYPE_F32, SHARD_NONE, 1);
        mesh_close(&mesh);
    }
    return ranks_done();
}
