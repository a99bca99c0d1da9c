/* SPDX-License-Identifier: BSD-3-Clause */
/* Files that hold one JSON value, as they are read; base/draft.h writes them. */
#ifndef BASE_JSON_FILE_H
#define BASE_JSON_FILE_H

#include <jansson.h>

/* What 'path' holds into '*root', which the caller owns.  Returns 0; ERR_DATA
 * where there is no such file or it holds no JSON, with the place; ERR_IO
 * where it cannot be read.
 */
int json_file_load(json_t **root, const char *path);

#endif
