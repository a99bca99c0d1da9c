/* SPDX-License-Identifier: BSD-3-Clause */
/* What is in a set, in words. */
#ifndef DATA_DESCRIBE_H
#define DATA_DESCRIBE_H

#include <stdio.h>

/* Print what the set 'path' holds, and read all of it to compare it with its digest.
 * Returns 0, ERR_IO or ERR_DATA.
 */
int describe_set(FILE *out, const char *path);

#endif
