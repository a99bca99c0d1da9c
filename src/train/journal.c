/* SPDX-License-Identifier: BSD-3-Clause */
/* The lines of a run, as text and as JSON. */
#include "config.h"

#include "src/train/journal.h"

#include "src/base/clock.h"
#include "src/base/draft.h"
#include "src/base/err.h"
#include "src/base/field.h"
#include "src/base/json.h"
#include "src/base/log.h"
#include "src/plan/count.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { HEAD_EVERY = 20 /* rows */ };

/* ---- the file -------------------------------------------------------------------- */

/* Which lines go: those of 'fork' (-1: of the run) after step 'last'.  What is no line
 * goes, too.
 */
struct gone {
    int64_t fork, last;
};

/* What the file had when the run went on is noted. */
static bool stays(struct journal *j, const char *line, const struct gone *gone)
{
    json_t *object     = json_loads(line, 0, NULL);
    const json_t *step = json_object_get(object, "step");
    const json_t *fork = json_object_get(object, "fork");
    const bool is_line = json_is_integer(step);
    const int64_t leg  = json_is_integer(fork) ? json_integer_value(fork) : -1;
    const int64_t at   = json_integer_value(step);
    const bool is_kept = is_line && (leg != gone->fork || at <= gone->last);

    j->has_forks = j->has_forks || (is_kept && leg >= 0);
    if (is_kept && leg == gone->fork && json_object_get(object, "eval_loss") != NULL)
        j->looked = at;
    json_decref(object);
    return is_kept;
}

/* Copy the lines of the file that stay, if it is there; each gets its newline. */
static int copy_lines(FILE *to, struct journal *j, const struct gone *gone)
{
    FILE *from  = fopen(j->path, "r");
    char *line  = NULL;
    size_t size = 0;
    int rc;

    if (from == NULL)
        return errno == ENOENT ? 0 : err_unread(j->path);
    while (getline(&line, &size, from) >= 0) {
        if (!stays(j, line, gone))
            continue;
        line[strcspn(line, "\n")] = '\0';
        fprintf(to, "%s\n", line);
    }
    rc = ferror(from) != 0 ? err_unread(j->path) : 0;
    free(line);
    fclose(from);
    return rc;
}

/* The lines that stay take the place of all at once. */
static int keep_lines(struct journal *j, const struct gone *gone)
{
    struct draft d;
    int rc;

    TRY(draft_open(&d, j->path));
    j->looked = 0;
    rc        = d.is_beside ? copy_lines(d.file, j, gone) : 0;
    if (rc == 0)
        rc = draft_publish(&d);
    if (rc != 0) {
        draft_drop(&d);
        return rc;
    }
    if (j->jsonl != NULL)
        fclose(j->jsonl);
    j->jsonl = d.file;
    return 0;
}

int journal_open(struct journal *j, const char *path, int64_t first)
{
    if (path[0] == '\0')
        return 0;
    snprintf(j->path, sizeof j->path, "%s", path);
    if (first > 0)
        return keep_lines(j, &(struct gone){ -1, first });
    j->jsonl = fopen(path, "w");
    return j->jsonl != NULL ? 0 : err_unwritten(path);
}

void journal_cut(struct journal *j, int64_t fork, int64_t last)
{
    FILE *file;

    if (j->jsonl == NULL || !j->has_forks ||
        keep_lines(j, &(struct gone){ fork, last }) == 0)
        return;
    WARN("lines of fork %lld may be there twice: %s", (long long)fork, err_sentence());
    err_forget();
    file = fopen(j->path, "a"); /* it may be the new one, which was not kept for sure */
    if (file == NULL)
        return;
    fclose(j->jsonl);
    j->jsonl = file;
}

void journal_close(struct journal *j)
{
    if (j->jsonl != NULL && fclose(j->jsonl) != 0)
        WARN("the lines of JSON could not all be written: %s", strerror(errno));
    j->jsonl = NULL;
}

/* A line that cannot be written leaves nothing of itself: a disk that is full for a
 * while costs the lines of that while.
 */
static void append(struct journal *j, const json_t *line)
{
    const int file    = fileno(j->jsonl);
    const off_t end   = lseek(file, 0, SEEK_END); /* -1: a pipe */
    char *text        = json_dumps(line, JSON_COMPACT);
    const size_t size = text != NULL ? strlen(text) + 1 : 0;
    ssize_t put;

    if (text == NULL)
        die("a line of JSON cannot be made");
    text[size - 1] = '\n'; /* for the zero */
    put            = write(file, text, size);
    if (put != (ssize_t)size) {
        if (!j->is_mute)
            WARN("lines of JSON cannot be written for now: %s",
                 strerror(put < 0 ? errno : ENOSPC));
        if (put > 0 && end >= 0 && ftruncate(file, end) != 0)
            WARN("a part of a line of JSON was left");
    }
    j->is_mute = put != (ssize_t)size;
    free(text);
}

