/* SPDX-License-Identifier: BSD-3-Clause */
/* Names of hosts, compressed: sorted by what stands before their last number, its width
 * and its value, neighbours become ranges.
 */
#include "config.h"

#include "bench/hosts.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MOST = 4096 };

/* Letters before the number at the end of 'name'; all if there is none, or if it is too
 * long to count with.
 */
static int stem(const char *name)
{
    const int length = (int)strlen(name);
    int n            = length;

    while (n > 0 && isdigit((unsigned char)name[n - 1]))
        n--;
    return length - n <= 15 ? n : length;
}

static long long number(const char *name)
{
    return atoll(name + stem(name));
}

static int by_stem(const void *a, const void *b)
{
    const char *x = a, *y = b;
    const int n = stem(x), m = stem(y);
    const int order = strncmp(x, y, (size_t)(n < m ? n : m));

    if (order != 0)
        return order;
    if (n != m)
        return n - m;
    if (strlen(x) != strlen(y))
        return strlen(x) < strlen(y) ? -1 : 1;
    return strcmp(x, y);
}

/* True if both differ in their last number alone, written with the same width. */
static int is_kin(const char *a, const char *b)
{
    const int n = stem(a);

    return n == stem(b) && strlen(a) == strlen(b) && a[n] != '\0' &&
           strncmp(a, b, (size_t)n) == 0;
}

/* Write the names i .. j - 1, which are kin, as one text. */
static json_t *join(char (*host)[HOST_NAME], int i, int j)
{
    char text[TEXT_MOST];
    const char *first = host[i];
    const int n       = stem(first);
    int used          = snprintf(text, sizeof text, "%.*s[", n, first);

    if (j - i == 1)
        return json_string(first);
    while (i < j && used < TEXT_MOST - 2 * HOST_NAME) {
        int last = i;

        while (last + 1 < j && number(host[last + 1]) == number(host[last]) + 1)
            last++;
        used += sprintf(text + used, "%s%s", host[i] + n, last > i ? "-" : "");
        if (last > i)
            used += sprintf(text + used, "%s", host[last] + n);
        i = last + 1;
        used += sprintf(text + used, "%s", i < j ? "," : "]");
    }
    if (i < j)
        sprintf(text + used, "..]");
    return json_string(text);
}

json_t *hosts_compress(char (*host)[HOST_NAME], int count)
{
    json_t *all = json_array();
    int names   = 0;

    qsort(host, (size_t)count, sizeof *host, by_stem);
    for (int i = 0; i < count; i++) {
        if (names == 0 || strcmp(host[i], host[names - 1]) != 0)
            memmove(host[names++], host[i], HOST_NAME);
    }
    for (int i = 0, j; i < names; i = j) {
        for (j = i + 1; j < names && is_kin(host[i], host[j]); j++)
            ;
        json_array_append_new(all, join(host, i, j));
    }
    return all;
}
