/* SPDX-License-Identifier: BSD-3-Clause */
/* Whose turn it is. */
#include "config.h"

#include "src/base/own.h"

#include <stddef.h>

static struct own *(*of_rank)(void);

struct own *own(void)
{
    return of_rank != NULL ? of_rank() : NULL;
}

void own_set(struct own *(*find)(void))
{
    of_rank = find;
}
