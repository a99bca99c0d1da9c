/* SPDX-License-Identifier: BSD-3-Clause */
/* Option tables: a row by its name, and its value by the text of it.  Where texts come
 * from is opts_parse.c, how a table is written out opts_write.c.
 */
#include "config.h"

#include "src/base/opts_impl.h"

#include "src/base/err.h"
#include "src/base/guess.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* --- Names ---------------------------------------------------------------- */

const struct opt *opts_find(const struct opts *o, const char *name)
{
    for (int i = 0; i < o->count; i++) {
        if (o->table[i].type != OPT_TITLE && strcmp(o->table[i].name, name) == 0)
            return &o->table[i];
    }
    return NULL;
}

const char *opts_guess(const struct opts *o, const char *typed)
{
    struct guess guess = { .typed = typed };

    for (int i = 0; i < o->count; i++) {
        if (o->table[i].type != OPT_TITLE)
            guess_try(&guess, o->table[i].name);
    }
    return guess.name;
}

/* --- Values --------------------------------------------------------------- */

static int64_t suffix_factor(char suffix, int64_t kilo)
{
    switch (suffix) {
    case 'K':
        return kilo;
    case 'M':
        return kilo * kilo;
    case 'G':
        return kilo * kilo * kilo;
    }
    return 0;
}

/* A whole number with an optional suffix; false if 'text' is not one. */
static bool parse_whole(int64_t *value, const char *text, int64_t kilo)
{
    char *end;
    long long number;

    errno  = 0;
    number = strtoll(text, &end, 10);
    if (end == text || isspace((unsigned char)text[0]) || errno == ERANGE)
        return false;
    *value = number;
    if (*end == '\0')
        return true;
    return end[1] == '\0' && suffix_factor(*end, kilo) != 0 &&
           !__builtin_mul_overflow(number, suffix_factor(*end, kilo), value);
}

static bool parse_real(double *value, const char *text)
{
    char *end;

    *value = strtod(text, &end);
    return end != text && !isspace((unsigned char)text[0]) && *end == '\0' &&
           isfinite(*value);
}

static bool parse_flag(bool *value, const char *text)
{
    static const char *const words[2][4] = { { "false", "no", "off", "0" },
                                             { "true", "yes", "on", "1" } };

    for (int i = 0; i < 8; i++) {
        if (strcmp(text, words[i / 4][i % 4]) == 0) {
            *value = i / 4;
            return true;
        }
    }
    return false;
}

/* The place of 'text' among the choices "a|b|c"; or -1, with the nearest choice, or
 * nothing, in 'nearest'.
 */
static int parse_choice(char nearest[OPTS_NAME], const char *text, const char *choices)
{
    struct guess guess = { .typed = text };
    char name[OPTS_NAME];

    nearest[0] = '\0';
    for (int i = 0;; i++) {
        const size_t length = strcspn(choices, "|");

        if (length >= sizeof name)
            die("a choice of %zu letters", length);
        memcpy(name, choices, length);
        name[length] = '\0';
        if (strcmp(name, text) == 0)
            return i;
        guess_try(&guess, name);
        if (guess.name == name) {
            strcpy(nearest, name);
            guess.name = nearest;
        }
        if (choices[length] == '\0')
            return -1;
        choices += length + 1;
    }
}

bool opts_is_switch(const struct opt *row)
{
    char nearest[OPTS_NAME];

    return row->type == OPT_CHOICE && parse_choice(nearest, "on", row->values) >= 0 &&
           parse_choice(nearest, "off", row->values) >= 0;
}

static bool in_range(const struct opt *row, double value)
{
    return (row->min == 0 && row->max == 0) || (row->min <= value && value <= row->max);
}

/* What a value of 'row' may be: "a whole number from 1 to 64". */
static void describe(char *text, size_t size, const struct opt *row)
{
    static const char *const kinds[] = {
        [OPT_TITLE]  = "",
        [OPT_FLAG]   = "true or false",
        [OPT_ACTION] = "true or false",
        [OPT_INT]    = "a whole number",
        [OPT_BYTES]  = "a number of bytes (K, M, G allowed)",
        [OPT_REAL]   = "a number",
        [OPT_TEXT]   = "one line of UTF-8",
    };

    if (row->type == OPT_CHOICE)
        snprintf(text, size, "%s", row->values);
    else if (row->min == 0 && row->max == 0)
        snprintf(text, size, "%s", kinds[row->type]);
    else if (row->max >= 1e15)
        snprintf(text, size, "%s, at least %.15g", kinds[row->type], row->min);
    else
        snprintf(text, size, "%s from %.15g to %.15g", kinds[row->type], row->min,
                 row->max);
}

static bool is_text(const char *text)
{
    json_t *string = json_string(text); /* NULL unless UTF-8 */
    bool is_ok     = string != NULL;

    json_decref(string);
    for (; *text != '\0'; text++)
        is_ok = is_ok && !iscntrl((unsigned char)*text);
    return is_ok;
}

