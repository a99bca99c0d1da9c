/* SPDX-License-Identifier: BSD-3-Clause */
/* Products with their epilogues on every backend against cpu:ref in f64, from equal
 * inputs, on views of larger matrices, with sizes that nothing divides and sizes of
 * zero, on one to three threads.  A sum of n terms may be off by n units of rounding of
 * the sum of their magnitudes, which cpu:ref forms too.
 */
#include "config.h"

#include "tests/tap.h"
#include "tests/twin.h"

#include "src/base/err.h"
#include "src/base/mem.h"

#include <math.h>
#include <stdio.h>

/* The magnitudes in 'a', so that products of them bound what rounding can do. */
static struct twin magnitudes(struct twins *two, struct twin a)
{
    struct twin b = twin_like(two, a);

    for (int64_t r = 0; r < a.ref.rows; r++)
        for (int64_t c = 0; c < a.ref.cols; c++)
            twin_set(b, r, c, fabs(twin_ref(a, r, c)));
    return b;
}

enum form { FORWARD, BACKWARD, WEIGHTS };

static void multiply(enum form form, struct dev_stream *s, struct mat y, struct mat a,
                     struct mat b, struct range i, struct range j, bool is_added,
                     const struct epilogue *e)
{
    struct dev_weight *w;

    if (form == WEIGHTS) {
        dev_gemm_dw(s, y, a, b, is_added);
        return;
    }
    if (dev_weight_open(&w, b.buf->dev, b) != 0)
        die("%s", err_sentence());
    (form == FORWARD ? dev_gemm : dev_gemm_t)(s, y, a, w, i, j, is_added, e);
    dev_weight_close(&w);
}

/* The largest sum of magnitudes of a product without epilogue. */
static double reach(struct twins *two, enum form form, struct twin a, struct twin b,
                    struct range i, struct range j, int64_t rows, int64_t cols)
{
    struct twin y = twin_blank(two, rows, cols);

    multiply(form, twin_stream(two, 0), y.ref, magnitudes(two, a).ref,
             magnitudes(two, b).ref, i, j, false, NULL);
    return twin_largest(y);
}

static const char *const form_names[]     = { "x W", "x W^T", "x^T dy" };
static const char *const gelu_names[]     = { "tanh", "exact" };
static const char *const epilogue_names[] = { "", " + bias", ", gelu", " gelu'" };

static bool product_is_right(struct twins *two, enum form form, int64_t n,
                             struct range i, struct range j, bool is_added,
                             enum epilogue_kind kind, enum gelu_form gelu)
{
    const int64_t I = range_size(i), J = range_size(j);
    const int64_t rows = form == WEIGHTS ? I : n, cols = form == BACKWARD ? I : J;
    const int64_t depth = form == FORWARD ? I : form == BACKWARD ? J : n;
    struct twin a       = twin_random(two, n, form == BACKWARD ? J : I, 1.0);
    struct twin b       = form == WEIGHTS ? twin_random(two, n, J, 1.0)
                                          : twin_random(two, i.hi + 3, j.hi + 2, 1.0);
    struct twin y =
        is_added ? twin_random(two, rows, cols, 1.0) : twin_blank(two, rows, cols);
    struct twin bias  = twin_random(two, 1, cols, 1.0);
    struct twin act   = twin_blank(two, rows, cols),
                pre   = twin_random(two, rows, cols, 1.0);
    struct epilogue e = { .kind = kind, .gelu = gelu };
    struct epilogue f = e;
    const double size = reach(two, form, a, b, i, j, rows, cols) + 8.0;
    bool is_right;

    e.bias = bias.ref;
    e.act  = act.ref;
    e.pre  = pre.ref;
    f.bias = bias.got;
    f.act  = act.got;
    f.pre  = pre.got;
    if (kind == EPI_GELU && is_added) /* a gelu without bias, too */
        e.bias = f.bias = mat_none();
    multiply(form, twin_stream(two, 0), y.ref, a.ref, b.ref, i, j, is_added, &e);
    multiply(form, twin_stream(two, 1), y.got, a.got, b.got, i, j, is_added, &f);
    is_right = twin_agrees(two, y, (double)depth + 8.0, size, form_names[form]);
    if (kind == EPI_GELU)
        is_right &= twin_agrees(two, act, 2.0 * (double)depth + 16.0, size, "gelu");
    twins_clear(two);
    return is_right;
}

