/* SPDX-License-Identifier: BSD-3-Clause */
/* From pixels to what the model sees: crop, flip, resize, and the range -1 .. 1.
 *
 * Resizing is bilinear with pixel centres at half numbers, as TensorFlow's and JAX's.
 * The inception crop is drawn as by TensorFlow's sample_distorted_bounding_box as the
 * papers use it: 5 to 100 % of the area, an aspect even between 3/4 and 4/3, a hundred
 * tries; then resized without antialiasing.  Theirs differs by a pixel at times: the
 * aspect ends at 1.33, the height half a pixel later, and only a crop that fills a side
 * touches the last row or column.
 * Their code cuts what it has resized down to whole bytes; here it stays as it is, half
 * a step of 255 more on average.
 * Without a crop, an image of another size is resized with antialiasing to a square
 * 8/7 as large as wanted (256 for 224), of which the middle is taken; an image of the
 * right size is taken as it is.
 */
#ifndef DATA_AUGMENT_H
#define DATA_AUGMENT_H

#include "src/dev/picture.h"

#include <stdbool.h>
#include <stdint.h>

enum augment { AUGMENT_NONE, AUGMENT_FLIP, AUGMENT_CROP };

/* Rows top down, pixels left to right, red, green, blue: [height, width, 3]. */
struct pixels {
    const uint8_t *rgb; /* borrowed */
    int height, width;
};

struct box {
    int y, x, height, width;
};

/* Which part of a picture becomes which part of a larger whole: the box 'from' is
 * resized to height x width, of which 'part' is made.
 */
struct view {
    struct box from;
    int height, width;
    struct box part;
    bool is_smooth;  /* with antialiasing, where it gets smaller */
    bool is_flipped; /* left and right */
};

/* What image 'index' sees of its picture, of 'height' x 'width' pixels, with 'how':
 * 'size' is the side of the image.  The same arguments give the same view.
 */
struct view augment_view(int height, int width, int size, enum augment how,
                         uint64_t seed, int64_t index);

/* The view of a picture that keeps its sides' ratio: the smaller one becomes 'size',
 * and the middle square is taken.
 */
struct view augment_middle(int height, int width, int size);

/* image [part.height, part.width, 3] = the view of 'p', -1 .. 1.  Row r of 'p' is row
 * 'first_row' + r of the picture that the view speaks of.
 * About 4 to 10 operations for each number of the box and of the result.
 */
void augment_apply(float *image, struct pixels p, int first_row, const struct view *v);

/* The same for a device to make: 'room' gets the bytes of the box or, if those of the
 * image's numbers are fewer, the image, and 'picture' what dev_view_pictures() is to
 * know of it, 'first' aside.  'room' is as large as the image, which is square, and
 * PICTURE_ALIGN bytes more.
 */
void augment_cut(struct dev_picture *picture, void *room, struct pixels p,
                 int first_row, const struct view *v);

/* Numbers of -1 .. 1 as bytes, rounded. */
void augment_bytes(uint8_t *bytes, const float *image, int64_t n);

#endif
