/* SPDX-License-Identifier: BSD-3-Clause */
/* Tables: JSONL and CSV give the same cells, and what is wrong is named
 * by its place.
 */
#include "config.h"

#include "src/plan/table.h"

#include "src/base/err.h"
#include "src/base/log.h"
#include "tests/scratch.h"
#include "tests/tap.h"

#include <stdio.h>
#include <string.h>

static const char *path;

static void put(const char *text)
{
    FILE *file = fopen(path, "w");

    fputs(text, file);
    fclose(file);
}

static double number(const struct table *t, int i, const char *name)
{
    double x = -99;

    if (table_number(&x, t, i, name, -1e300) != 0)
        err_forget();
    return x;
}

static void good(const char *what, const char *text)
{
    struct table *t = NULL;

    put(text);
    ok(table_read(&t, path) == 0 && t->rows == 3 && t->columns == 3, "%s: is read",
       what);
    if (t == NULL)
        return;
    ok(number(t, 0, "width") == 608 && number(t, 1, "width") == -2.5e3 &&
           number(t, 2, "width") == 768,
       "%s: numbers", what);
    ok(strcmp(table_cell(t, 0, table_column(t, "id"))->text, "a,\"b\"") == 0,
       "%s: a text with comma and quotes", what);
    ok(table_cell(t, 1, table_column(t, "loss"))->kind == CELL_NONE,
       "%s: a missing value", what);
    ok(table_column(t, "depth") == -1 && table_cell(t, 0, -1)->kind == CELL_NONE,
       "%s: a missing column", what);
    table_keep_last(t, "id");
    ok(t->rows == 2 && number(t, 0, "width") == 608 && number(t, 1, "width") == 768 &&
           number(t, 1, "loss") == 0.25,
       "%s: the last row of an id counts", what);
    table_close(&t);
    ok(t == NULL, "%s: is closed", what);
}

static void refused(const char *text, const char *says)
{
    struct table *t = NULL;
    double x        = 7;
    int rc;

    put(text);
    rc = table_read(&t, path);
    if (rc == 0)
        rc = table_number(&x, t, t->rows - 1, "loss", 0);
    ok(tap_says(rc, ERR_DATA, says) && x == 7, "refused: %s", says);
    table_close(&t);
}

static void cut(const char *what, const char *text, int rows)
{
    struct table *t = NULL;

    put(text);
    ok(table_read(&t, path) == 0 && t->rows == rows,
       "%s: a last line that was cut is left out", what);
    table_close(&t);
}

/* Rows that have no id are no row's successors. */
static void nameless(void)
{
    struct table *t = NULL;

    put("id,loss\n,1\na,2\n,3\na,4\n");
    ok(table_read(&t, path) == 0 && t->rows == 4, "rows may lack an id");
    table_keep_last(t, "id");
    ok(t->rows == 3 && number(t, 0, "loss") == 1 && number(t, 1, "loss") == 3,
       "and all of these are kept");
    table_close(&t);
}

/* Names that look like numbers are names: a fork's end in its steps. */
static void numbered(void)
{
    struct table *t = NULL;

    put("id,loss\n7.100,1\n7.1000,2\n07.1,3\n4503599627370497.450,4\n"
        "4503599627370497,5\n7.100,6\n");
    ok(table_read(&t, path) == 0 && t->rows == 6 && number(t, 3, "id") > 4.5e15,
       "rows may have numbers as ids");
    table_keep_last(t, "id");
    ok(t->rows == 5 && number(t, 0, "loss") == 2 && number(t, 4, "loss") == 6,
       "of which those that are written alike are one (%d rows)", t->rows);
    table_close(&t);
}

/* Many rows, and a column that comes late: nothing is lost when the table grows. */
static void large(void)
{
    FILE *file      = fopen(path, "w");
    struct table *t = NULL;
    bool is_same    = true;

    for (int i = 0; i < 3000; i++)
        fprintf(file, i < 2000 ? "{\"a\":%d}\n" : "{\"a\":%d,\"b%d\":1}\n", i,
                i / 1000);
    fclose(file);
    ok(table_read(&t, path) == 0 && t->rows == 3000 && t->columns == 2, "3000 rows");
    for (int i = 0; t != NULL && i < t->rows; i++)
        is_same &= number(t, i, "a") == i && (number(t, i, "b2") == 1) == (i >= 2000);
    ok(is_same, "all as they were written");
    table_close(&t);
}

int main(void)
{
    scratch_open();
    path = scratch_path("table");
    log_set_level(LOG_ERROR);
    good("JSONL", "{\"id\":\"a,\\\"b\\\"\",\"width\":608,\"loss\":0.5}\n\n"
                  "{\"width\":-2.5e3,\"id\":\"c\",\"loss\":null}\n"
                  "{\"id\":\"c\",\"width\":768,\"loss\":0.25}\n");
    good("CSV", "\xef\xbb\xbf id , width,loss\r\n\"a,\"\"b\"\"\", 608 ,0.5\r\n"
                "c,-2.5e3,\r\n\r\nc,768,0.25");
    refused("width,loss\n1,2\n3,nan\n", "line 3, column loss: 'nan'");
    refused("width,loss\n3,0x10\n", "line 2, column loss: '0x10'");
    refused("width,loss\n3,-1\n", "line 2, column loss: -1 is below 0");
    refused("width,loss\n3,\n", "line 2, column loss: the value is missing");
    refused("width,lost\n3,1\n", "line 1, column loss: there is no such column");
    refused("width,loss\n3,1,2\n4,5\n", "line 2, column 3: more fields");
    refused("width,loss\n3\n4,5\n", "line 2, column 2: fewer fields");
    refused("width,loss\n\"3,1\n4,5\n", "line 2, column 1: a quote");
    refused("width,width\n3,1\n", "line 1, column 2: there are two");
    refused("1,2\n3,4\n", "line 1, column 1: '1' is a number");
    refused("{\"loss\":1}\n{\"loss\":NaN}\n{\"loss\":1}\n", "line 2, column 11");
    refused("{\"loss\":1}\n{\"loss\":\"1\"}\n",
            "line 2, column loss: '1' is not a number");
    refused("{\"loss\":1}\n[1]\n", "line 2, column 1: not a JSON object");
    refused("{\"loss\":1}\n{\"loss\":[1]}\n", "line 2, column loss: '[..]'");
    refused("{\"loss\":1,\"loss\":2}\n{}\n", "line 1, column");
    cut("JSONL", "{\"loss\":1}\n{\"loss\":2}\n{\"loss\":", 2);
    cut("CSV", "a,loss\n1,2\n3", 1);
    nameless();
    numbered();
    large();
    return tap_done();
}
