/* SPDX-License-Identifier: BSD-3-Clause */
/* Which mesh to take on a machine: every D x M of so many ranks, with what it would do,
 * the best ones first.
 */
#ifndef PLAN_CHOICE_H
#define PLAN_CHOICE_H

#include "src/plan/forecast.h"

struct choice {
    struct traffic_job job; /* with its mesh, batch and form */
    int64_t bytes;          /* of the rank that needs most */
    bool fits; /* all ranks of a node into the part of its memory that runs may take */
    struct forecast forecast;
};

/* Meshes of a list at most: an M divides the ranks and is not above H. */
enum { CHOICES = 256 };

/* Put into 'list' all meshes that 'ranks' ranks can have, with the batch 'B', or with
 * 'B_per_data_rank' images for every data rank if B is 0; all else as in 'like'.
 * CMM_AUTO without choices of its own becomes the fastest of the three forms.  Meshes
 * on which the batch cannot be run, in so many micro-batches, are left out.  Those that
 * fit come first, then those with more tokens a second, then the smaller M.  Returns 0
 * and how many in '*count' (0: this batch or model has no mesh of so many ranks), or
 * the code of cost_make().
 */
int choice_list(struct choice list[CHOICES], int *count, const struct spec *s,
                const struct traffic_job *like, const struct machine *m, int ranks,
                int64_t B, int64_t B_per_data_rank);

/* The same of the mesh and batch in 'job', which 's' is known to allow; how many of its
 * data ranks share a node is as 'c' has it where 'job' does not say.
 */
void choice_make(struct choice *choice, const struct spec *s,
                 const struct traffic_job *job, const struct cost_rank *c);

/* Whether ranks of 'bytes' each, 'on_node' on a node, leave it enough of its memory. */
bool choice_fits(const struct machine *m, int on_node, int64_t bytes);

#endif
