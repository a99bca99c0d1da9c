/* SPDX-License-Identifier: BSD-3-Clause */
/* The device cuda in bf16 against cpu:ref in f64 on the same numbers.  A result in bf16
 * may be off by its own rounding, 2^-8 of it; sums are f32.  Attention rounds its
 * weights to bf16 before they meet the values, as every fused attention does.
 */
#include "config.h"

#include "tests/tap.h"
#include "tests/twin.h"

#include "src/base/err.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- Products -------------------------------------------------------------------- */

static const char *const form_names[] = { "x W", "x W^T", "x^T dy" };
enum form { FORWARD, BACKWARD, WEIGHTS };

struct job {
    int64_t n, i, j;
    enum form form;
    enum epilogue_kind kind;
    bool is_added, is_acc; /* the result is f32 */
};

static void multiply(struct dev_stream *s, const struct job *job, struct mat y,
                     struct mat a, struct mat b, const struct epilogue *e)
{
    const struct range i = { 0, job->i }, j = { 0, job->j };
    struct dev_weight *w;

    if (job->form == WEIGHTS) {
        dev_gemm_dw(s, y, a, b, job->is_added);
        return;
    }
    if (dev_weight_open(&w, b.buf->dev, b) != 0)
        die("%s", err_sentence());
    (job->form == FORWARD ? dev_gemm : dev_gemm_t)(s, y, a, w, i, j, job->is_added, e);
    dev_weight_close(&w);
}

static struct twin filled(struct twins *two, struct twin a, double value)
{
    for (int64_t r = 0; r < a.ref.rows; r++)
        for (int64_t c = 0; c < a.ref.cols; c++)
            twin_set(a, r, c, value * sin((double)(7 * r + 3 * c)));
    (void)two;
    return a;
}

/* Every other row of what is wide enough for cuBLASLt to fuse, and what is not. */
static bool product_is_right(struct twins *two, const struct job *job)
{
    const bool is_dw   = job->form == WEIGHTS;
    const int64_t rows = is_dw ? job->i : job->n;
    const int64_t cols = job->form == BACKWARD ? job->i : job->j;
    struct twin a =
        twin_random(two, job->n, job->form == BACKWARD ? job->j : job->i, 1);
    struct twin b = is_dw ? twin_random(two, job->n, job->j, 1.0)
                          : twin_random(two, job->i, job->j, 1.0);
    struct twin y =
        job->is_acc ? twin_blank_acc(two, rows, cols) : twin_blank(two, rows, cols);
    struct twin bias = twin_random(two, 1, cols, 1.0);
    /* their rows are farther apart than those of y */
    struct twin pre = twin_part(twin_random(two, rows, cols + 16, 1), rows, 0, cols);
    struct twin act = twin_part(job->is_acc ? twin_blank_acc(two, rows, cols + 8)
                                            : twin_blank(two, rows, cols + 8),
                                rows, 0, cols);
    struct epilogue e = { .kind = job->kind };
    double roundings, size;
    bool is_right;

    if (job->is_added)
        y = filled(two, y, 1.0);
    EACH
    {
        e.bias = V(bias);
        e.act  = V(act);
        e.pre  = V(pre);
        multiply(ON, job, V(y), V(a), V(b), &e);
    }
    size      = twin_largest(y) + 8.0;
    roundings = job->is_acc ? 64.0 : 2.0; /* without fusion the sum is rounded first */
    is_right  = twin_agrees(two, y, roundings, size, form_names[job->form]);
    if (job->kind == EPI_GELU)
        is_right &= twin_agrees(two, act, roundings, size, "gelu");
    if (!is_right)
        fprintf(stderr, "# %lld x %lld x %lld, epilogue %d, added %d, f32 %d\n",
                (long long)job->n, (long long)job->i, (long long)job->j, (int)job->kind,
                job->is_added, job->is_acc);
    twins_clear(two);
    return is_right;
}

