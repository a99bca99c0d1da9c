/* SPDX-License-Identifier: BSD-3-Clause */
/* Operations in bf16.  All but products and attention (t227) are those of f32 on the
 * same numbers, rounded at the end: so they are compared with them bit for bit.
 * Products are compared with f64: a sum of n terms may be off by n roundings of f32 of
 * the sum of magnitudes, and by half a unit of bf16 of the result.
 */
#include "config.h"

#include "tests/tap.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "src/dev/dev.h"

#include <math.h>
#include <string.h>

enum { MOST = 64 };

static struct dev *dev[2]; /* in bf16, in f32 */
static struct buf *bufs[MOST];
static int count;
static uint64_t draws;

/* The same matrix on both devices; of statistics and sums, f32 on both. */
struct pair {
    struct mat m[2];
};

#define EACH for (int w = 0; w < 2; w++)
#define ON   dev_stream(dev[w], LANE_COMPUTE)
#define V(a) ((a).m[w])

static struct mat make(struct dev *d, enum dtype t, int64_t rows, int64_t cols)
{
    enum { BETWEEN = 3 };
    struct buf *b = mem_new(1, sizeof *b);
    struct mat a  = mat_of(b, t, rows, cols);

    a.ld = cols + BETWEEN;
    if (count == MOST || dev_alloc(b, d, (size_t)(rows * a.ld) * dtype_size(t)) != 0)
        die("no more matrices");
    bufs[count++] = b;
    for (int64_t i = 0; i < rows * a.ld; i++)
        dtype_store(t, b->at, i, NAN);
    return a;
}

static struct pair blank(int64_t rows, int64_t cols)
{
    return (struct pair){ { make(dev[0], DTYPE_BF16, rows, cols),
                            make(dev[1], DTYPE_F32, rows, cols) } };
}

static struct pair blank_acc(int64_t rows, int64_t cols)
{
    return (struct pair){ { make(dev[0], DTYPE_F32, rows, cols),
                            make(dev[1], DTYPE_F32, rows, cols) } };
}

/* An operand that is read as one row has to be packed. */
static struct pair packed(struct pair a)
{
    EACH a.m[w].ld = a.m[w].cols;
    return a;
}

static double get(struct mat a, int64_t r, int64_t c)
{
    return dtype_load(a.dtype, mat_ptr(a), r * a.ld + c);
}

static void set(struct pair a, int64_t r, int64_t c, double value)
{
    dtype_store(a.m[0].dtype, mat_ptr(a.m[0]), r * a.m[0].ld + c, value);
    dtype_store(a.m[1].dtype, mat_ptr(a.m[1]), r * a.m[1].ld + c, get(a.m[0], r, c));
}

static struct pair draw(struct pair a)
{
    const uint64_t stream = draws++;

    for (int64_t r = 0; r < a.m[0].rows; r++)
        for (int64_t c = 0; c < a.m[0].cols; c++)
            set(a, r, c, rng_normal(stream, RNG_TEST, (uint64_t)(r * a.m[0].cols + c)));
    return a;
}

static void clear(void)
{
    while (count > 0) {
        dev_free(bufs[--count]);
        mem_free(bufs[count]);
    }
}

/* The one is the other's, rounded to its format. */
static bool agrees(struct pair a, const char *what)
{
    for (int64_t r = 0; r < a.m[0].rows; r++) {
        for (int64_t c = 0; c < a.m[0].cols; c++) {
            const double got = get(a.m[0], r, c), is = get(a.m[1], r, c);
            const double round = a.m[0].dtype == DTYPE_BF16
                                     ? dtype_from_bf16(dtype_to_bf16((float)is))
                                     : is;

            if (got == round)
                continue;
            tap_note("%s: (%d, %d) is %.9g, not %.9g", what, (int)r, (int)c, got,
                     round);
            return false;
        }
    }
    return true;
}

/* ---- Everything but products ----------------------------------------------------- */

