/* SPDX-License-Identifier: BSD-3-Clause */
/* Options as a table: one row an option gives parsing, help, the startup echo with the
 * value's source, and the JSON dump.
 *
 * Values are stored into a plain struct of the program, which can be sent to other
 * ranks as bytes.  A later source wins: default < --config file < environment
 * (VITBENCH_<OPTION>, dashes as underscores) < command line.  "--name=value" and
 * "--name value" are the same; booleans are "--name" and "--no-name", and so are
 * choices that have "on" and "off" among others.
 */
#ifndef BASE_OPTS_H
#define BASE_OPTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum opt_type {
    OPT_TITLE,  /* no option: a heading in the help */
    OPT_FLAG,   /* bool */
    OPT_ACTION, /* bool, command line only: --help, --version, --list-shapes */
    OPT_INT,    /* int64_t; K, M, G are 1e3, 1e6, 1e9 */
    OPT_BYTES,  /* int64_t; K, M, G are 2^10, 2^20, 2^30 */
    OPT_REAL,   /* double, finite */
    OPT_TEXT,   /* char[size], empty allowed */
    OPT_CHOICE, /* int: the place of the value in 'values' "a|b|c" */
};

struct opt {
    const char *name; /* without the dashes; the text of an OPT_TITLE */
    enum opt_type type;
    const char *preset; /* default, as the user would type it; NULL: 0, false, "" */
    const char *values; /* for the help: "DxM|auto"; for OPT_CHOICE the choices */
    const char *about;  /* one sentence */
    size_t offset;      /* of the value in the program's struct */
    size_t size;        /* of an OPT_TEXT array */
    double min, max;    /* of numbers, both 0: any */
};

enum opt_source {
    FROM_DEFAULT,
    FROM_FILE,
    FROM_ENVIRONMENT,
    FROM_COMMAND_LINE,
    FROM_PROGRAM
};

struct opts {
    const struct opt *table; /* borrowed; 'count' rows */
    int count;
    void *values;                /* borrowed: the program's struct */
    enum opt_source source[128]; /* of every row */
};

/* Set all values to their defaults, then read the config file that --config names, the
 * environment, and argv[1..argc).  Positional arguments are refused.  Returns 0 or
 * ERR_USAGE with a sentence that names the option, where it came from, and what is
 * allowed; unknown names suggest the nearest known one; unknown VITBENCH_* variables
 * are refused too ('VITBENCH_FAULT' is the tests' own and ignored here).  Local.
 */
int opts_parse(struct opts *o, const struct opt *table, int count, void *values,
               int argc, char **argv);

/* Take the words that are neither options nor their values ("fit runs.csv") off the
 * command line 'argv[1..*argc)' into 'word', which has room for *argc: what is left is
 * for opts_parse().  Returns how many.  Local.
 */
int opts_take_words(char **word, int *argc, char **argv, const struct opt *table,
                    int count);

/* Change one value by text and say that 'source' did it: 0 or ERR_USAGE. */
int opts_set(struct opts *o, const char *name, const char *text,
             enum opt_source source);

/* Values that are lists: the next of the words that 'separator' parts, at '*rest',
 * which moves past it; false at the end ('*rest' NULL).  Words that do not fit into
 * 'word' are cut, and are then unknown.
 */
bool opts_word(char *word, size_t size, const char **rest, char separator);

/* Read one number of the option 'name' by the rules of a row of 'type' into 'value', an
 * int64_t or a double: 0 or ERR_USAGE.
 */
int opts_number(void *value, const char *text, const char *name, enum opt_type type,
                double min, double max);

/* True if the row 'name' was given by anyone (not FROM_DEFAULT). */
bool opts_is_given(const struct opts *o, const char *name);

/* In a program of several commands a heading names those that its rows are for, or
 * "every".  ERR_USAGE for a row of the command line that 'command' would pass over in
 * silence; those of a file or the environment may be for another command.
 */
int opts_check_command(const struct opts *o, const char *command);

/* ERR_USAGE for an option of the command line that has no effect as the others are: the
 * first that is named in 'idle[count]' by a row that is idle.
 */
struct opt_idle {
    const char *name;
    bool is_idle;
    const char *sentence; /* of the error, after the name */
};
int opts_check_idle(const struct opts *o, const struct opt_idle *idle, int count);

/* The help: 'usage' lines, then the table in 80 columns. */
void opts_help(const struct opts *o, FILE *out, const char *usage, const char *about);

/* The options that are not at their defaults, one a line: "  name  value  (source)". */
void opts_echo(const struct opts *o, FILE *out);

/* All options as "name = value" lines that --config reads back.  Lines of defaults, and
 * of what the program chose, are comments: who reads the file back has not given them.
 */
void opts_dump(const struct opts *o, FILE *out);

/* {"name": {"value": .., "source": ".."}, ..}; the caller owns the reference. */
json_t *opts_json(const struct opts *o);

/* The value of a row as text, as the user would type it. */
void opts_text(const struct opts *o, const struct opt *row, char *text, size_t size);

#endif
