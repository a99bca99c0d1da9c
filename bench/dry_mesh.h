/* SPDX-License-Identifier: BSD-3-Clause */
/* What --dry-run says of time on a machine: the step as predicted, and
 * the best meshes.
 */
#ifndef BENCH_DRY_MESH_H
#define BENCH_DRY_MESH_H

#include "bench/options.h"
#include "src/plan/choice.h"

#include <jansson.h>
#include <stdio.h>

/* All meshes of 'ranks' ranks of 'machine', and the one that is planned with. */
struct dry_mesh {
    const struct machine *machine; /* borrowed */
    struct choice *list;           /* 'count' of them, the best first; owned */
    int count;
    struct choice own;
    int nodes, on_node; /* that its ranks fill, and how many on each */
    const char *from;   /* of cost.h: the format whose rates are taken, */
    double faster;      /* and by how much products are faster; borrowed */
};

/* Find them for 'job', whose batch of 0 stands for 'images' a data rank; the mesh that
 * is planned with is that of 'job', or the best one if it has none.  Returns 0,
 * ERR_SHAPE if there is no mesh, or the code of cost_make().
 */
int dry_mesh_open(struct dry_mesh *d, const struct spec *s,
                  const struct traffic_job *job, const struct machine *machine,
                  int ranks, int64_t images);
void dry_mesh_close(struct dry_mesh *d);

void dry_mesh_print(FILE *out, const struct dry_mesh *d);

/* Add nodes, ranks_per_node, kernels_dtype, step_s, mfu, exposed_s and meshes[] to
 * 'plan'.
 */
void dry_mesh_json(json_t *plan, const struct dry_mesh *d);

#endif
