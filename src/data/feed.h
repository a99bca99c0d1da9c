/* SPDX-License-Identifier: BSD-3-Clause */
/* The batches of a run, made while the step before computes.
 *
 * The ranks of a data row see the same images.  Where an image is dear (it is read,
 * decoded, or drawn), each of them makes a part of the row's and the main threads pass
 * the parts on.  Threads of its own make the next batch; they call no MPI.  Cheap
 * images are made by everyone: when they are wanted, or likewise ahead where the cores
 * have nothing else to do.
 *
 *   own threads    make part of s+1                     make part of s+2
 *   main thread    mix, pass on s | step s ...          mix, pass on s+1 | step s+1 ..
 *
 * Pictures are mixed by the device.
 */
#ifndef DATA_FEED_H
#define DATA_FEED_H

#include "mesh/mesh.h"
#include "src/data/data.h"

struct feed;

/* What is wanted of a source. */
enum feed_form {
    FEED_IMAGES,
    FEED_IMAGES_AHEAD, /* cheap ones ahead, too: cores would be idle */
    FEED_PICTURES,     /* a device makes images of them; of sources with picture() */
    FEED_TARGETS,      /* and nothing else */
};

/* 'data' and 'mesh' are borrowed.  This rank's row has the images 'b' of every batch of
 * B; this rank wants the classes 'k' of their targets.  'threads' make images.  Returns
 * 0, ERR_MEMORY or ERR_ENV.  Local.
 */
int feed_open(struct feed **feed, const struct data *data, const struct mesh *mesh,
              int64_t B, struct range b, struct range k, int threads,
              enum feed_form form);
void feed_close(struct feed **feed);

/* The batch of 'step' into images [B_l, image*image*3] and targets [B_l, k], the same
 * bits as data_batch()'s; then the next step's is begun.  Dies if the source cannot go
 * on.  One library all-gather over the row if images are shared and the row has several
 * ranks.  Collective over the model axis.
 */
void feed_batch(struct feed *feed, float *images, float *targets, int64_t step);

/* The same of a feed of pictures, for dev_send_pictures() and dev_view_pictures():
 * 'list' [1 + B_l] begins with the picture before the row's first one, which is there
 * with mixup alone; 'bytes' has for each the room of its image in f32, and
 * PICTURE_NUMBERS more.  Returns the share that a picture has in its image.  Three
 * library all-gathers instead of one, the first and second of them small.
 */
double feed_pictures(struct feed *feed, struct dev_picture *list, char *bytes,
                     float *targets, int64_t step);

/* Targets alone, of any feed. */
void feed_targets(struct feed *feed, float *targets, int64_t step);

/* The next batch is the last one: none is begun after it. */
void feed_last(struct feed *feed);

/* The batch of 'step' of a source without a feed, as feed_batch() would bring it to a
 * feed that is opened with these arguments: 'threads' make the images where they are
 * wanted, so that it takes no second batch of memory.  Collective over the model axis.
 */
void feed_once(const struct data *data, const struct mesh *mesh, int64_t B,
               struct range b, struct range k, int threads, float *images,
               float *targets, int64_t step);

#endif
