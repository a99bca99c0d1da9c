/* SPDX-License-Identifier: BSD-3-Clause */
/* A levelled log on stderr that knows the program's name, the rank and the host.
 * stdout belongs to results.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

enum log_level { LOG_ERROR, LOG_WARNING };

/* Say who is speaking: 'program' is kept by reference.  A negative 'rank' (the start)
 * means that there is one process, and is not printed.  To be called first, and again
 * when MPI has begun.  From here on the numbers of standard streams that are closed are
 * taken, to write past a limit of the shell (SIGXFSZ) is an error as others are, and
 * subnormals are kept, in threads that begin later, too: one library built with
 * -ffast-math makes them zero for all.
 */
void log_open(const char *program, int rank);

/* Lines above 'level' are dropped; LOG_WARNING at the start. */
void log_set_level(enum log_level level);

/* Print one line, "program: rank R on HOST: text". */
void log_line(enum log_level level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#define WARN(...) log_line(LOG_WARNING, __VA_ARGS__)

/* The host's name, as short as the system gives it; borrowed, valid for ever.  Linux
 * knows names of 64 letters.
 */
enum { HOST_NAME = 65 };
const char *log_host(void);
const char *log_program(void);
int log_rank(void);

#endif
