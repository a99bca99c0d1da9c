/* SPDX-License-Identifier: BSD-3-Clause */
/* Whether this rank was told to end (base/told.h), and what the clock says. */
#include "config.h"

#include "src/train/stop.h"

#include "src/base/clock.h"
#include "src/base/told.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* Before the end that the batch system sets, for what comes after a save. */
static const double reserve = 15;

/* ---- the clock ------------------------------------------------------------------- */

double stop_parse_left(const char *text)
{
    const char *dash = strchr(text, '-');
    double days = 0, seconds = 0;
    int parts = 0;

    if (dash != NULL) {
        days = atof(text);
        text = dash + 1;
    }
    while (parts < 3) {
        char *end;
        const long number = strtol(text, &end, 10);

        if (end == text || !isdigit((unsigned char)text[0]))
            return -1;
        seconds = 60 * seconds + (double)number;
        parts++;
        if (*end != ':') {
            const bool is_end = *end == '\0' || isspace((unsigned char)*end);

            return is_end && parts >= 2 ? 86400 * days + seconds : -1;
        }
        text = end + 1;
    }
    return -1;
}

/* What the batch system's own program says of the job; negative: nothing. */
static double ask_squeue(const char *job)
{
    char command[128], answer[64] = "";
    FILE *pipe;

    if (strspn(job, "0123456789_") != strlen(job))
        return -1;
    snprintf(command, sizeof command, "squeue -h -j %s -o %%L 2>/dev/null", job);
    pipe = popen(command, "r");
    if (pipe == NULL)
        return -1;
    if (fgets(answer, sizeof answer, pipe) == NULL)
        answer[0] = '\0';
    pclose(pipe);
    return stop_parse_left(answer);
}

/* The job as squeue is to be asked for it, into 'job'; false outside of any.  The last
 * task of an array has the array's own number, for which squeue lists all tasks.
 */
static bool find_job(char job[64])
{
    const char *id = getenv("SLURM_JOB_ID"), *array = getenv("SLURM_ARRAY_JOB_ID"),
               *task = getenv("SLURM_ARRAY_TASK_ID");

    if (id == NULL)
        return false;
    if (array != NULL && task != NULL && strcmp(id, array) == 0)
        snprintf(job, 64, "%s_%s", id, task);
    else
        snprintf(job, 64, "%s", id);
    return true;
}

/* Seconds until the batch system ends the job, less the reserve;
 * infinity if unknown.
 */
static double seconds_left(void)
{
    const char *end = getenv("SLURM_JOB_END_TIME");
    char job[64];
    double left = -1;

    if (end != NULL && isdigit((unsigned char)end[0]))
        return atof(end) - (double)time(NULL) - reserve;
    if (find_job(job))
        left = ask_squeue(job);
    return left >= 0 ? left - reserve : INFINITY;
}

void stop_open(struct stop *s, double limit, bool is_timed)
{
    *s = (struct stop){ .end = INFINITY };
    if (is_timed)
        s->end = clock_now() + (limit > 0 ? limit : seconds_left());
}

static bool is_late(const struct stop *s)
{
    return clock_now() + s->spare >= s->end;
}

bool stop_is_due(const struct stop *s)
{
    return told_to_end() || is_late(s);
}

const char *stop_reason(const struct stop *s)
{
    return !told_to_end() && is_late(s) ? "the time limit" : "a signal";
}
