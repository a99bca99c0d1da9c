/* SPDX-License-Identifier: BSD-3-Clause */
/* Batches through the model.  What comes out of a batch is cut by columns over the
 * model axis; each rank of a data row keeps some of the row's images whole.
 */
#include "config.h"

#include "src/eval/feature.h"

#include "mesh/guard.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/data/h5set.h"

#include <limits.h>
#include <math.h>
#include <string.h>

void features_free(struct features *f)
{
    mem_free(f->x);
    mem_free(f->owner);
    mem_free(f->place);
    mem_free(f->label);
    *f = (struct features){ 0 };
}

/* ---- rows and their ranks -------------------------------------------------------- */

/* With 'owner' filled: where rows lie, and room for this rank's. */
static int place_rows(struct features *f)
{
    int64_t *next = mem_new((size_t)f->mesh->size, sizeof *next);
    void *room;

    f->place = mem_new((size_t)f->count, sizeof *f->place);
    for (int64_t i = 0; i < f->count; i++)
        f->place[i] = (int32_t)next[f->owner[i]]++;
    f->own = next[f->mesh->rank];
    mem_free(next);
    TRY(mem_alloc(&room, (size_t)(f->own * f->width) * sizeof *f->x));
    f->x = room;
    return 0;
}

static int open_rows(struct features *f, struct mesh *mesh, int64_t count)
{
    f->mesh  = mesh;
    f->count = count;
    if (count > INT_MAX)
        return ERR(ERR_SHAPE, "%lld images are too many", (long long)count);
    f->owner = mem_new((size_t)count, sizeof *f->owner);
    f->label = mem_new((size_t)count, sizeof *f->label);
    return 0;
}

/* Labels that this rank does not know are -1 until now. */
static void share_labels(struct features *f)
{
    TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, f->label, (int)f->count, MPI_INT32_T, MPI_MAX,
                          f->mesh->comm[AXIS_ALL]));
}

static bool is_own(const struct features *f, int64_t i)
{
    return f->owner[i] == f->mesh->rank;
}

/* ---- through the model ----------------------------------------------------------- */

/* The rank that keeps image 'i': one of the row that sees it in its batch of B. */
static int32_t keeper(const struct mesh *mesh, int64_t B, int64_t i)
{
    const int64_t j      = i % B;
    const int d          = split_owner(B, mesh->D, j);
    const struct range b = split_range(B, mesh->D, d);

    return d * mesh->M + split_owner(range_size(b), mesh->M, j - b.lo);
}

static int64_t width_of(const struct spec *s, int64_t kind)
{
    return kind == FEATURE_LOGITS ? s->K : s->C;
}

/* [B_l, width_l] of the batch as doubles, 'wide' apart; 'raw' has room for it. */
static void fetch(double *x, int64_t wide, void *raw, struct vit *vit, int64_t kind)
{
    const int64_t B_l   = vit_local(vit)->B_l;
    const struct mat at = kind == FEATURE_POOLED   ? vit_pooled(vit)
                          : kind == FEATURE_LOGITS ? vit_logits(vit)
                                                   : vit_block_rows(vit, kind);
    const int64_t N     = B_l > 0 ? at.rows / B_l : 1;

    dev_get(dev_stream(vit_dev(vit), LANE_COMPUTE), raw, at);
    for (int64_t i = 0; i < B_l; i++) {
        for (int64_t c = 0; c < at.cols; c++) {
            double sum = 0;

            for (int64_t n = 0; n < N; n++)
                sum += dtype_load(at.dtype, raw, (i * N + n) * at.cols + c);
            x[i * wide + c] = sum / (double)N;
        }
    }
}

/* Keep this rank's images of the batch whose first image is 'first'. */
static void keep(struct features *f, struct vit *vit, int64_t kind, int64_t first,
                 void *raw)
{
    const struct local *l = vit_local(vit);
    const int M           = f->mesh->M;
    const int64_t wide    = split_most(f->width, M);
    double *own           = mem_new((size_t)(l->B_l * wide), sizeof *own);
    double *all           = mem_new((size_t)(l->B_l * wide * M), sizeof *all);

    fetch(own, wide, raw, vit, kind);
    coll_host_gather(f->mesh, AXIS_MODEL, all, own, (int)(l->B_l * wide));
    for (int64_t i = 0; i < l->B_l && first + l->b.lo + i < f->count; i++) {
        const int64_t row = first + l->b.lo + i;
        float *x          = f->x + f->place[row] * f->width;

        for (int m = 0; m < M && is_own(f, row); m++) {
            const struct range r = split_range(f->width, M, m);

            for (int64_t c = r.lo; c < r.hi; c++)
                x[c] = (float)all[(m * l->B_l + i) * wide + c - r.lo];
        }
    }
    mem_free(own);
    mem_free(all);
}

