/* SPDX-License-Identifier: BSD-3-Clause */
/* A simulated rank: vitbench on the model device, its clock driven by SimGrid.  All
 * ranks are one process and share this program's variables: a copy of the program for
 * each would be cold whenever its turn comes, which costs more than what it does.  What
 * a rank must have of its own is in base/own.h.
 */
#include "config.h"

#include "bench/bench.h"
#include "bench/simulate.h"
#include "mesh/mesh.h"
#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/base/log.h"
#include "src/base/own.h"
#include "src/dev/dev_impl.h"
#include "src/dev/dev_model.h"

#include <mpi.h>
#include <simgrid/actor.h>
#include <simgrid/engine.h>
#include <smpi/smpi.h>

/* No other device is linked. */
const struct dev_ops *const dev_backends[] = { NULL };

/* Memory of which SMPI copies only the first byte of each of 'count' steps: what is
 * shared between them it does not look at, however much is sent from there.  The end is
 * not shared: else all of it would be.
 */
static char *bytes_apart(int count, size_t step)
{
    size_t shared[2 * MESH_PLACES];

    for (int k = 0; k < count; k++) {
        shared[2 * k]     = (size_t)k * step + 1;
        shared[2 * k + 1] = (size_t)(k + 1) * step;
    }
    return SMPI_PARTIAL_SHARED_MALLOC((size_t)count * step + 1, shared, count);
}

/* Memory that SMPI calls shared it does not copy. */
static void *block(struct mesh_model *model, MPI_Comm comm)
{
    void *at[2] = { NULL, NULL };
    int rank;

    clock_set_pass(sg_actor_sleep_for);
    MPI_Comm_rank(comm, &rank);
    model->places = bytes_apart(MESH_PLACES, MESH_PLACE_STEP);
    if (rank == 0) {
        /* Its end must not meet the next place: a message would take back the one
         * that has come there.
         */
        model->sign    = bytes_apart(1, MESH_PLACE_STEP / 2);
        model->sign[0] = 1;
        at[0]          = SMPI_SHARED_MALLOC(DEV_MODEL_BLOCK);
        at[1]          = model->sign;
    }
    MPI_Bcast(at, sizeof at, MPI_BYTE, 0, comm);
    model->sign = at[1];
    return at[0];
}

static struct own *own_of_rank(void)
{
    return smpi_process_get_user_data();
}

/* The options are in the file that argv[1] names. */
int main(int argc, char **argv)
{
    struct own own = { .log = OWN_LOG_AT_START };
    int rc;

    smpi_process_set_user_data(&own);
    own_set(own_of_rank);
    rc = argc == 2 ? simulate_read_words(&argc, &argv, argv[1])
                   : ERR(ERR_USAGE, "this is started by vitbench-sim");

    log_open("vitbench-sim", -1);
    if (rc != 0) {
        err_say(rc);
        return err_exit_status(rc);
    }
    return bench_main(&(struct bench_program){ .name  = "vitbench-sim",
                                               .usage = SIMULATE_USAGE,
                                               .about = SIMULATE_ABOUT,
                                               .read  = simulate_read,
                                               .block = block,
                                               .clock = simgrid_get_clock },
                      argc, argv);
}
