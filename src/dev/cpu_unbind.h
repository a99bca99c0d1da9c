/* SPDX-License-Identifier: BSD-3-Clause */
/* Two OpenMPs in one process: the program's, of its compiler, and GNU's, which comes
 * with a BLIS or oneDNN that gcc has built.
 */
#ifndef DEV_CPU_UNBIND_H
#define DEV_CPU_UNBIND_H

/* Where OpenMP is to bind threads (OMP_PROC_BIND, OMP_PLACES), GNU's binds the first
 * one before main(), and another, which looks later, would find one core for its whole
 * team.  Let this thread run in all places of GNU's again, from which the program's own
 * OpenMP then takes its own.  For the start of a program, before MPI binds anything;
 * does nothing where GNU's is the program's, or there is none.
 */
void cpu_unbind(void);

#endif
