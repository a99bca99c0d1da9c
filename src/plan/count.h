/* SPDX-License-Identifier: BSD-3-Clause */
/* Parameters, FLOPs and MFU, term by term.
 *
 * One multiply-add is two FLOPs.  A matrix counts once for every row that it really
 * multiplies: block kernels see N rows an image, T patch tokens and a class token if
 * there is one, the pooling MLP one.  (6 x all parameters x tokens would give a
 * one-block slice of 22B 1.7 times its FLOPs.)
 * Training counts forward x 3: the gradients of the data and of the weights cost as
 * much as the forward each; the patch embedding x 2, because images need no gradient.
 * Recomputation, padding, optimizer, norms never count.  Tokens are patch tokens: per
 * token and tokens/s mean T, and so does PaLM's formula.
 */
#ifndef PLAN_COUNT_H
#define PLAN_COUNT_H

#include "src/plan/spec.h"

/* A term of the sum, for --dry-run: the table of all of them has this many rows. */
struct count_term {
    const char
        *name;      /* "embed", "qkv", "attention", "out", "mlp", "pool", "head", .. */
    int64_t params; /* whole model */
    double macs;    /* forward multiply-adds of one image */
    double train_flops; /* of one image */
};
enum { COUNT_TERMS = 8 };
int count_terms(struct count_term term[COUNT_TERMS],
                const struct spec *s); /* how many */

int64_t count_params(const struct spec *s); /* with the options' pooling and head */
int64_t count_params_matmul(const struct spec *s); /* block kernels alone */
double count_macs(const struct spec *s); /* forward multiply-adds of one image */
double count_flops_forward(const struct spec *s); /* 2 x the above */
double count_flops_train(const struct spec *s);   /* of one image */

/* Training FLOPs of a step on the rank that holds 'l'.  All ranks' together are B times
 * count_flops_train().
 */
double count_flops_rank(const struct spec *s, const struct local *l);

/* FLOPs of one block's training step per image: the same terms, one block. */
double count_flops_block(const struct spec *s);

/* What backward computes again of an image with REMAT_BLOCK: all products of a block
 * but the last.  Never part of the model's FLOPs; with them MFU becomes HFU.
 */
double count_flops_again(const struct spec *s);

/* Training FLOPs per token after PaLM (arXiv 2204.02311, appendix B):
 * 6 params + 12 L H E T.
 */
double count_palm_per_token(double params, double L, double H, double E, double T);
double count_palm(const struct spec *s); /* with params = L (4 C^2 + 2 C F) */

/* Model FLOPs utilisation, 1 = 100 %.  NaN when 'peak' (FLOP/s of one device) is
 * unknown (not above 0).
 */
double count_mfu(double flops_per_step, double seconds, int devices, double peak);

#endif
