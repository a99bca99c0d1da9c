/* SPDX-License-Identifier: BSD-3-Clause */
/* What a run costs: FLOPs from the shape, and on a machine that vitbench measured
 * device-seconds (a device is a rank), the mesh, memory, and whether it fits.
 */
#ifndef FIT_COST_H
#define FIT_COST_H

#include "src/plan/machine.h"
#include "src/plan/spec.h"

struct cost {
    double forward, train; /* FLOP of an image */
    int64_t params;
    /* With a machine, else NaN and 0: */
    double seconds; /* device-seconds of training on an image, without messages */
    int D, M;
    int64_t batch; /* images of a step on this mesh */
    double step_s; /* that such a step takes, with its messages */
    int64_t bytes; /* of a rank */
    bool fits;
};

/* The spec of C/L/F with 'heads' and MAP pooling.  Returns as spec_make() does. */
int cost_spec(struct spec *s, int64_t C, int64_t L, int64_t F, int64_t heads, int patch,
              int image, int64_t classes);

/* What training 's' costs; with a machine 'm', else NULL, what it takes there, on the
 * mesh with the fewest model ranks that fits.  'batch' is the global batch, of which a
 * data rank has at most 8 images, so that few images leave ranks of a large machine
 * idle, and parameters are cut over those that work.  Never fails: what does not fit
 * says so.
 */
void cost_of(struct cost *c, const struct spec *s, const struct machine *m,
             int64_t batch);

/* Forward FLOPs of an image for sizes that need not be whole. */
double cost_forward(double C, double L, double F, const struct spec *like);

#endif
