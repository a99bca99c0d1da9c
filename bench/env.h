/* SPDX-License-Identifier: BSD-3-Clause */
/* What a reader needs to repeat or distrust a run: build, system, environment. */
#ifndef BENCH_ENV_H
#define BENCH_ENV_H

#include "mesh/node.h"
#include "bench/result.h"
#include "mesh/mesh.h"
#include "src/dev/dev.h"
#include "src/plan/cost.h"

/* Fill r->env (allow-listed variables alone: of Slurm, of MPIs and their networks,
 * of OpenMP, BLIS, oneDNN, CUDA and the loader, VITBENCH_*; and what the system says of
 * the clock's governor and of huge pages), r->build (compiler, flags, debug or not),
 * r->system (hosts, CPU, cores, memory, MPI, libraries), and the mesh.  'r' is NULL on
 * ranks other than 0.  Collective over 'mesh'.
 */
void env_describe(struct result *r, struct mesh *mesh, struct dev *dev);

/* The same of a machine that is simulated. */
void env_describe_model(struct result *r, struct mesh *mesh, struct dev *dev,
                        const struct cost_rank *model);

/* Warnings that save a run: two ranks on one core, one core bound for a rank that has
 * more threads, more threads than cores, a debug build.  Each is said once, for the
 * first rank that it is true of.  True if somewhere there are more threads than cores,
 * so that the times of single ranks mean little.  Collective over 'mesh'.
 */
bool env_warn(struct result *r, struct mesh *mesh, struct dev *dev,
              const struct node *n);

/* Warn where a core ran other work while its rank was ready to run, for more than a
 * twentieth of the timed steps; 'share' is this rank's.  Collective over 'mesh'.
 */
void env_warn_displaced(struct result *r, struct mesh *mesh, double share);

#endif
