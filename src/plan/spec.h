/* SPDX-License-Identifier: BSD-3-Clause */
/* What is run: the model's shape, and how it is laid over a mesh.  Pure arithmetic.
 *
 * The letters, the same everywhere:
 *
 *   B  images in the global batch       D  data ranks    d  0 <= d < D
 *   T  patch tokens of an image         M  model ranks   m  0 <= m < M
 *   N  rows of an image in the blocks: T, and one more with a class token
 *   C  width          H  heads          E  head size, C / H
 *   F  MLP width      L  blocks         K  classes
 *   P  values in a patch, 3 * patch^2
 *
 * A rank's share of a size ends in _l: B_l, C_l, H_l, F_l, K_l.
 */
#ifndef PLAN_SPEC_H
#define PLAN_SPEC_H

#include "src/base/dtype.h"
#include "src/base/split.h"

#include <stdbool.h>
#include <stdio.h>

enum wiring { WIRING_PARALLEL, WIRING_SEQUENTIAL };
enum norm_kind { NORM_RMS, NORM_LAYER }; /* RMS: scale only; layer: scale and bias */
enum gelu_form { GELU_TANH, GELU_EXACT };
enum pool { POOL_MAP, POOL_GAP, POOL_CLS };
enum loss_kind { LOSS_SIGMOID, LOSS_SOFTMAX };

struct spec {
    char name[32]; /* "22B", "So400m", .. or "C/L/F/H" */
    int64_t C, H, E, F, L, L_full, K, T, N, P;
    int patch, image;
    enum wiring wiring;
    enum norm_kind norm; /* follows the wiring: parallel RMS, sequential layer */
    bool qk_norm;
    enum gelu_form gelu;
    enum pool pool;
    enum loss_kind loss;
};

/* What a user may ask for; zero or negative means "as the shape has it". */
struct spec_options {
    const char *shape; /* a name or "C/L/F/H" */
    int64_t layers;    /* 0: all */
    int wiring;        /* enum wiring, or -1 */
    int qk_norm;       /* 0, 1, or -1 */
    int gelu, pool, loss;
    int image, patch; /* patch 0: 14, but 16 for mu, Ti, S, M, B, L */
    int64_t classes;
};

/* A named shape of the papers. */
struct shape {
    const char *name;
    int64_t C, L, F, H;
    int patch;
    enum wiring wiring;
    bool qk_norm;
    const char *source;
};

/* The shapes in order, 'count' of them; NULL if 'name' is none of them. */
const struct shape *spec_shapes(int *count);
const struct shape *spec_shape(const char *name);
void spec_list(FILE *out); /* --list-shapes, 80 columns */

/* Complete 's' from 'o'.  Returns 0, or ERR_USAGE or ERR_SHAPE with a sentence: unknown
 * shape, C not divisible by H, sizes below one, an image smaller than a patch.
 */
int spec_make(struct spec *s, const struct spec_options *o);

/* The same model for images of 'image' pixels in patches of 'patch': 0 or ERR_SHAPE. */
int spec_set_image(struct spec *s, int image, int patch);

/* What rank (d, m) of a D x M mesh holds. */
struct local {
    struct range b, c, h, f, k;      /* its images, columns, heads, .. of the whole */
    int64_t B_l, C_l, H_l, F_l, K_l; /* their sizes */
    int64_t A_l;                     /* H_l * E: attention columns */
    int64_t rows;                    /* B_l * N */
};

void spec_local(struct local *l, const struct spec *s, int64_t B, int D, int M, int d,
                int m);

/* Of these, with fewer images: part 'k' of the rank's images in 'micros' micro-batches,
 * the first of which is the largest.
 */
void spec_micro(struct local *l, const struct spec *s, int micros, int k);

/* 0 if a batch of B images can be run on D x M ranks, else ERR_SHAPE with a sentence:
 * B < D, M > H (heads are whole), M > F, or more bytes than can be counted.
 */
int spec_check_mesh(const struct spec *s, int64_t B, int D, int M);

/* The same for micro-batches: every data rank has an image in each of them. */
int spec_check_micros(int64_t B, int D, int micros);

const char *wiring_name(enum wiring w); /* "parallel" .. as the options have it */
const char *pool_name(enum pool p);
const char *loss_name(enum loss_kind l);
const char *gelu_name(enum gelu_form g);

#endif
