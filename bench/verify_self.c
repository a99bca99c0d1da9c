/* SPDX-License-Identifier: BSD-3-Clause */
/* The self-test: this mesh, device and form against one rank with plain loops in f64.
 *
 * The oracle sees a data row's two images as its whole batch, so its loss and gradients
 * are D times the row's share of the mean over the 2 D images.
 */
#include "config.h"

#include "bench/nudge.h"
#include "bench/reader.h"
#include "bench/setup.h"
#include "bench/verify.h"

#include "src/base/err.h"
#include "src/base/mem.h"

#include <math.h>
#include <stdio.h>

enum { IMAGES = 2 }; /* of a data row */

/* Always the same model: whether a mesh passes must not hang on the run's seed. */
enum { SELF_SEED = 127 };

/* The unsharded model of one rank, and the same with nudged parameters. */
struct oracle {
    struct mesh *mesh;
    struct dev *dev;
    struct vit *vit, *nudged;
    struct buf images, targets;
    double loss;
};

static int tiny_spec(struct spec *tiny, const struct spec *spec, int M)
{
    char shape[64];

    snprintf(shape, sizeof shape, "%d/2/%d/%d", 16 * M, 32 * M, M);
    return spec_make(tiny, &(struct spec_options){ .shape   = shape,
                                                   .wiring  = spec->wiring,
                                                   .qk_norm = spec->qk_norm,
                                                   .gelu    = spec->gelu,
                                                   .pool    = spec->pool,
                                                   .loss    = spec->loss,
                                                   .image   = 8,
                                                   .patch   = 4,
                                                   .classes = 10 });
}

/* ---- the oracle ------------------------------------------------------------------ */

static void oracle_close(struct oracle *o)
{
    dev_free(&o->images);
    dev_free(&o->targets);
    vit_close(&o->nudged);
    vit_close(&o->vit);
    dev_close(&o->dev);
    mesh_close(&o->mesh);
}

static int oracle_open(struct oracle *o, const struct spec *tiny, double eps)
{
    const struct vit_options options = {
        .B = IMAGES, .form = CMM_PLAIN, .seed = SELF_SEED, .head = HEAD_INIT_NORMAL
    };
    const int64_t pixels = 3 * tiny->image * tiny->image;
    struct reader reader;

    TRY(mesh_open(&o->mesh, MPI_COMM_SELF, 1, 1));
    TRY(dev_open(&o->dev, "cpu:ref", DTYPE_F64, 1));
    TRY(dev_alloc(&o->images, o->dev, (size_t)(IMAGES * pixels) * sizeof(double)));
    TRY(dev_alloc(&o->targets, o->dev, (size_t)(IMAGES * tiny->K) * sizeof(double)));
    TRY(vit_open(&o->vit, tiny, o->mesh, o->dev, &options));
    TRY(vit_open(&o->nudged, tiny, o->mesh, o->dev, &options));
    reader_open(&reader, o->dev);
    nudge_parameters(o->nudged, &reader, eps, SELF_SEED);
    reader_close(&reader);
    return 0;
}

static void put_widened(struct dev *dev, struct mat dst, const float *src)
{
    double *x = mem_new((size_t)mat_size(dst), sizeof *x);

    for (int64_t i = 0; i < mat_size(dst); i++)
        x[i] = src[i];
    dev_put(dev_stream(dev, LANE_COMPUTE), dst, x);
    mem_free(x);
}

/* Forward and backward of the images of data row 'd' in the batch of step 0. */
static void oracle_run(struct oracle *o, struct data *data, const struct spec *tiny,
                       int D, int d)
{
    const int64_t pixels     = 3 * tiny->image * tiny->image;
    const struct mat images  = mat_of(&o->images, DTYPE_F64, IMAGES, pixels);
    const struct mat targets = mat_of(&o->targets, DTYPE_F64, IMAGES, tiny->K);
    float *image             = mem_new((size_t)mat_size(images), sizeof *image);
    float *target            = mem_new((size_t)mat_size(targets), sizeof *target);

    data_batch(data, image, target, (int64_t)IMAGES * D, 0,
               (struct range){ (int64_t)IMAGES * d, (int64_t)IMAGES * (d + 1) },
               (struct range){ 0, tiny->K }, 1);
    put_widened(o->dev, images, image);
    put_widened(o->dev, targets, target);
    vit_forward(o->vit, images, targets);
    o->loss = vit_loss(o->vit);
    vit_backward(o->vit);
    vit_forward(o->nudged, images, targets);
    vit_backward(o->nudged);
    mem_free(target);
    mem_free(image);
}

/* ---- comparison ------------------------------------------------------------------ */

/* Gradient 'i' of an unsharded model 'vit' of 'o' on every rank, in logical order: the
 * mean of the data rows', each for its own images.  Collective over the mesh.
 */
static void share_reference(double *ref, struct bench *b, const struct oracle *o,
                            struct vit *vit, int i, int64_t size)
{
    struct mesh *mesh = b->mesh;

    if (mesh->m == 0) {
        const struct item *it = &vit_layout(vit)->item[i];

        /* One rank alone has all gradients whole. */
        dev_get(dev_stream(o->dev, LANE_COMPUTE), ref,
                shard_item_grad(vit_shard(vit), it));
        TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, ref, (int)size, MPI_DOUBLE, MPI_SUM,
                              mesh->comm[AXIS_DATA]));
        for (int64_t k = 0; k < size; k++)
            ref[k] /= mesh->D;
    }
    coll_broadcast(mesh, AXIS_MODEL, 0, ref, size * (int64_t)sizeof *ref);
}

