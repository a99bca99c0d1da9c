/* SPDX-License-Identifier: BSD-3-Clause */
/* The log.  A line is put together first and written in one call, because the lines of
 * many ranks meet in one file.
 */
#include "config.h"

#include "src/base/log.h"

#include "src/base/own.h"
#include "src/base/target.h"

#include <fcntl.h>
#include <fenv.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct own_log of_process = OWN_LOG_AT_START;

static struct own_log *the_log(void)
{
    struct own *o = own();

    return o != NULL ? &o->log : &of_process;
}

/* Standard streams that the caller has closed stay so, but their numbers are taken:
 * else a file, or a socket of MPI, would get one, and what is printed.
 */
static void hold_numbers(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDONLY);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

void log_open(const char *program, int rank)
{
    struct own_log *log = the_log();

    target_check();
    hold_numbers();
    signal(SIGXFSZ, SIG_IGN);
    fesetenv(FE_DFL_ENV);
    log->program = program;
    log->rank    = rank;
}

void log_set_level(enum log_level level)
{
    the_log()->level = level;
}

void log_line(enum log_level level, const char *fmt, ...)
{
    const struct own_log *log = the_log();
    char line[1280];
    int used;
    va_list args;

    if (level > log->level)
        return;
    if (log->rank < 0)
        used = snprintf(line, 256, "%s: ", log->program);
    else
        used = snprintf(line, 256, "%s: rank %d on %s: ", log->program, log->rank,
                        log_host());
    if (used > 255)
        used = 255;
    va_start(args, fmt);
    vsnprintf(line + used, sizeof line - (size_t)used - 1, fmt, args);
    va_end(args);
    strcat(line, "\n");
    fputs(line, stderr);
    fflush(stderr);
}

const char *log_host(void)
{
    struct own_log *log = the_log();

    if (log->host[0] == '\0') {
        char name[256] = ""; /* with all of its domain */

        if (gethostname(name, sizeof name - 1) != 0 || name[0] == '\0')
            strcpy(name, "unknown");
        if (name[strspn(name, ".0123456789")] != '\0') /* no address, but a domain */
            name[strcspn(name, ".")] = '\0';
        snprintf(log->host, sizeof log->host, "%.*s", HOST_NAME - 1, name);
    }
    return log->host;
}

const char *log_program(void)
{
    return the_log()->program;
}

int log_rank(void)
{
    return the_log()->rank;
}
