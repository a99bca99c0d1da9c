/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=2,3,4,6 */
/* What travels in another format than it is calculated in, in bf16.
 *
 * Partial sums that are wide, in f32, are rounded once, in the end: every element is
 * within a unit 2^-8 of itself, and K + M units 2^-24 of the sum of magnitudes that it
 * was added up from.  Those in bf16 are rounded on each rank, by units of what is
 * there, which may be many times the end result: then the same bound must be broken.
 *
 * Gradients that are narrow are rounded in every hop and added in f32, in an order that
 * is known on a ring: bit for bit.
 */
#include "config.h"

#include "mesh/cmm.h"
#include "mesh/coll.h"
#include "mesh/flight.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "tests/ranks.h"

#include <math.h>
#include <string.h>

enum { ROWS = 9, K = 24, C = 31, PART = 7 };

static struct dev *dev;
static struct dev_stream *stream;

static float rounded(double x)
{
    return dtype_from_bf16(dtype_to_bf16((float)x));
}

/* ---- products -------------------------------------------------------------------- */

/* A matrix on the device, and the same in double. */
struct own {
    struct buf buf;
    struct mat mat;
    double *value;
};

static void own_open(struct own *o, int64_t rows, int64_t cols, int seed)
{
    const int64_t n = rows * cols;
    void *raw       = mem_new((size_t)n + 1, sizeof(double));

    o->value = mem_new((size_t)n + 1, sizeof *o->value);
    if (dev_alloc(&o->buf, dev, (size_t)n * 2) != 0)
        die("%s", err_sentence());
    o->mat = mat_of(&o->buf, DTYPE_BF16, rows, cols);
    for (int64_t i = 0; i < n; i++) {
        o->value[i] = rounded(rng_normal((uint64_t)seed, RNG_TEST, (uint64_t)i));
        dtype_store(DTYPE_BF16, raw, i, o->value[i]);
    }
    dev_put(stream, o->mat, raw);
    mem_free(raw);
}

static void own_close(struct own *o)
{
    dev_free(&o->buf);
    mem_free(o->value);
}

/* What is added up for the whole [ROWS, C] over all ranks: sums and
 * their magnitudes.
 */
struct exact {
    double sum[ROWS * C], size[ROWS * C];
};

/* Of x [ROWS, K] w [K, C], or x [ROWS, K] w [C, K]^T. */
static void find_exact(struct exact *e, const struct mesh *mesh, const struct own *x,
                       const struct own *w, bool is_transposed)
{
    memset(e, 0, sizeof *e);
    for (int64_t i = 0; i < ROWS * C * K; i++) {
        const int64_t r = i / (C * K), c = i / K % C, k = i % K;
        const double term = x->value[r * K + k] *
                            (is_transposed ? w->value[c * K + k] : w->value[k * C + c]);

        e->sum[r * C + c] += term;
        e->size[r * C + c] += fabs(term);
    }
    MPI_Allreduce(MPI_IN_PLACE, e, 2 * ROWS * C, MPI_DOUBLE, MPI_SUM,
                  mesh->comm[AXIS_MODEL]);
}

/* The largest error of this rank's slice y, in units of the bound. */
static double off(const struct exact *e, const struct mesh *mesh, struct mat y,
                  const struct own *bias)
{
    const struct range cols = split_range(C, mesh->M, mesh->m);
    void *raw               = mem_new((size_t)mat_size(y) + 1, sizeof(double));
    double worst            = 0;

    dev_get(stream, raw, y);
    for (int64_t i = 0; i < mat_size(y); i++) {
        const int64_t at = i / y.cols * C + cols.lo + i % y.cols;
        const double add = bias != NULL ? bias->value[i % y.cols] : 0;
        const double sum = e->sum[at] + add;
        const double bound =
            0x1p-8 * fabs(sum) + (K + mesh->M) * 0x1p-24 * (e->size[at] + fabs(add));

        worst = tap_worse(worst, fabs(dtype_load(y.dtype, raw, i) - sum) / bound);
    }
    mem_free(raw);
    return coll_largest((struct mesh *)mesh, AXIS_ALL, worst);
}

