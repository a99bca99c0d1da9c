/* SPDX-License-Identifier: BSD-3-Clause */
/* A folder for a program's files, which goes away at exit with all that is in it. */
#ifndef TESTS_SCRATCH_H
#define TESTS_SCRATCH_H

/* Make the folder and return its path.  Where MPI is on, the first rank makes one for
 * all: collective over MPI_COMM_WORLD.
 */
const char *scratch_open(void);

/* The path of 'name' in it, valid to the end of the program. */
const char *scratch_path(const char *name);

#endif
