/* SPDX-License-Identifier: BSD-3-Clause */
/* The frame of a program that runs on several ranks: how it starts, and whose reading
 * of the options counts.
 *
 * What runs nothing (--help, --dry-run, ..) is done before MPI is started.  Only the
 * process that the launcher calls rank 0 prints; the others do the same in silence, so
 * that all end with the same status.  In a run the options are those that rank 0 has
 * read, since files and environment may differ between nodes.
 */
#ifndef MESH_PROGRAM_H
#define MESH_PROGRAM_H

#include "src/base/opts.h"

#include <stdbool.h>
#include <stdio.h>

struct program {
    const char *name;
    const char *usage, *about; /* of the help */
    const char *status;        /* what follows the options in the help */

    /* Parse into 'values' (of 'size' bytes).  Returns 0 or ERR_USAGE. */
    int (*read)(struct opts *opts, void *values, int argc, char **argv);
    void *values;
    size_t size;

    /* Do an action of the table (OPT_ACTION) that is none of "help",
     * "version", "print-config" and "list-shapes": 0 or a code.  'is_heard' is
     * false on ranks other than 0, whose 'out' goes nowhere and who must write
     * no file.  NULL: there is none.
     */
    int (*show)(FILE *out, bool is_heard, void *values);

    /* True if several threads will call MPI; NULL: never.  Whether this MPI allows it
     * is for MPI_Query_thread().
     */
    bool (*is_threaded)(const void *values);

    /* Everything between MPI_Init and MPI_Finalize: the exit status. */
    int (*run)(struct opts *opts, void *values, int argc, char **argv);
};

/* The exit status.  Calls MPI_Init_thread: FUNNELED, or MULTIPLE if it
 * is_threaded().
 */
int program_main(const struct program *p, int argc, char **argv);

/* True if an action was asked for, which ends the program before MPI. */
bool program_runs_nothing(const struct opts *opts);

#endif
