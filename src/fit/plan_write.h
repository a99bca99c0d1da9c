/* SPDX-License-Identifier: BSD-3-Clause */
/* A sweep on disk: plan.jsonl, one line a run, and array.sbatch, one task a line. */
#ifndef FIT_PLAN_WRITE_H
#define FIT_PLAN_WRITE_H

#include "src/fit/sweep.h"

#include <jansson.h>

/* Write both into 'folder', which is made if it is not there.  The array asks for the
 * runs that are not done; 'probe' is how to evaluate, or "".  Returns 0 or ERR_IO.
 */
int plan_write(const struct sweep *s, const char *folder, const char *probe);

/* One run as an object, which the caller owns. */
json_t *plan_json(const struct sweep *s, const struct run *r);

#endif
