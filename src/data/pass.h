/* SPDX-License-Identifier: BSD-3-Clause */
/* What a rank has made of its row's batch, passed on to the others of the row, which
 * are those along the model axis: rank m has the images split_range(n, M, m).
 */
#ifndef DATA_PASS_H
#define DATA_PASS_H

#include "mesh/mesh.h"
#include "src/dev/picture.h"

/* Complete images [n, numbers], of which this rank's are in their place.  One library
 * all-gather.  Collective over the model axis.
 */
void pass_images(float *images, int64_t n, int64_t numbers, const struct mesh *mesh);

/* Where the pictures of each rank are to begin, start [M + 1], of which this one's have
 * 'bytes'.  One library all-gather.  Collective over the model axis.
 */
void pass_sizes(int64_t *start, int64_t bytes, const struct mesh *mesh);

/* Complete list [1 + n] and 'bytes', of which this rank's are in their place;
 * the first rank has one more, the first.  Two library all-gathers.
 * Collective over the model axis.
 */
void pass_pictures(struct dev_picture *list, char *bytes, int64_t n,
                   const int64_t *start, const struct mesh *mesh);

#endif
