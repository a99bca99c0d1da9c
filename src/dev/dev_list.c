/* SPDX-License-Identifier: BSD-3-Clause */
/* The backends of this build, best first: what 'auto' tries in turn. */
#include "config.h"

#include "src/dev/dev_impl.h"

const struct dev_ops *const dev_backends[] = {
#ifdef HAVE_CUDA
    &dev_cuda,
#endif
#ifdef HAVE_ONEDNN
    &dev_cpu_onednn,
#endif
#ifdef HAVE_BLIS
    &dev_cpu_blis,
#endif
    &dev_cpu_ref,    &dev_cpu_emulate, NULL,
};