static void products(struct twins *two)
{
    static const int64_t sizes[][3] = { { 16, 32, 24 }, { 7, 33, 50 }, { 1, 40, 8 } };

    for (enum form form = FORWARD; form <= WEIGHTS; form++) {
        bool is_right = true;

        for (int k = 0; k < 3; k++)
            for (int how = 0; how < 16; how++) {
                const struct job job = { sizes[k][0],
                                         sizes[k][1],
                                         sizes[k][2],
                                         form,
                                         form == WEIGHTS
                                             ? EPI_NONE
                                             : (enum epilogue_kind)(how & 3),
                                         (how & 4) != 0,
                                         (how & 8) != 0 };

                is_right &= product_is_right(two, &job);
            }
        ok(is_right, "products %s with all epilogues", form_names[form]);
    }
}

/* Gradients in f32 of a layer's weights and of the bias of its last columns. */
static bool gradients_are_right(struct twins *two, int64_t n, int64_t I, int64_t J,
                                int64_t last)
{
    struct twin x = twin_random(two, n, I, 1.0), dy = twin_random(two, n, J, 1.0);
    struct twin dw = twin_blank_acc(two, I, J), db = twin_blank_acc(two, 1, last);
    const double size = (double)n + 8.0;
    bool is_right;

    EACH dev_gemm_gradients(ON, V(dw), V(db), V(x), V(dy), false);
    is_right = twin_agrees(two, dw, size, size, "dw");
    is_right &= twin_agrees(two, db, size, size, "db");
    twins_clear(two);
    return is_right;
}

/* A product that is added to another matrix, which may ride in it. */
static bool sum_is_right(struct twins *two, int64_t n, int64_t I, int64_t J,
                         enum epilogue_kind kind)
{
    const struct job job = { .n = n, .i = I, .j = J, .form = FORWARD };
    struct twin x = twin_random(two, n, I, 1.0), b = twin_random(two, I, J, 1.0);
    struct twin bias = twin_random(two, 1, J, 1.0), y = twin_blank(two, n, J);
    struct twin rest = twin_part(twin_random(two, n, J + 8, 1.0), n, 0, J);
    bool is_right;

    EACH
    {
        const struct epilogue e = { .kind = kind, .bias = V(bias), .rest = V(rest) };

        multiply(ON, &job, V(y), V(x), V(b), &e);
    }
    is_right = twin_agrees(two, y, 2.0, twin_largest(y) + 8.0, "a sum");
    twins_clear(two);
    return is_right;
}

/* Of sizes that cuBLASLt may take whole, and of one that it may not. */
static void layers(struct twins *two)
{
    static const int64_t sizes[][4] = { { 16, 32, 24, 24 },
                                        { 40, 24, 64, 16 },
                                        { 7, 33, 50, 20 } };
    bool are_right = true, is_right = true;

    for (int k = 0; k < 3; k++) {
        const int64_t *of = sizes[k];

        are_right &= gradients_are_right(two, of[0], of[1], of[2], of[3]);
        for (enum epilogue_kind e = EPI_NONE; e <= EPI_BIAS; e++)
            is_right &= sum_is_right(two, of[0], of[1], of[2], e);
    }
    ok(are_right, "gradients of weights and biases");
    ok(is_right, "products added to another matrix");
}

/* ---- Everything else ------------------------------------------------------------- */