static void write_line(struct journal *j, json_t *line, int64_t fork)
{
    if (fork >= 0)
        json_object_set_new(line, "fork", json_integer(fork));
    append(j, line);
    json_decref(line);
}

/* ---- lines ----------------------------------------------------------------------- */

/* "0:42", "1:02:03" */
static const char *duration(char text[32], double seconds)
{
    const long s = seconds > 0 && seconds < 1e18 ? (long)seconds : 0;

    if (s >= 3600)
        snprintf(text, 32, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
    else
        snprintf(text, 32, "%ld:%02ld", s / 60, s % 60);
    return text;
}

void journal_start(struct journal *j, int64_t step, int64_t steps)
{
    j->last_time = clock_now();
    j->last_step = step;
    j->steps     = steps;
}

/* What a line begins with: where a fork has left, a line has said. */
static const char *leg_name(int64_t fork)
{
    return fork >= 0 ? "fork" : "step";
}

void journal_step(struct journal *j, int64_t step, int64_t fork, double schedule,
                  const struct step_result *r)
{
    const double now     = clock_now();
    const double seconds = (now - j->last_time) / (double)(step - j->last_step);
    const double rate    = (double)(j->B * j->T) / seconds;
    const double mfu     = count_mfu(j->flops_per_step, seconds, j->ranks, j->peak);
    char left[32], label[64];

    j->last_time = now;
    j->last_step = step;
    if (j->out != NULL) {
        if (j->rows++ % HEAD_EVERY == 0)
            fprintf(j->out, "%-18s %8s %8s %8s %8s %8s %5s %8s\n", "", "loss", "lr",
                    "norm", "logit", "tokens/s", "MFU%", "left");
        snprintf(label, sizeof label, "%s %lld/%lld", leg_name(fork), (long long)step,
                 (long long)j->steps);
        fprintf(j->out, "%-18s %8.5g %8.3g %8.3g %8.3g %8.*f %5.1f %8s\n", label,
                r->loss, j->lr * schedule, r->grad_norm, r->peak_logit,
                rate < 100 ? 2 : 0, rate, 100 * mfu,
                duration(left, seconds * (double)(j->steps - step)));
        fflush(j->out);
    }
    if (j->jsonl != NULL)
        write_line(j,
                   json_pack("{sI sI sf so sf so so sf so}", "step", (json_int_t)step,
                             "examples", (json_int_t)(step * j->B), "seconds",
                             now - j->start, "loss", json_finite(r->loss), "lr",
                             j->lr * schedule, "grad_norm", json_finite(r->grad_norm),
                             "peak_logit", json_finite(r->peak_logit), "tokens_per_s",
                             rate, "mfu_measured", json_finite(mfu)),
                   fork);
}

void journal_metric(struct journal *j, int64_t step, int64_t fork,
                    const struct metric *m)
{
    char label[64];

    snprintf(label, sizeof label, "%s %lld  ", leg_name(fork), (long long)step);
    if (j->out != NULL) {
        field_print(j->out, (int)strlen(label), label,
                    "held out: loss %.5g, top-1 %.2f %%, calibration %.3f, %lld images",
                    m->loss, 100 * m->top1, m->ece, (long long)m->examples);
        fflush(j->out);
    }
    if (j->jsonl != NULL)
        write_line(j,
                   json_pack("{sI sI sf so so so sI}", "step", (json_int_t)step,
                             "examples", (json_int_t)(step * j->B), "seconds",
                             clock_now() - j->start, "eval_loss", json_finite(m->loss),
                             "top1", json_finite(m->top1), "ece", json_finite(m->ece),
                             "eval_examples", (json_int_t)m->examples),
                   fork);
}

void journal_report(struct journal *j, int64_t step, const char *now)
{
    const double time = clock_now();
    char so_far[32];

    if (j->out == NULL || j->report_every <= 0 ||
        time - j->reported_at < j->report_every)
        return;
    j->reported_at = time;
    fprintf(stderr, "vittrain: %s, %lld of %lld steps done, %s so far\n", now,
            (long long)step, (long long)j->steps, duration(so_far, time - j->start));
}

void journal_field(struct journal *j, const char *label, const char *fmt, ...)
{
    enum { WIDTH = 14 };
    va_list args;

    if (j->out == NULL)
        return;
    va_start(args, fmt);
    field_vprint(j->out, WIDTH, label, fmt, args);
    va_end(args);
    fflush(j->out);
}

void journal_say(struct journal *j, const char *fmt, ...)
{
    va_list args;

    if (j->out == NULL)
        return;
    va_start(args, fmt);
    vfprintf(j->out, fmt, args);
    va_end(args);
    fputc('\n', j->out);
    fflush(j->out);
}
