/* SPDX-License-Identifier: BSD-3-Clause */
/* Tensors of the right shape are loaded like those of any checkpoint.  The few of
 * another shape are taken out of the list first, and then read and resized one by one,
 * whole on every rank, for positions and kernel are small.
 */
#include "config.h"

#include "src/step/adopt.h"

#include "ckpt/file.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/step/resize.h"
#include "src/step/state.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum change { CHANGE_POSITIONS, CHANGE_KERNEL, CHANGE_CLASSES, CHANGE_BIAS, CHANGES };

static const char *const changed_name[CHANGES] = {
    [CHANGE_POSITIONS] = "params/pos_embedding",
    [CHANGE_KERNEL]    = "params/embedding/kernel",
    [CHANGE_CLASSES]   = "params/head/kernel",
    [CHANGE_BIAS]      = "params/head/bias",
};

/* A tensor that has another shape in the file. */
struct changed {
    struct ckpt_tensor tensor;
    const struct entry *entry; /* NULL: none such */
};

/* ---- which ----------------------------------------------------------------------- */

static int64_t side_of(int64_t T)
{
    const int64_t side = (int64_t)(sqrt((double)T) + 0.5);

    return side * side == T ? side : 0;
}

/* True if the file has a tensor that can stand for 't', which has another shape. */
static bool is_change(enum change *change, const struct entry *e,
                      const struct ckpt_tensor *t)
{
    const int64_t *size = e != NULL ? e->size : NULL;

    for (int i = 0; i < CHANGES && size != NULL && e->dims == t->dims; i++) {
        if (strcmp(t->dataset, changed_name[i]) != 0)
            continue;
        *change = (enum change)i;
        switch (i) {
        case CHANGE_POSITIONS:
            return size[1] != t->dim[1] && size[2] == t->dim[2] && side_of(size[1]) > 0;
        case CHANGE_KERNEL:
            return size[0] != t->dim[0] && size[0] == size[1] && size[0] > 0 &&
                   size[2] == t->dim[2] && size[3] == t->dim[3];
        case CHANGE_CLASSES:
            return size[1] != t->dim[1] && size[0] == t->dim[0];
        default:
            return size[0] != t->dim[0];
        }
    }
    return false;
}

/* Take the tensors that have changed out of the list. */
static void sift(struct changed changed[CHANGES], struct ckpt_list *list,
                 const struct ckpt_file *file)
{
    int kept = 0;

    for (int i = 0; i < list->tensors; i++) {
        const struct ckpt_tensor *t = &list->tensor[i];
        const struct entry *e       = file_find(file, t->dataset);
        enum change change;

        if (is_change(&change, e, t))
            changed[change] = (struct changed){ .tensor = *t, .entry = e };
        else
            list->tensor[kept++] = *t;
    }
    list->tensors = kept;
}

/* What the file's model has and this one lacks would be left out without a word. */
static int check_rest(const struct ckpt_list *list, const struct ckpt_file *file)
{
    for (int i = 0; i < file->entries; i++) {
        const char *name = file->entry[i].name;
        bool has_place   = strncmp(name, "params/", 7) != 0;

        for (int k = 0; k < list->tensors && !has_place; k++)
            has_place = strcmp(list->tensor[k].dataset, name) == 0;
        if (!has_place)
            return ERR(ERR_DATA,
                       "%s has '%s', for which this model has no place: --wiring, "
                       "--qk-norm and --pool are to be those of the file's",
                       file->path, name);
    }
    return 0;
}

/* ---- new values ------------------------------------------------------------------ */

/* Put this rank's pieces of the whole tensor 'all' to their places. */
static void put(struct vit *vit, const struct ckpt_list *list,
                const struct ckpt_tensor *t, const float *all)
{
    struct dev_stream *stream = dev_stream(vit_dev(vit), LANE_COMPUTE);

    for (int k = t->first; k < t->first + t->count; k++) {
        const struct ckpt_piece *p = &list->piece[k];
        const int64_t n            = mat_size(p->at);
        void *own                  = mem_new((size_t)n + 1, dtype_size(p->at.dtype));

        for (int64_t i = 0; i < n; i++)
            dtype_store(p->at.dtype, own, i, all[ckpt_index(t, p, i)]);
        dev_put(stream, p->at, own);
        mem_free(own);
    }
}

