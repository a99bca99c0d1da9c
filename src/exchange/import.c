/* SPDX-License-Identifier: BSD-3-Clause */
/* From npz or safetensors to a checkpoint. */
#include "config.h"

#include "src/exchange/transfer.h"

#include "ckpt/digest.h"
#include "ckpt/direct.h"
#include "ckpt/file.h"
#include "src/base/claim.h"
#include "src/base/draft.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/exchange/guess.h"

#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct import {
    FILE *out;
    struct foreign *from;
    struct spec spec;
    struct style style;
    struct params params;
    struct map map;
    struct ckpt_file *to;
    int fd;
    float *piece, *turned; /* room for the largest */
};

/* ---- is it this model? ----------------------------------------------------------- */

/* Faults are printed one a line; the sentence has as many of the names as fit. */
struct faults {
    FILE *out;
    int count;
    char names[600];
    int left_out;
};

/* What is wrong with one block is mostly wrong with all. */
static bool is_later_block(const char *name)
{
    static const char *const blocks[] = { "blocks.", "encoderblock_" };

    for (size_t i = 0; i < sizeof blocks / sizeof blocks[0]; i++) {
        const char *at = strstr(name, blocks[i]);

        if (at != NULL && strtol(at + strlen(blocks[i]), NULL, 10) > 0)
            return true;
    }
    return false;
}

static void add_fault(struct faults *f, const char *what, const struct array *a,
                      const char *more)
{
    const size_t length = strlen(f->names);
    char shape[FILE_SHAPE];

    f->count++;
    file_shape(shape, a->size, a->dims);
    fprintf(f->out, "%s: %s %s%s\n", what, a->name, shape, more);
    if (length + strlen(a->name) + strlen(what) + 16 > sizeof f->names ||
        (length > 0 && is_later_block(a->name)))
        f->left_out++;
    else
        snprintf(f->names + length, sizeof f->names - length, "%s%s %s",
                 length > 0 ? ", " : "", what, a->name);
}

static bool is_same_shape(const struct array *a, const struct array *b)
{
    return a->dims == b->dims &&
           memcmp(a->size, b->size, (size_t)a->dims * sizeof a->size[0]) == 0;
}

static void check_array(struct faults *faults, const struct import *im,
                        const struct array *wanted)
{
    const struct array *a = foreign_find(im->from, wanted->name);
    char shape[FILE_SHAPE], more[FILE_SHAPE + 32];

    if (a == NULL) {
        add_fault(faults, "missing", wanted, "");
    } else if (!is_same_shape(a, wanted)) {
        file_shape(shape, wanted->size, wanted->dims);
        snprintf(more, sizeof more, ", the model has %s", shape);
        add_fault(faults, "another shape", a, more);
    } else if (a->type == ARRAY_OTHER) {
        snprintf(more, sizeof more, " is '%s'", a->said);
        add_fault(faults, "another type", a, more);
    }
}

/* Arrays whose name begins with the prefix, and that nothing has asked for; the others
 * (an optimizer's, a text model's) are counted.
 */
static int check_rest(struct faults *faults, const struct import *im, const bool *used)
{
    const size_t n = strlen(im->style.prefix);
    int others     = 0;

    for (int i = 0; i < im->from->arrays; i++) {
        const struct array *a = &im->from->array[i];

        if (used[i])
            continue;
        if (strncmp(a->name, im->style.prefix, n) == 0)
            add_fault(faults, "no place for", a, "");
        else
            others++;
    }
    return others;
}

static int check(struct import *im)
{
    struct faults faults = { .out = im->out };
    bool *used           = mem_new((size_t)im->from->arrays + 1, sizeof *used);
    int others;

    for (int i = 0; i < im->map.arrays; i++) {
        const struct array *a = foreign_find(im->from, im->map.array[i].name);

        if (a != NULL)
            used[a - im->from->array] = true;
    }
    others = check_rest(&faults, im, used);
    for (int i = 0; i < im->map.arrays; i++)
        check_array(&faults, im, &im->map.array[i]);
    mem_free(used);
    if (faults.count > 0 && faults.left_out > 0)
        return ERR(ERR_DATA, "%s is not this model: %s and %d more", im->from->path,
                   faults.names, faults.left_out);
    if (faults.count > 0)
        return ERR(ERR_DATA, "%s is not this model: %s", im->from->path, faults.names);
    if (others > 0)
        fprintf(im->out, "left out: %d arrays that are not below '%s'\n", others,
                im->style.prefix);
    return 0;
}

