/* SPDX-License-Identifier: BSD-3-Clause */
/* Pictures that become images on the device: bytes travel, and what is made of them is
 * four times as much, or more.
 *
 *   host    list | bytes of the boxes     in memory from which the device copies by
 *                                         itself
 *              dev_send_pictures()
 *   device  list | bytes of the boxes
 *              dev_view_pictures()
 *           images, numbers of -1 .. 1
 *
 * A box is resized bilinearly, pixel centres at half numbers: place i of n along an
 * axis of m pixels looks at s = (i + 1/2) m / n; pixel j, centred at j + 1/2, weighs
 * max(0, 1 - |j + 1/2 - s| / r), where r is 1, or m / n for antialiased shrinking;
 * weights inside of the box are scaled to add up to 1.
 */
#ifndef DEV_PICTURE_H
#define DEV_PICTURE_H

#include "src/dev/dev.h"

/* One picture, as it lies in the host's and in the device's memory. */
struct dev_picture {
    int64_t first;               /* its first byte, a multiple of PICTURE_ALIGN */
    int32_t height, width;       /* of the box; its bytes are [height, width, 3] */
    int32_t to_height, to_width; /* what it is resized to, of which the image is the */
    int32_t y, x;                /* square that begins in this row and column */
    bool is_smooth;              /* with antialiasing, where it gets smaller */
    bool is_flipped;             /* left and right */
    bool is_image;               /* no bytes: the image itself, in f32 */
    uint8_t rest[5];             /* zero: descriptions are sent */
};

enum {
    PICTURE_ALIGN   = 16,
    PICTURE_NUMBERS = 16,     /* of a row of them besides an image's */
    PICTURE_SIDE    = 1 << 20 /* the longest */
};

/* An image of 'image' pixels a side as it is. */
static inline struct dev_picture dev_picture_image(int image)
{
    return (struct dev_picture){ .height = image, .width = image, .is_image = true };
}

/* The bytes that it has itself. */
static inline int64_t dev_picture_size(const struct dev_picture *p)
{
    return 3 * (int64_t)p->height * p->width * (p->is_image ? 4 : 1);
}

/* From the first byte to where the next picture may begin. */
static inline int64_t dev_picture_bytes(const struct dev_picture *p)
{
    return (dev_picture_size(p) + PICTURE_ALIGN - 1) / PICTURE_ALIGN * PICTURE_ALIGN;
}

/* Bytes of a list, behind which those of the pictures begin. */
static inline int64_t dev_picture_list(int64_t count)
{
    const int64_t bytes = count * (int64_t)sizeof(struct dev_picture);

    return (bytes + PICTURE_ALIGN - 1) / PICTURE_ALIGN * PICTURE_ALIGN;
}

/* Send the 'count' pictures of 'list', which lie one behind the other: their bytes are
 * at 'bytes' + first.  Both are in memory of dev_pin(), and stay as they are until what
 * was put on 's' is done.  'there' is [any, 3 image^2 + PICTURE_NUMBERS] of f32,
 * packed, with a row for each picture if none has more bytes than its image.
 */
void dev_send_pictures(struct dev_stream *s, struct mat there,
                       const struct dev_picture *list, int64_t count,
                       const char *bytes);

/* images [n, image * image * 3] of dev_acc() type from what was sent last to 'there':
 * 'list' says so.  Of n + 1 pictures image i is 'share' of the view of picture i + 1
 * and
 * 1 - 'share' of that of picture i, both rounded to the device's format.
 * A value of a view is off by at most (rows + columns that it sees + 7) 2^-23 in f32.
 */
void dev_view_pictures(struct dev_stream *s, struct mat images, struct mat there,
                       const struct dev_picture *list, int64_t count, int image,
                       double share);

#endif
