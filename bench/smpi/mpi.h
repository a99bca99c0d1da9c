/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulator's MPI, for objects that are compiled with this folder before that of
 * the machine's MPI: all of them find it as <mpi.h>.
 */
#include <smpi/mpi.h>
