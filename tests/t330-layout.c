/* SPDX-License-Identifier: BSD-3-Clause */
/* Layouts: the first pieces of all ranks tile every tensor exactly once, sharded over
 * the data axis or not, slots hold their tensors in the order of the products, sizes
 * are those of the plan.
 */
#include "config.h"

#include "mesh/layout.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "tests/tap.h"

#include <string.h>

static struct spec make_spec(const char *shape, enum wiring wiring, enum pool pool,
                             int qk_norm)
{
    struct spec_options o = { .shape   = shape,
                              .layers  = 0,
                              .wiring  = (int)wiring,
                              .qk_norm = qk_norm,
                              .gelu    = -1,
                              .pool    = (int)pool,
                              .loss    = -1,
                              .image   = 28,
                              .patch   = 7,
                              .classes = 3 };
    struct spec s;

    o.gelu = GELU_TANH;
    o.loss = LOSS_SIGMOID;
    if (spec_make(&s, &o) != 0)
        die("%s", err_sentence());
    return s;
}

/* Where the logical index of the element at place (r, c) of a piece is, by its box. */
static int64_t index_in_box(const struct item *it, const struct piece *p, int64_t r,
                            int64_t c)
{
    const struct param *t = it->param;
    int64_t at[PARAM_DIMS], index = 0;

    for (int i = t->dims - 1; i >= 0; i--) {
        int64_t *of        = i < t->fold ? &r : &c;
        const int64_t size = p->hi[i] - p->lo[i];

        at[i] = p->lo[i] + *of % size;
        *of /= size;
    }
    for (int i = 0; i < t->dims; i++)
        index = index * t->dim[i] + at[i];
    return index;
}

struct tally {
    unsigned char **first; /* by tensor and element: how many first pieces hold it */
    bool is_indexed, is_apart, is_sized, is_placed;
};

/* One rank's part of the tally. */
static void tally_rank(struct tally *t, const struct spec *s, enum param_shard shard,
                       int D, int M, int d, int m)
{
    struct layout l;
    unsigned char **used;

    layout_make(&l, s, HEAD_INIT_NORMAL, shard, D, M, 1, d, m);
    used = mem_new((size_t)l.groups, sizeof *used);
    for (int g = 0; g < l.groups; g++) {
        used[g] = mem_new((size_t)l.size[g] + 1, 1);
        t->is_sized &= l.size[g] == param_group_elements(&l.params, s, g, M, m) &&
                       l.size[g] % 16 == 0;
    }
    for (int i = 0; i < l.params.count; i++) {
        const struct item *it      = &l.item[i];
        const struct slot_place at = layout_slot(
            &l, it->group, it->slot, it->param->block < 0 ? 0 : it->param->block);
        struct piece p[LAYOUT_PIECES];
        const int pieces = layout_pieces(p, &l, it, d, m);

        t->is_placed &=
            at.offset % 16 == 0 && it->offset >= at.offset && it->ld == at.cols;
        if (it->cols > 0)
            t->is_placed &= (it->offset - at.offset) % at.cols + it->cols <= at.cols;
        for (int k = 0; k < pieces; k++) {
            const int64_t start =
                layout_is_sharded(&l, it->group) ? layout_cut(&l, it->group)[d] : 0;

            t->is_placed &=
                p[k].offset + start == it->offset + p[k].row * it->ld && p[k].rows > 0;
            for (int64_t r = 0; r < p[k].rows; r++) {
                for (int64_t c = 0; c < p[k].cols; c++) {
                    const int64_t index = index_in_box(it, &p[k], r, c);
                    const int64_t place = p[k].offset + r * p[k].ld + c;

                    t->is_indexed &= index == item_index(it, p[k].row + r, c);
                    t->is_apart &= place >= 0 &&
                                   place < layout_own_size(&l, it->group, d) &&
                                   !used[it->group][place]++;
                    t->first[i][index] += p[k].is_first;
                }
            }
        }
    }
    for (int g = 0; g < l.groups; g++)
        mem_free(used[g]);
    mem_free(used);
    layout_free(&l);
}

