/* SPDX-License-Identifier: BSD-3-Clause */
/* What a method of optimization is: a row of functions; and what an optimizer holds for
 * all of them.  For src/optim only.
 *
 * Every method has a momentum 'mu' in the places of the parameters, some a second
 * moment 'nu' there too.  What else it keeps is its own.
 */
#ifndef OPTIM_METHOD_H
#define OPTIM_METHOD_H

#include "src/dev/dev_update.h"
#include "src/optim/optim.h"

struct optim_method {
    const char *name;
    bool has_nu;     /* a second moment for every parameter */
    bool is_mu_bf16; /* momentum in bf16, else in dev_acc() */
    int states;      /* kinds of state of its own, at most so many of a tensor */

    /* Allocate and list what is its own, after the rest.  May be NULL, as the two
     * below.  Returns 0 or ERR_MEMORY.
     */
    int (*open)(struct optim *o);
    void (*close)(struct optim *o);

    /* Append the state of its own to 'list'; returns how many. */
    int (*list)(struct optim_state *list, const struct optim *o);

    void (*update)(struct optim *o, double clip, double schedule);

    /* The numbers of the next update but for its clip, as dev_update.h names them. */
    void (*pace)(double pace[PACES], const struct optim *o, double schedule);
};

extern const struct optim_method optim_adamw, optim_adafactor, optim_sgd;

struct optim {
    struct optim_options options;
    const struct optim_method *method;
    struct shard *shard; /* borrowed */
    struct dev_stream *stream;
    struct buf *mu, *nu;         /* a buffer a group */
    struct buf sum;              /* [1, 1] f64 */
    struct buf pacing;           /* [1, PACES] f64, where the device has a pace */
    struct mat pace;             /* of the update under way; none: the host knows it */
    struct dev_segment *segment; /* this rank's pieces, in the order of the items */
    struct mat *counted;         /* gradients of the first pieces */
    int *group_of;               /* theirs */
    int segments, counts;
    struct mat *some; /* room for as many */
    bool *is_squared; /* groups, ahead of the others */
    bool has_squares; /* some are */
    int64_t steps;    /* updates; the one under way counts */
    void *own;        /* the method's */
};

/* Allocate 'size' zeros of 'dtype' in '*b'.  Returns 0 or ERR_MEMORY. */
int optim_alloc(struct buf *b, const struct optim *o, enum dtype dtype, int64_t size);

/* The pieces of item 'i' that this rank owns, as layout_pieces() has them. */
int optim_pieces(struct piece piece[LAYOUT_PIECES], const struct optim *o, int i);

/* Append the state 'kind' in the places of the parameters to 'list', of the
 * items that 'is_kept' (NULL: all), each segment's matrix being what 'view'
 * says.  Returns how many.
 */
typedef struct mat (*optim_view_fn)(const struct dev_segment *g);
int optim_list_pieces(struct optim_state *list, const struct optim *o, const char *kind,
                      bool (*is_kept)(const struct param *p), optim_view_fn view);

#endif
