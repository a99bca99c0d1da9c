/* SPDX-License-Identifier: BSD-3-Clause */
/* The frame of a program: it starts MPI, reads the options, runs, and ends. */
#include "config.h"

#include "mesh/program.h"

#include "mesh/mesh.h"
#include "src/base/err.h"
#include "src/base/log.h"
#include "src/base/version.h"
#include "src/dev/cpu_unbind.h"
#include "src/plan/spec.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* ---- without MPI ----------------------------------------------------------------- */

/* The rank as the launcher says it before MPI_Init, 0 where there is none. */
static int launcher_rank(void)
{
    static const char *const names[] = { "OMPI_COMM_WORLD_RANK", "PMIX_RANK",
                                         "PMI_RANK", "SLURM_PROCID" };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *text = getenv(names[i]);

        if (text != NULL && isdigit((unsigned char)text[0]))
            return atoi(text);
    }
    return 0;
}

/* True if the action "name" was asked for; NULL: any of them. */
static bool is_asked(const struct opts *opts, const char *name)
{
    for (int i = 0; i < opts->count; i++) {
        const struct opt *row = &opts->table[i];

        if (row->type == OPT_ACTION && (name == NULL || strcmp(row->name, name) == 0) &&
            *(const bool *)((const char *)opts->values + row->offset))
            return true;
    }
    return false;
}

bool program_runs_nothing(const struct opts *opts)
{
    return is_asked(opts, NULL);
}

/* Do what was asked for, on 'out'. */
static int show(const struct program *p, const struct opts *opts, FILE *out,
                bool is_heard)
{
    if (is_asked(opts, "help")) {
        opts_help(opts, out, p->usage, p->about);
        fputs(p->status, out);
    } else if (is_asked(opts, "version")) {
        fprintf(out, "%s %s (git %s)\n", p->name, version_text(), version_git());
    } else if (is_asked(opts, "print-config")) {
        opts_dump(opts, out);
    } else if (is_asked(opts, "list-shapes")) {
        spec_list(out);
    } else {
        TRY(p->show(out, is_heard, p->values));
    }
    return err_unheard(out);
}

/* The exit status; 'rc' is how reading the options ended. */
static int without_mpi(const struct program *p, const struct opts *opts, int rc)
{
    const bool is_heard = launcher_rank() == 0;
    FILE *out           = is_heard ? stdout : fopen("/dev/null", "w");

    if (rc == 0)
        rc = out != NULL ? show(p, opts, out, is_heard)
                         : ERR(ERR_IO, "/dev/null is missing");
    if (is_heard)
        err_say(rc);
    return err_exit_status(rc);
}

/* ---- with MPI -------------------------------------------------------------------- */

/* Over TCP, Open MPI sends a message above its eager limit of 64 KB in fragments, and
 * the next one only when both ranks are inside a call of MPI: behind a product it
 * stands still.  What is eager the kernel sends on alone.  The user's own limits win.
 */
static void let_tcp_run_ahead(void)
{
    static const char *const limit[] = { "OMPI_MCA_btl_tcp_eager_limit",
                                         "OMPI_MCA_btl_tcp_rndv_eager_limit",
                                         "OMPI_MCA_btl_tcp_max_send_size" };
    enum { LIMITS = sizeof limit / sizeof limit[0] };

    for (int i = 0; i < LIMITS; i++)
        if (getenv(limit[i]) != NULL)
            return;
    for (int i = 0; i < LIMITS; i++)
        setenv(limit[i], "16777216", 0);
}

int program_main(const struct program *p, int argc, char **argv)
{
    struct opts opts = { 0 };
    int rc           = p->read(&opts, p->values, argc, argv), rank, level, status;
    bool is_threaded;

    log_open(p->name, -1);
    if (program_runs_nothing(&opts))
        return without_mpi(p, &opts, rc);

    cpu_unbind();
    let_tcp_run_ahead();
    is_threaded = p->is_threaded != NULL && p->is_threaded(p->values);
    MPI_Init_thread(&argc, &argv,
                    is_threaded ? MPI_THREAD_MULTIPLE : MPI_THREAD_FUNNELED, &level);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    log_open(p->name, rank);
    if (rank > 0)
        err_forget(); /* rank 0's reading counts */
    rc = mesh_agree_comm(MPI_COMM_WORLD, rank == 0 ? rc : 0);
    MPI_Bcast(p->values, (int)p->size, MPI_BYTE, 0, MPI_COMM_WORLD);
    status = rc == 0 ? p->run(&opts, p->values, argc, argv) : err_exit_status(rc);
    MPI_Finalize();
    return status;
}
