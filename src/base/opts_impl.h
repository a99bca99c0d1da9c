/* SPDX-License-Identifier: BSD-3-Clause */
/* What opts_parse.c needs of a table (opts.c). */
#ifndef BASE_OPTS_IMPL_H
#define BASE_OPTS_IMPL_H

#include "src/base/opts.h"

enum { OPTS_NAME = 64 }; /* letters of a name, or of a choice, and the end */

/* The row of option 'name', or NULL; the name that 'typed' was meant to be, or NULL. */
const struct opt *opts_find(const struct opts *o, const char *name);
const char *opts_guess(const struct opts *o, const char *typed);

/* True of a choice that has "on" and "off": it can be typed like a flag, as --name and
 * --no-name.
 */
bool opts_is_switch(const struct opt *row);

/* Store 'text' into the value of 'row', unless a stronger source has set it before.
 * 'from' says in the sentence of an error where it came from: " (from VITBENCH_MESH)",
 * "" for the command line.  Returns 0 or ERR_USAGE.
 */
int opts_store(struct opts *o, const struct opt *row, const char *text,
               enum opt_source source, const char *from);

/* Set all values to their defaults, which must be as good as what a user types: dies if
 * one is not.
 */
void opts_preset(struct opts *o);

#endif
