/* SPDX-License-Identifier: BSD-3-Clause */
/* A simulated rank: vitbench on the model device, its clock driven by SimGrid.  All ranks
 * are one process, in which each has a copy of this program's variables.
 */
#include "config.h"

#include "bench/bench.h"
#include "bench/simulate.h"
#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/base/log.h"
#include "src/dev/dev_impl.h"
#include "src/dev/dev_model.h"

#include <mpi.h>
#include <simgrid/engine.h>
#include <smpi/smpi.h>
#include <time.h>

/* No other device is linked. */
const struct dev_ops *const dev_backends[] = { NULL };

/* Let simulated time pass. */
static void pass(double seconds)
{
    struct timespec t = { (time_t)seconds, 0 };

    t.tv_nsec = (long)(1e9 * (seconds - (double)t.tv_sec));
    nanosleep(&t, NULL); /* smpi's */
}

/* Memory that SMPI calls shared it does not copy. */
static void *block(MPI_Comm comm)
{
    void *at = NULL;
    int rank;

    clock_set_pass(pass);
    MPI_Comm_rank(comm, &rank);
    if (rank == 0)
        at = SMPI_SHARED_MALLOC(DEV_MODEL_BLOCK);
    MPI_Bcast(&at, sizeof at, MPI_BYTE, 0, comm);
    return at;
}

/* The options are in the file that argv[1] names. */
int main(int argc, char **argv)
{
    int rc = argc == 2 ? simulate_read_words(&argc, &argv, argv[1])
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
