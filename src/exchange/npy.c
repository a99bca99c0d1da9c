/* SPDX-License-Identifier: BSD-3-Clause */
/* The header is a Python dictionary; what NumPy writes of it is understood, no more. */
#include "config.h"

#include "src/exchange/npy.h"

#include "src/base/err.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAGIC = 6, ALIGN = 64 };

static const char magic[] = "\x93NUMPY";

int npy_length(const void *start, int64_t bytes)
{
    const uint8_t *at = start;
    int64_t length;

    if (bytes < NPY_START || memcmp(at, magic, MAGIC) != 0 || at[7] != 0)
        return -1;
    if (at[6] == 1)
        length = 10 + at[8] + 256 * at[9];
    else if (at[6] == 2 || at[6] == 3)
        length = 12 + at[8] + 256 * at[9] + 65536 * (int64_t)at[10] +
                 16777216 * (int64_t)at[11];
    else
        return -1;
    return length >= NPY_START && length <= NPY_MOST ? (int)length : -1;
}

/* ---- the dictionary -------------------------------------------------------------- */

/* Skip blanks and the word, if it comes next. */
static bool take(const char **at, const char *word)
{
    *at += strspn(*at, " \n");
    if (strncmp(*at, word, strlen(word)) != 0)
        return false;
    *at += strlen(word);
    return true;
}

/* A text in quotes. */
static bool take_text(char *text, size_t size, const char **at)
{
    const char *end;

    if (!take(at, "'"))
        return false;
    end = strchr(*at, '\'');
    if (end == NULL || (size_t)(end - *at) >= size)
        return false;
    snprintf(text, size, "%.*s", (int)(end - *at), *at);
    *at = end + 1;
    return true;
}

static bool take_shape(struct array *a, const char **at)
{
    if (!take(at, "("))
        return false;
    while (!take(at, ")")) {
        char *end;

        if (a->dims == ARRAY_DIMS || **at < '0' || **at > '9')
            return false;
        a->size[a->dims++] = strtoll(*at, &end, 10);
        *at                = end;
        if (!take(at, ",") && **at != ')')
            return false;
    }
    return true;
}

static bool take_order(bool *is_fortran, const char **at)
{
    *is_fortran = take(at, "True");
    return *is_fortran || take(at, "False");
}

/* All three keys, each once, in any order. */
static bool take_all(struct array *a, const char *at)
{
    bool has_type = false, has_order = false, has_shape = false;

    if (!take(&at, "{"))
        return false;
    while (!take(&at, "}")) {
        char key[16];
        bool *has = NULL, is_good = false;

        if (!take_text(key, sizeof key, &at) || !take(&at, ":"))
            return false;
        if (strcmp(key, "descr") == 0) {
            has     = &has_type;
            is_good = take_text(a->said, sizeof a->said, &at);
        } else if (strcmp(key, "fortran_order") == 0) {
            has     = &has_order;
            is_good = take_order(&a->is_fortran, &at);
        } else if (strcmp(key, "shape") == 0) {
            has     = &has_shape;
            is_good = !has_shape && take_shape(a, &at);
        }
        if (has == NULL || *has || !is_good)
            return false;
        *has = true;
        if (!take(&at, ",") && *at != '}')
            return false;
    }
    return has_type && has_order && has_shape;
}

/* ---- types ----------------------------------------------------------------------- */

/* bf16 has no type in NumPy: JAX's are two bytes of anything. */
static void find_type(struct array *a, int64_t *size)
{
    static const struct {
        const char *said;
        enum array_type type;
    } types[] = { { "<f8", ARRAY_F64 },  { "<f4", ARRAY_F32 },
                  { "<f2", ARRAY_F16 },  { "|V2", ARRAY_BF16 },
                  { "<V2", ARRAY_BF16 }, { "bfloat16", ARRAY_BF16 } };

    a->type = ARRAY_OTHER;
    *size   = 0;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (strcmp(a->said, types[i].said) == 0) {
            a->type = types[i].type;
            *size   = foreign_size(a->type);
        }
    }
    if (strlen(a->said) == 3 && strchr("biufc", a->said[1]) != NULL &&
        a->said[2] >= '1' && a->said[2] <= '9')
        *size = a->said[2] - '0';
}

int npy_parse(struct array *a, int64_t *size, const struct foreign *f,
              const char *header, int bytes)
{
    const int start = header[6] == 1 ? 10 : 12;
    char text[NPY_MOST + 1];

    memcpy(text, header + start, (size_t)(bytes - start));
    text[bytes - start] = '\0';
    if (!take_all(a, text))
        return ERR(ERR_DATA, "%s: the header of '%s' is not NumPy's", f->path, a->name);
    TRY(foreign_count(a, f));
    find_type(a, size);
    return 0;
}

int npy_write(char *header, const struct array *a)
{
    const int start = 10;
    int n           = start, length;

    n += snprintf(header + n, NPY_MOST - (size_t)n,
                  "{'descr': '<f4', 'fortran_order': False, 'shape': (");
    for (int i = 0; i < a->dims; i++)
        n += snprintf(header + n, NPY_MOST - (size_t)n, "%" PRId64 "%s", a->size[i],
                      a->dims == 1 || i + 1 < a->dims ? ", " : "");
    n += snprintf(header + n, NPY_MOST - (size_t)n, "), }");
    length = (n + ALIGN) / ALIGN * ALIGN;
    memset(header + n, ' ', (size_t)(length - n));
    header[length - 1] = '\n';
    memcpy(header, magic, MAGIC);
    header[6] = 1;
    header[7] = 0;
    header[8] = (char)((length - start) & 255);
    header[9] = (char)((length - start) >> 8);
    return length;
}