/* Gradients of weights and of a bias of the last columns, or of all. */
static bool gradients_are_right(struct twins *two, int64_t n, int64_t I, int64_t J,
                                int64_t last, bool is_added)
{
    struct twin x = twin_random(two, n, I, 1.0), dy = twin_random(two, n, J, 1.0);
    struct twin dw = is_added ? twin_random(two, I, J, 1.0) : twin_blank(two, I, J);
    struct twin db =
        is_added ? twin_random(two, 1, last, 1.0) : twin_blank(two, 1, last);
    const double size = (double)n + 8.0;
    bool is_right;

    EACH dev_gemm_gradients(ON, V(dw), V(db), V(x), V(dy), is_added);
    is_right = twin_agrees(two, dw, size, size, "dw");
    is_right &= twin_agrees(two, db, size, size, "db");
    twins_clear(two);
    return is_right;
}

/* A product with a bias, or without, that is added to another matrix. */
static bool sum_is_right(struct twins *two, int64_t n, int64_t I, int64_t J,
                         enum epilogue_kind kind, bool is_added)
{
    struct twin x = twin_random(two, n, I, 1.0), b = twin_random(two, I, J, 1.0);
    struct twin bias = twin_random(two, 1, J, 1.0), rest = twin_random(two, n, J, 1.0);
    struct twin y = is_added ? twin_random(two, n, J, 1.0) : twin_blank(two, n, J);
    const struct range i = { 0, I }, j = { 0, J };
    const double size = (double)I + 8.0;
    bool is_right;

    EACH
    {
        const struct epilogue e = { .kind = kind, .bias = V(bias), .rest = V(rest) };

        multiply(FORWARD, ON, V(y), V(x), V(b), i, j, is_added, &e);
    }
    is_right = twin_agrees(two, y, size, size, "a sum");
    twins_clear(two);
    return is_right;
}

static void layers(struct twins *two)
{
    static const int64_t sizes[][4] = { { 7, 50, 33, 33 },
                                        { 19, 24, 64, 64 },
                                        { 9, 32, 72, 40 },
                                        { 0, 8, 16, 16 },
                                        { 40, 17, 24, 9 } };
    bool are_right = true, is_right = true;

    for (int k = 0; k < 10; k++) {
        const int64_t *of   = sizes[k / 2];
        const bool is_added = k % 2 == 1;

        are_right &= gradients_are_right(two, of[0], of[1], of[2], of[3], is_added);
        for (enum epilogue_kind e = EPI_NONE; e <= EPI_BIAS; e++)
            is_right &= sum_is_right(two, of[0], of[1], of[2], e, is_added);
    }
    ok(are_right, "gradients of weights and biases");
    ok(is_right, "products added to another matrix");
}

static void products(struct twins *two)
{
    static const struct {
        int64_t n;
        struct range i, j;
    } sizes[] = {
        { 7, { 0, 50 }, { 0, 70 } },     { 9, { 3, 50 }, { 5, 70 } },
        { 1, { 0, 50 }, { 0, 33 } },     { 10, { 2, 3 }, { 0, 70 } },
        { 131, { 0, 110 }, { 9, 150 } }, { 0, { 0, 50 }, { 0, 70 } },
        { 7, { 4, 4 }, { 0, 72 } },      { 7, { 0, 48 }, { 8, 8 } },
        { 300, { 0, 90 }, { 0, 101 } }, /* enough work to wake threads: once a form */
    };
    const unsigned count = sizeof sizes / sizeof sizes[0];
    bool is_exact        = true;

    for (enum form form = FORWARD; form <= WEIGHTS; form++) {
        for (enum epilogue_kind kind = EPI_NONE; kind <= EPI_DGELU; kind++) {
            const enum gelu_form last = kind < EPI_GELU ? GELU_TANH : GELU_EXACT;
            bool is_right             = true;

            if (form == WEIGHTS && kind != EPI_NONE)
                continue;
            for (unsigned k = 0; k < count - (kind != EPI_NONE); k++)
                for (int added = 0; added < 2; added++)
                    for (enum gelu_form g = GELU_TANH; g <= last; g++)
                        is_right &= product_is_right(two, form, sizes[k].n, sizes[k].i,
                                                     sizes[k].j, added == 1, kind, g);
            ok(is_right, "products %s%s", form_names[form], epilogue_names[kind]);
        }
    }
    for (enum epilogue_kind kind = EPI_GELU; kind <= EPI_DGELU; kind++)
        is_exact &= product_is_right(two, FORWARD, 9, (struct range){ 0, 48 },
                                     (struct range){ 0, 64 }, false, kind, GELU_EXACT);
    ok(is_exact, "exact GELU of sizes for which a library may have the other one");
    layers(two);
}

