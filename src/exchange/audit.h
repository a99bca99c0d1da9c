/* SPDX-License-Identifier: BSD-3-Clause */
/* Checkpoint files looked at from outside: what is in one, whether its numbers are
 * those that were written, how two differ.  All ranks read, rank 0 prints.
 *
 * Functions return 0 or a code, said, the same on all ranks: ERR_DATA for a file that
 * is none of ours or damaged, ERR_CHECK for files that differ.
 * Collective over 'comm'.
 */
#ifndef EXCHANGE_AUDIT_H
#define EXCHANGE_AUDIT_H

#include <mpi.h>
#include <stdio.h>

/* Step and settings, then a line a dataset: name, shape, digest. */
int audit_list(FILE *out, const char *path, MPI_Comm comm);

/* Compute every digest anew; a line for each dataset that is damaged. */
int audit_verify(FILE *out, const char *path, MPI_Comm comm);

/* A line for each dataset that is not the same, bit for bit, in both: how many elements
 * differ, by how much at most, and the norm of the difference over the norm of 'a'.
 */
int audit_diff(FILE *out, const char *a, const char *b, MPI_Comm comm);

#endif
