/* SPDX-License-Identifier: BSD-3-Clause */
/* The log.  A line is put together first and written in one call, because the lines of
 * many ranks meet in one file.
 */
#include "config.h"

#include "src/base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct {
    const char *program;
    int rank;
    enum log_level level;
    char host[64];
} the_log = { .program = "vitbench", .rank = -1, .level = LOG_WARNING };

void log_open(const char *program, int rank)
{
    the_log.program = program;
    the_log.rank    = rank;
}

void log_set_level(enum log_level level)
{
    the_log.level = level;
}

void log_line(enum log_level level, const char *fmt, ...)
{
    char line[1280];
    int used;
    va_list args;

    if (level > the_log.level)
        return;
    if (the_log.rank < 0)
        used = snprintf(line, 256, "%s: ", the_log.program);
    else
        used = snprintf(line, 256, "%s: rank %d on %s: ", the_log.program, the_log.rank,
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
    if (the_log.host[0] == '\0') {
        char name[sizeof the_log.host] = "";

        if (gethostname(name, sizeof name - 1) != 0 || name[0] == '\0')
            strcpy(name, "unknown");
        name[strcspn(name, ".")] = '\0';
        strcpy(the_log.host, name);
    }
    return the_log.host;
}

const char *log_program(void)
{
    return the_log.program;
}

int log_rank(void)
{
    return the_log.rank;
}