struct found {
    double forward, backward; /* errors */
    int64_t bytes, room;
};

static struct found multiply(struct mesh *mesh, enum cmm_form form, bool is_wide)
{
    const int64_t width = range_size(split_range(C, mesh->M, mesh->m));
    struct own x, w_out, w_in, y, bias, given;
    struct dev_weight *out, *in;
    struct found f;
    struct exact e;
    struct cmm *c;

    mesh_wires(mesh, is_wide, false);
    own_open(&x, ROWS, K, 1 + mesh->m);
    own_open(&w_out, K, C, 11 + mesh->m);
    own_open(&w_in, C, K, 21 + mesh->m);
    own_open(&y, ROWS, width, 31);
    own_open(&given, ROWS, width, 31);
    own_open(&bias, 1, width, 41);
    if (cmm_open(&c, mesh, dev, ROWS, C, form, 0) != 0 ||
        dev_weight_open(&out, dev, w_out.mat) != 0 ||
        dev_weight_open(&in, dev, w_in.mat) != 0)
        die("%s", err_sentence());
    mesh_count_reset(mesh);
    cmm_scatter(c, y.mat, x.mat, out, bias.mat, mat_none());
    f.bytes = mesh->sent[ACT_SCATTER].bytes;
    find_exact(&e, mesh, &x, &w_out, false);
    f.forward = off(&e, mesh, y.mat, &bias);
    cmm_gather_backward(c, y.mat, mat_none(), mat_none(), false, x.mat, given.mat, in);
    find_exact(&e, mesh, &x, &w_in, true);
    f.backward = off(&e, mesh, y.mat, NULL);
    f.room     = cmm_bytes(mesh, ROWS, C, DTYPE_BF16, form);
    dev_weight_close(&in);
    dev_weight_close(&out);
    cmm_close(&c);
    own_close(&x);
    own_close(&w_out);
    own_close(&w_in);
    own_close(&y);
    own_close(&given);
    own_close(&bias);
    mesh_wires(mesh, false, false);
    return f;
}

static void test_products(struct mesh *mesh)
{
    for (enum cmm_form form = CMM_PLAIN; form <= CMM_BIDIR; form++) {
        const struct found usual = multiply(mesh, form, false);
        const struct found wide  = multiply(mesh, form, true);
        const char *name         = cmm_form_name[form];

        ok(wide.forward <= 1 && wide.backward <= 1,
           "%s 1x%d: sums in f32 are rounded once (%.2g and %.2g)", name, mesh->M,
           wide.forward, wide.backward);
        ok(usual.forward > 2 && usual.backward > 2,
           "%s 1x%d: those in bf16 more often (%.2g and %.2g)", name, mesh->M,
           usual.forward, usual.backward);
        ok(wide.bytes == 2 * usual.bytes && wide.room > usual.room,
           "%s 1x%d: and send half of their bytes", name, mesh->M);
    }
}

/* ---- flights --------------------------------------------------------------------- */

/* Element k of the buffer of a rank; all but integers are rounded on the way. */
static float brought(int rank, int64_t k, bool is_integer)
{
    return is_integer ? (float)((k * 13 + 5 * rank) % 23 - 11)
                      : (float)rng_normal(3, RNG_TEST, (uint64_t)(1000 * rank + k));
}

/* The sum of everyone's on its way round the ring, down to the rank that it is for; the
 * one of integers the same in any order.
 */
static float summed(int ranks, int owner, int64_t k, bool is_integer)
{
    float sum = brought((owner - 1 + ranks) % ranks, k, is_integer);

    for (int j = 2; j <= ranks; j++)
        sum = brought((owner - j + ranks) % ranks, k, is_integer) + rounded(sum);
    return sum;
}

/* Parts of different sizes; returns whether every element of the result is right: on
 * nodes, where the order of sums is another one, of integers, and else that what is
 * for all is rounded.
 */
