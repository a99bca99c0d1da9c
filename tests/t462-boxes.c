/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,3,4,6 */
/* The exchange between boxes on ranks and rows in a file: shares tile every tensor,
 * hold its elements, and go back where they came from.
 */
#include "config.h"

#include "ckpt/boxes.h"

#include "ckpt/digest.h"
#include "ckpt/file.h"
#include "mesh/coll.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "tests/ranks.h"
#include "tests/tensors.h"

#include <string.h>

enum { SEED = 5, SCALE = 2 };

/* Numbers and digests over all datasets. */
struct total {
    double elements;
    uint64_t digest;
};

static struct total total_of(const struct tensors *t)
{
    struct total total = { 0 };

    for (int k = 0; k < t->list.tensors; k++) {
        struct entry e;

        file_entry(&e, &t->list.tensor[k]);
        if (t->list.tensor[k].layer > 0)
            continue;
        for (int64_t i = 0; i < e.elements; i++) {
            const float x = tensors_value(e.name, SEED, i);

            total.digest += digest_of(&x, 1, i);
        }
        total.elements += (double)e.elements;
    }
    return total;
}

static bool is_share_right(const struct tensors *t, const struct slab *s,
                           const float *share)
{
    const struct ckpt_tensor *tensor = &t->list.tensor[s->tensor];

    for (int k = 0; k < s->extents; k++) {
        const struct extent *x = &s->extent[k];

        for (int64_t i = 0; i < x->count; i++) {
            const float value =
                tensors_value(tensor->dataset, SEED, file_index(tensor) + x->start + i);

            if (memcmp(&share[x->at + i], &value, sizeof value) != 0)
                return false;
        }
    }
    return true;
}

static void test_get(struct tensors *t, struct mesh *mesh, int64_t of, const char *what)
{
    const struct total wanted = total_of(t);
    struct total found        = { 0 };
    struct boxes *boxes;
    bool are_right = true;
    float *share   = mem_new(1 << 20, sizeof *share);

    tensors_fill(t, SEED);
    if (boxes_open(&boxes, mesh, t->dev, &t->list, true, of) != 0)
        die("no boxes");
    for (int i = 0; i < boxes_count(boxes); i++) {
        const struct slab *s = boxes_slab(boxes, i);

        boxes_get(boxes, i, share);
        are_right = are_right && is_share_right(t, s, share);
        found.elements += (double)s->share;
        found.digest +=
            boxes_digest(boxes, i, share, file_index(&t->list.tensor[s->tensor]));
    }
    boxes_close(&boxes);
    TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, &found.digest, 1, MPI_UINT64_T, MPI_SUM,
                          mesh->comm[AXIS_ALL]));
    ok(are_right, "%s: shares hold the elements of their rows", what);
    ok(coll_sum(mesh, AXIS_ALL, found.elements) == wanted.elements,
       "%s: all shares together have as many elements as the tensors", what);
    ok(found.digest == wanted.digest, "%s: and the digest of the tensors", what);
    mem_free(share);
}

static void test_put(struct tensors *t, struct mesh *mesh, int64_t of, const char *what)
{
    struct boxes *boxes;
    float *share = mem_new(1 << 20, sizeof *share);

    tensors_spoil(t);
    if (boxes_open(&boxes, mesh, t->dev, &t->list, false, of) != 0)
        die("no boxes");
    for (int i = 0; i < boxes_count(boxes); i++) {
        const struct slab *s             = boxes_slab(boxes, i);
        const struct ckpt_tensor *tensor = &t->list.tensor[s->tensor];

        for (int k = 0; k < s->extents; k++) {
            for (int64_t e = 0; e < s->extent[k].count; e++)
                share[s->extent[k].at + e] = tensors_value(
                    tensor->dataset, SEED, file_index(tensor) + s->extent[k].start + e);
        }
        boxes_put(boxes, i, share);
    }
    boxes_close(&boxes);
    ok(tensors_wrong(t, SEED) == 0, "%s: every piece gets its elements from shares",
       what);
    mem_free(share);
}

int main(int argc, char **argv)
{
    static const int64_t shares[] = { BOXES_SHARE, 64, 2000 };
    const int ranks               = ranks_open(&argc, &argv, "t462-boxes");
    struct dev *dev;

    if (dev_open(&dev, "cpu:ref", DTYPE_F32, 1) != 0)
        die("no device");
    for (int M = 1; M <= ranks; M++) {
        struct mesh *mesh;

        if (ranks % M != 0)
            continue;
        if (mesh_open(&mesh, MPI_COMM_WORLD, ranks / M, M) != 0)
            die("no mesh");
        for (int i = 0; i < 6; i++) {
            const enum tensors_way way = i % 2 == 0 ? TENSORS_WHOLE : TENSORS_CUT;
            struct tensors t;
            char what[80];

            snprintf(what, sizeof what, "%dx%d, %s, shares of %lld", ranks / M, M,
                     way == TENSORS_CUT ? "cut" : "whole", (long long)shares[i / 2]);
            tensors_open(&t, mesh, dev, way, SCALE);
            test_get(&t, mesh, shares[i / 2], what);
            test_put(&t, mesh, shares[i / 2], what);
            tensors_close(&t);
        }
        mesh_close(&mesh);
    }
    dev_close(&dev);
    return ranks_done();
}
