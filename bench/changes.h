/* SPDX-License-Identifier: BSD-3-Clause */
/* --compare: where a change against an earlier run comes from. */
#ifndef BENCH_CHANGES_H
#define BENCH_CHANGES_H

#include "bench/result.h"

#include <stdio.h>

/* Read the JSON of an earlier run into '*old', which json_decref() frees.  Returns 0,
 * ERR_IO, or ERR_DATA with a sentence if it is no result of vitbench.
 */
int changes_open(json_t **old, const char *path);

/* Print by how much the steps of 'c' differ from those of the same case and shape in
 * 'old', stage by stage and for each kind of message that is waited for, and name what
 * most of it comes from; nothing for other cases.  'options' are those of this run, as
 * opts_json() has them, 'system' is what it ran on: what makes other work of a step, or
 * does it in another way, is told.
 */
void changes_print(FILE *out, const struct case_result *c, const json_t *options,
                   const json_t *system, const json_t *old);

#endif
