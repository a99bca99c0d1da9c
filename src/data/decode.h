/* SPDX-License-Identifier: BSD-3-Clause */
/* Pixels from JPEG and PNG files in memory, and back.  A build may lack one or both
 * formats: what it lacks is refused with a sentence.
 *
 * Files are not trusted: whatever the bytes are, a call returns, within bounds, with
 * pixels or with ERR_DATA and a sentence that begins with what is wrong.
 */
#ifndef DATA_DECODE_H
#define DATA_DECODE_H

#include "src/data/augment.h"

#include <stddef.h>

/* Larger pictures are refused, and so are progressive files whose scans together pass
 * over more pixels: small files can ask for much work.
 */
enum {
    DECODE_SIDE_MOST   = 1 << 15,
    DECODE_PIXELS_MOST = 1 << 26,
    DECODE_PASSES_MOST = 1 << 30
};

enum decode_kind { DECODE_UNKNOWN, DECODE_JPEG, DECODE_PNG };

/* Memory for pictures, used again and again: all zero at the start, freed by
 * decode_free().  One thread at a time.
 */
struct decode_room {
    void *bytes;
    size_t size;
};

/* What the file is, by its first bytes. */
enum decode_kind decode_kind(const void *file, size_t size);

/* The picture's sides, from the head of the file.  Returns, as the next does, 0,
 * ERR_DATA, or ERR_ENV for a format that this build lacks; the next also ERR_MEMORY,
 * where the room has to grow.
 */
int decode_size(int *height, int *width, const void *file, size_t size);

/* The rows 'first' .. 'last' - 1 of the picture; others may be left out.  'p' holds
 * only these; its memory is the room's, valid until the next call.  Grey becomes three
 * equal colours, transparent parts lie on white, 16 bits become 8.  A file that ends
 * too early or is damaged in these rows is ERR_DATA.
 */
int decode_rows(struct pixels *p, struct decode_room *room, const void *file,
                size_t size, int first, int last);

void decode_free(struct decode_room *room);

/* The picture as a JPEG file of 'quality' 1 .. 100, or as a PNG file, of '*size' bytes
 * in the room.  Likewise.
 */
int encode_jpeg(struct decode_room *room, size_t *size, struct pixels p, int quality);
int encode_png(struct decode_room *room, size_t *size, struct pixels p);

#endif