/* Add to '*difference' and '*reference' the squares of one piece of a tensor. */
static void compare_piece(double *difference, double *reference, struct reader *reader,
                          struct mat grad, const struct item *it, const struct piece *p,
                          const double *ref)
{
    const int64_t step = reader_rows(reader, grad);

    for (int64_t lo = 0; lo < grad.rows; lo += step) {
        const int64_t hi = lo + step < grad.rows ? lo + step : grad.rows;
        const double *g  = reader_get(reader, grad, lo, hi);

        for (int64_t r = lo; r < hi; r++, g += grad.cols) {
            /* Rows are whole runs. */
            const double *g_ref = ref + item_index(it, p->row + r, 0);

            for (int64_t c = 0; c < grad.cols; c++) {
                const double d = g[c] - g_ref[c];

                *difference += d * d;
                *reference += g_ref[c] * g_ref[c];
            }
        }
    }
}

static double distance(const double *x, const double *y, int64_t n)
{
    double square = 0;

    for (int64_t i = 0; i < n; i++)
        square += (x[i] - y[i]) * (x[i] - y[i]);
    return sqrt(square);
}

/* The same of this rank's pieces of tensor 'i', where it is the first that holds them.
 */
static void compare_item(double *difference, double *reference, struct reader *reader,
                         struct vit *vit, int i, const double *ref)
{
    const struct layout *l = vit_layout(vit);
    const struct item *it  = &l->item[i];
    struct piece piece[LAYOUT_PIECES];
    const int pieces = layout_pieces(piece, l, it, l->d, l->m);

    for (int k = 0; k < pieces && piece[k].is_first; k++)
        compare_piece(difference, reference, reader,
                      shard_piece_grad(vit_shard(vit), it, &piece[k]), it, &piece[k],
                      ref);
}

/* The largest residual over tensors, and whose it is. */
static double compare(char *note, size_t size, struct bench *b, struct vit *vit,
                      const struct oracle *o)
{
    const struct params *params = &vit_layout(vit)->params;
    const int n                 = params->count;
    const double eps            = dev_eps(b->dev);
    double *difference          = mem_new(3 * (size_t)n, sizeof *difference);
    double *reference = difference + n, *move = reference + n, residual = 0;
    const char *worst = "";
    struct reader reader;

    reader_open(&reader, b->dev);
    for (int i = 0; i < n; i++) {
        const int64_t elements = param_size(&params->param[i]);
        double *ref            = mem_new(2 * (size_t)elements, sizeof *ref);
        double *nudged         = ref + elements;

        share_reference(ref, b, o, o->vit, i, elements);
        share_reference(nudged, b, o, o->nudged, i, elements);
        move[i] = distance(nudged, ref, elements);
        compare_item(&difference[i], &reference[i], &reader, vit, i, ref);
        mem_free(ref);
    }
    reader_close(&reader);
    TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, difference, 2 * n, MPI_DOUBLE, MPI_SUM,
                          b->mesh->comm[AXIS_ALL]));
    for (int i = 0; i < n; i++) {
        const double yardstick =
            fmax(verify_yardstick(params, reference, i), move[i] / (NUDGE_EPS * eps));
        const double r = verify_residual(sqrt(difference[i]), yardstick, eps);

        if (r > residual) {
            residual = r;
            worst    = params->param[i].name;
        }
    }
    snprintf(note, size, "worst gradient: %s", worst);
    mem_free(difference);
    return residual;
}

/* The mean loss of all images, by the oracles; the same on all ranks. */
static double reference_loss(struct bench *b, const struct oracle *o)
{
    return coll_sum(b->mesh, AXIS_ALL, o->loss) /
           b->mesh->D; /* 0 on ranks without one */
}

static void run_and_compare(struct check *c, struct bench *b, struct setup *setup,
                            struct oracle *o, const struct spec *tiny)
{
    struct step_result got;
    double residual, loss;

    step_gradients(setup->step, &got);
    if (b->mesh->m == 0)
        oracle_run(o, setup->data, tiny, b->mesh->D, b->mesh->d);
    residual = compare(c->note, sizeof c->note, b, setup->vit, o);
    loss     = reference_loss(b, o);
    loss     = verify_residual(fabs(got.loss - loss), fabs(loss), dev_eps(b->dev));
    if (loss > residual)
        snprintf(c->note, sizeof c->note, "worst: the loss");
    /* The loss of another model group is another number in its last bits. */
    residual = coll_largest(b->mesh, AXIS_ALL, fmax(residual, loss));
    verify_decide(c, "self-test", residual, VERIFY_THRESHOLD);
}

int verify_self_test(struct check *c, struct bench *b, const struct spec *spec)
{
    struct oracle oracle = { 0 };
    struct setup setup;
    struct spec tiny;
    const double eps = dev_eps(b->dev);
    int rc;

    TRY(tiny_spec(&tiny, spec, b->mesh->M));
    TRY(setup_open(&setup, b, &tiny, (int64_t)IMAGES * b->mesh->D, SELF_SEED));
    rc = mesh_agree(b->mesh, b->mesh->m == 0 ? oracle_open(&oracle, &tiny, eps) : 0);
    if (rc == 0)
        run_and_compare(c, b, &setup, &oracle, &tiny);
    oracle_close(&oracle);
    setup_close(&setup);
    return rc;
}