static bool fly(struct mesh *mesh, enum hops_form form, int near, int ring_most,
                bool is_integer, int64_t *bytes)
{
    const int ranks    = mesh->size;
    int64_t cut[7 + 1] = { 0 };
    struct buf x, work;
    bool is_right = true;
    int64_t room;
    struct flight f;
    float *value;

    for (int j = 0; j < ranks; j++)
        cut[j + 1] = cut[j] + PART + (j * 7) % 3;
    room = hops_room(cut, ranks, near, ring_most);
    if (dev_alloc(&x, dev, (size_t)cut[ranks] * sizeof(float)) != 0 ||
        dev_alloc(&work, dev, (size_t)room * sizeof(float)) != 0)
        die("%s", err_sentence());
    value = (float *)(void *)x.at;
    for (int64_t k = 0; k < cut[ranks]; k++)
        value[k] = brought(mesh->rank, k, is_integer);
    mesh_count_reset(mesh);
    flight_start(&f, form,
                 &(struct flight_plan){ .mesh   = mesh,
                                        .axis   = AXIS_ALL,
                                        .kind   = GRAD_SCATTER,
                                        .stream = stream,
                                        .x      = mat_of(&x, DTYPE_F32, 1, cut[ranks]),
                                        .cut    = cut,
                                        .work = mat_of(&work, DTYPE_BF16, 1, 2 * room),
                                        .near = near,
                                        .ring_most = ring_most });
    flight_finish(&f);
    dev_sync(stream);
    *bytes = mesh->sent[GRAD_SCATTER].bytes;
    for (int j = 0; j < ranks; j++) {
        for (int64_t k = cut[j]; k < cut[j + 1]; k++) {
            const float sum =
                near > 1 && !is_integer ? value[k] : summed(ranks, j, k, is_integer);
            const float want = form == HOPS_SUM ? rounded(sum) : sum;

            if (form == HOPS_SUM || j == hops_part(mesh->rank, ranks, near))
                is_right &= value[k] == want;
        }
    }
    dev_free(&x);
    dev_free(&work);
    return is_right;
}

static void test_flights(struct mesh *mesh)
{
    static const char *const name[] = { "gather", "scatter", "sum" };

    for (int form = HOPS_SCATTER; form <= HOPS_SUM; form++) {
        int64_t bytes = 0, planned = 0;
        struct traffic_count t = { 0 };

        ok(fly(mesh, form, 1, HOPS_RING, false, &bytes),
           "%s of narrow gradients over %d ranks: rounded in each hop, added in f32",
           name[form], mesh->size);
        ok(fly(mesh, form, 1, HOPS_RING, true, &planned) && planned == bytes,
           "%s of integers over %d ranks is exact", name[form], mesh->size);
        ok(fly(mesh, form, 1, 1, true, &bytes), "recursively, too");

        int64_t cut[7 + 1] = { 0 };

        for (int j = 0; j < mesh->size; j++)
            cut[j + 1] = cut[j] + PART + (j * 7) % 3;
        traffic_hops(&t, cut, dtype_size(DTYPE_BF16), form, mesh->size, mesh->rank, 1,
                     1);
        ok(bytes == t.bytes, "with the bytes of the plan");
        for (int near = 2; near < mesh->size; near++) {
            if (mesh->size % near != 0)
                continue;
            ok(fly(mesh, form, near, HOPS_RING, true, &bytes),
               "and on nodes of %d ranks", near);
            if (form == HOPS_SUM)
                ok(fly(mesh, form, near, HOPS_RING, false, &bytes),
                   "where a rank rounds its own part as the others get it");
        }
    }
}

int main(int argc, char **argv)
{
    const int size = ranks_open(&argc, &argv, "t353-wires");
    struct mesh *mesh;

    if (mesh_open(&mesh, MPI_COMM_WORLD, 1, size) != 0 ||
        dev_open(&dev, "cpu:emulate", DTYPE_BF16, 1) != 0)
        die("%s", err_sentence());
    stream = dev_stream(dev, LANE_COMPUTE);
    test_products(mesh);
    test_flights(mesh);
    dev_close(&dev);
    mesh_close(&mesh);
    return ranks_done();
}