static void sums(struct twins *two, int64_t n, int64_t C)
{
    struct twin x     = twin_random(two, 4 * n, C, 1.0),
                y     = twin_random(two, 4 * n, C, 1.0);
    struct twin table = twin_random(two, n, C, 1.0), pooled = twin_blank(two, 4, C);
    struct twin db = twin_blank_acc(two, 1, C), dt = twin_blank_acc(two, n, C);
    struct twin wide   = twin_blank_acc(two, 4 * n, C),
                spread = twin_blank(two, 4 * n, C);
    struct twin few    = twin_random(two, 4, C, 1.0);
    struct twin packed = twin_blank(two, 4 * n, C), apart = twin_blank(two, 4 * n, C);
    bool is_right = true;

    packed.ref.ld = packed.got.ld = C;
    EACH
    {
        dev_copy(ON, V(packed), V(x));
        dev_copy(ON, V(apart), V(packed));
        dev_copy(ON, V(wide), V(x));
        dev_column_sums(ON, V(db), V(x), false);
        dev_sum_tables(ON, V(dt), V(x), false);
        dev_pool_rows(ON, V(pooled), V(x), 0.25);
        dev_spread_rows(ON, V(spread), V(few), 0.3);
        dev_add(ON, V(y), V(x));
        dev_add_table(ON, V(y), V(table));
    }
    is_right &= twin_agrees(two, packed, 0.0, 1.0, "packed rows");
    is_right &= twin_agrees(two, apart, 0.0, 1.0, "packed rows put apart");
    is_right &= twin_agrees(two, wide, 0.0, 1.0, "bf16 made f32");
    is_right &= twin_agrees(two, db, 8.0 * (double)n, 8.0 * (double)n, "column sums");
    is_right &= twin_agrees(two, dt, 16.0, 16.0, "sums of tables");
    is_right &= twin_agrees(two, pooled, 1.1, 0.0, "pooled rows");
    is_right &= twin_agrees(two, spread, 1.1, 0.0, "spread rows");
    is_right &= twin_agrees(two, y, 2.1, 0.0, "sums");
    ok(is_right, "sums and copies of %d x %d", (int)(4 * n), (int)C);
    twins_clear(two);
}

static void norms(struct twins *two, int64_t n, int64_t C, enum norm_kind k)
{
    const int64_t R = k == NORM_RMS ? 1 : 2;
    struct twin x = twin_random(two, n, C, 2.0), dy = twin_random(two, n, C, 1.0);
    struct twin scale = twin_random(two, 1, C, 1.0);
    struct twin bias  = k == NORM_RMS ? twin_none() : twin_random(two, 1, C, 1.0);
    struct twin part = twin_blank_acc(two, n, R), stat = twin_blank_acc(two, n, 2);
    struct twin back = twin_blank_acc(two, n, R), y = twin_blank(two, n, C);
    struct twin dx = twin_random(two, n, C, 1.0), dscale = twin_blank_acc(two, 1, C);
    struct twin dbias = k == NORM_RMS ? twin_none() : twin_blank_acc(two, 1, C);
    bool is_right     = true;

    EACH
    {
        dev_norm_moments(ON, V(part), V(x), k);
        dev_norm_merge(ON, V(stat), V(part), 1, &C, k);
        dev_norm_apply(ON, V(y), V(x), V(stat), V(scale), V(bias));
        dev_norm_backward_moments(ON, V(back), V(dy), V(x), V(stat), V(scale), k);
        dev_norm_backward(ON, V(dx), true, V(dscale), V(dbias), false, V(dy), V(x),
                          V(stat), V(scale), V(back), 1, C, k);
    }
    for (int whole = 0; whole < 2; whole++) {
        is_right &= twin_agrees(two, stat, (double)C + 16.0, 0.0, "statistics");
        is_right &= twin_agrees(two, y, 1.1, 0.0, "norm");
        is_right &= twin_agrees(two, dx, 1.1, 0.0, "dx");
        is_right &=
            twin_agrees(two, dscale, 16.0 * (double)n + (double)C, 0.0, "dscale");
        if (k == NORM_LAYER)
            is_right &= twin_agrees(two, dbias, 8.0 * (double)n, 0.0, "dbias");
        if (whole == 1)
            break;
        y  = twin_blank(two, n, C);
        dx = twin_random(two, n, C, 1.0);
        EACH
        {
            dev_norm_whole(ON, V(y), V(stat), V(part), V(x), V(scale), V(bias), k);
            dev_norm_whole_backward(ON, V(dx), true, V(dscale), V(dbias), false, V(dy),
                                    V(x), V(stat), V(scale), V(part), k);
        }
    }
    ok(is_right, "%s norm of %d x %d", k == NORM_RMS ? "rms" : "layer", (int)n, (int)C);
    twins_clear(two);
}