/* ---- the checkpoint -------------------------------------------------------------- */

static const char *on_off(bool is_on)
{
    return is_on ? "on" : "off";
}

/* The model as vittrain would be asked for it. */
static json_t *options_of(const struct spec *s)
{
    char number[4][24];
    const int64_t value[4] = { s->L == s->L_full ? 0 : s->L, s->image, s->patch, s->K };

    for (int i = 0; i < 4; i++)
        snprintf(number[i], sizeof number[i], "%" PRId64, value[i]);
    return json_pack("{ss ss ss ss ss ss ss ss ss}", "shape", s->name, "layers",
                     number[0], "wiring", wiring_name(s->wiring), "qk-norm",
                     on_off(s->qk_norm), "gelu", gelu_name(s->gelu), "pool",
                     pool_name(s->pool), "image", number[1], "patch", number[2],
                     "classes", number[3]);
}

/* The dataset of a tensor: that of all blocks. */
static void dataset_of(struct entry *e, const struct import *im, const struct param *p)
{
    char name[PARAM_NAME];
    const bool is_stacked = p->block >= 0;

    *e = (struct entry){ .elements = param_size(p) };
    param_stacked_name(name, p);
    snprintf(e->name, sizeof e->name, "params/%s", name);
    if (is_stacked) {
        e->size[e->dims++] = im->spec.L;
        e->elements *= im->spec.L;
    }
    for (int i = 0; i < p->dims; i++)
        e->size[e->dims++] = p->dim[i];
}

static void list_datasets(struct import *im)
{
    struct ckpt_file *f = im->to;

    f->entry = mem_new((size_t)im->params.count, sizeof *f->entry);
    for (int i = 0; i < im->params.count; i++) {
        const struct param *p = &im->params.param[i];

        if (p->block > 0)
            continue;
        dataset_of(&f->entry[f->entries], im, p);
        f->bytes += f->entry[f->entries].elements * (int64_t)sizeof(float);
        f->entries++;
    }
}

/* Put tensor 'param' into its place, and its part into the digest. */
static int put(struct import *im, int param, const float *x)
{
    const struct param *p = &im->params.param[param];
    const int64_t n       = param_size(p);
    const int64_t index   = p->block >= 0 ? p->block * n : 0;
    struct entry wanted, *e;
    int error;

    dataset_of(&wanted, im, p);
    e = (struct entry *)file_find(im->to, wanted.name);
    e->digest += digest_of(x, n, index);
    error = direct_pwrite(im->fd, x, n * (int64_t)sizeof *x,
                          e->offset + index * (int64_t)sizeof *x);
    return error == 0
               ? 0
               : ERR(ERR_IO, "%s cannot be written: %s", im->to->path, strerror(error));
}

/* ---- moving ---------------------------------------------------------------------- */

static int64_t piece_size(const struct map_piece *p)
{
    return p->a * p->b * p->c;
}

/* A file may hold infinities and NaN; a model that is trained may not. */
static int read_piece(float *x, struct import *im, const struct map_piece *p)
{
    const struct array *a = foreign_find(im->from, im->map.array[p->array].name);

    TRY(foreign_read(x, im->from, a, p->at, piece_size(p)));
    for (int64_t i = 0; i < piece_size(p); i++) {
        if (!isfinite(x[i]))
            return ERR(ERR_DATA, "%s: '%s' has a number that is %s", im->from->path,
                       a->name, isnan(x[i]) ? "NaN" : "infinite");
    }
    return 0;
}

/* Add the other array's part to tensor 'param', if there is one: the class token's
 * position.  Zeros change no bit.
 */
static int add_other(struct import *im, int param, float *x)
{
    for (int i = 0; i < im->map.pieces; i++) {
        const struct map_piece *p = &im->map.piece[i];

        if (!p->is_added || p->param != param)
            continue;
        TRY(read_piece(im->piece, im, p));
        for (int64_t k = 0; k < piece_size(p); k++) {
            if (im->piece[k] != 0)
                x[k] += im->piece[k];
        }
    }
    return 0;
}

/* What the model has no tensor for must do nothing. */
static int check_zeros(struct import *im, const struct map_piece *p)
{
    TRY(read_piece(im->piece, im, p));
    for (int64_t i = 0; i < piece_size(p); i++) {
        if (im->piece[i] != 0)
            return ERR(ERR_DATA,
                       "%s: no place for %s: the model has no such bias, and it is "
                       "not zero",
                       im->from->path, im->map.array[p->array].name);
    }
    return 0;
}

