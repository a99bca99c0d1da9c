/* SPDX-License-Identifier: BSD-3-Clause */
/* Option tables: reading values from text and from the four places they come from.
 * How a table is written out is opts_write.c.
 */
#include "config.h"

#include "src/base/opts.h"

#include "src/base/err.h"
#include "src/base/guess.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define ENV_PREFIX "VITBENCH_"
#define ENV_FAULT  "VITBENCH_FAULT" /* plants faults for tests: not an option */

enum { NAME_MOST = 64, ENV_MOST = NAME_MOST + sizeof ENV_PREFIX, TEXT_MOST = 4096 };

extern char **environ;

/* --- Names ---------------------------------------------------------------- */

static const struct opt *find(const struct opts *o, const char *name)
{
    for (int i = 0; i < o->count; i++) {
        if (o->table[i].type != OPT_TITLE && strcmp(o->table[i].name, name) == 0)
            return &o->table[i];
    }
    return NULL;
}

/* The option that 'typed' was meant to be, or NULL. */
static const char *guess_option(const struct opts *o, const char *typed)
{
    struct guess guess = { .typed = typed };

    for (int i = 0; i < o->count; i++) {
        if (o->table[i].type != OPT_TITLE)
            guess_try(&guess, o->table[i].name);
    }
    return guess.name;
}

/* The environment's name of an option, and back: --ring-wire is VITBENCH_RING_WIRE. */
static void env_name(char *env, size_t size, const char *name)
{
    size_t n = strlen(ENV_PREFIX);

    memcpy(env, ENV_PREFIX, n + 1);
    for (; *name != '\0' && n + 1 < size; name++)
        env[n++] = *name == '-' ? '_' : (char)toupper((unsigned char)*name);
    env[n] = '\0';
}

static void option_name(char *name, size_t size, const char *env, size_t length)
{
    size_t n = 0;

    for (size_t i = strlen(ENV_PREFIX); i < length && n + 1 < size; i++)
        name[n++] = env[i] == '_' ? '-' : (char)tolower((unsigned char)env[i]);
    name[n] = '\0';
}

