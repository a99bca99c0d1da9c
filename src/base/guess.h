/* SPDX-License-Identifier: BSD-3-Clause */
/* What a misspelt name was probably meant to be, for "did you mean ..?". */
#ifndef BASE_GUESS_H
#define BASE_GUESS_H

struct guess {
    const char *typed; /* the misspelt name */
    const char *name;  /* the nearest name tried so far, or NULL: none is near */
    int distance;
};

/* Take 'name' (borrowed) if it is nearer to what was typed than those tried before.  At
 * most a third of the letters may be wrong, or the end be missing.
 */
void guess_try(struct guess *g, const char *name);

#endif
