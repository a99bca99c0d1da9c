/* SPDX-License-Identifier: BSD-3-Clause */
/* Option tables written out: the help, the startup echo, a config file, JSON. */
#include "config.h"

#include "src/base/opts.h"

#include "src/base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 80, TEXT_COLUMN = 28 };

static const void *value_of(const struct opts *o, const struct opt *row)
{
    return (const char *)o->values + row->offset;
}

/* Rows that hold a value worth telling. */
static bool has_value(const struct opt *row)
{
    return row->type != OPT_TITLE && row->type != OPT_ACTION;
}

static const char *source_name(const struct opts *o, const struct opt *row)
{
    static const char *const names[] = {
        [FROM_DEFAULT] = "default",         [FROM_FILE] = "file",
        [FROM_ENVIRONMENT] = "environment", [FROM_COMMAND_LINE] = "command line",
        [FROM_PROGRAM] = "program",
    };

    return names[o->source[row - o->table]];
}

static void choice_text(char *text, size_t size, const char *choices, int choice)
{
    for (; choice > 0; choice--)
        choices += strcspn(choices, "|") + 1;
    snprintf(text, size, "%.*s", (int)strcspn(choices, "|"), choices);
}

static void bytes_text(char *text, size_t size, int64_t bytes)
{
    static const char *const suffix[] = { "", "K", "M", "G" };
    int i                             = 0;

    while (i < 3 && bytes != 0 && bytes % 1024 == 0) {
        bytes /= 1024;
        i++;
    }
    snprintf(text, size, "%lld%s", (long long)bytes, suffix[i]);
}

/* The shortest text that reads back as the same number. */
static void real_text(char *text, size_t size, double real)
{
    for (int digits = 6; digits <= 17; digits++) {
        snprintf(text, size, "%.*g", digits, real);
        if (strtod(text, NULL) == real)
            return;
    }
}

void opts_text(const struct opts *o, const struct opt *row, char *text, size_t size)
{
    const void *value = value_of(o, row);

    switch (row->type) {
    case OPT_TITLE:
        die("option '%s' is a heading", row->name);
    case OPT_FLAG:
    case OPT_ACTION:
        snprintf(text, size, "%s", *(const bool *)value ? "true" : "false");
        return;
    case OPT_INT:
        snprintf(text, size, "%lld", (long long)*(const int64_t *)value);
        return;
    case OPT_BYTES:
        bytes_text(text, size, *(const int64_t *)value);
        return;
    case OPT_REAL:
        real_text(text, size, *(const double *)value);
        return;
    case OPT_TEXT:
        snprintf(text, size, "%s", (const char *)value);
        return;
    case OPT_CHOICE:
        choice_text(text, size, row->values, *(const int *)value);
        return;
    }
}

/* Print 'text' word by word between the columns 'left' and COLUMNS, the cursor being at
 * 'column', and end the line.
 */
static void print_wrapped(FILE *out, const char *text, int column, int left)
{
    bool is_first = true;

    while (*text != '\0') {
        const int length = (int)strcspn(text, " ");

        if (!is_first && column + 1 + length >= COLUMNS) {
            fprintf(out, "\n%*s", left, "");
            column   = left;
            is_first = true;
        }
        column += fprintf(out, "%s%.*s", is_first ? "" : " ", length, text);
        is_first = false;
        text += length;
        text += strspn(text, " ");
    }
    fprintf(out, "\n");
}

static void help_row(FILE *out, const struct opt *row)
{
    char about[1024];
    int column;

    if (row->type == OPT_TITLE) {
        fprintf(out, "\n%s:\n", row->name);
        return;
    }
    if (row->type == OPT_FLAG || row->type == OPT_ACTION)
        column =
            fprintf(out, "  --%s%s", row->type == OPT_FLAG ? "[no-]" : "", row->name);
    else
        column = fprintf(out, "  --%s=%s", row->name,
                         row->values != NULL ? row->values : "VALUE");
    if (column > TEXT_COLUMN - 2) {
        fprintf(out, "\n");
        column = 0;
    }
    fprintf(out, "%*s", TEXT_COLUMN - column, "");
    if (row->type != OPT_ACTION && row->preset != NULL && row->preset[0] != '\0')
        snprintf(about, sizeof about, "%s (default %s)", row->about, row->preset);
    else
        snprintf(about, sizeof about, "%s", row->about);
    print_wrapped(out, about, TEXT_COLUMN, TEXT_COLUMN);
}

void opts_help(const struct opts *o, FILE *out, const char *usage, const char *about)
{
    fprintf(out, "Usage: %s\n", usage);
    print_wrapped(out, about, 0, 0);
    for (int i = 0; i < o->count; i++)
        help_row(out, &o->table[i]);
}

void opts_echo(const struct opts *o, FILE *out)
{
    char text[4096];

    for (int i = 0; i < o->count; i++) {
        const struct opt *row = &o->table[i];

        if (!has_value(row) || o->source[i] == FROM_DEFAULT)
            continue;
        opts_text(o, row, text, sizeof text);
        fprintf(out, "  %-20s %-24s (%s)\n", row->name, text, source_name(o, row));
    }
}

static bool is_by_user(enum opt_source source)
{
    return source != FROM_DEFAULT && source != FROM_PROGRAM;
}

void opts_dump(const struct opts *o, FILE *out)
{
    char text[4096];

    for (int i = 0; i < o->count; i++) {
        const struct opt *row = &o->table[i];

        if (row->type == OPT_TITLE)
            fprintf(out, "# %s\n", row->name);
        if (!has_value(row) || strcmp(row->name, "config") == 0)
            continue;
        opts_text(o, row, text, sizeof text);
        fprintf(out, "%s%s = %s\n", is_by_user(o->source[i]) ? "" : "#", row->name,
                text);
    }
}

static json_t *value_json(const struct opts *o, const struct opt *row)
{
    const void *value = value_of(o, row);
    char text[4096];

    switch (row->type) {
    case OPT_FLAG:
        return json_boolean(*(const bool *)value);
    case OPT_INT:
    case OPT_BYTES:
        return json_integer(*(const int64_t *)value);
    case OPT_REAL:
        return json_real(*(const double *)value);
    default:
        opts_text(o, row, text, sizeof text);
        return json_string(text);
    }
}

json_t *opts_json(const struct opts *o)
{
    json_t *all = json_object();

    for (int i = 0; i < o->count; i++) {
        const struct opt *row = &o->table[i];

        if (has_value(row))
            json_object_set_new(all, row->name,
                                json_pack("{s:o, s:s}", "value", value_json(o, row),
                                          "source", source_name(o, row)));
    }
    return all;
}
