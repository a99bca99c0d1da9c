/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading JSONL and CSV.  Rows grow as they are read; a JSON line may bring new
 * columns, which the rows before it then lack.
 */
#include "config.h"

#include "src/plan/table.h"

#include "src/base/err.h"
#include "src/base/log.h"
#include "src/base/mem.h"

#include <ctype.h>
#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAMES_MOST = 256 };

struct reading {
    struct table *t;
    int room; /* rows allocated */
    int line; /* the number of the line in hand */
    bool is_last, has_newline;
};

/* ---- the table grows ------------------------------------------------------------- */

static char *copy_text(const char *text)
{
    char *copy = mem_new(strlen(text) + 1, 1);

    return strcpy(copy, text);
}

static int add_column(struct reading *r, const char *name)
{
    struct table *t   = r->t;
    const size_t n    = (size_t)t->columns;
    struct cell *cell = mem_new((size_t)r->room * (n + 1), sizeof *cell);

    for (size_t i = 0; i < (size_t)t->rows; i++)
        memcpy(cell + i * (n + 1), t->cell + i * n, n * sizeof *cell);
    mem_free(t->cell);
    t->cell    = cell;
    t->name    = mem_grow(t->name, n, n + 1, sizeof *t->name);
    t->name[n] = copy_text(name);
    t->columns++;
    return (int)n;
}

/* A new row of missing cells; borrowed until the next row or column. */
static struct cell *add_row(struct reading *r)
{
    struct table *t   = r->t;
    const size_t n    = (size_t)t->columns;
    const size_t used = (size_t)t->rows;

    if (t->rows == r->room) {
        r->room = 2 * r->room + 16;
        t->line = mem_grow(t->line, used, (size_t)r->room, sizeof *t->line);
        t->cell = mem_grow(t->cell, used * n, (size_t)r->room * n, sizeof *t->cell);
    }
    t->line[t->rows++] = r->line;
    return t->cell + used * n;
}

/* ---- cells ----------------------------------------------------------------------- */

/* A decimal number and nothing else: neither "nan" nor hexadecimal. */
static bool parse_number(double *x, const char *text)
{
    char *end;

    if (text[0] == '\0' || strspn(text, "+-.0123456789eE") != strlen(text))
        return false;
    *x = strtod(text, &end);
    return *end == '\0' && isfinite(*x);
}

static void set_text(struct cell *c, const char *text)
{
    *c = (struct cell){ .kind = CELL_NONE };
    if (text[0] == '\0')
        return;
    c->kind = parse_number(&c->number, text) ? CELL_NUMBER : CELL_TEXT;
    c->text = copy_text(text);
}

static void set_json(struct cell *c, const json_t *value)
{
    mem_free(c->text);
    *c = (struct cell){ .kind = CELL_NONE };
    if (json_is_number(value)) {
        c->kind   = CELL_NUMBER;
        c->number = json_number_value(value);
    } else if (json_is_string(value)) {
        c->kind = CELL_TEXT;
        c->text = copy_text(json_string_value(value));
    } else if (!json_is_null(value)) {
        c->kind = CELL_TEXT;
        c->text = copy_text(json_is_true(value)    ? "true"
                            : json_is_false(value) ? "false"
                            : json_is_array(value) ? "[..]"
                                                   : "{..}");
    }
}

/* ---- lines ----------------------------------------------------------------------- */

/* True if the line in hand may be left out: the end of a file whose writer died. */
static bool is_cut(const struct reading *r)
{
    if (!r->is_last || r->has_newline)
        return false;
    WARN("%s: line %d is cut off and left out", r->t->path, r->line);
    return true;
}

