/* SPDX-License-Identifier: BSD-3-Clause */
/* Lines of a report, "label   text", in 80 columns. */
#ifndef BASE_FIELD_H
#define BASE_FIELD_H

#include <stdarg.h>
#include <stdio.h>

enum { FIELD_COLUMNS = 80 };

/* The label in 'width' columns, and behind it the text: wrapped at blanks, or anywhere
 * where a word is longer than a line, each line of it below the first.
 */
void field_print(FILE *out, int width, const char *label, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
void field_vprint(FILE *out, int width, const char *label, const char *fmt,
                  va_list args);

/* A line of nothing but 'c'. */
void field_rule(FILE *out, char c);

#endif
