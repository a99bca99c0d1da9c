/* SPDX-License-Identifier: BSD-3-Clause */
/* cpu:emulate: runs in bf16 on any processor, for correctness and not for speed.
 * Operands are bf16, and are made f32 a block at a time; products are added in f32 by
 * the loops of cpu_tile_real.h, and rounded once.  Everything else is what cpu:onednn
 * does too, through the f32 text of cpu_ops; attention rounds where that does
 * (cpu_attn_bf16.c).
 */
#include "config.h"

#include "src/dev/cpu_team.h"

#include "src/base/err.h"

#include <stdio.h>

#define FORMAT f32
#include "src/dev/cpu_rows_real.h"

/* A block of the result, its sums, and the operands' blocks, a thread's. */
enum { ROWS = 48, COLS = 64, DEPTH = 256 };

struct blocks {
    float sum[ROWS * COLS], a[ROWS * DEPTH], b[DEPTH * COLS], b_turned[COLS * DEPTH];
};

/* An operand, or its transpose. */
struct operand {
    struct mat m;
    bool is_turned;
};

/* Rows 'r' on of 'm' from column c on, 'rows' by 'cols', to x [rows,
 * ld], zeros behind.
 */
static void read_block(const struct kernels_f32 *f, float *x, int64_t ld, struct mat m,
                       int64_t r, int64_t c, int64_t rows, int64_t cols)
{
    for (int64_t i = 0; i < rows; i++) {
        row_read(f, x + i * ld, m, r + i, c, cols);
        f->fill(x + i * ld + cols, 0, ld - cols);
    }
}

/* y [rows, cols] at (r, c) = or += a b. */
static void multiply_block(struct dev_stream *s, struct blocks *at_, struct mat y,
                           struct operand a, struct operand b, int64_t depth,
                           bool is_added, int64_t r, int64_t c, int64_t rows,
                           int64_t cols)
{
    const struct kernels_f32 *f = loops(s);
    float *sum                  = at_->sum;

    for (int64_t k = 0; k < depth; k += DEPTH) {
        const int64_t n = depth - k < DEPTH ? depth - k : DEPTH;

        if (b.is_turned) {
            f->fill(at_->b_turned, 0, COLS * DEPTH);
            read_block(f, at_->b_turned, DEPTH, b.m, c, k, cols, n);
            f->transpose(at_->b, COLS, at_->b_turned, DEPTH, COLS, DEPTH, 1);
        } else {
            read_block(f, at_->b, COLS, b.m, k, c, n, cols);
        }
        if (a.is_turned)
            read_block(f, at_->a, ROWS, a.m, k, r, n, rows);
        else
            read_block(f, at_->a, DEPTH, a.m, r, k, rows, n);
        f->product(sum, COLS, at_->a, a.is_turned ? 1 : DEPTH, a.is_turned ? ROWS : 1,
                   at_->b, COLS, rows, COLS, n, k > 0);
    }
    for (int64_t i = 0; i < rows; i++) {
        float room[COLS];

        if (is_added)
            f->add(sum + i * COLS, row_in(f, y, r + i, c, cols, room), cols);
        row_write(f, y, sum + i * COLS, r + i, c, cols);
    }
}

static void multiply(struct dev_stream *s, struct mat y, struct operand a,
                     struct operand b, int64_t depth, bool is_added)
{
    const int64_t down   = (y.rows + ROWS - 1) / ROWS,
                  across = (y.cols + COLS - 1) / COLS;

    if (depth == 0 && !is_added)
        s->dev->ops.fill(s, y, 0.0);
    if (depth == 0)
        return;
#pragma omp parallel for num_threads(s->dev->threads) schedule(static)
    for (int64_t i = 0; i < down * across; i++) {
        const int64_t r = i / across * ROWS, c = i % across * COLS;

        multiply_block(s, cpu_block(s->dev, member(), sizeof(struct blocks)), y, a, b,
                       depth, is_added, r, c, y.rows - r < ROWS ? y.rows - r : ROWS,
                       y.cols - c < COLS ? y.cols - c : COLS);
    }
}

/* ---- Slots ----------------------------------------------------------------------- */

static void emulate_gemm(struct dev_stream *s, struct mat y, struct mat x,
                         const struct dev_weight *weight, struct range i,
                         struct range j, bool is_added, const struct epilogue *e)
{
    multiply(s, y, (struct operand){ x, false },
             (struct operand){ dev_weight_part(weight, i, j), false }, x.cols,
             is_added);
    cpu_finish_f32(s, y, e);
}

static void emulate_gemm_t(struct dev_stream *s, struct mat y, struct mat x,
                           const struct dev_weight *weight, struct range i,
                           struct range j, bool is_added, const struct epilogue *e)
{
    multiply(s, y, (struct operand){ x, false },
             (struct operand){ dev_weight_part(weight, i, j), true }, x.cols, is_added);
    cpu_finish_f32(s, y, e);
}

static void emulate_gemm_dw(struct dev_stream *s, struct mat dw, struct mat x,
                            struct mat dy, bool is_added)
{
    multiply(s, dw, (struct operand){ x, true }, (struct operand){ dy, false }, x.rows,
             is_added);
}

static int emulate_open(struct dev *dev)
{
    if (dev->dtype != DTYPE_BF16)
        return ERR(ERR_USAGE, "cpu:emulate is for bf16 alone");
    TRY(cpu_ops_open(dev));
    snprintf(dev->about, sizeof dev->about, "bf16 numbers, f32 arithmetic");
    return 0;
}

const struct dev_ops dev_cpu_emulate = {
    .name       = "cpu:emulate",
    .fallback   = &dev_cpu_ops,
    .is_host    = true,
    .is_by_name = true,
    .open       = emulate_open,
    .gemm       = emulate_gemm,
    .gemm_t     = emulate_gemm_t,
    .gemm_dw    = emulate_gemm_dw,
};