/* Read a tensor, resize it, and put it to its places. */
static int resize(struct vit *vit, const struct ckpt_list *list,
                  const struct ckpt_file *file, const struct changed *c, bool is_kernel)
{
    const struct ckpt_tensor *t = &c->tensor;
    const int64_t *old = c->entry->size, *new = t->dim;
    float *x, *y;
    void *room = NULL;
    int rc;

    TRY(file_read_all(&x, file, c->entry, vit_mesh(vit)));
    rc = mem_alloc(&room, (size_t)(new[0] * new[1] * new[2]) *
                              (size_t)(is_kernel ? new[3] : 1) * sizeof *y);
    y  = room;
    if (rc == 0 && is_kernel)
        resize_kernel(y, x, (int)old[0], (int)new[0], new[2] * new[3]);
    else if (rc == 0)
        resize_grid(y, x, side_of(old[1]), side_of(new[1]), new[2]);
    if (rc == 0)
        put(vit, list, t, y);
    mem_free(x);
    mem_free(y);
    return mesh_agree(vit_mesh(vit), rc);
}

/* ---- all of it ------------------------------------------------------------------- */

static void describe(struct adopted *a, const struct spec *s,
                     const struct ckpt_file *file)
{
    const char *gelu = json_string_value(json_object_get(file->meta.options, "gelu"));
    const long long now = side_of(s->T);
    size_t n            = 0;

    a->text[0] = '\0';
    if (a->grid > 0)
        n += (size_t)snprintf(a->text, sizeof a->text,
                              a->has_positions
                                  ? "positions resized from %lldx%lld to %lldx%lld"
                                  : "positions as initialised, being %lldx%lld in the "
                                    "file and %lldx%lld here",
                              (long long)a->grid, (long long)a->grid, now, now);
    if (a->patch > 0)
        n += (size_t)snprintf(a->text + n, sizeof a->text - n,
                              "%spatches resized from %lld to %d pixels",
                              n > 0 ? "; " : "", (long long)a->patch, s->patch);
    if (a->classes > 0)
        n += (size_t)snprintf(
            a->text + n, sizeof a->text - n,
            "%sclassifier as initialised, of %lld classes in the file and %lld here",
            n > 0 ? "; " : "", (long long)a->classes, (long long)s->K);
    if (gelu != NULL && strcmp(gelu, gelu_name(s->gelu)) != 0)
        snprintf(a->text + n, sizeof a->text - n, "%s%s GELU in the file, %s here",
                 n > 0 ? "; " : "", gelu, gelu_name(s->gelu));
}

static int load(struct adopted *a, struct vit *vit, struct ckpt_list *list,
                const struct ckpt_file *file, bool is_resized)
{
    struct changed changed[CHANGES] = { 0 };
    const struct changed *positions = &changed[CHANGE_POSITIONS];
    const struct changed *kernel    = &changed[CHANGE_KERNEL];
    const struct changed *classes   = &changed[CHANGE_CLASSES];

    TRY(mesh_agree(vit_mesh(vit), check_rest(list, file)));
    sift(changed, list, file);
    TRY(ckpt_load(list, vit_mesh(vit), vit_dev(vit), file->path));
    if (positions->entry != NULL && is_resized)
        TRY(resize(vit, list, file, positions, false));
    if (kernel->entry != NULL)
        TRY(resize(vit, list, file, kernel, true));
    vit_changed(vit);
    *a = (struct adopted){
        .grid    = positions->entry != NULL ? side_of(positions->entry->size[1]) : 0,
        .patch   = kernel->entry != NULL ? kernel->entry->size[0] : 0,
        .classes = classes->entry != NULL ? classes->entry->size[1] : 0,
        .has_positions = is_resized || positions->entry == NULL,
    };
    describe(a, vit_spec(vit), file);
    return 0;
}

int adopt_load(struct adopted *a, struct vit *vit, const char *path, bool is_resized)
{
    struct ckpt_file *file = NULL;
    struct ckpt_list list;
    int rc;

    TRY(file_open_all(&file, path, vit_mesh(vit)->comm[AXIS_ALL]));
    state_list(&list, vit, NULL);
    rc = load(a, vit, &list, file, is_resized);
    state_free(&list);
    file_close(&file);
    return rc;
}