/* gelu over its whole range.  The argument of its exponential is up to 17 where that
 * still counts, and three roundings went into it; cpu:ref's 1 - tanh^2 loses as much.
 */
static void gelu_tails(struct twins *two)
{
    enum { POINTS = 4001 };

    for (enum gelu_form g = GELU_TANH; g <= GELU_EXACT; g++) {
        struct twin x    = twin_blank(two, 1, POINTS);
        struct twin act  = twin_blank(two, 1, POINTS);
        struct twin ones = twin_blank(two, 1, POINTS);
        struct twin zero = twin_blank(two, 0, POINTS), none = twin_blank(two, 1, 0);
        struct epilogue e = { .kind = EPI_GELU, .gelu = g, .act = act.ref };
        struct epilogue f = { .kind = EPI_GELU, .gelu = g, .act = act.got };

        for (int p = 0; p < POINTS; p++) {
            twin_set(x, 0, p, (p - POINTS / 2) * (20.0 / POINTS));
            twin_set(ones, 0, p, 1.0);
        }
        multiply(FORWARD, twin_stream(two, 0), x.ref, none.ref, zero.ref,
                 (struct range){ 0, 0 }, (struct range){ 0, POINTS }, true, &e);
        multiply(FORWARD, twin_stream(two, 1), x.got, none.got, zero.got,
                 (struct range){ 0, 0 }, (struct range){ 0, POINTS }, true, &f);
        ok(twin_agrees(two, act, 16.0, 1.0, "gelu"), "gelu of -10 to 10, %s",
           gelu_names[g]);
        e = (struct epilogue){ .kind = EPI_DGELU, .gelu = g, .pre = x.ref };
        f = (struct epilogue){ .kind = EPI_DGELU, .gelu = g, .pre = x.got };
        multiply(FORWARD, twin_stream(two, 0), ones.ref, none.ref, zero.ref,
                 (struct range){ 0, 0 }, (struct range){ 0, POINTS }, true, &e);
        multiply(FORWARD, twin_stream(two, 1), ones.got, none.got, zero.got,
                 (struct range){ 0, 0 }, (struct range){ 0, POINTS }, true, &f);
        ok(twin_agrees(two, ones, 100.0, 1.0, "gelu'"), "and its slope");
        twins_clear(two);
    }
}

/* Every third row of a matrix, as the class token's are. */
static void strided_rows(struct twins *two)
{
    struct twin all = twin_random(two, 31, 50, 1.0), w = twin_random(two, 50, 20, 1.0);
    struct twin rows = all, y = twin_blank(two, 10, 20);

    rows.ref = mat_every(all.ref, 1, 3);
    rows.got = mat_every(all.got, 1, 3);
    multiply(FORWARD, twin_stream(two, 0), y.ref, rows.ref, w.ref,
             (struct range){ 0, 50 }, (struct range){ 0, 20 }, false, NULL);
    multiply(FORWARD, twin_stream(two, 1), y.got, rows.got, w.got,
             (struct range){ 0, 50 }, (struct range){ 0, 20 }, false, NULL);
    ok(twin_agrees(two, y, 60.0, 60.0, "rows"), "a product of every third row");
    twins_clear(two);
}

static void one_device(const char *name, enum dtype dtype, int threads)
{
    struct twins pair, *two = &pair;

    twins_open(two, name, dtype, threads);
    tap_note("%s %s, %d threads: %s", name, dtype_name(dtype), threads,
             dev_about(two->got));
    products(two);
    gelu_tails(two);
    strided_rows(two);
    twins_close(two);
}

/* Timed products are done in every way that they have, and are right in all. */
static void all_ways(const char *name, enum dtype dtype, int ways)
{
    struct twins pair, *two = &pair;
    struct dev_choice *choice;
    bool timed = true;
    int count, most = 0;

    twins_open(two, name, dtype, 2);
    dev_choices(two->got, &count);
    ok(count == 0, "no product is timed unasked");
    dev_tune(two->got, true);
    products(two);
    dev_tune(two->got, false);
    choice = dev_choices(two->got, &count);
    ok(count > 3, "%d products of %s were timed", count, dtype_name(dtype));
    for (int i = 0; i < count; i++) {
        most = choice[i].ways > most ? choice[i].ways : most;
        timed &= choice[i].ways > 1;
        for (int way = 0; way < choice[i].ways; way++)
            timed &= choice[i].seconds[way] > 0;
    }
    ok(timed && most == ways, "in up to %d ways, got %d", ways, most);
    for (int way = 0; way < most; way++) {
        for (int i = 0; i < count; i++)
            choice[i].way = way < choice[i].ways ? way : 0;
        products(two);
    }
    twins_close(two);
}

