/* SPDX-License-Identifier: BSD-3-Clause */
/* Two more passes over the last batch, without an update: one with plain products, one
 * as the run does them.  The second one's products are projected as they finish; then
 * the gradients of both are compared through one random projection each.  Where they
 * seem to differ, more passes find out which of them nearly cancel (see nudge.h).
 */
#include "config.h"

#include "bench/nudge.h"
#include "bench/verify.h"
#include "bench/watch.h"

#include "mesh/guard.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/rng.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* What is kept of a pass: of every tensor r'g and |g|^2, over the whole mesh. */
struct pass {
    struct step_result result;
    double *sum; /* [2 * tensors]: projections, then squares */
};

/* The sum of 'n' elements with random signs by their logical index, 'first' and on; 64
 * signs come from one draw.
 */
static double sum_signed(const double *g, int64_t n, uint64_t first, uint64_t seed,
                         uint64_t stream)
{
    uint64_t bits = 0;
    double sum    = 0;

    for (int64_t c = 0; c < n; c++) {
        const uint64_t i = first + (uint64_t)c;

        if (c == 0 || i % 64 == 0)
            bits = rng_bits(seed, stream, i / 64);
        sum += g[c] * (2 * (double)(bits >> i % 64 & 1) - 1); /* no branch */
    }
    return sum;
}

/* Where the rows of a piece are in their tensor, and what makes its signs. */
struct signed_piece {
    const struct item *item;
    const struct piece *piece;
    int64_t cols;
    uint64_t seed;
};

static double sum_row(const void *ctx, int64_t row, const double *g)
{
    const struct signed_piece *s = ctx;

    return sum_signed(g, s->cols, (uint64_t)item_index(s->item, s->piece->row + row, 0),
                      s->seed, RNG_CHECK + s->item->param->stream);
}

static void run_pass(struct pass *p, struct bench *b, struct step *step,
                     struct vit *vit, struct reader *reader)
{
    const struct layout *l = vit_layout(vit);
    const int n            = l->params.count;

    step_gradients(step, &p->result);
    p->sum = mem_new(2 * (size_t)n, sizeof *p->sum);
    for (int i = 0; i < n; i++) {
        const struct item *it = &l->item[i];
        struct piece piece[LAYOUT_PIECES];
        const int pieces = layout_pieces(piece, l, it, l->d, l->m);

        for (int k = 0; k < pieces && piece[k].is_first; k++) {
            const struct mat grad = shard_piece_grad(vit_shard(vit), it, &piece[k]);
            const struct signed_piece ctx = { it, &piece[k], grad.cols,
                                              (uint64_t)b->options->seed };
            double square;

            p->sum[i] += reader_sum(reader, &square, grad, sum_row, &ctx);
            p->sum[n + i] += square;
            guard_alive();
        }
    }
    TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, p->sum, 2 * n, MPI_DOUBLE, MPI_SUM,
                          b->mesh->comm[AXIS_ALL]));
}

/* How the rounding of every block on the way forth and back adds up. */
static double walk_of(const struct layout *l)
{
    return sqrt(2 * (double)l->blocks);
}

/* The largest residual of loss, gradient norm and tensors, and whose it is; the error
 * of tensor i is measured by yardstick[i].
 */
static double compare(char *note, size_t size, const struct layout *l, double eps,
                      const struct pass *plain, const struct pass *run,
                      const double *yardstick)
{
    const struct step_result *old = &plain->result, *new = &run->result;
    const double walk = walk_of(l);
    const char *worst = "loss";
    double residual, r;

    residual =
        verify_residual(fabs(new->loss - old->loss), walk * fabs(old->loss), eps);
    r = verify_residual(fabs(new->grad_norm - old->grad_norm), walk * old->grad_norm,
                        eps);
    if (r > residual) {
        residual = r;
        worst    = "gradient norm";
    }
    for (int i = 0; i < l->params.count; i++) {
        r = verify_residual(fabs(run->sum[i] - plain->sum[i]), yardstick[i], eps);
        if (r > residual) {
            residual = r;
            worst    = l->params.param[i].name;
        }
    }
    snprintf(note, size, "worst: %s", worst);
    return residual;
}

