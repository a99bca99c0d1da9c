/* SPDX-License-Identifier: BSD-3-Clause */
/* Seconds that only grow, measured or spent, and the date. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

/* Seconds since some fixed moment.  CLOCK_MONOTONIC, until clock_set() gives another
 * source: a simulator's.  MPI_Wtime need not be monotonic: MPICH's is the time of day,
 * which whoever sets the system's clock moves.
 */
double clock_now(void);
void clock_set(double (*now)(void));

/* CLOCK_MONOTONIC whatever was set, in any thread. */
double clock_monotonic(void);

/* Take back what was spent and has not passed yet: it is as if it had
 * not been spent.
 */
double clock_take_back(void);

/* Let 'seconds' pass on this process's clock that it did not take: clock_now() is ahead
 * of its source by them.  A device that only knows what its operations would cost does
 * this.  Whoever is about to do what other processes see settles first: 'pass' makes
 * the seconds pass there (a simulator's sleep), and the source catches up.  Without
 * 'pass', NULL at the start, the clock stays ahead.
 */
void clock_spend(double seconds);
void clock_settle(void);
void clock_set_pass(void (*pass)(double seconds));

/* Seconds for which this process's first thread was ready to run while its core ran
 * another; 0 where the system does not count them.
 */
double clock_displaced(void);

/* Date and time now as ISO 8601 UTC, "2026-01-31T12:00:00Z", into 'text'. */
void clock_date(char text[24]);

#endif
