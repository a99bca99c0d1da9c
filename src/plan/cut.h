/* SPDX-License-Identifier: BSD-3-Clause */
/* Where a group's flat buffer is cut over the data axis: into D parts of nearly equal
 * size, each of whole rows of the group's matrices.
 *
 *   | slot, 3 rows        | slot, 5 rows                       | slot, 1 row |
 *   |------ part 0 ------|-------- part 1 --------|--------- part 2 --------|
 *                        ^ the first row that begins at or after 1/3 of all
 *
 * A row is never cut, so a part of a tensor is at most three boxes of its logical
 * shape.
 */
#ifndef PLAN_CUT_H
#define PLAN_CUT_H

#include "src/plan/param.h"

enum { CUT_SLOTS = 24 }; /* more than any group has */

struct cut {
    int64_t size; /* elements of the group, as param_group_elements() has them */
    int slots;
    struct {
        int64_t offset, rows; /* rows that stay whole, of 'row' elements each */
        int64_t row;
    } slot[CUT_SLOTS];
};

/* The rows of a group (not the replicated one) on model rank m of M. */
void cut_make(struct cut *c, const struct params *p, int group, int M, int m);

/* Where part 'd' of D begins; that of d = D is the end. */
int64_t cut_at(const struct cut *c, int D, int d);

/* The same if groups are sharded; else every rank has all of a group, and the parts in
 * which it travels are nearly equal.
 */
int64_t cut_place(const struct cut *c, bool is_sharded, int D, int d);

/* The most elements of these parts that come to be added in one hop (plan/hops.h). */
int64_t cut_room(const struct cut *c, bool is_sharded, int D, int near);

/* How many rows of a matrix go together: the colours of a pixel of the patch kernel. */
int64_t cut_rows_together(const struct param *p);

#endif
