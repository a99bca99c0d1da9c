/* SPDX-License-Identifier: BSD-3-Clause */
/* The checkpoints of a run: when it was last saved, and what a file must say to be gone
 * on from.  The one place of the trainer that knows the files' format.
 */
#ifndef TRAIN_SAVE_H
#define TRAIN_SAVE_H

#include "src/base/claim.h"
#include "src/step/adopt.h"
#include "src/step/step.h"
#include "src/step/tuned.h"
#include "src/train/source.h"

struct save;

/* What a run has taken so far, all its parts together; and its longest save. */
struct spent {
    double seconds, device_seconds, save_seconds;
};

/* What a run goes on from. */
struct saved {
    char path[TRAIN_PATH]; /* empty: from the start */
    bool is_of_run;        /* it is one of this run's own, in --out */
    bool is_on_the_way;    /* of a fork: to its end, which it has not reached */
    int64_t step;
    int64_t newest; /* of a fork: of its file, even one that counts for none */
    struct spent spent;
    json_t *tuned;          /* where, and what timing chose, owned; NULL: not known */
    struct adopted adopted; /* of --init: what was not taken as it is */
};

/* Find the checkpoint to go on from, as --resume says, and see that the options are
 * those it was made with, and the images of 'source' the same.  Returns 0 or a code,
 * the same on all ranks; saved_free() in either case.  Collective over 'mesh'.
 */
int saved_find(struct saved *saved, struct mesh *mesh, const struct source *source,
               const struct opts *opts, const struct train_options *o);
void saved_free(struct saved *saved);

/* Load it, or the parameters alone of another (--init), of any resolution and classes;
 * and say so if that one was trained on images that are held out of 'source': 'share'
 * of a set, or (NaN) another one.  Collective over the mesh.
 */
int saved_load(const struct saved *saved, struct vit *vit, struct optim *optim);
int saved_init(struct saved *saved, const char *path, struct vit *vit,
               const struct source *source, double share);

/* Likewise the newest checkpoint of a fork in its folder 'dir', if there is one.  One
 * on its way to another length of the run counts for none.
 */
int saved_fork(struct saved *saved, const char *dir, struct mesh *mesh,
               const struct source *source, const struct opts *opts,
               const struct train_options *o);

/* Save into 'dir' (empty: never), of which 'keep' files stay, with what timing chose
 * (borrowed while it opens; NULL: nothing), of a run on 'source'; 'claim' is that of
 * ckpt_open().  Returns 0 or a code, the same on all ranks.  Collective over the mesh.
 */
int save_open(struct save **save, const char *dir, int keep, struct vit *vit,
              struct optim *optim, const struct source *source, const struct opts *opts,
              const struct tuned *tuned, struct claim *claim);
void save_close(struct save **save);

/* Start to save 'step' updates of what the records call 'id', after 'spent'.  While
 * save_is_busy(): call save_proceed() whenever save_is_written() holds on all ranks,
 * which waits for nothing; or wait for the end in save_finish().  They return 0, or
 * ERR_IO or ERR_MEMORY, said, which leaves the earlier files.
 */
int save_start(struct save *save, int64_t step, int64_t examples, const char *id,
               struct spent spent);
int save_proceed(struct save *save);
int save_finish(struct save *save);
bool save_is_busy(const struct save *save);
bool save_is_written(const struct save *save); /* this rank's share, for now */

/* The last save that was finished: its step (-1: none), and what it took. */
int64_t save_step(const struct save *save);
double save_seconds(const struct save *save);
const char *save_path(const struct save *save);

#endif