static size_t value_size(const struct opt *row)
{
    switch (row->type) {
    case OPT_TITLE:
        return 0;
    case OPT_FLAG:
    case OPT_ACTION:
        return sizeof(bool);
    case OPT_INT:
    case OPT_BYTES:
        return sizeof(int64_t);
    case OPT_REAL:
        return sizeof(double);
    case OPT_TEXT:
        return row->size;
    case OPT_CHOICE:
        return sizeof(int);
    }
    die("option type %d", (int)row->type);
}

/* A value that is not what 'row' expects; 'from' is as in opts_store(). */
static int refuse(const struct opt *row, const char *text, const char *from)
{
    char expected[160];

    describe(expected, sizeof expected, row);
    return ERR(ERR_USAGE, "--%s=%s%s: expected %s", row->name, text, from, expected);
}

int opts_store(struct opts *o, const struct opt *row, const char *text,
               enum opt_source source, const char *from)
{
    enum opt_source *set_by = &o->source[row - o->table];
    const void *parsed      = NULL;
    size_t size             = value_size(row);
    char nearest[OPTS_NAME];
    int64_t whole;
    double real;
    bool flag;
    int choice;

    switch (row->type) {
    case OPT_TITLE:
        die("option '%s' is a heading", row->name);
    case OPT_ACTION:
        if (source == FROM_FILE || source == FROM_ENVIRONMENT)
            return ERR(ERR_USAGE, "--%s%s is for the command line only", row->name,
                       from);
        /* fall through */
    case OPT_FLAG:
        if (!parse_flag(&flag, text))
            return refuse(row, text, from);
        parsed = &flag;
        break;
    case OPT_INT:
    case OPT_BYTES:
        if (!parse_whole(&whole, text, row->type == OPT_INT ? 1000 : 1024) ||
            !in_range(row, (double)whole))
            return refuse(row, text, from);
        parsed = &whole;
        break;
    case OPT_REAL:
        if (!parse_real(&real, text) || !in_range(row, real))
            return refuse(row, text, from);
        parsed = &real;
        break;
    case OPT_TEXT:
        if (strlen(text) >= row->size)
            return ERR(ERR_USAGE, "--%s%s: longer than %zu letters", row->name, from,
                       row->size - 1);
        if (!is_text(text))
            return refuse(row, text, from);
        parsed = text;
        size   = strlen(text) + 1;
        break;
    case OPT_CHOICE:
        choice = parse_choice(nearest, text, row->values);
        if (choice < 0 && nearest[0] == '\0')
            return refuse(row, text, from);
        if (choice < 0)
            return ERR(ERR_USAGE, "--%s=%s%s: expected %s; did you mean %s?", row->name,
                       text, from, row->values, nearest);
        parsed = &choice;
        break;
    }
    if (source >= *set_by) {
        memcpy((char *)o->values + row->offset, parsed, size);
        *set_by = source;
    }
    return 0;
}

void opts_preset(struct opts *o)
{
    for (int i = 0; i < o->count; i++) {
        const struct opt *row = &o->table[i];

        if (row->type == OPT_TITLE)
            continue;
        if (strlen(row->name) >= OPTS_NAME || strchr(row->name, '_') != NULL)
            die("option --%s cannot be named in the environment", row->name);
        memset((char *)o->values + row->offset, 0, value_size(row));
        if (row->preset != NULL &&
            opts_store(o, row, row->preset, FROM_DEFAULT, "") != 0)
            die("%s", err_sentence());
    }
}

int opts_set(struct opts *o, const char *name, const char *text, enum opt_source source)
{
    const struct opt *row = opts_find(o, name);

    if (row == NULL)
        return ERR(ERR_USAGE, "unknown option --%s", name);
    return opts_store(o, row, text, source,
                      source == FROM_PROGRAM ? " (the program)" : "");
}

bool opts_word(char *word, size_t size, const char **rest, char separator)
{
    const char *at = *rest;
    const char *end;

    if (at == NULL)
        return false;
    end = strchr(at, separator);
    snprintf(word, size, "%.*s", end != NULL ? (int)(end - at) : (int)strlen(at), at);
    *rest = end != NULL ? end + 1 : NULL;
    return true;
}

int opts_number(void *value, const char *text, const char *name, enum opt_type type,
                double min, double max)
{
    const struct opt row = { .name = name, .type = type, .min = min, .max = max };
    struct opts one      = { .table = &row, .count = 1, .values = value };

    return opts_set(&one, name, text, FROM_COMMAND_LINE);
}

bool opts_is_given(const struct opts *o, const char *name)
{
    const struct opt *row = opts_find(o, name);

    return row != NULL && o->source[row - o->table] != FROM_DEFAULT;
}
