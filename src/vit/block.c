/* SPDX-License-Identifier: BSD-3-Clause */
/* The two wirings of a block, each one's forward followed by its backward.  x, dx and
 * everything between linear layers are [n, C_l], with n = B_l N rows.  In comments A,
 * F, C are this rank's share: A_l, F_l, C_l.
 */
#include "config.h"

#include "src/vit/block.h"

#include "src/vit/attn.h"
#include "src/vit/linear.h"
#include "src/vit/norm.h"

/* A norm of a block: what it is taken of, the slot of its parameters, where its
 * statistics lie, and where its result does on devices that keep it for backward.
 */
struct block_norm {
    struct mat x;
    enum slot slot;
    enum act stat, kept;
};

static struct block_norm norm0(struct vit *v, int64_t i)
{
    return (struct block_norm){ vit_act(v, KEPT_X, i), SLOT_NORM0, KEPT_STAT0,
                                KEPT_XN0 };
}

static struct block_norm norm1(struct vit *v, int64_t i)
{
    return (struct block_norm){ vit_act(v, KEPT_X1, i), SLOT_NORM1, KEPT_STAT1,
                                KEPT_XN1 };
}

static bool is_kept(struct vit *v, struct block_norm n)
{
    return vit_act(v, n.kept, 0).rows > 0;
}

static struct mat result_of(struct vit *v, struct block_norm n, int64_t i)
{
    return is_kept(v, n) ? vit_act(v, n.kept, i) : vit_work(v, WORK_XN);
}

/* Compute the norm and return its result.  'is_again': from the statistics that were
 * kept, which costs no messages.
 */
static struct mat norm(struct vit *v, struct block_norm n, int64_t i, bool is_again)
{
    const struct mat xn = result_of(v, n, i), stat = vit_act(v, n.stat, i);

    if (is_again)
        norm_again(v, xn, stat, n.x, group_block(i), n.slot);
    else
        norm_forward(v, xn, stat, n.x, group_block(i), n.slot);
    return xn;
}

/* The norm's result for backward: as it was kept, or computed again. */
static struct mat norm_kept(struct vit *v, struct block_norm n, int64_t i)
{
    return is_kept(v, n) ? result_of(v, n, i) : norm(v, n, i, true);
}

/* Backward of the norm: from the gradient of its result, WORK_DXN, to that of its
 * input, which is added to WORK_DX.
 */
static void norm_back(struct vit *v, struct block_norm n, int64_t i)
{
    norm_backward(v, vit_work(v, WORK_DX), true, vit_work(v, WORK_DXN), n.x,
                  vit_act(v, n.stat, i), group_block(i), n.slot);
}

/* ---- parallel -------------------------------------------------------------------- */

/* in [n, 3A + F]: q, k, v, MLP before GELU;  out [n, F + A]: MLP after it, attention.
 */
static void parallel_inner(struct vit *v, int64_t i, bool is_again)
{
    const int g     = group_block(i);
    const int64_t A = v->local.A_l, F = v->local.F_l;
    const struct mat in  = vit_act(v, KEPT_IN, i);
    const struct mat out = vit_act(v, KEPT_OUT, i);
    const struct mat xn  = norm(v, norm0(v, i), i, is_again);

    const struct cmm_section section[] = {
        linear_plain(0, 3 * A),
        linear_gelu(v, 3 * A, 3 * A + F, vit_param(v, g, SLOT_IN_BIAS),
                    mat_cols(out, 0, F)),
    };

    linear_gather(v, v->cmm, in, xn, g, SLOT_IN, section, 2);
}

/* What attention leaves. */
static struct mat parallel_o(struct vit *v, int64_t i)
{
    return mat_cols(vit_act(v, KEPT_OUT, i), v->local.F_l, v->local.F_l + v->local.A_l);
}

static void parallel_forward(struct vit *v, int64_t i)
{
    const struct mat next = vit_act(v, KEPT_X, i + 1);
    struct attn_rows rows;

    parallel_inner(v, i, false);
    cmm_from(v->cmm, attn_source(&rows, v, parallel_o(v, i), i));
    linear_scatter(v, v->cmm, next, vit_act(v, KEPT_OUT, i), vit_act(v, KEPT_X, i),
                   group_block(i), SLOT_OUT);
}

/* The gradients of in and out share a matrix: dq, dk, dv, d pre, d o.  Of out's,
 * [n, F + A], the product leaves what is d pre in the first columns, where it is the
 * end of in's, [n, 3A + F].
 */