static void head_norms(struct twins *two, int64_t n, int64_t H, int64_t E,
                       enum norm_kind k)
{
    struct twin x     = twin_random(two, n, H * E, 2.0),
                scale = twin_random(two, 1, E, 1.0);
    struct twin y = twin_blank(two, n, H * E), stat = twin_blank_acc(two, n, 2 * H);
    struct twin dy = twin_random(two, n, H * E, 1.0), dx = twin_blank(two, n, H * E);
    struct twin dscale = twin_blank_acc(two, 1, E);
    bool is_right      = true;

    EACH
    {
        dev_head_norm(ON, V(y), V(stat), V(x), V(scale), E, k);
        dev_head_norm_backward(ON, V(dx), V(dscale), false, V(dy), V(x), V(stat),
                               V(scale), E, k);
    }
    is_right &= twin_agrees(two, y, 1.1, 0.0, "norm of heads");
    is_right &= twin_agrees(two, dx, 1.1, 0.0, "dx of heads");
    is_right &=
        twin_agrees(two, dscale, 16.0 * (double)(n * H), 0.0, "dscale of heads");
    ok(is_right, "%s norm of %d heads of %d", k == NORM_RMS ? "rms" : "layer", (int)H,
       (int)E);
    twins_clear(two);
}

/* How a matrix lies: so that vectors of 16 bytes can be read, or not, because of its
 * address or of how far its rows are apart.
 */
enum place { EVEN, ODD_PLACE, ODD_ROWS };

/* Normal numbers, or no values yet, in the middle of a matrix. */
static struct twin placed(struct twins *two, int64_t rows, int64_t cols, bool is_random,
                          enum place place)
{
    const int64_t more[] = { 0, 5, 4 }, first[] = { 0, 0, 3 };
    const int64_t lo = first[place], all = cols + more[place];

    return twin_part(is_random ? twin_random(two, rows, all, 1.0)
                               : twin_blank(two, rows, all),
                     rows, lo, lo + cols);
}

enum attn_mat { OF_Q, OF_K, OF_V, OF_O, OF_DO, OF_DQ, OF_DK, OF_DV, ATTN_MATS };

/* Logits are sums of E products of bf16 in f32; weights are rounded to 2^-8 of
 * themselves, so outputs, averages of v, are off by as much of its largest; so it goes
 * with the gradients, which are sums over Nk or Nq.  With 'low' all logits are about
 * -low^2 sqrt(E), so that weights of 0, where a tile has no key, would be infinite.
 * With one key the last query's logit is the largest.
 * Matrix number 'odd' lies as 'place' says.
 */
static bool attention_is_right(struct twins *two, struct attn a, double low,
                               enum attn_mat odd, enum place place)
{
    const int64_t q_rows = a.B * a.Nq, k_rows = a.B * a.Nk, A = a.H * a.E;
    struct twin m[ATTN_MATS], peak = twin_blank_acc(two, 1, 1);
    struct twin kept = { .ref = twin_blank_acc(two, 1, dev_attn_kept(two->ref, &a)).ref,
                         .got =
                             twin_blank_acc(two, 1, dev_attn_kept(two->got, &a)).got };
    bool is_right    = true;

