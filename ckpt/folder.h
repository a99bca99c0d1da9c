/* SPDX-License-Identifier: BSD-3-Clause */
/* The folder of a run's checkpoints: their names, which there are, which go, and
 * whether there is room for another.  One process does this.
 */
#ifndef CKPT_FOLDER_H
#define CKPT_FOLDER_H

#include "ckpt/ckpt.h"

/* DIR/ckpt-00001000.h5 */
void folder_path(char path[CKPT_PATH], const char *dir, int64_t step);

/* 0 if names of files in 'dir' have room, else ERR_USAGE. */
int folder_check(const char *dir);

/* Make 'dir' and the folders on the way, where they are not there, claim it, and remove
 * what was not finished there.  Returns 0, ERR_USAGE or ERR_IO.
 */
int folder_open(struct claim *claim, const char *dir);

/* The steps of the checkpoints in 'dir', the newest first, into '*steps' (mem_free()).
 * Returns how many, or ERR_IO; a folder that is not there has none.
 */
int folder_steps(int64_t **steps, const char *dir);

/* 0 if there is room for a file of 'bytes', else ERR_IO. */
int folder_has_room(const char *dir, int64_t bytes);

/* Remove a file that is not finished, and give its room back at once even if something
 * holds it open.
 */
void folder_drop(const char *path);

/* Remove all but the 'keep' newest (0: all stay) of those up to 'step', which was just
 * written.  Later ones are damaged, else the run would have gone on from them: they
 * take no other's place.
 */
void folder_keep(const char *dir, int keep, int64_t step);

#endif
