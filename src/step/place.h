/* SPDX-License-Identifier: BSD-3-Clause */
/* Where a run is: what the last bits of its results depend on, besides its options.
 * In a checkpoint's /meta, to be compared by a run that goes on.
 */
#ifndef STEP_PLACE_H
#define STEP_PLACE_H

#include "mesh/mesh.h"
#include "src/dev/dev.h"

#include <jansson.h>
#include <stddef.h>

/* {"mesh": "2x1", "near": 2, "device": "cpu:blis f32", "processor": ..., "threads": 1,
 * "build": ...}, the processor being this rank's.  The caller owns the reference.
 */
json_t *place_json(const struct mesh *mesh, const struct dev *dev);

/* In what the place 'from' differs from 'here', of what it says: "mesh 1x2 (now 2x1),
 * threads 1 (now 2)", or "".
 */
void place_compare(char *text, size_t size, const json_t *from, const json_t *here);

#endif