    for (enum attn_mat i = 0; i < ATTN_MATS; i++) {
        const bool is_keys = i == OF_K || i == OF_V || i == OF_DK || i == OF_DV;

        m[i] = placed(two, is_keys ? k_rows : q_rows, A, i <= OF_V || i == OF_DO,
                      i == odd ? place : EVEN);
    }
    for (int64_t i = 0; low > 0.0 && i < q_rows * A; i++)
        twin_set(m[OF_Q], i / A, i % A, low);
    for (int64_t i = 0; low > 0.0 && i < k_rows * A; i++)
        twin_set(m[OF_K], i / A, i % A, 0.25 * sin((double)i) - low);
    for (int64_t c = 0; a.Nk == 1 && c < A; c++)
        twin_set(m[OF_Q], q_rows - 1, c, 2.0 * twin_ref(m[OF_K], k_rows - 1, c));
    EACH dev_attn(ON, V(m[OF_O]), V(kept), V(peak), V(m[OF_Q]), V(m[OF_K]), V(m[OF_V]),
                  &a);
    is_right &= twin_agrees(two, m[OF_O], 2.0, fmax(1.0, twin_largest(m[OF_O])), "o");
    is_right &= twin_agrees(two, peak, (double)a.E + 32.0,
                            fmax(8.0, low * low * (double)a.E), "largest logit");
    EACH dev_attn_backward(ON, V(m[OF_DQ]), V(m[OF_DK]), V(m[OF_DV]), V(m[OF_DO]),
                           V(m[OF_O]), V(kept), V(m[OF_Q]), V(m[OF_K]), V(m[OF_V]), &a);
    for (enum attn_mat i = OF_DQ; i < ATTN_MATS; i++)
        is_right &= twin_agrees(two, m[i], 4.0, fmax(1.0, twin_largest(m[i])),
                                i == OF_DQ   ? "dq"
                                : i == OF_DK ? "dk"
                                             : "dv");
    twins_clear(two);
    return is_right;
}

static void attention_at(struct twins *two, struct attn a, double low)
{
    ok(attention_is_right(two, a, low, OF_Q, EVEN),
       "attention, %d heads of %d, %d x %d%s", (int)a.H, (int)a.E, (int)a.Nq, (int)a.Nk,
       low > 0.0 ? ", of logits far below 0" : "");
}

static void attention(struct twins *two, struct attn a)
{
    attention_at(two, a, 0.0);
}

/* Heads that vectors could be of, but for one matrix. */
static void uneven_attention(struct twins *two)
{
    const struct attn a = { 2, 2, 16, 3, 4 };
    bool is_right       = true;

    for (enum place place = ODD_PLACE; place <= ODD_ROWS; place++)
        for (enum attn_mat odd = 0; odd < ATTN_MATS; odd++)
            if (!attention_is_right(two, a, 0.0, odd, place)) {
                fprintf(stderr, "# matrix %d in place %d\n", (int)odd, (int)place);
                is_right = false;
            }
    ok(is_right, "attention of matrices that lie unevenly");
}

static void losses(struct twins *two, int64_t B, int64_t K)
{
    struct twin z    = filled(two, twin_blank_acc(two, B, K), 4.0);
    struct twin y    = filled(two, twin_blank_acc(two, B, K), 0.5);
    struct twin loss = twin_blank_acc(two, 1, 1), dz = twin_blank(two, B, K);

    EACH dev_sigmoid_loss(ON, V(loss), V(dz), V(z), V(y), 0.25);
    ok(twin_agrees(two, loss, 200.0, 0.0, "loss") &&
           twin_agrees(two, dz, 1.1, 0.0, "its gradient"),
       "a loss of %d x %d logits in f32 with a gradient in bf16", (int)B, (int)K);
    twins_clear(two);
}

/* Of so many matrices that one thread adds the sums of several blocks; and of as many
 * of which the last one is another.
 */
static void many_squares(struct twins *two)
{
    enum { MANY = 700 };
    struct twin all = twin_random(two, MANY, 3, 1.0), sum[2];
    struct mat part[MANY];
    bool is_right = true;

    for (int k = 0; k < 2; k++) {
        sum[k] = twin_blank_f64(two, 1, 1);
        EACH
        {
            for (int i = 0; i < MANY; i++)
                part[i] = mat_rows(V(all), i, i + 1);
            if (k == 1)
                part[MANY - 1] = part[0];
            dev_sum_squares(ON, V(sum[k]), part, MANY, false);
        }
        is_right &= fabs(twin_got(sum[k], 0, 0) / twin_ref(sum[k], 0, 0) - 1.0) <
                    3.0 * MANY * 0x1p-53;
    }
    ok(is_right, "sums of squares of %d matrices", (int)MANY);
    twins_clear(two);
}