static void sums(int64_t n, int64_t C)
{
    struct pair x = draw(blank(4 * n, C)), y = draw(blank(4 * n, C)),
                z     = blank(4 * n, C);
    struct pair table = draw(blank(n, C)), pooled = blank(4, C),
                from = draw(blank(4, C));
    struct pair sum = draw(blank_acc(1, C)), tables = blank_acc(n, C);
    bool is_right = true;

    EACH
    {
        dev_add(ON, V(y), V(x));
        dev_copy(ON, V(z), V(y));
        dev_add_table(ON, V(z), V(table));
        dev_column_sums(ON, V(sum), V(x), true);
        dev_sum_tables(ON, V(tables), V(x), false);
        dev_pool_rows(ON, V(pooled), V(x), 0.3);
    }
    is_right &= agrees(sum, "column sums") && agrees(tables, "sums of tables");
    is_right &= agrees(pooled, "pooled rows") && agrees(y, "added");
    EACH dev_spread_rows(ON, V(x), V(from), 0.7);
    is_right &= agrees(x, "spread rows");
    EACH dev_copy(ON, V(tables), V(table));
    is_right &= agrees(tables, "bf16 made f32");
    EACH dev_fill(ON, V(x), 0.1);
    is_right &= agrees(x, "filled");
    ok(is_right, "sums and copies of %d x %d", (int)(4 * n), (int)C);
    clear();
}

static void norms(int64_t n, int64_t H, int64_t E, enum norm_kind k)
{
    const int64_t C = H * E, R = k == NORM_RMS ? 1 : 2;
    struct pair x = draw(blank(n, C)), dy = draw(blank(n, C)), y = blank(n, C);
    struct pair scale = draw(blank(1, C)), bias = draw(blank(1, C)),
                dx   = draw(blank(n, C));
    struct pair part = blank_acc(n, R), stat = blank_acc(n, 2),
                heads  = blank_acc(n, 2 * H);
    struct pair dscale = blank_acc(1, C), dbias = blank_acc(1, C);
    struct pair scale1 = draw(blank(1, E)), dscale1 = blank_acc(1, E),
                back = blank_acc(n, R);
    bool is_right    = true;

    EACH
    {
        dev_norm_moments(ON, V(part), V(x), k);
        dev_norm_merge(ON, V(stat), V(part), 1, &C, k);
        dev_norm_apply(ON, V(y), V(x), V(stat), V(scale),
                       k == NORM_RMS ? mat_none() : V(bias));
    }
    is_right &= agrees(stat, "statistics") && agrees(y, "norm");
    EACH
    {
        dev_norm_backward_moments(ON, V(back), V(dy), V(x), V(stat), V(scale), k);
        dev_norm_backward(ON, V(dx), true, V(dscale), V(dbias), false, V(dy), V(x),
                          V(stat), V(scale), V(back), 1, C, k);
    }
    is_right &= agrees(dx, "dx") && agrees(dscale, "dscale") && agrees(dbias, "dbias");
    EACH
    {
        dev_head_norm(ON, V(y), V(heads), V(x), V(scale1), E, k);
        dev_head_norm_backward(ON, V(dx), V(dscale1), false, V(dy), V(x), V(heads),
                               V(scale1), E, k);
    }
    is_right &= agrees(y, "head norm") && agrees(dx, "its dx");
    is_right &= agrees(dscale1, "its dscale");
    ok(is_right, "norms of %d x %d, %d heads", (int)n, (int)C, (int)H);
    clear();
}

static void images_and_losses(void)
{
    struct pair images = draw(packed(blank_acc(2, 3 * 7 * 7))), rows = blank(2 * 5, 27);
    struct pair logits = draw(blank_acc(3, 11)), targets = blank_acc(3, 11);
    struct pair loss = blank_acc(1, 1), d = blank(3, 11);
    bool is_right = true;

    EACH dev_fill(ON, V(targets), 0.25);
    EACH dev_patches(ON, V(rows), V(images), 7, 3, 5);
    is_right &= agrees(rows, "patches");
    EACH dev_sigmoid_loss(ON, V(loss), V(d), V(logits), V(targets), 0.5);
    is_right &= agrees(loss, "loss") && agrees(d, "its gradient");
    ok(is_right, "patches and losses");
    clear();
}

/* ---- Products -------------------------------------------------------------------- */

enum form { FORWARD, BACKWARD, WEIGHTS };

static double element(enum form form, struct mat a, struct mat b, int64_t r, int64_t c,
                      int64_t depth, bool is_magnitude)
{
    double sum = 0;

    for (int64_t k = 0; k < depth; k++) {
        const double x = form == WEIGHTS ? get(a, k, r) : get(a, r, k);
        const double y = form == BACKWARD ? get(b, c, k) : get(b, k, c);

        sum += is_magnitude ? fabs(x * y) : x * y;
    }
    return sum;
}

