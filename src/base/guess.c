/* SPDX-License-Identifier: BSD-3-Clause */
/* The nearest name by edit distance, in which swapped neighbours count once. */
#include "config.h"

#include "src/base/guess.h"

#include <string.h>

enum { NAME_MOST = 64 };

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* How many letters must be put in, left out, changed or swapped with their neighbour to
 * make 'b' of 'a': row i of the table holds the answers for the first i letters of 'a'.
 */
static int distance(const char *a, const char *b)
{
    const int n               = (int)strlen(b);
    int before[NAME_MOST + 1] = { 0 }, above[NAME_MOST + 1], row[NAME_MOST + 1];

    if (n > NAME_MOST)
        return NAME_MOST;
    for (int j = 0; j <= n; j++)
        above[j] = j;
    for (int i = 1; a[i - 1] != '\0'; i++) {
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            row[j] = least(least(above[j], row[j - 1]) + 1,
                           above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
        memcpy(before, above, sizeof before);
        memcpy(above, row, sizeof above);
    }
    return above[n];
}

void guess_try(struct guess *g, const char *name)
{
    const size_t length = strlen(g->typed);
    int d               = distance(g->typed, name);

    if (length >= 3 && strncmp(g->typed, name, length) == 0)
        d = 1;
    if (d <= (int)(length + 2) / 3 && (g->name == NULL || d < g->distance)) {
        g->name     = name;
        g->distance = d;
    }
}
