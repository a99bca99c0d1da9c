/* SPDX-License-Identifier: BSD-3-Clause */
/* A list of hosts written short, as batch systems do: node[001-003,007]. */
#ifndef BENCH_HOSTS_H
#define BENCH_HOSTS_H

#include "src/base/log.h"

#include <jansson.h>

/* The 'count' names of 'host', sorted here and each taken once, as an array with one
 * text for all that differ in their last number alone.  The caller owns the reference.
 */
json_t *hosts_compress(char (*host)[HOST_NAME], int count);

#endif
