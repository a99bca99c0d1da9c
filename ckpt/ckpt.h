/* SPDX-License-Identifier: BSD-3-Clause */
/* Checkpoints: a list of named tensors in one HDF5 file, whole, whatever mesh holds
 * their pieces.
 *
 * A file holds logical tensors in f32 (in f64 runs they are rounded), so any mesh reads
 * what any other wrote.  Saving has a short part that all ranks wait for and a long one
 * in the background:
 *
 *   ckpt_start()       make DIR/ckpt-STEP.h5.part, copy this rank's share to the host
 *   steps go on        a thread of each rank writes its share (ckpt/writer.h)
 *   ckpt_proceed()     all agree; rank 0's thread: digests, fsync, the name without
 *                      .part; old ones go
 *   ckpt_proceed()     all agree: done
 *
 * A save that fails anywhere leaves the files that were there before.
 */
#ifndef CKPT_CKPT_H
#define CKPT_CKPT_H

#include "ckpt/meta.h"
#include "mesh/mesh.h"
#include "src/base/claim.h"
#include "src/dev/dev.h"

enum { CKPT_NAME = 128, CKPT_DIMS = 4, CKPT_PATH = 1024 };

/* A box of a tensor that this rank holds, and where: the elements of the box in their
 * logical order are the rows of 'at' one after the other.
 */
struct ckpt_piece {
    int64_t lo[CKPT_DIMS], hi[CKPT_DIMS];
    struct mat at; /* any dtype; borrowed */
    bool is_first; /* of its replicas: only these are written */
};

/* A tensor and its place in a dataset: all of it, or entry 'layer' of the 'layers' that
 * are stacked along a first dimension.  The first pieces of all ranks tile it exactly
 * once.  Everything but the pieces is the same on all ranks.
 */
struct ckpt_tensor {
    char dataset[CKPT_NAME]; /* "params/Transformer/encoderblock/LayerNorm_0/scale" */
    int dims;                /* of the tensor itself */
    int64_t dim[CKPT_DIMS];
    int fold;              /* the first 'fold' dimensions are the rows of the pieces */
    int64_t layer, layers; /* 'layers' 0: not stacked */
    int first, count;      /* its pieces in the list */
};

/* The tensors of one dataset follow one another, in the order of their layers. */
struct ckpt_list {
    struct ckpt_tensor *tensor; /* 'tensors' of them */
    struct ckpt_piece *piece;   /* 'pieces' of them, of this rank */
    int tensors, pieces;
};

/* Element 'i' of a piece, in its order, as an element of the tensor. */
int64_t ckpt_index(const struct ckpt_tensor *t, const struct ckpt_piece *p, int64_t i);

/* ---- saving ---------------------------------------------------------------------- */

struct ckpt;

/* What one save cost, over all ranks. */
struct ckpt_cost {
    int64_t bytes;    /* of the tensors */
    double blocked_s; /* that training stood still */
    double total_s;   /* from ckpt_start() until the file had its name, or longer: all
                         that training stood still */
};

/* Prepare to save the tensors of 'list' (borrowed, with all that it points to) in the
 * folder 'dir', which is made if it is not there; of the complete files there the
 * 'keep' newest stay (0: all).  What killed runs left half-written in 'dir' is removed.
 * 'claim': NULL, or rank 0's of 'dir' (folder_open()), which is taken over also when
 * this fails: who goes on from what is there claims it before it looks.
 * Starts threads.  Returns 0, ERR_USAGE (too long a name), ERR_IO (another run has it,
 * ..), ERR_MEMORY or ERR_ENV (no threads), said, the same on all ranks.
 * Collective over 'mesh'.
 */
int ckpt_open(struct ckpt **c, struct mesh *mesh, struct dev *dev,
              const struct ckpt_list *list, const char *dir, int keep,
              struct claim *claim);

/* Take at most 'bytes' of this rank's memory for its copy of the tensors, and
 * what does not fit in further passes, of which all but the last are waited
 * for.  Without this: half of what is free at the first save.  To be called
 * before it.  Local; need not agree.
 */
void ckpt_set_memory(struct ckpt *c, int64_t bytes);

/* Waits for a save under way, and drops it if it was not finished.  Accepts NULL.
 * Collective over the mesh.
 */
void ckpt_close(struct ckpt **c);

/* Start to save as step 'meta->step'.  When it returns the tensors may change.
 * Finishes a save that is still under way before.  Returns 0, ERR_IO (no room on the
 * disk, ..) or ERR_MEMORY, said by one rank, the same on all; then nothing is under
 * way.  Collective over the mesh.
 */
int ckpt_start(struct ckpt *c, const struct ckpt_meta *meta);

/* True from ckpt_start() until the save is done, or has failed; and true if this rank's
 * thread has nothing to do just now.  Local.
 */
bool ckpt_is_busy(const struct ckpt *c);
bool ckpt_is_written(const struct ckpt *c);

/* When ckpt_is_written() holds on all ranks: take the save further, without waiting for
 * a disk.  What comes next is to be seen to by another call, as long as ckpt_is_busy().
 * Returns 0, or ERR_IO, said, and the file is removed.
 * Collective over the mesh.
 */
int ckpt_proceed(struct ckpt *c);

/* Wait until the file has its name.  Returns as ckpt_proceed(); 0 also if no save was
 * under way.
 * Collective over the mesh.
 */
int ckpt_finish(struct ckpt *c);

/* The cost of the last save that was finished; its path. */
struct ckpt_cost ckpt_cost(const struct ckpt *c);
const char *ckpt_path(const struct ckpt *c);

/* ---- loading --------------------------------------------------------------------- */

/* The newest complete file of 'dir' into 'path' (CKPT_PATH bytes), or "" if there is
 * none; files that are damaged are left out with a warning.  Rank 0 looks.  Returns 0,
 * or a code, said, the same on all ranks: ERR_IO; ERR_ENV for a file of another format.
 * Collective over 'comm'.
 */
int ckpt_newest(char *path, const char *dir, MPI_Comm comm);

/* The checkpoint that a user has 'given' by its file or its folder: the file, or the
 * newest complete one in the folder.  Likewise; ERR_DATA for a folder that has none.
 */
int ckpt_find(char *path, const char *given, MPI_Comm comm);

/* What 'path' says about itself; free with meta_free().  Returns 0, ERR_IO, ERR_MEMORY,
 * ERR_ENV (another format) or ERR_DATA (not a checkpoint, not complete), said, the same
 * on all ranks.  Collective over 'comm'.
 */
int ckpt_meta(struct ckpt_meta *meta, const char *path, MPI_Comm comm);

/* Fill all pieces of 'list' from 'path', which may hold more tensors, and compare their
 * digests.  Returns 0, ERR_IO, ERR_MEMORY, ERR_ENV (another format, no threads) or
 * ERR_DATA (missing or of another shape, truncated, damaged), said, the same on all
 * ranks; after a failure the pieces hold anything.  Collective over 'mesh'.
 */
int ckpt_load(const struct ckpt_list *list, struct mesh *mesh, struct dev *dev,
              const char *path);

#endif
