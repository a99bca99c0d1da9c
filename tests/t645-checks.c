/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,4 */
/* The four checks of a step, again and again on tiny models in f32, raise no false
 * alarm, nor in bf16, where sums over ranks are rounded on their way; and the smallest
 * spoiling of a gradient or a replica is seen.
 */
#include "config.h"

#include "bench/nudge.h"
#include "bench/setup.h"
#include "bench/verify.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "tests/bed.h"

#include <math.h>
#include <string.h>

static int size;

/* Of all meshes of these ranks number 'i'. */
static void mesh_number(int *D, int *M, int i)
{
    int n = 0;

    for (;;) {
        for (int m = 1; m <= size; m++) {
            if (size % m == 0 && n++ == i) {
                *M = m;
                *D = size / m;
                return;
            }
        }
    }
}

static int meshes(void)
{
    int n = 0;

    for (int m = 1; m <= size; m++)
        n += size % m == 0;
    return n;
}

/* All checks once: the largest residuals so far, in units of their thresholds, into
 * 'worst' and 'note'.  Returns whether all passed.
 */
static bool check_once(struct check worst[4], struct bed *bed, const struct spec *spec,
                       int64_t B)
{
    struct check check[4] = { 0 };
    struct step_result last;
    struct setup setup;
    bool is_clean;

    if (verify_self_test(&check[0], &bed->bench, spec) != 0 ||
        setup_open(&setup, &bed->bench, spec, B, (uint64_t)bed->options.seed) != 0)
        return false;
    step_run(setup.step, 1.0, &last);
    mesh_count_reset(bed->bench.mesh);
    verify_products(&check[1], &check[2], &bed->bench, setup.step, setup.vit);
    verify_replicas(&check[3], &bed->bench, setup.vit, &last);
    is_clean = cmm_form_of(vit_cmm(setup.vit)) == bed->choices.way.form &&
               (bed->bench.mesh->rings > 0) == (bed->bench.mesh->M > 1);
    setup_close(&setup);
    for (int i = 0; i < 4; i++) {
        is_clean &= check[i].status == STATUS_PASS;
        if (check[i].residual >= worst[i].residual)
            worst[i] = check[i];
    }
    return is_clean;
}

static void test_no_false_alarm(int times)
{
    static const char *const shape[] = { "50/2/70/5", "32/1/64/4", "24/3/48/6",
                                         "48/12/96/4" };
    const int grids                  = meshes();
    struct bed bed[4];
    struct check worst[4] = { 0 };
    int bad               = 0;

    for (int i = 0; i < grids; i++) {
        int D, M;

        mesh_number(&D, &M, i);
        bed_open_auto(&bed[i], D, M, DTYPE_F32, CMM_RING);
    }
    for (int i = 0; i < times; i++) {
        struct bed *at   = &bed[i % grids];
        const uint64_t r = rng_bits(3, RNG_TEST, (uint64_t)i);
        struct spec spec =
            bed_spec(shape[r % 4], r >> 8 & 1, (enum pool)((r >> 9) % 3));

        spec.loss              = r >> 16 & 1;
        at->options.seed       = i;
        at->choices.way.shard  = r >> 24 & 1;
        at->choices.way.remat  = r >> 25 & 1;
        at->choices.way.micros = 1 + (int)((r >> 26) % 3);
        bad +=
            !check_once(worst, at, &spec, at->bench.mesh->D + (int64_t)(r >> 20) % 5);
    }
    ok(bad == 0, "%d clean repetitions pass all checks", times);
    for (int i = 0; i < 4; i++)
        tap_note("largest residual of %s: %.3g (%s)", worst[i].name, worst[i].residual,
                 worst[i].note);
    for (int i = 0; i < grids; i++)
        bed_close(&bed[i]);
}

/* Tokens of an image have nearly the same gradient here, so that some columns of
 * products nearly cancel in all of a group's rows.
 */
