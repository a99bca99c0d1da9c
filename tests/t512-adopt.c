/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,4 */
/* A model that starts from one of another resolution: with patches twice as
 * large, images whose patches are twice as large have the same logits; on a
 * finer grid the positions are those that resize_grid() makes of the file's;
 * with other classes everything but the classifier is the file's.  On 2x2
 * parameters are cut over both axes.
 */
#include "config.h"

#include "src/step/adopt.h"

#include "ckpt/file.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "src/step/resize.h"
#include "src/step/state.h"
#include "tests/model.h"
#include "tests/ranks.h"
#include "tests/scratch.h"

#include <math.h>
#include <string.h>

enum { PATCH = 3, SIDE = 2, IMAGE = PATCH * SIDE };

static struct model_options options(int image, int patch, int64_t classes, int ranks)
{
    struct model_options o = model_odd(WIRING_SEQUENTIAL, POOL_MAP, LOSS_SIGMOID);

    o.spec.image   = image;
    o.spec.patch   = patch;
    o.spec.classes = classes;
    o.D = o.M = ranks == 4 ? 2 : 1;
    o.shard   = ranks == 4 ? SHARD_FULL : SHARD_NONE;
    return o;
}

/* ---- the file -------------------------------------------------------------------- */

/* Save a model that was stirred, and give it the numbers of the file, which are f32. */
static int save(struct model *m, char path[CKPT_PATH])
{
    json_t *told                = json_pack("{ss}", "gelu", "tanh");
    const struct ckpt_meta meta = { .step = 1, .options = told };
    struct ckpt_list list;
    struct ckpt *c;
    int rc;

    model_stir(m);
    state_list(&list, m->vit, NULL);
    rc = ckpt_open(&c, m->mesh, m->dev, &list, scratch_open(), 0, NULL);
    if (rc == 0)
        rc = ckpt_start(c, &meta);
    if (rc == 0)
        rc = ckpt_finish(c);
    if (rc == 0)
        snprintf(path, CKPT_PATH, "%s", ckpt_path(c));
    ckpt_close(&c);
    state_free(&list);
    json_decref(told);
    return rc == 0 ? state_load(m->vit, NULL, path) : rc;
}

/* ---- logits ---------------------------------------------------------------------- */

/* Pixel (r, c) of image 'i', of which every patch was enlarged by 'factor'. */
static double pixel(int64_t i, int r, int c, int colour, int factor)
{
    double line[PATCH * PATCH * 16], sum = 0;
    const int large = PATCH * factor;

    resize_matrix(line, PATCH, large);
    for (int a = 0; a < PATCH; a++) {
        for (int b = 0; b < PATCH; b++) {
            const int row = r / large * PATCH + a, col = c / large * PATCH + b;

            sum +=
                line[r % large * PATCH + a] * line[c % large * PATCH + b] *
                rng_normal(3, RNG_TEST,
                           (uint64_t)(((i * IMAGE + row) * IMAGE + col) * 3 + colour));
        }
    }
    return sum;
}

/* This rank's logits of these images, for the caller to free. */
static double *logits_of(struct model *m, int factor)
{
    const struct local *l = vit_local(m->vit);
    const int side        = m->spec.image;
    const struct mat at   = step_images(m->step);
    double *image         = mem_new((size_t)mat_size(at), sizeof *image);
    double *logits        = mem_new((size_t)(l->B_l * l->K_l) + 1, sizeof *logits);

    for (int64_t i = 0; i < l->B_l; i++) {
        for (int k = 0; k < side * side * 3; k++)
            image[i * at.cols + k] =
                pixel(l->b.lo + i, k / 3 / side, k / 3 % side, k % 3, factor);
    }
    step_forward(m->step, m->data, 0, 0); /* targets */
    model_put(m, at, image);
    vit_forward(m->vit, at, step_targets(m->step));
    model_get(m, logits, vit_logits(m->vit));
    mem_free(image);
    return logits;
}

static double gap(const double *a, const double *b, int64_t n)
{
    double worst = 0;

    for (int64_t i = 0; i < n; i++)
        worst = tap_worse(worst, fabs(a[i] - b[i]));
    return worst;
}

static void test_patches(struct model *m, const char *path, int factor, int ranks)
{
    const struct model_options o =
        options(IMAGE * factor, PATCH * factor, m->spec.K, ranks);
    const int64_t n = vit_local(m->vit)->B_l * vit_local(m->vit)->K_l;
    double *before  = logits_of(m, 1), *after;
    struct adopted a;
    struct model large;

    model_open(&large, &o, MPI_COMM_WORLD);
    ok(adopt_load(&a, large.vit, path, true) == 0 && a.patch == PATCH && a.grid == 0,
       "patches of %d from those of %d: %s", o.spec.patch, PATCH, a.text);
    after = logits_of(&large, factor);
    close_to(gap(before, after, n), 0, 1e-5,
             "and enlarged images have the same logits");
    model_close(&large);
    mem_free(before);
    mem_free(after);
}

/* ---- tensors --------------------------------------------------------------------- */

static const struct item *item_of(struct model *m, const char *name)
{
    const struct layout *l = vit_layout(m->vit);

    for (int i = 0; i < l->params.count; i++) {
        if (strcmp(l->params.param[i].name, name) == 0)
            return &l->item[i];
    }
    die("no %s", name);
}

