/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading damaged files: the names are libFuzzer's, which can drive these as well. */
#ifndef TESTS_FUZZ_H
#define TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Take 'size' bytes of a file: whatever they are, it returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FUZZ_SIZE = 1 << 20 }; /* bytes of the largest file */

/* Mend an .npz or .safetensors file as far as sums and lengths go: 'data' has room for
 * FUZZ_SIZE bytes.  Returns its size.
 */
size_t fuzz_repair(uint8_t *data, size_t size);

#endif