static int move_piece(struct import *im, const struct map_piece *p)
{
    if (p->is_added)
        return p->param == NO_PARAM ? check_zeros(im, p) : 0;
    TRY(read_piece(im->piece, im, p));
    map_turn(im->turned, im->piece, p->c, p->b, p->a);
    if (im->params.param[p->param].slot == SLOT_CLS)
        TRY(add_other(im, p->param, im->turned));
    return put(im, p->param, im->turned);
}

/* Without a classifier in the file it starts as vittrain's. */
static int make_head(struct import *im)
{
    for (int i = 0; i < im->params.count && !im->style.has_head; i++) {
        const struct param *p = &im->params.param[i];

        if (p->slot != SLOT_HEAD && p->slot != SLOT_HEAD_BIAS)
            continue;
        param_fill(im->turned, param_size(p), p, 0, 0);
        TRY(put(im, i, im->turned));
    }
    return 0;
}

static int move_all(struct import *im)
{
    for (int i = 0; i < im->map.pieces; i++)
        TRY(move_piece(im, &im->map.piece[i]));
    return make_head(im);
}

/* ---- the whole ------------------------------------------------------------------- */

static int alloc_room(struct import *im)
{
    int64_t most = 0;
    void *room;

    for (int i = 0; i < im->params.count; i++) {
        const int64_t n = param_size(&im->params.param[i]);

        most = n > most ? n : most;
    }
    TRY(mem_alloc(&room, (size_t)most * sizeof *im->piece));
    im->piece = room;
    TRY(mem_alloc(&room, (size_t)most * sizeof *im->turned));
    im->turned = room;
    return 0;
}

static int write_file(struct import *im)
{
    const char *path = im->to->path;

    TRY(file_create(im->to, path));
    im->fd = open(path, O_WRONLY);
    if (im->fd < 0)
        return err_unwritten(path);
    TRY(move_all(im));
    return file_complete(im->to, path);
}

static int make_file(struct import *im, const char *to)
{
    struct claim claim;
    int rc;

    im->to = mem_new(1, sizeof *im->to);
    if (snprintf(im->to->path, sizeof im->to->path, "%s.part", to) >=
        (int)sizeof im->to->path)
        return ERR(ERR_USAGE, "the name %s is too long", to);
    TRY(claim_take(&claim, to));
    im->to->meta.options = options_of(&im->spec);
    list_datasets(im);
    rc = write_file(im);
    if (rc == 0)
        rc = draft_rename(to, im->to->path);
    if (rc != 0)
        unlink(im->to->path);
    claim_drop(&claim);
    return rc;
}

static void report(const struct import *im, const char *to)
{
    const struct spec *s = &im->spec;

    fprintf(im->out,
            "%s: %s from %s: %d tensors, %s%s, %s pooling, image %d, patch %d, %" PRId64
            " classes%s\n"
            "taken as said, since the file cannot tell: %s GELU, norms with 1e-6%s\n",
            to, s->name, im->style.is_timm ? "timm" : "big_vision", im->to->entries,
            wiring_name(s->wiring), s->qk_norm ? " with QK-norm" : "",
            pool_name(s->pool), s->image, s->patch, s->K,
            im->style.has_head ? "" : " (a new classifier)", gelu_name(s->gelu),
            im->style.has_cls_place ? "; the class token has its position added" : "");
}

static int run(struct import *im, const char *to, const char *from,
               const struct exchange_options *o)
{
    TRY(foreign_open(&im->from, from));
    TRY(guess_model(&im->style, &im->spec, im->from, o));
    params_make(&im->params, &im->spec, HEAD_INIT_PAPER);
    TRY(map_make(&im->map, &im->spec, &im->params, &im->style));
    TRY(check(im));
    TRY(alloc_room(im));
    TRY(make_file(im, to));
    report(im, to);
    return 0;
}

int transfer_import(FILE *out, const char *to, const char *from,
                    const struct exchange_options *o)
{
    struct import im = { .out = out, .fd = -1 };
    const int rc     = run(&im, to, from, o);

    if (im.fd >= 0)
        close(im.fd);
    mem_free(im.piece);
    mem_free(im.turned);
    file_close(&im.to);
    map_free(&im.map);
    params_free(&im.params);
    foreign_close(&im.from);
    return rc;
}