/* The number in the tensor of element 'i' of a piece, in its order. */
static int64_t index_of(const struct param *p, const struct piece *piece, int64_t i)
{
    int64_t index = 0, stride = 1;

    for (int k = p->dims - 1; k >= 0; k--) {
        const int64_t side = piece->hi[k] - piece->lo[k];

        index += (piece->lo[k] + i % side) * stride;
        stride *= p->dim[k];
        i /= side;
    }
    return index;
}

/* The largest difference between what this rank owns of 'name' and 'all', or, without
 * it, the initial values.
 */
static double differs(struct model *m, const char *name, const float *all)
{
    const struct layout *l = vit_layout(m->vit);
    const struct item *it  = item_of(m, name);
    struct piece piece[LAYOUT_PIECES];
    const int pieces = layout_pieces(piece, l, it, l->d, l->m);
    double worst     = 0;

    for (int k = 0; k < pieces; k++) {
        const struct mat at = shard_piece_param(vit_shard(m->vit), it, &piece[k]);
        double *own         = mem_new((size_t)mat_size(at) + 1, sizeof *own);

        model_get(m, own, at);
        for (int64_t i = 0; i < mat_size(at); i++) {
            const int64_t index = index_of(it->param, &piece[k], i);
            const double wanted =
                all != NULL ? all[index] : param_init(it->param, 1, index);

            worst = tap_worse(worst, fabs(own[i] - wanted));
        }
        mem_free(own);
    }
    return worst;
}

static float *stored(struct model *m, const char *path, const char *name)
{
    struct ckpt_file *f = NULL;
    float *x            = NULL;

    if (file_open_all(&f, path, MPI_COMM_WORLD) != 0 ||
        file_read_all(&x, f, file_find(f, name), m->mesh) != 0)
        die("%s is not in %s", name, path);
    file_close(&f);
    return x;
}

static void test_positions(const char *path, int ranks)
{
    enum { FINE = 5 };
    const struct model_options o = options(FINE * PATCH, PATCH, 7, ranks);
    struct adopted a;
    struct model m;
    float *x, *y;

    model_open(&m, &o, MPI_COMM_WORLD);
    x = stored(&m, path, "params/pos_embedding");
    y = mem_new((size_t)(FINE * FINE * m.spec.C), sizeof *y);
    resize_grid(y, x, SIDE, FINE, m.spec.C);

    ok(adopt_load(&a, m.vit, path, false) == 0 && a.grid == SIDE && !a.has_positions,
       "positions can be left: %s", a.text);
    ok(differs(&m, "pos_embedding", NULL) == 0, "and are as they were initialised");
    ok(adopt_load(&a, m.vit, path, true) == 0 && a.grid == SIDE && a.has_positions,
       "or be resized: %s", a.text);
    ok(differs(&m, "pos_embedding", y) == 0, "and are the file's, resized");
    mem_free(x);
    mem_free(y);
    model_close(&m);
}

static void test_classes(const char *path, int ranks)
{
    const struct model_options o = options(IMAGE, PATCH, 5, ranks);
    struct adopted a;
    struct model m;
    float *x;

    model_open(&m, &o, MPI_COMM_WORLD);
    x = stored(&m, path, "params/embedding/kernel");
    ok(adopt_load(&a, m.vit, path, true) == 0 && a.classes == 7 &&
           strcmp(a.text, "classifier as initialised, of 7 classes in the file and 5 "
                          "here") == 0,
       "other classes: %s", a.text);
    ok(differs(&m, "head/kernel", NULL) == 0 && differs(&m, "head/bias", NULL) == 0,
       "the classifier is as it was initialised");
    ok(differs(&m, "embedding/kernel", x) == 0, "and the rest is the file's");
    mem_free(x);
    model_close(&m);
}

static void test_gelu(const char *path, int ranks)
{
    struct model_options o = options(IMAGE, PATCH, 7, ranks);
    struct adopted a;
    struct model m;

    o.spec.gelu = GELU_EXACT;
    model_open(&m, &o, MPI_COMM_WORLD);
    ok(adopt_load(&a, m.vit, path, true) == 0 &&
           strcmp(a.text, "tanh GELU in the file, exact here") == 0,
       "another form of GELU is told: %s", a.text);
    model_close(&m);
}

static void test_refused(const char *path, int ranks)
{
    struct model_options o = options(IMAGE, PATCH, 7, ranks);
    struct adopted a;
    struct model m;

    o.spec.shape = "40/2/70/5";
    model_open(&m, &o, MPI_COMM_WORLD);
    ok(adopt_load(&a, m.vit, path, true) == ERR_DATA, "another width is refused");
    model_close(&m);

    o           = options(IMAGE, PATCH, 7, ranks);
    o.spec.pool = POOL_GAP;
    model_open(&m, &o, MPI_COMM_WORLD);
    ok(adopt_load(&a, m.vit, path, true) == ERR_DATA,
       "and so is a file whose model has parameters that this one lacks");
    model_close(&m);
}

int main(int argc, char **argv)
{
    const int ranks              = ranks_open(&argc, &argv, "t512-adopt");
    const struct model_options o = options(IMAGE, PATCH, 7, ranks);
    char path[CKPT_PATH]         = "";
    struct model m;

    model_open(&m, &o, MPI_COMM_WORLD);
    if (ok(save(&m, path) == 0, "a model is saved")) {
        test_patches(&m, path, 2, ranks);
        test_patches(&m, path, 3, ranks);
        test_positions(path, ranks);
        test_classes(path, ranks);
        test_gelu(path, ranks);
        test_refused(path, ranks);
    }
    model_close(&m);
    return ranks_done();
}
