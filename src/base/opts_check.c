/* SPDX-License-Identifier: BSD-3-Clause */
/* Options of the command line that would be passed over in silence. */
#include "config.h"

#include "src/base/err.h"
#include "src/base/opts.h"

#include <string.h>

int opts_check_command(const struct opts *o, const char *command)
{
    const char *title = "";

    for (int i = 0; i < o->count; i++) {
        const struct opt *row = &o->table[i];

        if (row->type == OPT_TITLE)
            title = row->name;
        else if (o->source[i] == FROM_COMMAND_LINE && strstr(title, command) == NULL &&
                 strstr(title, "every") == NULL)
            return ERR(ERR_USAGE, "--%s is not for '%s'; --help says what is",
                       row->name, command);
    }
    return 0;
}

int opts_check_idle(const struct opts *o, const struct opt_idle *idle, int count)
{
    for (int i = 0; i < o->count; i++) {
        const struct opt *row = &o->table[i];

        for (int j = 0; j < count; j++) {
            if (o->source[i] == FROM_COMMAND_LINE && idle[j].is_idle &&
                strcmp(row->name, idle[j].name) == 0)
                return ERR(ERR_USAGE, "--%s %s", row->name, idle[j].sentence);
        }
    }
    return 0;
}