static int read_json(struct reading *r, const char *line)
{
    struct table *t = r->t;
    json_error_t error;
    json_t *o = json_loads(line, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    json_t *value;
    const char *name;

    if (o == NULL && is_cut(r))
        return 0;
    if (o == NULL)
        return ERR(ERR_DATA, "%s: line %d, column %d: %s", t->path, r->line,
                   error.column, error.text);
    if (!json_is_object(o)) {
        json_decref(o);
        return ERR(ERR_DATA, "%s: line %d, column 1: not a JSON object", t->path,
                   r->line);
    }
    json_object_foreach(o, name, value)
    {
        (void)value;
        if (table_column(t, name) < 0 && t->columns < NAMES_MOST)
            add_column(r, name);
    }

    struct cell *row = add_row(r);

    json_object_foreach(o, name, value)
    {
        const int k = table_column(t, name);

        if (k >= 0)
            set_json(&row[k], value);
    }
    json_decref(o);
    return 0;
}

/* Take the next field off '*rest', quotes and blanks around it removed, in place.  The
 * field after the last one is NULL; '*is_bad' tells of a quote that does not close.
 */
static char *next_field(char **rest, bool *is_bad)
{
    char *at = *rest, *field, *end;

    if (at == NULL)
        return NULL;
    at += strspn(at, " \t");
    field = end = at;
    if (*at == '"') {
        for (at++; *at != '\0' && (*at != '"' || at[1] == '"'); at++) {
            at += *at == '"';
            *end++ = *at;
        }
        *is_bad |= *at != '"';
        at += *at == '"';
        at += strspn(at, " \t");
        *is_bad |= *at != ',' && *at != '\0';
        at += strcspn(at, ",");
    } else {
        at += strcspn(at, ",");
        end = at;
        while (end > field && isspace((unsigned char)end[-1]))
            end--;
    }
    *rest = *at == ',' ? at + 1 : NULL;
    *end  = '\0';
    return field;
}

static int read_header(struct reading *r, char *line)
{
    bool is_bad = false;
    char *name;

    r->t->header = r->line;
    while ((name = next_field(&line, &is_bad)) != NULL) {
        const int k = r->t->columns + 1;

        if (is_bad || name[0] == '\0' || k > NAMES_MOST)
            return ERR(ERR_DATA, "%s: line %d, column %d: not a name", r->t->path,
                       r->line, k);
        if (table_column(r->t, name) >= 0)
            return ERR(ERR_DATA, "%s: line %d, column %d: there are two columns '%s'",
                       r->t->path, r->line, k, name);
        if (parse_number(&(double){ 0 }, name))
            return ERR(ERR_DATA,
                       "%s: line %d, column %d: '%s' is a number where the header "
                       "should give a name",
                       r->t->path, r->line, k, name);
        add_column(r, name);
    }
    return 0;
}

static int read_fields(struct reading *r, char *line)
{
    char *field[NAMES_MOST];
    bool is_bad = false;
    char *text;
    int n = 0;

    while ((text = next_field(&line, &is_bad)) != NULL && n < r->t->columns)
        field[n++] = text;
    if (n == r->t->columns && text == NULL && !is_bad) {
        struct cell *row = add_row(r);

        for (int k = 0; k < n; k++)
            set_text(&row[k], field[k]);
        return 0;
    }
    if (is_cut(r))
        return 0;
    if (is_bad)
        return ERR(ERR_DATA, "%s: line %d, column %d: a quote does not close",
                   r->t->path, r->line, n);
    return ERR(ERR_DATA, "%s: line %d, column %d: %s fields, the header has %d",
               r->t->path, r->line, n + 1, text != NULL ? "more" : "fewer",
               r->t->columns);
}

static bool is_blank(const char *line)
{
    return line[strspn(line, " \t\r")] == '\0';
}

/* All lines of 'text', which is changed. */
static int read_lines(struct reading *r, char *text)
{
    bool is_json = false;

    if (strncmp(text, "\xef\xbb\xbf", 3) == 0)
        text += 3;
    for (char *next; text[0] != '\0'; text = next) {
        const size_t length = strcspn(text, "\n");

        r->has_newline = text[length] == '\n';
        next           = text + length + r->has_newline;
        text[length]   = '\0';
        if (length > 0 && text[length - 1] == '\r')
            text[length - 1] = '\0';
        r->line++;
        r->is_last = next[0] == '\0';
        if (is_blank(text))
            continue;
        if (r->t->columns == 0 && r->t->rows == 0 && !is_json) {
            is_json = text[strspn(text, " \t")] == '{';
            if (!is_json) {
                TRY(read_header(r, text));
                continue;
            }
        }
        TRY(is_json ? read_json(r, text) : read_fields(r, text));
    }
    return 0;
}

/* The whole file as one text, which the caller frees. */
static int load(char **text, const char *path)
{
    FILE *file   = fopen(path, "rb");
    size_t bytes = 0, room = 1 << 16;
    bool is_bad;

    if (file == NULL)
        return err_unread(path);
    *text = mem_new(room, 1);
    for (size_t got; (got = fread(*text + bytes, 1, room - bytes - 1, file)) > 0;) {
        bytes += got;
        if (bytes + 1 == room) {
            *text = mem_grow(*text, bytes, 2 * room, 1);
            room *= 2;
        }
    }
    is_bad = ferror(file) != 0;
    fclose(file);
    (*text)[bytes] = '\0';
    if (!is_bad && strlen(*text) == bytes)
        return 0;
    mem_free(*text);
    if (is_bad)
        return err_unread(path);
    return ERR(ERR_DATA, "%s: is neither CSV nor lines of JSON", path);
}

int table_read(struct table **t, const char *path)
{
    struct reading r = { 0 };
    char *text       = NULL;
    int rc;

    TRY(load(&text, path));
    r.t = mem_new(1, sizeof *r.t);
    snprintf(r.t->path, sizeof r.t->path, "%s", path);
    rc = read_lines(&r, text);
    mem_free(text);
    if (rc == 0)
        *t = r.t;
    else
        table_close(&r.t);
    return rc;
}

void table_close(struct table **t)
{
    struct table *old = *t;

    if (old == NULL)
        return;
    for (int i = 0; i < old->rows * old->columns; i++)
        mem_free(old->cell[i].text);
    for (int k = 0; k < old->columns; k++)
        mem_free(old->name[k]);
    mem_free(old->cell);
    mem_free(old->name);
    mem_free(old->line);
    mem_free(old);
    *t = NULL;
}

/* ---- use ------------------------------------------------------------------------- */

int table_column(const struct table *t, const char *name)
{
    for (int k = 0; k < t->columns; k++) {
        if (strcmp(t->name[k], name) == 0)
            return k;
    }
    return -1;
}

const struct cell *table_cell(const struct table *t, int i, int column)
{
    static const struct cell missing = { .kind = CELL_NONE };

    if (column < 0)
        return &missing;
    return &t->cell[(size_t)i * (size_t)t->columns + (size_t)column];
}

int table_number(double *x, const struct table *t, int i, const char *name,
                 double least)
{
    const int k          = table_column(t, name);
    const struct cell *c = table_cell(t, i, k);

    if (k < 0)
        return ERR(ERR_DATA, "%s: line %d, column %s: there is no such column", t->path,
                   t->header > 0 ? t->header : t->line[i], name);
    if (c->kind == CELL_NONE)
        return ERR(ERR_DATA, "%s: line %d, column %s: the value is missing", t->path,
                   t->line[i], name);
    if (c->kind == CELL_TEXT)
        return ERR(ERR_DATA, "%s: line %d, column %s: '%s' is not a number", t->path,
                   t->line[i], name, c->text);
    if (c->number < least)
        return ERR(ERR_DATA, "%s: line %d, column %s: %g is below %g", t->path,
                   t->line[i], name, c->number, least);
    *x = c->number;
    return 0;
}

/* ---- the last of each ------------------------------------------------------------ */

struct keyed {
    const struct cell *cell;
    int row;
};

int table_compare(const struct cell *a, const struct cell *b)
{
    if (a->text != NULL && b->text != NULL)
        return strcmp(a->text, b->text);
    if (a->kind != b->kind)
        return (int)a->kind - (int)b->kind;
    return (a->number > b->number) - (a->number < b->number);
}

static int compare_keyed(const void *a, const void *b)
{
    const struct keyed *x = a, *y = b;
    const int order = table_compare(x->cell, y->cell);

    return order != 0 ? order : x->row - y->row;
}

/* Take the rows out that are not wanted. */
static void keep_rows(struct table *t, const bool *is_kept)
{
    const size_t n = (size_t)t->columns;
    int rows       = 0;

    for (int i = 0; i < t->rows; i++) {
        struct cell *from = t->cell + (size_t)i * n;

        if (!is_kept[i]) {
            for (size_t k = 0; k < n; k++)
                mem_free(from[k].text);
            continue;
        }
        memmove(t->cell + (size_t)rows * n, from, n * sizeof *from);
        t->line[rows++] = t->line[i];
    }
    t->rows = rows;
}

void table_keep_last(struct table *t, const char *name)
{
    const int column    = table_column(t, name);
    struct keyed *keyed = mem_new((size_t)t->rows, sizeof *keyed);
    bool *is_kept       = mem_new((size_t)t->rows, sizeof *is_kept);

    for (int i = 0; i < t->rows; i++)
        keyed[i] = (struct keyed){ table_cell(t, i, column), i };
    qsort(keyed, (size_t)t->rows, sizeof *keyed, compare_keyed);
    for (int i = 0; i < t->rows; i++) {
        const bool is_last =
            i + 1 == t->rows || table_compare(keyed[i].cell, keyed[i + 1].cell) != 0;

        is_kept[keyed[i].row] = is_last || keyed[i].cell->kind == CELL_NONE;
    }
    keep_rows(t, is_kept);
    mem_free(is_kept);
    mem_free(keyed);
}