/* A NaN on either side, of vectors and of elements. */
static void maxima(struct twins *two)
{
    static const int64_t cols[] = { 33, 64 };
    bool is_kept                = true;

    for (int i = 0; i < 2; i++) {
        struct twin y = twin_random(two, 9, cols[i], 1.0);
        struct twin x = twin_random(two, 9, cols[i], 1.0);

        twin_set(y, 3, 5, NAN);
        twin_set(x, 7, 8, NAN);
        EACH dev_max(ON, V(y), V(x));
        is_kept &= isnan(twin_got(y, 3, 5)) && isnan(twin_got(y, 7, 8));
        twin_set(y, 3, 5, 0.0);
        twin_set(y, 7, 8, 0.0);
        is_kept &= twin_agrees(two, y, 0.0, 1.0, "maxima");
        twins_clear(two);
    }
    ok(is_kept, "maxima, in which a NaN is not lost");
}

/* Bytes that a device takes to sum so many columns, one number after the other. */
static int64_t room_of_sums(const int64_t *cols, int count)
{
    enum { ROWS = 300, MOST = 256 };
    struct twins two;
    struct twin x, db;
    int64_t before, taken;

    twins_open(&two, "cuda", DTYPE_BF16, 1);
    x  = twin_random(&two, ROWS, MOST, 1.0);
    db = twin_blank_acc(&two, 1, MOST);
    dev_bytes_most(two.got, true);
    before = dev_bytes_most(two.got, false);
    for (int i = 0; i < count; i++)
        dev_column_sums(twin_stream(&two, 1), mat_cols(db.got, 0, cols[i]),
                        mat_cols(x.got, 0, cols[i]), false);
    taken = dev_bytes_most(two.got, false) - before;
    twins_close(&two);
    return taken;
}

/* Set way number 'way' of all that has so many, whose names end in 'end'; how many. */
static int set_ways(struct twins *two, int way, const char *end)
{
    int count, found = 0;
    struct dev_choice *choice = dev_choices(two->got, &count);

    for (int i = 0; i < count; i++)
        if (strstr(choice[i].name, end) != NULL && way < choice[i].ways) {
            choice[i].way = way;
            found++;
        }
    return found;
}

/* Gradients of queries by tiles of either size are the same bits. */
static void tiles(struct twins *two)
{
    const struct attn a = { 1, 2, 128, 140, 150 };
    const int64_t A     = a.H * a.E;
    struct twin q = twin_random(two, 140, A, 1.0), k = twin_random(two, 150, A, 1.0);
    struct twin v = twin_random(two, 150, A, 1.0), o = twin_blank(two, 140, A);
    struct twin d_o = twin_random(two, 140, A, 1.0), peak = twin_blank_acc(two, 1, 1);
    struct twin dk = twin_blank(two, 150, A), dv = twin_blank(two, 150, A);
    struct twin dq[] = { twin_blank(two, 140, A), twin_blank(two, 140, A) };
    struct twin kept = twin_blank_acc(two, 1, dev_attn_kept(two->got, &a));
    const int w      = 1;
    bool is_same     = true;
    int ways         = 0;

    dev_attn(ON, V(o), V(kept), V(peak), V(q), V(k), V(v), &a);
    for (int way = 0; way < 2; way++) {
        ways += set_ways(two, way, "attention dq 2x140x128 x150");
        dev_attn_backward(ON, V(dq[way]), V(dk), V(dv), V(d_o), V(o), V(kept), V(q),
                          V(k), V(v), &a);
    }
    for (int64_t i = 0; i < 140 * A; i++)
        is_same &= twin_got(dq[0], i / A, i % A) == twin_got(dq[1], i / A, i % A);
    ok(is_same && ways == 2, "attention's tiles of either size leave the same bits");
    twins_clear(two);
}

/* What can be done in several ways is timed, and right in each. */
static void ways(struct twins *two)
{
    dev_tune(two->got, true);
    products(two);
    layers(two);
    attention(two, (struct attn){ 1, 2, 128, 140, 150 });
    dev_tune(two->got, false);
    tap_note("%d gradients with sums within", set_ways(two, 1, " sums, where"));
    ok(set_ways(two, 1, " gelu, where") > 0 && set_ways(two, 1, " gelu', where") > 0,
       "GELU and its slope are timed within products and apart");
    for (int way = 0; way < 2; way++) {
        set_ways(two, way, "");
        products(two);
        layers(two);
        attention(two, (struct attn){ 1, 2, 128, 140, 150 });
    }
    tiles(two);
}