static void parallel_backward(struct vit *v, int64_t i)
{
    const int g     = group_block(i);
    const int64_t A = v->local.A_l, F = v->local.F_l;
    const struct mat in    = vit_act(v, KEPT_IN, i);
    const struct mat out   = vit_act(v, KEPT_OUT, i);
    const struct mat dx    = vit_work(v, WORK_DX);
    const struct mat dxn   = vit_work(v, WORK_DXN);
    const struct mat all   = vit_work(v, WORK_D_IN);
    const struct mat d_in  = mat_cols(all, 0, 3 * A + F);
    const struct mat d_out = mat_cols(all, 3 * A, 4 * A + F);

    const struct cmm_section section[] = {
        linear_dgelu(v, 0, F, mat_cols(in, 3 * A, 3 * A + F)),
        linear_plain(F, F + A),
    };

    linear_scatter_backward(v, v->cmm, d_out, section, 2, dx, out, g, SLOT_OUT);
    attn_backward(v, d_in, mat_cols(d_out, F, F + A), parallel_o(v, i), i);
    linear_gather_backward(v, v->cmm, dxn, d_in, norm_kept(v, norm0(v, i), i), g,
                           SLOT_IN);
    norm_back(v, norm0(v, i), i);
}

/* ---- sequential ------------------------------------------------------------------ */

static void sequential_inner(struct vit *v, int64_t i, bool is_again)
{
    const int g     = group_block(i);
    const int64_t A = v->local.A_l, F = v->local.F_l;
    const struct mat x   = vit_act(v, KEPT_X, i);
    const struct mat x1  = vit_act(v, KEPT_X1, i);
    const struct mat in  = vit_act(v, KEPT_IN, i);
    const struct mat o   = vit_act(v, KEPT_OUT, i);
    const struct mat up  = vit_act(v, KEPT_UP, i);
    const struct mat act = vit_act(v, KEPT_ACT, i);
    struct attn_rows rows;

    const struct cmm_section qkv = linear_bias(0, 3 * A, vit_param(v, g, SLOT_IN_BIAS));
    const struct cmm_section mlp =
        linear_gelu(v, 0, F, vit_param(v, g, SLOT_UP_BIAS), act);

    linear_gather(v, v->cmm, in, norm(v, norm0(v, i), i, is_again), g, SLOT_IN, &qkv,
                  1);
    cmm_from(v->cmm, attn_source(&rows, v, o, i));
    linear_scatter(v, v->cmm, x1, o, x, g, SLOT_OUT);

    linear_gather(v, v->cmm, up, norm(v, norm1(v, i), i, is_again), g, SLOT_UP, &mlp,
                  1);
}

static void sequential_forward(struct vit *v, int64_t i)
{
    const struct mat next = vit_act(v, KEPT_X, i + 1);

    sequential_inner(v, i, false);
    linear_scatter(v, v->cmm, next, vit_act(v, KEPT_ACT, i), vit_act(v, KEPT_X1, i),
                   group_block(i), SLOT_DOWN);
}

static void sequential_backward_mlp(struct vit *v, int64_t i)
{
    const int g           = group_block(i);
    const struct mat dx   = vit_work(v, WORK_DX);
    const struct mat dxn  = vit_work(v, WORK_DXN);
    const struct mat d_up = vit_work(v, WORK_D_UP);

    const struct cmm_section mlp =
        linear_dgelu(v, 0, v->local.F_l, vit_act(v, KEPT_UP, i));

    linear_scatter_backward(v, v->cmm, d_up, &mlp, 1, dx, vit_act(v, KEPT_ACT, i), g,
                            SLOT_DOWN);
    linear_gather_backward(v, v->cmm, dxn, d_up, norm_kept(v, norm1(v, i), i), g,
                           SLOT_UP);
    norm_back(v, norm1(v, i), i);
}

static void sequential_backward_attn(struct vit *v, int64_t i)
{
    const int g           = group_block(i);
    const struct mat o    = vit_act(v, KEPT_OUT, i);
    const struct mat dx   = vit_work(v, WORK_DX);
    const struct mat dxn  = vit_work(v, WORK_DXN);
    const struct mat d_in = vit_work(v, WORK_D_IN);
    const struct mat d_o  = vit_work(v, WORK_D_O);

    const struct cmm_section plain = linear_plain(0, v->local.A_l);

    linear_scatter_backward(v, v->cmm, d_o, &plain, 1, dx, o, g, SLOT_OUT);
    attn_backward(v, d_in, d_o, o, i);
    cmm_finish(v->cmm); /* what the MLP's gradient still needs is overwritten */
    linear_gather_backward(v, v->cmm, dxn, d_in, norm_kept(v, norm0(v, i), i), g,
                           SLOT_IN);
    norm_back(v, norm0(v, i), i);
}

/* ---- either ---------------------------------------------------------------------- */

void block_forward(struct vit *v, int64_t i)
{
    if (v->spec.wiring == WIRING_PARALLEL)
        parallel_forward(v, i);
    else
        sequential_forward(v, i);
}

void block_backward(struct vit *v, int64_t i)
{
    const bool is_again = v->options.remat == REMAT_BLOCK;

    if (v->spec.wiring == WIRING_PARALLEL) {
        if (is_again) {
            parallel_inner(v, i, true);
            attn_forward(v, parallel_o(v, i), i);
        }
        parallel_backward(v, i);
    } else {
        if (is_again)
            sequential_inner(v, i, true);
        sequential_backward_mlp(v, i);
        sequential_backward_attn(v, i);
    }
    cmm_finish(v->cmm);
}
