/* SPDX-License-Identifier: BSD-3-Clause */
/* Which model a checkpoint holds, by what it says about itself. */
#ifndef STEP_STORED_H
#define STEP_STORED_H

#include "ckpt/file.h"
#include "src/plan/spec.h"

/* Complete 's' from the options that are stored in 'file' (shape, layers, pool, ..; one
 * that is missing has its default), with as many classes as its classifier has (the
 * options of a run on a set need not tell).  Returns 0, or ERR_DATA with a sentence.
 * Local.
 */
int stored_spec(struct spec *s, const struct ckpt_file *file);

/* The share of its set that the run of these options has held out; 0: none, or another
 * set was.
 */
double stored_held_share(const json_t *options);

/* Whether it was trained on some of the images that are held out of the set of digest
 * 'identity' (0: none) where their share is 'share'.
 */
bool stored_has_seen(const json_t *options, uint64_t identity, double share);

#endif
