/* SPDX-License-Identifier: BSD-3-Clause */
/* What is run: the sizes of the model, and each rank's share of them on a mesh.  Pure
 * arithmetic, without MPI or a device.
 *
 * These letters mean the same in all of the code and its comments:
 *
 *   B  images in the global batch       D  data ranks    d  0 <= d < D
 *   T  patch tokens of an image         M  model ranks   m  0 <= m < M
 *   N  rows that an image has in the blocks: T, or T + 1 with a class token
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

/* A model, complete.  'L' blocks are run, of the 'L_full' that the shape has. */
struct spec {
    char name[32]; /* "22B", "So400m", .. or "C/L/F/H" */
    int64_t C, H, E, F, L, L_full, K, T, N, P;
    int patch, image;
    enum wiring wiring;
    enum norm_kind norm; /* given by the wiring: RMS if parallel, else layer norm */
    bool qk_norm;
    enum gelu_form gelu;
    enum pool pool;
    enum loss_kind loss;
};

/* What a user may ask for.  Zero or a negative number leaves it to the shape. */
struct spec_options {
    const char *shape; /* a name or "C/L/F/H" */
    int64_t layers;    /* 0: all */
    int wiring;        /* enum wiring, or -1 */
    int qk_norm;       /* 0, 1, or -1 */
    int gelu, pool, loss;
    int image, patch; /* pixels; patch 0: 14, but 16 for mu, Ti, S, M, B, L */
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

/* Complete 's' from 'o'.  Returns 0, or ERR_USAGE or ERR_SHAPE with a sentence where
 * the shape is unknown, C is no multiple of H, a size is below one, or an image is
 * smaller than a patch.
 */
int spec_make(struct spec *s, const struct spec_options *o);

/* The same model for images of 'image' pixels in patches of 'patch': 0 or ERR_SHAPE. */
int spec_set_image(struct spec *s, int image, int patch);

/* The share of rank (d, m) of a D x M mesh. */
struct local {
    struct range b, c, h, f, k;      /* which images, columns, heads, .. are its own */
    int64_t B_l, C_l, H_l, F_l, K_l; /* their sizes */
    int64_t A_l;                     /* H_l * E: columns of its heads together */
    int64_t rows;                    /* B_l * N */
};

void spec_local(struct local *l, const struct spec *s, int64_t B, int D, int M, int d,
                int m);

/* The same share with the images of one micro-batch alone: number 'k' of the 'micros'
 * into which the rank's images are cut.  The first one is the largest.
 */
void spec_micro(struct local *l, const struct spec *s, int micros, int k);

/* 0 if a batch of B images can be run on D x M ranks.  ERR_SHAPE with a sentence if
 * B < D, M > H (heads are never cut), M > F, or there are more bytes than can be
 * counted.
 */
int spec_check_mesh(const struct spec *s, int64_t B, int D, int M);

/* The same for micro-batches: every data rank needs an image in each of them. */
int spec_check_micros(int64_t B, int D, int micros);

const char *wiring_name(enum wiring w); /* "parallel", ..: as options are spelled */
const char *pool_name(enum pool p);
const char *loss_name(enum loss_kind l);
const char *gelu_name(enum gelu_form g);

#endif