static void test_bf16(int D, int M)
{
    struct check worst[4] = { 0 };
    struct spec spec;
    struct bed bed;
    bool is_clean;

    if (spec_make(&spec, &(struct spec_options){ .shape   = "192/1/384/6",
                                                 .image   = 64,
                                                 .patch   = 4,
                                                 .classes = 100 }) != 0)
        abort();
    bed_open(&bed, D, M, "cpu:emulate", DTYPE_BF16, CMM_RING);
    is_clean = check_once(worst, &bed, &spec, 4);
    if (!ok(is_clean, "%dx%d: a step in bf16 passes all checks", D, M))
        for (int i = 0; i < 4; i++)
            tap_note("residual of %s: %.3g (%s)", worst[i].name, worst[i].residual,
                     worst[i].note);
    bed_close(&bed);
}

/* ---- what must be seen ----------------------------------------------------------- */

/* Replicas of parameters, one bit off on one rank, by tensor. */
static void test_replicas(int D, int M)
{
    const struct spec spec = bed_spec("24/2/48/6", WIRING_PARALLEL, POOL_MAP);
    struct step_result last;
    struct setup setup;
    struct check check;
    struct bed bed;
    int seen = 0, all = 0;

    bed_open_auto(&bed, D, M, DTYPE_F32, CMM_RING);
    if (setup_open(&setup, &bed.bench, &spec, 4, 1) != 0)
        abort();
    step_run(setup.step, 1.0, &last);
    for (int i = 0; i < vit_layout(setup.vit)->params.count; i++) {
        const struct item *it = &vit_layout(setup.vit)->item[i];
        const struct mat a    = shard_item_param(vit_shard(setup.vit), it);
        struct dev_stream *s  = dev_stream(bed.bench.dev, LANE_COMPUTE);
        struct mat one        = mat_none();
        uint32_t bits;

        if (D == 1 && !it->is_replicated)
            continue;
        if (mat_size(a) > 0 && bed.bench.mesh->rank == 1) {
            one = mat_cols(mat_rows(a, a.rows - 1, a.rows), a.cols - 1, a.cols);
            dev_get(s, &bits, one);
            bits ^= 1;
            dev_put(s, one, &bits);
        }
        verify_replicas(&check, &bed.bench, setup.vit, &last);
        seen +=
            check.status == STATUS_FAIL && strstr(check.note, it->param->name) != NULL;
        all += coll_largest(bed.bench.mesh, AXIS_ALL, !mat_is_none(one)) > 0;
        if (!mat_is_none(one)) {
            bits ^= 1;
            dev_put(s, one, &bits);
        }
    }
    verify_replicas(&check, &bed.bench, setup.vit, &last);
    ok(all > 0 && seen == all && check.status == STATUS_PASS,
       "%dx%d: one bit of each of %d replicated tensors is seen, and its return", D, M,
       all);

    if (M > 1) {
        const double loss = last.loss;

        if (bed.bench.mesh->rank == 1)
            last.loss = nextafter(loss, 0);
        verify_replicas(&check, &bed.bench, setup.vit, &last);
        ok(check.status == STATUS_FAIL, "as is the last bit of a loss");
        last.loss = loss;
    }
    last.grad_norm = NAN;
    verify_replicas(&check, &bed.bench, setup.vit, &last);
    ok(check.status == STATUS_FAIL,
       "a norm that is not a number fails, the same everywhere");
    setup_close(&setup);
    bed_close(&bed);
}

/* The largest relative move of an item's elements by a nudge, and how many moved. */
static double nudged_by(int64_t *moved, struct setup *setup, struct reader *reader,
                        double **before)
{
    const struct layout *l = vit_layout(setup->vit);
    double most            = 0;

    for (int i = 0; i < l->params.count; i++) {
        const struct mat a = shard_item_param(vit_shard(setup->vit), &l->item[i]);
        const double *x    = reader_get(reader, a, 0, a.rows);

        for (int64_t k = 0; k < mat_size(a); k++) {
            *moved += x[k] != before[i][k];
            most = tap_worse(most, fabs(x[k] - before[i][k]) / fmax(fabs(x[k]), 1e-30));
        }
    }
    return most;
}

