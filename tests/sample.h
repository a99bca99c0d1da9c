/* SPDX-License-Identifier: BSD-3-Clause */
/* A result in which every field is in use, for tests of its writers. */
#ifndef TESTS_SAMPLE_H
#define TESTS_SAMPLE_H

#include "bench/result.h"

/* Three cases: "step" of a slice of 22B that passed, marked, with everything in it;
 * "step" of So400m, skipped; "coll" with two rows.  Close with result_close().
 */
struct result *sample_result(void);

#endif
