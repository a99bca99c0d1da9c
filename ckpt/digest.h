/* SPDX-License-Identifier: BSD-3-Clause */
/* The digest of a dataset: the sum modulo 2^64, over its elements, of a mix of the
 * element's number and its bits.  A sum does not depend on the order, so ranks add up
 * what they hold of a dataset in parallel, on any mesh, and get the same.
 */
#ifndef CKPT_DIGEST_H
#define CKPT_DIGEST_H

#include <stdint.h>

/* The sum over 'n' elements, of which the first has the number 'index'. */
uint64_t digest_of(const float *x, int64_t n, int64_t index);

#endif
