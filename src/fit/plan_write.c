/* SPDX-License-Identifier: BSD-3-Clause */
/* The files of a plan.  Tasks of the array are numbered by the lines of plan.jsonl, so
 * that a plan written anew names the same runs by the same numbers.
 */
#include "config.h"

#include "src/fit/plan_write.h"

#include "src/base/draft.h"
#include "src/base/err.h"
#include "src/base/json.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

enum { PATH_MOST = 1024 };

/* As in a record, compute is flops_per_image x examples: what the run's own record will
 * say.  All that it trains on, with the cool-downs of its forks, and the device-seconds
 * of that, are what it costs.
 */
json_t *plan_json(const struct sweep *s, const struct run *r)
{
    const struct training *t = &s->training;
    const double images      = sweep_images(s, r);
    const double examples    = (double)r->step[r->steps - 1] * (double)t->batch;
    json_t *forks = json_array(), *records = json_array();

    for (int k = 0; k < r->steps; k++) {
        char id[2 * SWEEP_ID];

        sweep_record_id(id, s, r, k);
        json_array_append_new(records, json_string(id));
        if (k < r->steps - 1)
            json_array_append_new(forks, json_integer(r->step[k] - t->cooldown));
    }
    return json_pack(
        "{ss ss sI sI sI sI sI sI sI sI sI sI sI so so sf sf sf so sf so sI}", "id",
        r->id, "arm", r->arm < 0 ? "grid" : law_dim_name[r->arm], "width",
        (json_int_t)r->x[0], "depth", (json_int_t)r->x[1], "mlp", (json_int_t)r->x[2],
        "heads", (json_int_t)t->heads, "patch", (json_int_t)t->patch, "image",
        (json_int_t)t->image, "classes", (json_int_t)t->classes, "batch",
        (json_int_t)t->batch, "steps", (json_int_t)r->step[r->steps - 1],
        "warmup_steps", (json_int_t)t->warmup, "cooldown_steps",
        (json_int_t)t->cooldown, "cooldown_at", forks, "records", records,
        "flops_per_image", r->cost.forward, "examples", examples, "examples_with_forks",
        images, "device_seconds", json_finite(r->cost.seconds * images), "compute",
        r->cost.forward * examples, "done", json_boolean(r->done == r->steps), "seed",
        (json_int_t)r->seed);
}

/* ---- files ----------------------------------------------------------------------- */

/* A job that starts meanwhile reads a whole file. */
static int write_file(const char *path,
                      void (*print)(FILE *file, const struct sweep *s,
                                    const char *folder, const char *probe),
                      const struct sweep *s, const char *folder, const char *probe)
{
    struct draft d;

    TRY(draft_open(&d, path));
    print(d.file, s, folder, probe);
    return draft_finish(&d);
}

static void print_plan(FILE *file, const struct sweep *s, const char *folder,
                       const char *probe)
{
    (void)folder;
    (void)probe;
    for (int i = 0; i < s->runs; i++) {
        json_t *o  = plan_json(s, &s->run[i]);
        char *text = json_dumps(o, JSON_REAL_PRECISION(15));

        fprintf(file, "%s\n", text != NULL ? text : "");
        free(text);
        json_decref(o);
    }
}

/* The numbers of the runs that are not done, as Slurm takes them: "1-3,7"; returns how
 * many.
 */
static int print_numbers(FILE *file, const struct sweep *s)
{
    int printed = 0;

    for (int i = 0; i < s->runs;) {
        int end = i;

        while (end < s->runs && s->run[end].done < s->run[end].steps)
            end++;
        if (end > i && file != NULL)
            fprintf(file, "%s%d", printed > 0 ? "," : "", i + 1);
        if (end > i + 1 && file != NULL)
            fprintf(file, "-%d", end);
        printed += end - i;
        i = end + 1;
    }
    return printed;
}

static void print_task(FILE *file, const struct sweep *s, int i)
{
    const struct run *r      = &s->run[i];
    const struct training *t = &s->training;

    fprintf(file, "%d)\n", i + 1);
    if (r->done == r->steps)
        fprintf(file, "    echo 'is done'\n    exit 0\n");
    else
        fprintf(file, "    id=%s\n    set -- --shape=%lld/%lld/%lld/%lld --steps=%lld",
                r->id, (long long)r->x[0], (long long)r->x[1], (long long)r->x[2],
                (long long)t->heads, (long long)r->step[r->steps - 1]);
    for (int k = 0; k < r->steps - 1 && r->done < r->steps; k++)
        fprintf(file, "%s%lld", k == 0 ? " --cooldown-at=" : ",",
                (long long)(r->step[k] - t->cooldown));
    if (r->done < r->steps)
        fprintf(file, " --seed=%lld\n", (long long)r->seed);
    fprintf(file, "    ;;\n");
}