/* The one label of image 'i'. */
static int one_label(int32_t *label, const struct data *data, float *target, int64_t i)
{
    int64_t labels = 0;

    data->ops->get(data, NULL, target, (struct range){ 0, data->classes }, i);
    TRY(data_failure(data));
    for (int64_t k = 0; k < data->classes; k++) {
        if (target[k] > 0) {
            *label = (int32_t)k;
            labels++;
        }
    }
    if (labels != 1)
        return ERR(ERR_DATA, "image %lld has %lld labels, and a probe needs one",
                   (long long)i, (long long)labels);
    return 0;
}

static int find_labels(struct features *f, const struct data *data)
{
    float *target = mem_new((size_t)data->classes, sizeof *target);
    int rc        = 0;

    f->classes = data->classes;
    for (int64_t i = 0; i < f->count; i++) {
        f->label[i] = -1;
        if (rc == 0 && is_own(f, i))
            rc = one_label(&f->label[i], data, target, i);
    }
    mem_free(target);
    return rc;
}

static int open_one(struct features *f, int64_t kind, struct vit *vit,
                    const struct data *data, int64_t count)
{
    TRY(open_rows(f, vit_mesh(vit), count));
    f->width = width_of(vit_spec(vit), kind);
    for (int64_t i = 0; i < count; i++)
        f->owner[i] = keeper(f->mesh, vit_batch(vit), i);
    TRY(place_rows(f));
    return find_labels(f, data);
}

static int check_finite(const struct features *f)
{
    for (int64_t i = 0; i < f->count; i++) {
        const float *x = f->x + f->place[i] * f->width;

        for (int64_t c = 0; c < f->width && is_own(f, i); c++) {
            if (!isfinite(x[c]))
                return ERR(ERR_DATA, "the features of image %lld are not finite",
                           (long long)i);
        }
    }
    return 0;
}

int features_run(struct features *f, const int64_t *kind, int kinds, struct step *step,
                 struct data *data, int64_t count)
{
    struct vit *vit   = step_vit(step);
    struct mesh *mesh = vit_mesh(vit);
    const int64_t B   = vit_batch(vit);
    void *raw         = NULL;
    int rc            = 0;

    vit_micro(vit, 0); /* the largest: 'raw' has room for all */
    for (int k = 0; k < kinds; k++)
        f[k] = (struct features){ 0 };
    for (int k = 0; k < kinds && rc == 0; k++)
        rc = mesh_agree(mesh, open_one(&f[k], kind[k], vit, data, count));
    if (rc == 0)
        rc = mesh_agree(mesh, mem_alloc(&raw, (size_t)(vit_local(vit)->rows *
                                                       (vit_local(vit)->C_l +
                                                        vit_local(vit)->K_l)) *
                                                  sizeof(double)));
    for (int64_t first = 0; rc == 0 && first < count; first += B) {
        for (int micro = 0; micro < vit_micros(vit); micro++) {
            step_forward(step, data, first / B, micro);
            for (int k = 0; k < kinds; k++)
                keep(&f[k], vit, kind[k], first, raw);
        }
        guard_alive();
    }
    mem_free(raw);
    for (int k = 0; k < kinds && rc == 0; k++) {
        share_labels(&f[k]);
        rc = mesh_agree(mesh, check_finite(&f[k]));
    }
    return rc;
}

/* ---- files ----------------------------------------------------------------------- */

static int read_rows(struct features *f, const struct h5set *set)
{
    struct decode_room room = { 0 };
    size_t size;
    int rc = 0;

    for (int64_t i = 0; i < f->count && rc == 0; i++) {
        if (!is_own(f, i))
            continue;
        rc = h5set_label(&f->label[i], set, i);
        if (rc == 0)
            rc = h5set_read(&room, &size, set, i);
        if (rc == 0)
            memcpy(f->x + f->place[i] * f->width, room.bytes,
                   (size_t)f->width * sizeof *f->x);
    }
    decode_free(&room);
    return rc;
}

