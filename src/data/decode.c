/* SPDX-License-Identifier: BSD-3-Clause */
/* What is the same for both formats: telling them apart, limits, memory. */
#include "config.h"

#include "src/data/decode.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/data/decode_impl.h"

#include <string.h>

int decode_limits(int64_t height, int64_t width)
{
    if (height < 1 || width < 1 || height > DECODE_SIDE_MOST ||
        width > DECODE_SIDE_MOST || height * width > DECODE_PIXELS_MOST)
        return ERR(ERR_DATA, "a picture of %lld x %lld pixels is not read here",
                   (long long)width, (long long)height);
    return 0;
}

int decode_reserve(struct decode_room *room, size_t bytes)
{
    if (bytes <= room->size)
        return 0;
    decode_free(room);
    TRY(mem_alloc(&room->bytes, bytes));
    room->size = bytes;
    return 0;
}

void decode_free(struct decode_room *room)
{
    mem_free(room->bytes);
    *room = (struct decode_room){ 0 };
}

enum decode_kind decode_kind(const void *file, size_t size)
{
    static const unsigned char png[]  = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };
    static const unsigned char jpeg[] = { 0xff, 0xd8, 0xff };

    if (size >= sizeof png && memcmp(file, png, sizeof png) == 0)
        return DECODE_PNG;
    if (size >= sizeof jpeg && memcmp(file, jpeg, sizeof jpeg) == 0)
        return DECODE_JPEG;
    return DECODE_UNKNOWN;
}

int decode_size(int *height, int *width, const void *file, size_t size)
{
    switch (decode_kind(file, size)) {
    case DECODE_JPEG:
        return jpeg_size(height, width, file, size);
    case DECODE_PNG:
        return png_size(height, width, file, size);
    case DECODE_UNKNOWN:
        break;
    }
    return ERR(ERR_DATA, "neither JPEG nor PNG");
}

int decode_rows(struct pixels *p, struct decode_room *room, const void *file,
                size_t size, int first, int last)
{
    if (decode_kind(file, size) == DECODE_JPEG)
        return jpeg_rows(p, room, file, size, first, last);
    if (decode_kind(file, size) == DECODE_PNG)
        return png_rows(p, room, file, size, first, last);
    return ERR(ERR_DATA, "neither JPEG nor PNG");
}
