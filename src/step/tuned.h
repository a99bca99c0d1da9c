/* SPDX-License-Identifier: BSD-3-Clause */
/* What timing has chosen, in words: for reports, and in a checkpoint's /meta, from
 * where a run that goes on takes it over.  Choices change the last bits of results.
 */
#ifndef STEP_TUNED_H
#define STEP_TUNED_H

#include "mesh/progress.h"
#include "src/dev/dev.h"

#include <jansson.h>

struct tuned {
    struct cmm_tuned products;
    enum progress_form progress;
};

/* The choice for one product and pass: its name, "in_backward", and "ring 16". */
enum { TUNED_TEXT = 24 };
void tuned_choice(char name[TUNED_TEXT], char text[TUNED_TEXT],
                  const struct cmm_tuned *t, enum cmm_product product,
                  enum cmm_pass pass);

/* All of it, and the place it was made at (place.h): {"mesh": "2x1", .., "progress":
 * "poll", "in": "ring 4", ..}.  The caller owns the reference.
 */
json_t *tuned_json(const struct tuned *t, const struct mesh *mesh,
                   const struct dev *dev);

/* Take it from there: false, and 't' stays, if it is of another mesh, device, format or
 * build, or not complete.  Local.
 */
bool tuned_take(struct tuned *t, const json_t *from, const struct mesh *mesh,
                const struct dev *dev);

#endif
