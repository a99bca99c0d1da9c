/* SPDX-License-Identifier: BSD-3-Clause */
/* Tables as people and programs keep them: lines of flat JSON objects (JSONL), or CSV
 * with the names as header.  The first character decides: '{' is JSONL.  Every cell
 * remembers its line, so that a wrong value can be named by line and column.
 */
#ifndef PLAN_TABLE_H
#define PLAN_TABLE_H

enum cell_kind { CELL_NONE, CELL_NUMBER, CELL_TEXT };

struct cell {
    enum cell_kind kind;
    double number; /* finite */
    char *text;    /* as it was written; NULL of a number of JSON, or if missing */
};

struct table {
    char path[512];
    int columns, rows;
    char **name;       /* [columns] */
    struct cell *cell; /* [rows, columns] */
    int *line;         /* [rows], from 1 */
    int header;        /* the line of the names; 0: every line has its own */
};

/* Read 'path' into '*t'; null and empty cells are CELL_NONE, "nan" and "inf" are text.
 * A damaged last line without its newline (its writer was killed) is left out with a
 * warning.  Returns 0, or ERR_IO or ERR_DATA with a sentence that names the line and
 * column.  Close with table_close(), which accepts NULL.
 */
int table_read(struct table **t, const char *path);
void table_close(struct table **t);

/* Keep of the rows with the same cell in the column 'name' only the last;
 * rows without it are all kept.  The order of lines stays.
 */
void table_keep_last(struct table *t, const char *name);

/* The place of the column 'name', or -1. */
int table_column(const struct table *t, const char *name);

/* The cell of row i; the missing cell for column -1. */
const struct cell *table_cell(const struct table *t, int i, int column);

/* Below, equal to or above 0 as 'a' is before, like or after 'b', in some order.  Cells
 * that were written differently differ: "7.10" is not 7.1.
 */
int table_compare(const struct cell *a, const struct cell *b);

/* The number in row i of the column 'name'.  Returns 0, or ERR_DATA: the column or the
 * value is missing, is no number, or is below 'least'.
 */
int table_number(double *x, const struct table *t, int i, const char *name,
                 double least);

#endif