static void test_nudge(int D, int M)
{
    const struct spec spec = bed_spec("24/2/48/6", WIRING_SEQUENTIAL, POOL_MAP);
    const double eps       = dtype_eps(DTYPE_F32);
    const struct layout *l;
    struct step_result last;
    struct setup setup;
    struct check check;
    struct reader reader;
    struct bed bed;
    double **before, most;
    int64_t moved = 0, all = 0;

    bed_open_auto(&bed, D, M, DTYPE_F32, CMM_RING);
    if (setup_open(&setup, &bed.bench, &spec, 4, 1) != 0)
        abort();
    step_run(setup.step, 1.0, &last);
    l      = vit_layout(setup.vit);
    before = mem_new((size_t)l->params.count, sizeof *before);
    reader_open(&reader, bed.bench.dev);
    for (int i = 0; i < l->params.count; i++) {
        const struct mat a = shard_item_param(vit_shard(setup.vit), &l->item[i]);
        const size_t n     = (size_t)mat_size(a);

        before[i] = mem_new(n, sizeof **before);
        memcpy(before[i], reader_get(&reader, a, 0, a.rows), n * sizeof **before);
        all += (int64_t)n;
    }
    nudge_parameters(setup.vit, &reader, eps, 5);
    most = nudged_by(&moved, &setup, &reader, before);
    verify_replicas(&check, &bed.bench, setup.vit, &last);
    ok(most > 0.5 * eps && most <= 1.5 * eps && moved > all / 4 &&
           check.status == STATUS_PASS,
       "%dx%d: a nudge moves parameters by about eps, and replicas alike", D, M);
    for (int i = 0; i < l->params.count; i++)
        mem_free(before[i]);
    mem_free(before);
    reader_close(&reader);
    setup_close(&setup);
    bed_close(&bed);
}

/* The self-test compares with numbers of another kind: with a device that is slightly
 * wrong its residual says by how much.
 */
static void test_residuals(void)
{
    const double eps = dtype_eps(DTYPE_F32);
    struct check c;

    ok(verify_residual(0, 0, eps) == 0, "no difference from zero is none");
    ok(isinf(verify_residual(1e-30, 0, eps)), "any other is infinite");
    ok(isinf(verify_residual(NAN, 1, eps)) && isinf(verify_residual(1, NAN, eps)),
       "as is what is not a number");
    close_to(verify_residual(3 * eps, 1, eps), 3, 1e-12,
             "residuals count in units of eps");
    verify_decide(&c, "name", NAN, 1);
    ok(c.status == STATUS_FAIL, "a residual that is not a number fails");
    verify_decide(&c, "name", 1, 1);
    ok(c.status == STATUS_PASS, "the threshold itself passes");
}

static void test_yardstick(void)
{
    const struct spec spec = bed_spec("24/2/48/6", WIRING_SEQUENTIAL, POOL_MAP);
    double *square;
    struct params params;
    int keys = 0, right = 0;

    params_make(&params, &spec, HEAD_INIT_NORMAL);
    square = mem_new((size_t)params.count, sizeof *square);
    for (int i = 0; i < params.count; i++) {
        const char *name = params.param[i].name;

        if (strstr(name, "key/kernel") != NULL)
            square[i] = 100 + i;
        else
            square[i] = params.param[i].block == 1 ? 1e6 : 1;
    }
    for (int i = 0; i < params.count; i++) {
        const double yard   = verify_yardstick(&params, square, i);
        const bool is_small = params.param[i].is_key_bias && params.param[i].block != 1;

        keys += params.param[i].is_key_bias;
        right += is_small ? yard > 10 && yard < 20 : yard == sqrt(square[i]);
    }
    ok(keys == 3 && right == params.count,
       "key biases are measured by their kernel if it is larger, others by themselves");
    mem_free(square);
    params_free(&params);
}

int main(int argc, char **argv)
{
    size = ranks_open(&argc, &argv, "t645-checks");
    test_residuals();
    test_yardstick();
    for (int m = 1; m <= size; m++) {
        if (size % m == 0 && size > 1)
            test_replicas(size / m, m);
        if (size % m == 0) {
            test_nudge(size / m, m);
            test_bf16(size / m, m);
        }
    }
    test_no_false_alarm(tap_is_long() ? 1000 : 100);
    return ranks_done();
}
