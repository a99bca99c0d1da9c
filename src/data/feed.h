/* SPDX-License-Identifier: BSD-3-Clause */
/* The batches of a run, made while the step before computes.
 *
 * The ranks of a data row see the same images.  Where an image is dear (it is read,
 * decoded, or drawn), each of them makes a part of the row's and the main threads pass
 * the parts on.  Threads of its own make the next batch; they call no MPI.  Cheap images
 * are made by everyone: when they are wanted, or likewise ahead where the cores have
 * nothing else to do.
 *
 *   own threads    make part of s+1                     make part of s+2
 *   main thread    mix, pass on s | step s ...          mix, pass on s+1 | step s+1 ..
 */
#ifndef DATA_FEED_H
#define DATA_FEED_H

#include "mesh/mesh.h"
#include "src/data/data.h"

struct feed;

/* 'data' and 'mesh' are borrowed.  This rank's row has the images 'b' of every batch of
 * B; this rank wants the classes 'k' of their targets.  'threads' make images; cheap ones
 * ahead if 'has_idle_cores'.  Returns 0, ERR_MEMORY or ERR_ENV.  Local.
 */
int feed_open(struct feed **feed, const struct data *data, const struct mesh *mesh,
              int64_t B, struct range b, struct range k, int threads,
              bool has_idle_cores);
void feed_close(struct feed **feed);

/* The batch of 'step' into images [B_l, image*image*3] and targets [B_l, k], the same
 * bits as data_batch()'s; then the next step's is begun.  Dies if the source cannot go
 * on.  One library all-gather over the row if images are shared and the row has several
 * ranks.  Collective over the model axis.
 */
void feed_batch(struct feed *feed, float *images, float *targets, int64_t step);

/* The same for one batch of any source, as for evaluation: shared by the row, but
 * nothing is made ahead and nothing is kept.  Dies where feed_open() would fail.
 * Collective over the model axis.
 */
void feed_once(float *images, float *targets, const struct data *data,
               const struct mesh *mesh, int64_t B, int64_t step, struct range b,
               struct range k, int threads);

#endif
