/* SPDX-License-Identifier: BSD-3-Clause */
/* What decode.c asks of each format, and the formats of it. */
#ifndef DATA_DECODE_IMPL_H
#define DATA_DECODE_IMPL_H

#include "src/data/decode.h"

/* ERR_DATA with a sentence for a picture that is too large. */
int decode_limits(int64_t height, int64_t width);

/* Make room for so many bytes; what was in it is lost if it grows. */
int decode_reserve(struct decode_room *room, size_t bytes);

int jpeg_size(int *height, int *width, const void *file, size_t size);
int jpeg_rows(struct pixels *p, struct decode_room *room, const void *file, size_t size,
              int first, int last);
int png_size(int *height, int *width, const void *file, size_t size);
int png_rows(struct pixels *p, struct decode_room *room, const void *file, size_t size,
             int first, int last);

#endif
