/* SPDX-License-Identifier: BSD-3-Clause */
/* Which kernels BLIS runs.  By itself it takes slow generic ones on every processor
 * that is newer than it; the loss is a factor of five where AVX-512 is not used.
 */
#ifndef DEV_BLIS_ARCH_H
#define DEV_BLIS_ARCH_H

#include <stddef.h>

/* Start BLIS with the best kernels of its build for this processor, unless the variable
 * BLIS_ARCH_TYPE says which, and describe them: "BLIS 0.9.0, skx kernels (for
 * AVX-512)". The choice holds until the process ends, whoever starts BLIS first.
 */
void blis_arch_start(char *about, size_t size);

#endif
