/* SPDX-License-Identifier: BSD-3-Clause */
/* Seconds that only grow, and the date. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

/* Seconds since some fixed moment.  CLOCK_MONOTONIC, until clock_set() gives another
 * source: mesh_open() sets MPI_Wtime, which a simulator drives.
 */
double clock_now(void);
void clock_set(double (*now)(void));

/* Date and time now as ISO 8601 UTC, "2026-01-31T12:00:00Z", into 'text'. */
void clock_date(char text[24]);

#endif