#ifdef CUDA_ON_HOST
/* All memory of the device that is left, in ever smaller blocks; how many there are. */
static int take_all(struct buf *block, int most, struct dev *dev)
{
    int count = 0;

    for (size_t bytes = (size_t)1 << 36; bytes > 0; bytes /= 2)
        while (count < most && dev_alloc(&block[count], dev, bytes) == 0)
            count++;
    err_forget();
    return count;
}

/* A sum is timed apart from where it is; without room for that it is not, and is right.
 * On a real GPU so little memory would not let kernels be loaded.
 */
static void without_room(const char *name, enum dtype dtype)
{
    enum { BLOCKS = 20000, SIZE = 96 };
    struct buf *block    = mem_new(BLOCKS, sizeof *block);
    const struct range r = { 0, SIZE };
    struct twins pair, *two = &pair;
    struct twin x, b, y, other;
    struct dev_choice *choice;
    int blocks, count;

    twins_open(two, name, dtype, 1);
    x     = twin_random(two, SIZE, SIZE, 1.0);
    b     = twin_random(two, SIZE, SIZE, 1.0);
    y     = twin_random(two, SIZE, SIZE, 1.0);
    other = twin_blank(two, SIZE, SIZE);
    EACH multiply(FORWARD, ON, V(other), V(x), V(b), r, r, false, NULL);
    blocks = take_all(block, BLOCKS, two->got);
    dev_tune(two->got, true);
    EACH multiply(FORWARD, ON, V(y), V(x), V(b), r, r, true, NULL);
    dev_tune(two->got, false);
    EACH dev_add(ON, V(y), V(x)); /* does not find the error that none is left */
    choice = dev_choices(two->got, &count);
    ok(blocks < BLOCKS && count == 1 && choice->way == 0 && isinf(choice->seconds[0]) &&
           isinf(choice->seconds[1]),
       "a sum is not timed on %s without memory for it (%d blocks)", name, blocks);
    for (int i = 0; i < blocks; i++)
        dev_free(&block[i]);
    ok(twin_agrees(two, y, SIZE + 8.0, SIZE + 8.0, "a sum"), "and is right");
    twins_close(two);
    mem_free(block);
}
#endif

#ifndef CUDA_ON_HOST
static void cpus(void)
{
    one_device("cpu:ref", DTYPE_F32, 1);
#ifdef HAVE_BLIS
    one_device("cpu:blis", DTYPE_F64, 2);
    one_device("cpu:blis", DTYPE_F32, 1);
    one_device("cpu:blis", DTYPE_F32, 2);
    one_device("cpu:blis", DTYPE_F32, 3);
#endif
#ifdef HAVE_ONEDNN
    one_device("cpu:onednn", DTYPE_F32, 1);
    one_device("cpu:onednn", DTYPE_F32, 2);
#ifdef HAVE_BLIS
    all_ways("cpu:onednn", DTYPE_F32, 4);
#else
    all_ways("cpu:onednn", DTYPE_F32, 3);
#endif
#endif
}
#endif

/* With any argument cuda alone: what CPUs do needs no GPU machine. */
int main(int argc, char **argv)
{
    (void)argc, (void)argv;
#ifdef CUDA_ON_HOST
    const int64_t bytes = dev_units("cuda", DTYPE_F32, true).bytes;
#else
    if (argc == 1)
        cpus();
#endif
    if (twins_can("cuda", DTYPE_F32)) {
        one_device("cuda", DTYPE_F32, 1);
        all_ways("cuda", DTYPE_F32, 2);
#ifdef CUDA_ON_HOST
        without_room("cuda", DTYPE_F32);
        ok(bytes > 0 && dev_units("cuda", DTYPE_F32, true).bytes == bytes,
           "devices that were closed have no memory");
#endif
    } else {
        tap_skip("cuda", "there is no GPU, or no CUDA in this build");
    }
    return tap_done();
}
