/* SPDX-License-Identifier: BSD-3-Clause */
/* The processor that the compiler was told to build for: -march=native and the like let
 * it take instructions for granted that another node may lack.
 */
#ifndef BASE_TARGET_H
#define BASE_TARGET_H

/* End the program with status 3 and a sentence where this processor lacks one of them,
 * instead of SIGILL somewhere later.  Runs by itself before main(), which may begin
 * with one; log_open() names it, so that it is in every program.
 */
void target_check(void);

#endif
