/* SPDX-License-Identifier: BSD-3-Clause */
/* Which model a file of another program holds: its names tell the style, its shapes
 * most sizes.  The number of heads, and the form of GELU, are in no file.
 */
#ifndef EXCHANGE_GUESS_H
#define EXCHANGE_GUESS_H

#include "src/exchange/map.h"
#include "src/exchange/options.h"

/* Fill 'style', and complete 's' from what 'o' says and, where it is silent, from the
 * file.  Returns 0, or ERR_DATA, ERR_USAGE, ERR_SHAPE with a sentence.
 */
int guess_model(struct style *style, struct spec *s, const struct foreign *f,
                const struct exchange_options *o);

#endif
