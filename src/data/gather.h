/* SPDX-License-Identifier: BSD-3-Clause */
/* Which files a set is made of, and their labels. */
#ifndef DATA_GATHER_H
#define DATA_GATHER_H

#include <stdbool.h>
#include <stdint.h>

struct gather_file {
    char *path;     /* owned, as is 'label' */
    int32_t *label; /* [labels] */
    int labels;
    int64_t bytes; /* 0: not known yet */
};

struct gather {
    struct gather_file *file; /* 'count' of them */
    int64_t count, room;
    int64_t classes;
    bool has_many;     /* a file has another number of labels than one */
    char *names;       /* of the classes, a line each, or ""; owned */
    int64_t bad_lines; /* lines, or files, that were skipped, each named on stderr */
};

/* All files below the folder 'from', or those of the list 'from', as pack.h has it.
 * Returns 0, ERR_IO or ERR_DATA.  Close with gather_close(), also after an error.
 */
int gather_folder(struct gather *g, const char *from);
int gather_list(struct gather *g, const char *from);
void gather_close(struct gather *g);

#endif