static int open_file(struct features *f, struct h5set **set, struct mesh *mesh,
                     const char *path)
{
    const struct h5set_shape *s;

    TRY(h5set_open_among(set, path, mesh->rank, mesh->size));
    s = h5set_shape(*set);
    if (s->kind != H5SET_FEATURES)
        return ERR(ERR_DATA, "%s holds images, not features", path);
    if (s->has_many)
        return ERR(ERR_DATA, "%s has several labels an item, and a probe needs one",
                   path);
    TRY(open_rows(f, mesh, s->count));
    f->width   = s->features;
    f->classes = s->classes;
    for (int64_t i = 0; i < f->count; i++) {
        f->owner[i] = split_owner(f->count, mesh->size, i);
        f->label[i] = -1;
    }
    TRY(place_rows(f));
    TRY(read_rows(f, *set));
    return check_finite(f);
}

int features_read(struct features *f, struct mesh *mesh, const char *path)
{
    struct h5set *set = NULL;
    int rc;

    *f = (struct features){ 0 };
    rc = mesh_agree(mesh, open_file(f, &set, mesh, path));
    h5set_close(&set);
    if (rc == 0)
        share_labels(f);
    return rc;
}

/* Rows first .. first + n - 1 to the first rank: each comes from one rank, the others
 * have zeros.
 */
static void collect(float *x, const struct features *f, int64_t first, int64_t n)
{
    const bool is_first = f->mesh->rank == 0;

    memset(x, 0, (size_t)(n * f->width) * sizeof *x);
    for (int64_t i = 0; i < n; i++) {
        if (is_own(f, first + i))
            memcpy(x + i * f->width, f->x + f->place[first + i] * f->width,
                   (size_t)f->width * sizeof *x);
    }
    TRY_MPI(MPI_Reduce(is_first ? MPI_IN_PLACE : x, x, (int)(n * f->width), MPI_FLOAT,
                       MPI_SUM, 0, f->mesh->comm[AXIS_ALL]));
}

/* The first rank writes; the others go on giving even if that fails. */
static int write_rows(struct h5set *set, const struct features *f)
{
    enum { CHUNK = 1 << 20 };
    const int64_t most = f->width < CHUNK ? CHUNK / f->width : 1;
    float *x           = mem_new((size_t)(most * f->width), sizeof *x);
    int rc             = 0;

    for (int64_t first = 0; first < f->count; first += most) {
        const int64_t n = f->count - first < most ? f->count - first : most;

        collect(x, f, first, n);
        for (int64_t i = 0; i < n && rc == 0 && set != NULL; i++)
            rc = h5set_append(set, x + i * f->width, (size_t)f->width * sizeof *x,
                              &f->label[first + i], 1);
        guard_alive();
    }
    mem_free(x);
    return rc;
}

int features_write(const struct features *f, const char *path)
{
    const struct h5set_shape shape = { .kind     = H5SET_FEATURES,
                                       .count    = f->count,
                                       .classes  = f->classes,
                                       .features = f->width };
    struct h5set *set              = NULL;
    int rc = f->mesh->rank == 0 ? h5set_create(&set, path, &shape, "") : 0;

    TRY(mesh_agree(f->mesh, rc));
    rc = write_rows(set, f);
    if (rc == 0 && set != NULL)
        rc = h5set_finish(&set);
    h5set_drop(&set);
    return mesh_agree(f->mesh, rc);
}

/* ---- parts ----------------------------------------------------------------------- */

void part_free(struct part *p)
{
    mem_free(p->row);
    *p = (struct part){ 0 };
}

void part_all(struct part *p, const struct features *of)
{
    *p = (struct part){ .of   = of,
                        .row  = mem_new((size_t)of->count, sizeof *p->row),
                        .rows = of->count };
    for (int64_t i = 0; i < p->rows; i++)
        p->row[i] = i;
}

int part_split(struct part *p, const struct part *from, double share, bool is_held_out)
{
    struct order_part part;

    order_part_open(&part, from->rows, share, is_held_out);
    *p = (struct part){ .of = from->of, .rows = part.count };
    if (part.count == 0)
        return ERR(ERR_USAGE, "of %lld images a share of %g is held out: nothing is %s",
                   (long long)from->rows, share, is_held_out ? "in it" : "left");
    p->row = mem_new((size_t)part.count, sizeof *p->row);
    for (int64_t i = 0; i < part.count; i++)
        p->row[i] = from->row[order_part_item(&part, i)];
    order_part_close(&part);
    return 0;
}
