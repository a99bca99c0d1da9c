/* SPDX-License-Identifier: BSD-3-Clause */
/* What the readers and writers of the two formats share. */
#ifndef EXCHANGE_FOREIGN_IMPL_H
#define EXCHANGE_FOREIGN_IMPL_H

#include "src/exchange/foreign.h"

struct foreign_format {
    /* List all arrays with foreign_add(), from the open file. */
    int (*open)(struct foreign *f);
    /* 'bytes' bytes of an array, from its byte 'at' on. */
    int (*read)(void *to, struct foreign *f, const struct array *array, int64_t at,
                int64_t bytes);
    void (*close)(struct foreign *f);
    /* Write all of it to the new file 'path'. */
    int (*write)(const char *path, const struct supply *supply);
};

extern const struct foreign_format foreign_npz, foreign_safetensors;

/* One more array, of that name; the rest is for the caller to fill.  ERR_DATA if the
 * name is too long or odd.
 */
int foreign_add(struct array **array, struct foreign *f, const char *name);

/* Set the elements of 'array' from its shape; ERR_DATA if they are more than the file's
 * format can mean.  Bytes of an element, 0 for ARRAY_OTHER.
 */
int foreign_count(struct array *array, const struct foreign *f);
int64_t foreign_size(enum array_type type);

#endif
