/* SPDX-License-Identifier: BSD-3-Clause */
/* Lines of a report. */
#include "config.h"

#include "src/base/field.h"

#include <string.h>

void field_vprint(FILE *out, int width, const char *label, const char *fmt,
                  va_list args)
{
    const int room = FIELD_COLUMNS - width;
    char text[8192];
    const char *at = text;

    vsnprintf(text, sizeof text, fmt, args);
    do {
        int length = (int)strlen(at), next;

        if (length > room) {
            for (length = room; length > 0 && at[length] != ' '; length--)
                ;
            length = length > 0 ? length : room;
        }
        next = length + (at[length] == ' ');
        fprintf(out, "%-*s%.*s\n", width, label, length, at);
        label = "";
        at += next;
    } while (*at != '\0');
}

void field_print(FILE *out, int width, const char *label, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    field_vprint(out, width, label, fmt, args);
    va_end(args);
}

void field_rule(FILE *out, char c)
{
    for (int i = 0; i < FIELD_COLUMNS; i++)
        fputc(c, out);
    fputc('\n', out);
}
