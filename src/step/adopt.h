/* SPDX-License-Identifier: BSD-3-Clause */
/* Start from the parameters of a model that is not quite the same: one trained on
 * images or patches of another size, or for other classes.
 */
#ifndef STEP_ADOPT_H
#define STEP_ADOPT_H

#include "src/vit/vit.h"

/* What was not taken as it is; 0: it was. */
struct adopted {
    int64_t grid, patch, classes; /* of the file's model */
    bool has_positions;           /* false: they are as they were initialised */
    char text[256];               /* all of it in words, or "" */
};

/* Load the parameters from 'path': positions and the kernel of the patches are resized
 * (resize.h) where the grid or the patch differs; positions only if 'is_resized', else
 * a table of another size stays as it is; so does the classifier where the classes
 * differ.  Then tell the model (vit_changed).  Returns what ckpt_load() does: whatever
 * else differs is ERR_DATA.  Collective over the mesh.
 */
int adopt_load(struct adopted *a, struct vit *vit, const char *path, bool is_resized);

#endif
