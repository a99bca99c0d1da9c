/* SPDX-License-Identifier: BSD-3-Clause */
/* What the checks of a step share: residuals, and the verdict on them. */
#include "config.h"

#include "bench/verify.h"

#include "src/base/err.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

void verify_decide(struct check *c, const char *name, double residual, double threshold)
{
    snprintf(c->name, sizeof c->name, "%s", name);
    c->residual  = residual;
    c->threshold = threshold;
    c->status    = residual <= threshold ? STATUS_PASS : STATUS_FAIL;
}

double verify_yardstick(const struct params *params, const double *square, int tensor)
{
    const struct param *p = &params->param[tensor];
    const size_t stem     = strlen(p->name) - strlen("bias");

    if (!p->is_key_bias)
        return sqrt(square[tensor]);
    for (int i = 0; i < params->count; i++) {
        const char *name = params->param[i].name;

        if (strncmp(name, p->name, stem) == 0 && strcmp(name + stem, "kernel") == 0)
            return sqrt(fmax(square[tensor], square[i]));
    }
    die("%s has no kernel", p->name);
}

double verify_residual(double difference, double yardstick, double eps)
{
    if (!(difference <= DBL_MAX) || !(yardstick <= DBL_MAX))
        return INFINITY;
    if (difference == 0)
        return 0;
    return difference / (eps * yardstick);
}