static void print_head(FILE *file, const struct sweep *s)
{
    const int left = print_numbers(NULL, s);

    fprintf(file,
            "#!/bin/sh\n"
            "# Written by vitfit plan: one task for every run that is not done.\n"
            "# Options given to sbatch win over those below, for example\n"
            "#   sbatch --nodes=4 --ntasks-per-node=64 array.sbatch\n"
            "# A task of minutes wants a shorter notice, or it is told at once:\n"
            "#   sbatch --time=5 --signal=B:USR1@60 array.sbatch\n"
            "# PBS has no lists: there, runs that are done end at once.\n"
            "#   qsub -J 1-%d -l select=4:ncpus=64:mpiprocs=64 array.sbatch\n"
            "#SBATCH --job-name=sweep\n"
            "#SBATCH --array=",
            s->runs > 1 ? s->runs : 2);
    if (left > 0)
        print_numbers(file, s);
    else
        fprintf(file, "1");
    fprintf(file, "\n#SBATCH --requeue\n"
                  "#SBATCH --open-mode=append\n"
                  "#SBATCH --signal=B:USR1@300\n"
                  "#SBATCH --output=sweep-%%A_%%a.out\n"
                  "#PBS -N sweep\n"
                  "#PBS -j oe\n"
                  "#PBS -r y\n\n");
}

/* Probes look at the end of a run and of each of its forks. */
static void print_probes(FILE *file, const char *probe)
{
    fprintf(file,
            "for folder in runs/$id runs/$id/fork-*; do\n"
            "    [ -d \"$folder\" ] || continue\n"
            "    name=$id\n"
            "    [ \"$folder\" = runs/$id ] || name=$id.${folder##*fork-}\n"
            "    launch vitprobe --checkpoint=\"$folder\" --records=records.jsonl \\\n"
            "        --id=\"$name\" %s\n"
            "    status=$?\n"
            "    [ $status -eq 0 ] || again $status\n"
            "done\n",
            probe);
}

/* A word of the shell, whatever is in it. */
static void print_word(FILE *file, const char *text)
{
    fputc('\'', file);
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            fputs("'\\'", file);
        fputc(*text, file);
    }
    fputc('\'', file);
}

static void print_array(FILE *file, const struct sweep *s, const char *folder,
                        const char *probe)
{
    const struct training *t = &s->training;

    print_head(file, s);
    fprintf(file,
            "# shellcheck source=/dev/null\n"
            ". \"${VIT_JOBS:-%s}/launch.sh\"\n"
            "cd ",
            JOBS_DIR);
    print_word(file, folder);
    fputs(" || exit 3\n"
          "case ${1:-${SLURM_ARRAY_TASK_ID:-${PBS_ARRAY_INDEX:-${VIT_LINE:-}}}} in\n",
          file);
    for (int i = 0; i < s->runs; i++)
        print_task(file, s, i);
    fprintf(file, "*)\n    echo 'no such run: give a line number of plan.jsonl' >&2\n"
                  "    exit 2\n    ;;\nesac\n\n");
    fprintf(file,
            "launch vittrain \"$@\" \\\n"
            "    --patch=%lld --image=%lld --classes=%lld --batch=%lld \\\n"
            "    --warmup-steps=%lld --cooldown-steps=%lld \\\n"
            "    --out=\"runs/$id\" --resume=auto --records=records.jsonl --id=\"$id\" "
            "%s\n"
            "status=$?\n"
            "[ $status -eq 0 ] || again $status\n",
            (long long)t->patch, (long long)t->image, (long long)t->classes,
            (long long)t->batch, (long long)t->warmup, (long long)t->cooldown, t->more);
    if (probe[0] != '\0')
        print_probes(file, probe);
}

int plan_write(const struct sweep *s, const char *folder, const char *probe)
{
    char path[PATH_MOST], *whole;
    int rc;

    if (mkdir(folder, 0777) != 0 && errno != EEXIST)
        return err_unwritten(folder);
    whole = realpath(folder, NULL);
    if (whole == NULL)
        return err_unwritten(folder);
    snprintf(path, sizeof path, "%s/plan.jsonl", folder);
    rc = write_file(path, print_plan, s, whole, probe);
    snprintf(path, sizeof path, "%s/array.sbatch", folder);
    if (rc == 0)
        rc = write_file(path, print_array, s, whole, probe);
    free(whole);
    return rc;
}