/* The option whose variable is the first 'length' letters of 'env', or NULL. */
static const struct opt *find_env(const struct opts *o, const char *env, size_t length)
{
    for (int i = 0; i < o->count; i++) {
        char wanted[ENV_MOST];

        env_name(wanted, sizeof wanted, o->table[i].name);
        if (o->table[i].type != OPT_TITLE && strlen(wanted) == length &&
            strncmp(env, wanted, length) == 0)
            return &o->table[i];
    }
    return NULL;
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
static int parse_choice(char nearest[NAME_MOST], const char *text, const char *choices)
{
    struct guess guess = { .typed = text };
    char name[NAME_MOST];

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

/* A choice that has "on" and "off" can be typed like a flag: --name and --no-name. */
static bool is_switch(const struct opt *row)
{
    char nearest[NAME_MOST];

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

/* A value that is not what 'row' expects; 'from' is as in set(). */
static int refuse(const struct opt *row, const char *text, const char *from)
{
    char expected[160];

    describe(expected, sizeof expected, row);
    return ERR(ERR_USAGE, "--%s=%s%s: expected %s", row->name, text, from, expected);
}

/* Store 'text' into the value of 'row', unless a stronger source has set it before.
 * 'from' says where it came from, "" for the command line.
 */
static int set(struct opts *o, const struct opt *row, const char *text,
               enum opt_source source, const char *from)
{
    enum opt_source *set_by = &o->source[row - o->table];
    const void *parsed      = NULL;
    size_t size             = value_size(row);
    char nearest[NAME_MOST];
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

int opts_set(struct opts *o, const char *name, const char *text, enum opt_source source)
{
    const struct opt *row = find(o, name);

    if (row == NULL)
        return ERR(ERR_USAGE, "unknown option --%s", name);
    return set(o, row, text, source, source == FROM_PROGRAM ? " (the program)" : "");
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

int opts_is_given(const struct opts *o, const char *name)
{
    const struct opt *row = find(o, name);

    return row != NULL && o->source[row - o->table] != FROM_DEFAULT;
}

/* --- Where values come from ------------------------------------------------ */

/* One option of the command line: its row, and its value, which may be the next
 * argument; 'argv' moves past it.
 */
static int next_argument(const struct opt **row, const char **text,
                         const struct opts *o, char ***argv, char **end)
{
    const char *arg    = *(*argv)++;
    const char *equals = strchr(arg, '=');
    char name[NAME_MOST];
    size_t length;
    const char *guess;
    bool is_flag;

    if (strncmp(arg, "--", 2) != 0 || arg[2] == '\0' || arg[2] == '=')
        return ERR(ERR_USAGE,
                   "'%s' is not an option: options begin with two dashes%s; --help "
                   "lists them",
                   arg, arg[0] == '-' ? "" : ", and there are no other arguments");
    arg += 2;
    length = equals != NULL ? (size_t)(equals - arg) : strlen(arg);
    snprintf(name, sizeof name, "%.*s", (int)length, arg);

    *row  = find(o, name);
    *text = equals != NULL ? equals + 1 : NULL;
    if (*row == NULL && strncmp(name, "no-", 3) == 0) {
        *row = find(o, name + 3);
        if (*row != NULL && ((*row)->type == OPT_FLAG || is_switch(*row))) {
            if (*text != NULL)
                return ERR(ERR_USAGE, "--%s takes no value", name);
            *text = (*row)->type == OPT_FLAG ? "false" : "off";
            return 0;
        }
        *row = NULL;
    }
    if (*row == NULL) {
        guess = guess_option(o, name);
        if (guess == NULL)
            return ERR(ERR_USAGE, "unknown option --%s; --help lists them", name);
        return ERR(ERR_USAGE, "unknown option --%s; did you mean --%s?", name, guess);
    }
    is_flag = (*row)->type == OPT_FLAG || (*row)->type == OPT_ACTION;
    if (*text == NULL && is_flag)
        *text = "true";
    if (*text == NULL && *argv < end && strncmp(**argv, "--", 2) != 0)
        *text = *(*argv)++;
    if (*text == NULL && is_switch(*row))
        *text = "on";
    if (*text == NULL)
        return ERR(ERR_USAGE, "--%s needs a value: --%s=%s", name, name,
                   (*row)->values != NULL ? (*row)->values : "VALUE");
    return 0;
}

static int read_arguments(struct opts *o, int argc, char **argv)
{
    char **end = argv + argc;

    for (argv += argc > 0; argv < end;) {
        const struct opt *row;
        const char *text;

        TRY(next_argument(&row, &text, o, &argv, end));
        TRY(set(o, row, text, FROM_COMMAND_LINE, ""));
    }
    return 0;
}

/* True if 'arg', an option without "=", takes the argument behind it as its value. */
static bool takes_next(const struct opts *o, const char *arg)
{
    const struct opt *row = find(o, arg + 2);

    return row != NULL && row->type != OPT_FLAG && row->type != OPT_ACTION &&
           strchr(arg, '=') == NULL;
}

int opts_take_words(char **word, int *argc, char **argv, const struct opt *table,
                    int count)
{
    const struct opts o = { .table = table, .count = count };
    int words = 0, kept = *argc > 0;

    for (int i = 1; i < *argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0) {
            word[words++] = argv[i];
            continue;
        }
        argv[kept++] = argv[i];
        if (takes_next(&o, argv[i]) && i + 1 < *argc &&
            strncmp(argv[i + 1], "--", 2) != 0)
            argv[kept++] = argv[++i];
    }
    *argc = kept;
    return words;
}

static int read_variable(struct opts *o, const char *env, size_t length)
{
    const struct opt *row = find_env(o, env, length);
    char from[ENV_MOST + 16], typed[NAME_MOST], wanted[ENV_MOST];
    const char *guess;

    if (row != NULL) {
        snprintf(from, sizeof from, " (from %.*s)", (int)length, env);
        return set(o, row, env + length + 1, FROM_ENVIRONMENT, from);
    }
    option_name(typed, sizeof typed, env, length);
    guess = guess_option(o, typed);
    if (guess == NULL)
        return ERR(ERR_USAGE, "unknown variable %.*s in the environment", (int)length,
                   env);
    env_name(wanted, sizeof wanted, guess);
    return ERR(ERR_USAGE, "unknown variable %.*s in the environment; did you mean %s?",
               (int)length, env, wanted);
}

static int read_environment(struct opts *o)
{
    for (char **env = environ; *env != NULL; env++) {
        const size_t length = strcspn(*env, "=");

        if (strncmp(*env, ENV_PREFIX, strlen(ENV_PREFIX)) == 0 &&
            strncmp(*env, ENV_FAULT "=", strlen(ENV_FAULT "=")) != 0 &&
            (*env)[length] == '=')
            TRY(read_variable(o, *env, length));
    }
    return 0;
}

/* 'text' without the blanks around it. */
static char *trim(char *text)
{
    char *end;

    text += strspn(text, " \t");
    end = text + strlen(text);
    while (end > text && strchr(" \t\r\n", end[-1]) != NULL)
        end--;
    *end = '\0';
    return text;
}

static int read_line(struct opts *o, char *line, const char *from)
{
    char *name   = trim(line);
    char *equals = strchr(name, '=');
    const struct opt *row;
    const char *guess;

    if (name[0] == '\0' || name[0] == '#')
        return 0;
    if (equals == NULL)
        return ERR(ERR_USAGE, "'%s'%s is not of the form name = value", name, from);
    *equals = '\0';
    name    = trim(name);
    row     = find(o, name);
    guess   = row == NULL ? guess_option(o, name) : NULL;
    if (guess != NULL)
        return ERR(ERR_USAGE, "unknown option '%s'%s; did you mean %s?", name, from,
                   guess);
    if (row == NULL)
        return ERR(ERR_USAGE, "unknown option '%s'%s", name, from);
    if (strcmp(name, "config") == 0)
        return ERR(ERR_USAGE, "'config'%s: a file cannot name another", from);
    return set(o, row, trim(equals + 1), FROM_FILE, from);
}

static int read_file(struct opts *o, const char *path)
{
    FILE *file = fopen(path, "r");
    char line[TEXT_MOST], from[512];
    int rc = 0;

    if (file == NULL)
        return ERR(ERR_USAGE, "--config=%s: %s", path, strerror(errno));
    for (int i = 1; rc == 0 && fgets(line, sizeof line, file) != NULL; i++) {
        snprintf(from, sizeof from, " (%.400s, line %d)", path, i);
        if (strlen(line) == sizeof line - 1)
            rc = ERR(ERR_USAGE, "%s, line %d is too long", path, i);
        else
            rc = read_line(o, line, from);
    }
    if (rc == 0 && ferror(file))
        rc = ERR(ERR_USAGE, "--config=%s: %s", path, strerror(errno));
    fclose(file);
    return rc;
}

/* The defaults, which must be as good as what a user types. */
static void set_presets(struct opts *o)
{
    for (int i = 0; i < o->count; i++) {
        const struct opt *row = &o->table[i];

        if (row->type == OPT_TITLE)
            continue;
        if (strlen(row->name) >= NAME_MOST || strchr(row->name, '_') != NULL)
            die("option --%s cannot be named in the environment", row->name);
        memset((char *)o->values + row->offset, 0, value_size(row));
        if (row->preset != NULL && set(o, row, row->preset, FROM_DEFAULT, "") != 0)
            die("%s", err_sentence());
    }
}

int opts_parse(struct opts *o, const struct opt *table, int count, void *values,
               int argc, char **argv)
{
    const struct opt *config;
    const char *path;

    if (count > (int)(sizeof o->source / sizeof o->source[0]))
        die("%d options", count);
    *o = (struct opts){ .table = table, .count = count, .values = values };
    set_presets(o);
    TRY(read_environment(o));
    TRY(read_arguments(o, argc, argv));
    config = find(o, "config");
    if (config == NULL)
        return 0;
    path = (const char *)values + config->offset;
    return path[0] != '\0' ? read_file(o, path) : 0;
}
