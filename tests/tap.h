/* SPDX-License-Identifier: BSD-3-Clause */
/* Test Anything Protocol for C programs, with or without MPI.
 *
 * A test is a sentence that is true or not.  In an MPI program every rank says ok();
 * tap_reduce, if set, makes one verdict of all ranks' (false if false anywhere), and
 * only rank 0 prints.
 */
#ifndef TESTS_TAP_H
#define TESTS_TAP_H

#include <stdbool.h>

/* Set by MPI tests after MPI_Init: collective and-reduction, and who prints. */
extern bool (*tap_reduce)(bool is_ok);
extern bool tap_is_quiet;

/* Verdict of the sentence 'fmt'; prints where it was if it is false; returns it. */
#define ok(is_ok, ...) tap_ok((is_ok), __FILE__, __LINE__, __VA_ARGS__)
bool tap_ok(bool is_ok, const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* |a - b| <= tol, all finite; prints both when not. */
#define close_to(a, b, tol, ...)                                                       \
    tap_close((a), (b), (tol), __FILE__, __LINE__, __VA_ARGS__)
bool tap_close(double a, double b, double tol, const char *file, int line,
               const char *fmt, ...) __attribute__((format(printf, 6, 7)));

/* The larger of two errors; what is not a number is worse than any, as it is not to
 * fmax().
 */
double tap_worse(double a, double b);

void tap_note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void tap_skip(const char *what, const char *why);

/* Skip the whole program: print the reason and leave with 77. */
_Noreturn void tap_skip_all(const char *why);

/* True if the call that gave 'rc' failed with 'code', in a sentence that holds 'words';
 * prints both when not.  Forgets the error.
 */
bool tap_says(int rc, int code, const char *words);

/* True in 'make check-long': a test may repeat more. */
bool tap_is_long(void);

/* Print the plan; the exit status: 0 or 1. */
int tap_done(void);

#endif
