/* SPDX-License-Identifier: BSD-3-Clause */
/* What a frozen model makes of labelled images: a matrix whose rows lie whole on the
 * ranks of the mesh, where they were made or read.
 */
#ifndef EVAL_FEATURE_H
#define EVAL_FEATURE_H

#include "src/step/step.h"

struct features {
    struct mesh *mesh; /* borrowed */
    int64_t count, width, classes;
    int64_t own;    /* rows of this rank */
    float *x;       /* [own, width] */
    int32_t *owner; /* [count] the rank that has a row, on all ranks */
    int32_t *place; /* [count] and where among that rank's rows */
    int32_t *label; /* [count], on all ranks */
};

/* What is taken: what the classifier is given; its logits; else what block 'n' >= 0 has
 * left, mean over an image's rows.
 */
enum { FEATURE_POOLED = -1, FEATURE_LOGITS = -2 };

/* Run the images 0 .. count - 1 of 'data' through the model of 'step' and take 'kinds'
 * things from each: f[i] is of what kind[i] says.  Returns 0; ERR_DATA for an image
 * that has not one label, or numbers that are not finite; ERR_SHAPE for more than 2^31
 * images; ERR_MEMORY; or what data_failure() does; the same on all ranks.
 * features_free() in every case.  Collective over the mesh.
 */
int features_run(struct features *f, const int64_t *kind, int kinds, struct step *step,
                 struct data *data, int64_t count);

/* Read a set of features (h5set.h), or write one with the rows in their order.  Returns
 * 0, ERR_IO, ERR_DATA, ERR_SHAPE or ERR_MEMORY, the same on all ranks.  Collective over
 * the mesh.
 */
int features_read(struct features *f, struct mesh *mesh, const char *path);
int features_write(const struct features *f, const char *path);
void features_free(struct features *f);

/* Some of the rows, by their numbers. */
struct part {
    const struct features *of; /* borrowed */
    int64_t *row;              /* owned: part_free() */
    int64_t rows;
};
void part_free(struct part *p);

/* All rows; those of a part that are held out of it or not, as data_open_file() has it.
 * The second returns 0, or ERR_USAGE where there are none.
 */
void part_all(struct part *p, const struct features *of);
int part_split(struct part *p, const struct part *from, double share, bool is_held_out);

/* Row 'i' of the part if this rank has it, else NULL. */
static inline const float *part_own(const struct part *p, int64_t i)
{
    const struct features *f = p->of;
    const int64_t row        = p->row[i];

    return f->owner[row] == f->mesh->rank ? f->x + f->place[row] * f->width : NULL;
}

static inline int32_t part_label(const struct part *p, int64_t i)
{
    return p->of->label[p->row[i]];
}

#endif
