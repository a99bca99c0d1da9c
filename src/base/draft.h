/* SPDX-License-Identifier: BSD-3-Clause */
/* A file that is written beside its name, and takes it when it is whole.
 *
 *   FILE.PID.part  -- written, flushed, synced -->  FILE
 *
 * Until then the file that was there stays as it is: a full disk or a kill costs
 * nothing that was saved before, and of two programs that write one name at once
 * each writes a whole file.  Devices and pipes have nothing to lose, and are written
 * as they are.  The new file has the old one's permissions.  A file that may be
 * written, but not replaced, is written over at the end, from a temporary one.  A
 * writer that is killed leaves its part, and nobody removes it: who has that number
 * here may live on another host.
 */
#ifndef BASE_DRAFT_H
#define BASE_DRAFT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

enum { DRAFT_PATH = 4096 };

struct draft {
    FILE *file; /* to write to; whoever does may leave errors to draft_finish() */
    bool is_beside;
    char path[DRAFT_PATH], part[DRAFT_PATH + 32]; /* the same where not beside */
};

/* Make sure, before the work, that 'path' (empty: none) can be written, as far as that
 * can be told: up to 'room' bytes, for a full disk opens files, too.  Nothing stays of
 * it.  Returns 0 or ERR_IO.
 */
int draft_probe(const char *path, size_t room);

/* ERR_USAGE if two 'outputs' of a program, or one of them and one of the 'inputs' that
 * follow in 'path', are one file, by whatever names; "" is none, and devices and pipes
 * take more than one.
 */
int draft_apart(const char *const *path, int outputs, int inputs);

/* Begin to write 'path'.  Returns 0 or ERR_IO. */
int draft_open(struct draft *d, const char *path);

/* It is whole: give it its name.  It stays open; what is written from here on is in it.
 * Returns 0, or ERR_IO, and then nothing is left of the draft, unless it was written
 * over the file: the temporary one stays, and the sentence names it; or its folder
 * could not be synced: then it has its name, but may lose it where the machine stops.
 */
int draft_publish(struct draft *d);

/* The same, and close it. */
int draft_finish(struct draft *d);

/* Nothing is left of it. */
void draft_drop(struct draft *d);

/* Give 'from', a whole file that has been synced, the name 'path' in the same folder,
 * which is synced then, for only that keeps a new name.  Returns 0, or ERR_IO: then the
 * file has the name 'from', but where it took the place of another one, which is gone.
 */
int draft_rename(const char *path, const char *from);

/* Write 'json' and a newline to 'path'; 'form' are Jansson's flags.  Returns 0, ERR_IO,
 * or ERR_DATA for a text that is not UTF-8.
 */
int draft_json(const json_t *json, size_t form, const char *path);

#endif