/* The second look: let every yardstick be as long as a nudge moves its gradient.
 * 'last' is the plain pass before the nudges.  One projection may by chance see little
 * of a move, so there are several, each from where the one before it ended.
 */
static void measure_moves(double *yardstick, struct bench *b, struct step *step,
                          struct vit *vit, struct reader *reader,
                          const struct pass *plain)
{
    enum { NUDGES = 4 };
    const int n      = vit_layout(vit)->params.count;
    const double eps = dev_eps(b->dev);
    double *square   = mem_new((size_t)n, sizeof *square);
    double *last     = mem_new((size_t)n, sizeof *last);

    memcpy(last, plain->sum, (size_t)n * sizeof *last);
    for (int k = 0; k < NUDGES; k++) {
        struct pass moved;

        nudge_parameters(vit, reader, eps, (uint64_t)(b->options->seed + k));
        run_pass(&moved, b, step, vit, reader);
        for (int i = 0; i < n; i++) {
            square[i] += (moved.sum[i] - last[i]) * (moved.sum[i] - last[i]);
            last[i] = moved.sum[i];
        }
        mem_free(moved.sum);
    }
    for (int i = 0; i < n; i++)
        yardstick[i] = fmax(yardstick[i], sqrt(square[i] / NUDGES) / (NUDGE_EPS * eps));
    mem_free(last);
    mem_free(square);
}

static void decide_overlap(struct check *c, struct bench *b, struct step *step,
                           struct vit *vit, struct reader *reader,
                           const struct pass *plain, const struct pass *run)
{
    const struct layout *l = vit_layout(vit);
    const double eps       = dev_eps(b->dev);
    const int n            = l->params.count;
    double *yardstick      = mem_new((size_t)n, sizeof *yardstick);
    double residual;

    for (int i = 0; i < n; i++)
        yardstick[i] = walk_of(l) * verify_yardstick(&l->params, plain->sum + n, i);
    residual = compare(c->note, sizeof c->note, l, eps, plain, run, yardstick);
    residual = coll_largest(b->mesh, AXIS_ALL, residual);
    if (residual > VERIFY_THRESHOLD) {
        cmm_set_form(vit_cmm(vit), CMM_PLAIN);
        measure_moves(yardstick, b, step, vit, reader, plain);
        residual = compare(c->note, sizeof c->note, l, eps, plain, run, yardstick);
        residual = coll_largest(b->mesh, AXIS_ALL, residual);
    }
    verify_decide(c, "overlap", residual, VERIFY_THRESHOLD);
    mem_free(yardstick);
}

int verify_products(struct check *products, struct check *overlap, struct bench *b,
                    struct step *step, struct vit *vit)
{
    struct cmm *cmm          = vit_cmm(vit);
    const enum cmm_form form = cmm_form_of(cmm);
    struct pass plain, run;
    struct watch watch;
    int rc;

    TRY(bench_go_on(b));
    watch_open(&watch, b->mesh, b->dev, (uint64_t)b->options->seed);
    cmm_set_form(cmm, CMM_PLAIN);
    run_pass(&plain, b, step, vit, &watch.reader);
    cmm_set_form(cmm, form);
    rc = bench_go_on(b);
    if (rc == 0) {
        watch_start(&watch, cmm);
        run_pass(&run, b, step, vit, &watch.reader);
        watch_stop(cmm);
        watch_decide(products, &watch);
        decide_overlap(overlap, b, step, vit, &watch.reader, &plain, &run);
        cmm_set_form(cmm, form);
        mem_free(run.sum);
    }
    watch_close(&watch);
    mem_free(plain.sum);
    return rc;
}