/* On a device whose operations have had no room yet. */
static void afresh(struct twins *two)
{
    twins_close(two);
    twins_open(two, "cuda", DTYPE_BF16, 1);
}

/* With any argument nothing is timed, as compute-sanitizer wants it: it looks into each
 * kernel of cuBLASLt when it comes for the first time, and timing calls many.
 */
int main(int argc, char **argv)
{
    struct twins pair, *two = &pair;

    (void)argv;
    if (!twins_can("cuda", DTYPE_BF16))
        tap_skip_all("there is no GPU, or no CUDA in this build");
    twins_open(two, "cuda", DTYPE_BF16, 1);
    tap_note("%s on %s", dev_about(two->got), dev_hardware(two->got));
    products(two);
    layers(two);
    sums(two, 3, 33);
    sums(two, 9, 64);
    norms(two, 7, 33, NORM_LAYER);
    norms(two, 40, 256, NORM_RMS);
    norms(two, 21, 1152, NORM_LAYER);
    norms(two, 3, 2048, NORM_RMS);
    afresh(two);
    norms(two, 270, 3080, NORM_LAYER);
    head_norms(two, 9, 3, 55, NORM_LAYER);
    head_norms(two, 9, 3, 128, NORM_RMS);
    head_norms(two, 21, 2, 72, NORM_LAYER);
    head_norms(two, 40, 2, 64, NORM_RMS);
    head_norms(two, 5, 1, 256, NORM_LAYER);
    head_norms(two, 800, 3, 9, NORM_LAYER);
    afresh(two);
    head_norms(two, 1500, 3, 136, NORM_RMS);
    while (two->odd++ < 13) {
        sums(two, 9, 64);
        norms(two, 40, 256, NORM_LAYER);
        head_norms(two, 9, 3, 64, NORM_RMS);
    }
    afresh(two);
    attention(two, (struct attn){ 2, 3, 9, 5, 7 });
    attention(two, (struct attn){ 2, 3, 9, 17, 7 });
    attention(two, (struct attn){ 1, 2, 72, 70, 70 });
    attention(two, (struct attn){ 2, 2, 72, 1, 70 });
    attention(two, (struct attn){ 1, 2, 70, 20, 40 });
    attention(two, (struct attn){ 1, 1, 38, 9, 65 });
    attention(two, (struct attn){ 1, 1, 38, 18, 65 });
    attention(two, (struct attn){ 1, 1, 64, 66, 130 });
    attention(two, (struct attn){ 1, 2, 88, 130, 70 });
    attention(two, (struct attn){ 1, 1, 80, 20, 90 });
    attention(two, (struct attn){ 1, 1, 96, 33, 40 });
    attention(two, (struct attn){ 2, 1, 128, 1, 70 });
    attention(two, (struct attn){ 1, 1, 128, 140, 150 });
    attention(two, (struct attn){ 1, 2, 100, 70, 60 });
    attention(two, (struct attn){ 1, 1, 256, 20, 33 });
    afresh(two);
    attention(two, (struct attn){ 1, 4, 16, 2100, 1 });
    uneven_attention(two);
    attention_at(two, (struct attn){ 1, 2, 64, 20, 63 }, 8.0);
    attention_at(two, (struct attn){ 1, 2, 128, 20, 63 }, 8.0);
    losses(two, 5, 33);
    afresh(two);
    losses(two, 3, 11000);
    afresh(two);
    many_squares(two);
    maxima(two);
    if (argc == 1)
        ways(two);
    twins_close(two);
    ok(room_of_sums((const int64_t[]){ 256 }, 1) > 0 &&
           room_of_sums((const int64_t[]){ 256 }, 1) ==
               room_of_sums((const int64_t[]){ 128, 256 }, 2),
       "the room that operations work in is counted, as much as there is");
    return tap_done();
}