static void test_mesh(const struct spec *s, enum param_shard shard, int D, int M)
{
    struct tally t = {
        .is_indexed = true, .is_apart = true, .is_sized = true, .is_placed = true
    };
    struct params params;
    bool is_tiled = true;

    params_make(&params, s, HEAD_INIT_NORMAL);
    t.first = mem_new((size_t)params.count, sizeof *t.first);
    for (int i = 0; i < params.count; i++)
        t.first[i] = mem_new((size_t)param_size(&params.param[i]), 1);
    for (int d = 0; d < D; d++) {
        for (int m = 0; m < M; m++)
            tally_rank(&t, s, shard, D, M, d, m);
    }
    for (int i = 0; i < params.count; i++) {
        for (int64_t k = 0; k < param_size(&params.param[i]); k++)
            is_tiled &= t.first[i][k] == 1;
        mem_free(t.first[i]);
    }
    mem_free(t.first);
    params_free(&params);
    ok(is_tiled, "%s %s %s %dx%d, shard %s: first pieces tile every tensor once",
       s->name, wiring_name(s->wiring), pool_name(s->pool), D, M,
       param_shard_name(shard, D));
    ok(t.is_indexed, "and item_index() is the index in their boxes");
    ok(t.is_apart, "no two elements share a place");
    ok(t.is_sized, "groups have the sizes of the plan");
    ok(t.is_placed, "items lie in their slots, which start at multiples of 16");
}

static const struct item *find(const struct layout *l, const char *name)
{
    for (int i = 0; i < l->params.count; i++) {
        if (strcmp(l->params.param[i].name, name) == 0)
            return &l->item[i];
    }
    die("no tensor %s", name);
}

#define BLOCK "Transformer/encoderblock_1/"
#define MHA   BLOCK "MultiHeadDotProductAttention_0/"

/* In the parallel block q, k, v, MLP-in are side by side, and the two outs one above
 * the other, the MLP's first.
 */
static void test_order(void)
{
    const struct spec s = make_spec("50/2/70/5", WIRING_PARALLEL, POOL_MAP, 1);
    const int64_t A = 2 * 10, F = 23; /* of rank 1 of 3: 2 heads, 23 of 70 columns */
    struct layout l;
    struct slot_place at;

    layout_make(&l, &s, HEAD_INIT_NORMAL, SHARD_NONE, 2, 3, 1, 0, 1);
    at = layout_slot(&l, group_block(1), SLOT_IN, 1);
    ok(at.rows == 50 && at.cols == 3 * A + F, "the in-product is [C, 3A + F]");
    ok(find(&l, MHA "query/kernel")->offset == at.offset &&
           find(&l, MHA "key/kernel")->offset == at.offset + A &&
           find(&l, MHA "value/kernel")->offset == at.offset + 2 * A &&
           find(&l, BLOCK "MlpBlock_0/Dense_0/kernel")->offset == at.offset + 3 * A,
       "query, key, value, MLP-in side by side");
    at = layout_slot(&l, group_block(1), SLOT_OUT, 1);
    ok(at.rows == A + F && at.cols == 50 &&
           find(&l, BLOCK "MlpBlock_0/Dense_1/kernel")->offset == at.offset &&
           find(&l, MHA "out/kernel")->offset == at.offset + F * 50,
       "MLP-out above attention-out");
    at = layout_slot(&l, group_block(1), SLOT_UP, 1);
    ok(at.rows == 0, "a slot that the group has not has no rows");
    at = layout_slot(&l, group_replicated(&s), SLOT_K_SCALE, 1);
    ok(at.rows == 1 && at.cols == 10 &&
           at.offset != layout_slot(&l, group_replicated(&s), SLOT_K_SCALE, 0).offset,
       "blocks have scales of their own");
    ok(layout_slot(&l, group_replicated(&s), SLOT_MAP_PROBE, 0).cols == 50,
       "the probe is whole");
    layout_free(&l);
}

int main(void)
{
    static const int meshes[][2] = { { 1, 1 }, { 1, 2 }, { 2, 1 }, { 2, 2 }, { 1, 3 },
                                     { 3, 2 }, { 2, 5 }, { 1, 4 }, { 5, 1 }, { 7, 3 } };

    for (int wiring = 0; wiring < 2; wiring++) {
        for (int pool = POOL_MAP; pool <= POOL_CLS; pool++) {
            for (int qk = 0; qk < 2; qk++) {
                const struct spec s = make_spec("50/2/70/5", wiring, pool, qk);

                for (size_t i = 0; i < sizeof meshes / sizeof meshes[0]; i++) {
                    test_mesh(&s, SHARD_NONE, meshes[i][0], meshes[i][1]);
                    if (meshes[i][0] > 1)
                        test_mesh(&s, SHARD_FULL, meshes[i][0], meshes[i][1]);
                }
            }
        }
    }
    test_order();
    return tap_done();
}