static bool product_is_right(enum form form, int64_t rows, int64_t cols, int64_t depth,
                             bool is_packed, bool is_added, enum dtype out)
{
    struct pair a = form == WEIGHTS ? blank(depth, rows) : blank(rows, depth);
    struct pair b = form == BACKWARD ? blank(cols, depth) : blank(depth, cols);
    struct pair y = out == DTYPE_BF16 ? blank(rows, cols) : blank_acc(rows, cols);
    struct mat before;
    struct dev_stream *s = dev_stream(dev[0], LANE_COMPUTE);
    bool is_right        = true;

    if (is_packed)
        a = packed(a), b = packed(b), y = packed(y);
    a = draw(a), b = draw(b), y = draw(y);
    before               = y.m[1]; /* keeps what 'y' was */
    const struct range i = { 0, b.m[0].rows }, j = { 0, b.m[0].cols };
    struct dev_weight *w;

    if (form == WEIGHTS) {
        dev_gemm_dw(s, y.m[0], a.m[0], b.m[0], is_added);
    } else {
        if (dev_weight_open(&w, dev[0], b.m[0]) != 0)
            die("%s", err_sentence());
        (form == FORWARD ? dev_gemm : dev_gemm_t)(s, y.m[0], a.m[0], w, i, j, is_added,
                                                  NULL);
        dev_weight_close(&w);
    }
    for (int64_t r = 0; r < rows && is_right; r++) {
        for (int64_t c = 0; c < cols && is_right; c++) {
            const double first = is_added ? get(before, r, c) : 0.0;
            const double is = first + element(form, a.m[1], b.m[1], r, c, depth, false);
            const double reach =
                fabs(first) + element(form, a.m[1], b.m[1], r, c, depth, true);
            const double may = (double)(depth + 2) * 0x1p-23 * reach +
                               (out == DTYPE_BF16 ? 0x1p-8 * fabs(is) : 0);

            if (!(fabs(get(y.m[0], r, c) - is) <= may)) {
                tap_note("form %d, (%d, %d) is %.9g, not %.9g", (int)form, (int)r,
                         (int)c, get(y.m[0], r, c), is);
                is_right = false;
            }
        }
    }
    clear();
    return is_right;
}

static void products(void)
{
    static const int64_t sizes[][3] = {
        { 1, 1, 1 },     { 7, 5, 3 },     { 48, 64, 64 },   { 65, 70, 33 },
        { 33, 40, 300 }, { 100, 130, 5 }, { 130, 100, 5 },  { 3, 9, 4203 },
        { 65, 47, 63 },  { 46, 161, 63 }, { 37, 140, 127 }, /* is_refused_by_tiles() */
    };

    for (enum form form = FORWARD; form <= WEIGHTS; form++) {
        bool is_right = true;

        for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
            for (int how = 0; how < 8; how++)
                is_right &= product_is_right(form, sizes[i][0], sizes[i][1],
                                             sizes[i][2], how & 1, how & 2,
                                             how & 4 ? DTYPE_F32 : DTYPE_BF16);
        ok(is_right, "products of form %d, sums in f32", (int)form);
    }
}

static void epilogues(void)
{
    enum { ROWS = 9, COLS = 70, DEPTH = 16 };
    struct pair x = draw(blank(ROWS, DEPTH)), b = draw(blank(DEPTH, COLS));
    struct pair bias = draw(blank(1, COLS)), y = blank(ROWS, COLS),
                act         = blank(ROWS, COLS);
    struct pair plain       = blank(ROWS, COLS);
    struct dev_stream *s    = dev_stream(dev[0], LANE_COMPUTE);
    const struct epilogue e = { .kind = EPI_GELU, .bias = bias.m[0], .act = act.m[0] };
    struct dev_weight *w;
    double worst = 0;

    if (dev_weight_open(&w, dev[0], b.m[0]) != 0)
        die("%s", err_sentence());
    dev_gemm(s, plain.m[0], x.m[0], w, (struct range){ 0, DEPTH },
             (struct range){ 0, COLS }, false, NULL);
    dev_gemm(s, y.m[0], x.m[0], w, (struct range){ 0, DEPTH },
             (struct range){ 0, COLS }, false, &e);
    for (int r = 0; r < ROWS; r++) {
        for (int c = 0; c < COLS; c++) {
            const double z = get(plain.m[0], r, c) + get(bias.m[0], 0, c);
            const double t = get(y.m[0], r, c);
            const double g =
                0.5 * z * (1 + tanh(0.79788456080286536 * (z + 0.044715 * z * z * z)));

            worst =
                tap_worse(worst, fabs(t - z) / (fabs(z) + fabs(get(plain.m[0], r, c))));
            worst = tap_worse(worst, fabs(get(act.m[0], r, c) - g) / (fabs(g) + 1e-3));
        }
    }
    ok(worst <= 0x1.1p-8, "bias and GELU after a product (%.2g)", worst);
    dev_weight_close(&w);
    clear();
}

