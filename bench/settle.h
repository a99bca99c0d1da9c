/* SPDX-License-Identifier: BSD-3-Clause */
/* Which way of doing each product is faster (--tune). */
#ifndef BENCH_SETTLE_H
#define BENCH_SETTLE_H

#include "bench/setup.h"

/* Go through a step's gradients while the device times its products; the slowest rank's
 * times decide for all.  What was chosen goes to the result.  Collective over the mesh.
 */
void settle_products(struct bench *b, struct setup *setup);

/* Let the slowest rank's times decide in which way each of 'count' products is done, on
 * all ranks alike; where ranks have met products of other kinds, or in another order,
 * each is done in its first way.  Returns false there.  Collective over 'mesh'; 'count'
 * may differ.
 */
bool settle_choices(struct mesh *mesh, struct dev_choice *choice, int count);

#endif
