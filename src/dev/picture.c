/* SPDX-License-Identifier: BSD-3-Clause */
/* Pictures: what is sent, and whether it may be looked at. */
#include "config.h"

#include "src/dev/picture.h"

#include "src/base/err.h"
#include "src/dev/operate.h"

static struct mat words(struct mat there, int64_t at, int64_t bytes)
{
    const int64_t size = (int64_t)sizeof(float);

    return mat_at(there.buf, DTYPE_F32, there.offset + at / size, 1, bytes / size);
}

/* Bytes of all pictures, of which there is one. */
static int64_t bytes_of(const struct dev_picture *list, int64_t count)
{
    const struct dev_picture *last = &list[count - 1];

    return last->first + dev_picture_bytes(last) - list->first;
}

static void expect_room(const char *op, struct mat there,
                        const struct dev_picture *list, int64_t count)
{
    const int64_t bytes = dev_picture_list(count) + bytes_of(list, count);

    if (there.dtype != DTYPE_F32 || !mat_is_packed(there) || bytes > mat_bytes(there))
        die("%s: %lld bytes in a room of %lld", op, (long long)bytes,
            (long long)mat_bytes(there));
}

void dev_send_pictures(struct dev_stream *s, struct mat there,
                       const struct dev_picture *list, int64_t count, const char *bytes)
{
    if (count == 0)
        return;
    expect_room(__func__, there, list, count);
    dev_send(s, words(there, 0, dev_picture_list(count)), list);
    dev_send(s, words(there, dev_picture_list(count), bytes_of(list, count)),
             bytes + list->first);
}

static bool is_side(int side)
{
    return side > 0 && side <= PICTURE_SIDE;
}

/* True if what is read of it lies between bytes 'lo' and 'hi'. */
static bool is_sound(const struct dev_picture *p, int image, int64_t lo, int64_t hi)
{
    if (p->first < lo || p->first % PICTURE_ALIGN != 0 || !is_side(p->height) ||
        !is_side(p->width) || p->first + dev_picture_bytes(p) > hi)
        return false;
    if (p->is_image)
        return p->height == image && p->width == image;
    return is_side(p->to_height) && is_side(p->to_width) && p->y >= 0 && p->x >= 0 &&
           p->y + image <= p->to_height && p->x + image <= p->to_width;
}

void dev_view_pictures(struct dev_stream *s, struct mat images, struct mat there,
                       const struct dev_picture *list, int64_t count, int image,
                       double share)
{
    int64_t moved;

    EXPECT(images, images.rows, (int64_t)image * image * 3);
    if (images.rows == 0)
        return;
    if (count != images.rows && count != images.rows + 1)
        die("%s: %lld pictures for %lld images", __func__, (long long)count,
            (long long)images.rows);
    expect_room(__func__, there, list, count);
    moved = bytes_of(list, count);
    for (int64_t i = 0; i < count; i++)
        if (!is_sound(&list[i], image, list->first, list->first + moved))
            die("%s: picture %lld does not fit its description", __func__,
                (long long)i);
    MOVE(s, moved + mat_bytes(images),
         view_pictures(s, images, there, list, count, image, share));
}