/* What it moves to tell a change. */
static double bytes_of_change(struct dev_stream *s, struct dev_weight *w)
{
    const struct dev_cost *cost;
    int count;

    dev_costs_start(dev[0]);
    dev_weight_changed(s, w);
    cost = dev_costs(dev[0], &count);
    while (strcmp(cost->name, "weight_changed") != 0)
        cost++;
    return cost->bytes;
}

/* Weights are packed: a change must be told, and is then seen. */
static void changes(void)
{
    struct pair x = draw(packed(blank(4, 32))), b = draw(packed(blank(32, 32)));
    struct pair y          = packed(blank(4, 32));
    struct dev_stream *s   = dev_stream(dev[0], LANE_COMPUTE);
    const struct range all = { 0, 32 };
    struct dev_weight *w;
    double bytes;

    if (dev_weight_open(&w, dev[0], b.m[0]) != 0)
        die("%s", err_sentence());
    ok(bytes_of_change(s, w) == 0, "a weight that nobody has used is not packed");
    dev_gemm(s, y.m[0], x.m[0], w, all, all, false, NULL);
    dev_fill(s, b.m[0], 0.0);
    bytes = bytes_of_change(s, w);
    ok(dev_packs(dev_name(dev[0]), DTYPE_BF16) > 0 ? bytes >= 2 * 32 * 32 * 2
                                                   : bytes == 0,
       "one that was is read and written, by who packs");
    dev_gemm(s, y.m[0], x.m[0], w, all, all, false, NULL);
    ok(get(y.m[0], 3, 31) == 0 && get(y.m[0], 0, 0) == 0, "changed weights are packed");
    dev_weight_close(&w);
    clear();
}

/* Products that can be done in several ways are right in each.  Without timing the
 * first one is taken: of gradients of weights our own, but where the library has tiles.
 */
static void ways(void)
{
    const char *first =
        strstr(dev_about(dev[0]), "tiles") != NULL ? "oneDNN" : "pairs of rows";
    struct dev_choice *choice;
    bool is_first = true;
    int count;

    dev_tune(dev[0], true);
    products();
    dev_tune(dev[0], false);
    choice = dev_choices(dev[0], &count);
    for (int i = 0; i < count; i++)
        is_first &= strncmp(choice[i].name, "x^T", 3) != 0 ||
                    strcmp(choice[i].way_name[0], first) == 0;
    if (count > 0)
        ok(is_first, "gradients of weights are done by '%s' first", first);
    for (int way = 1; way < DEV_WAYS; way++) {
        for (int i = 0; i < count; i++)
            choice[i].way = way < choice[i].ways ? way : 0;
        if (count > 0)
            products();
    }
}

static void run(const char *name)
{
    for (int threads = 1; threads <= 2; threads++) {
        err_forget();
        if (dev_open(&dev[1], "auto", DTYPE_F32, threads) != 0)
            die("%s", err_sentence());
        if (dev_open(&dev[0], name, DTYPE_BF16, threads) != 0) {
            tap_skip(name, err_sentence());
            err_forget();
        } else {
            tap_note("%s, %d threads", name, threads);
            if (strcmp(dev_name(dev[1]), "cpu:ref") != 0) {
                sums(3, 33);
                sums(16, 2500);
                norms(7, 3, 11, NORM_LAYER);
                norms(40, 8, 64, NORM_RMS);
            } else {
                tap_skip("sums, copies and norms",
                         "in f32 this build has plain loops alone");
            }
            images_and_losses();
            products();
            ways();
            epilogues();
            changes();
        }
        dev_close(&dev[0]);
        dev_close(&dev[1]);
    }
}

int main(void)
{
    run("cpu:emulate");
    run("cpu:onednn");
    return tap_done();
}
