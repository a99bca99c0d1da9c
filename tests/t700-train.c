/* SPDX-License-Identifier: BSD-3-Clause */
/* The parts of the trainer that need no run: options and what follows from them, when
 * to stop, and the lines of a run that goes on.
 */
#include "config.h"

#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/step/place.h"
#include "src/train/journal.h"
#include "src/train/options.h"
#include "src/train/source.h"
#include "src/train/stop.h"
#include "tests/scratch.h"
#include "tests/tap.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static struct opts opts;
static struct train_options o;
static struct train_plan plan;

/* Read and resolve the arguments up to NULL, a set having 'count' images. */
static int resolve(int64_t count, ...)
{
    char *argv[16] = { "vittrain" };
    int argc       = 0;
    va_list args;

    va_start(args, count);
    while (argv[argc] != NULL)
        argv[++argc] = va_arg(args, char *);
    va_end(args);
    TRY(train_options_read(&opts, &o, argc, argv));
    TRY(train_plan(&plan, &o));
    return train_plan_steps(&plan, &o, count);
}

static void refused(char *option, const char *words)
{
    const int rc = resolve(0, option, NULL);

    if (!ok(rc != 0 && err_exit_status(rc) == 2 &&
                strstr(err_sentence(), words) != NULL,
            "%s is refused: .. %s ..", option, words))
        tap_note("%s", rc != 0 ? err_sentence() : "it was taken");
    err_forget();
}

/* An option that has no effect is refused, and tells what it is for. */
static void idle_options(void)
{
    static char *const idle[][3] = {
        { "--order=file", "--seed=0", "is for a set" },
        { "--keep=2", "--seed=0", "needs --out" },
        { "--augment=flip", "--data=noise", "is for pictures" },
        { "--mixup=0.1", "--data=noise", "is for pictures" },
        { "--label-smoothing=0.1", "--data=noise", "is for pictures" },
        { "--beta2=0.9", "--optimizer=sgd", "is for adamw" },
        { "--timescale=9", "--schedule=cosine", "is for --schedule=rsqrt" },
        { "--eval-every=9", "--holdout=0", "leaves none" },
    };

    for (size_t i = 0; i < sizeof idle / sizeof idle[0]; i++)
        ok(tap_says(resolve(0, idle[i][0], idle[i][1], NULL), ERR_USAGE, idle[i][2]),
           "%s with %s is refused", idle[i][0], idle[i][1]);
}

static void bad_options(void)
{
    refused("--shape=23B", "nor a named shape");
    refused("--shape=S,B", "nor a named shape");
    refused("--mesh=2by2", "DxM");
    refused("--lr=fast", "a number");
    refused("--lr=-1", "from 0");
    refused("--beta1=2", "from 0 to 1");
    refused("--beta1=1", "momentum would stay zero");
    refused("--beta2=1", "second moments would stay zero");
    refused("--batch=0", "from 1");
    refused("--augment=crop", "did you mean crop+flip");
    refused("--warmup-steps=few", "a whole number");
    refused("--cooldown-steps=-3", "a whole number");
    refused("--head-bias=low", "a number");
    refused("--holdout=1", "a share below 1");
    refused("--holdout=-0.1", "a share below 1");
    refused("--epochs=2", "has none");
    ok(tap_says(resolve(100, "--epochs=2", "--steps=9", NULL), ERR_USAGE,
                "0 takes back"),
       "of two lengths 0 takes back one");
    ok(resolve(100, "--epochs=2", "--steps=9", "--epochs=0", NULL) == 0 &&
           plan.steps == 9,
       "and does");
    refused("--save-every=10", "needs --out");
    refused("--cooldown-at=5,x", "a whole number");
    refused("--cooldown-at=7,5", "growing");
    refused("--cooldown-at=3001", "ends at step 3000");
    refused("--cooldown-at=2701", "cools down for that from step 2700 on");
    refused("--overlap=bidirectional", "plain|ring|bidir");
    ok(resolve(0, "--steps=5", "--examples=7", NULL) == ERR_USAGE,
       "the length is given once");
    ok(resolve(0, "--beta1=1", "--optimizer=sgd", NULL) == 0 &&
           resolve(0, "--beta2=1", "--optimizer=adafactor", NULL) == 0,
       "what has a meaning with other optimizers is taken");
    ok(resolve(0, "--save-every=10x", "--out=d", NULL) == ERR_USAGE,
       "saves are counted in steps or seconds");
    ok(resolve(0, "--cooldown-at=5", "--cooldown-steps=0", NULL) == ERR_USAGE,
       "a fork needs a cool-down");
    err_forget();
}

static void defaults(void)
{
    ok(resolve(0, "--shape=S", NULL) == 0 && !o.is_small, "a shape is enough");
    ok(strcmp(o.data, "fractal") == 0 && !o.tune && o.seed == 0,
       "fractals, nothing chosen by timing, seed 0");
    ok(plan.optim.method == OPTIMIZER_ADAMW && plan.optim.lr == 8e-4 &&
           plan.optim.decay == 0.03 && plan.optim.clip == 1,
       "AdamW, with rate, decay and clip of SoViT");
    ok(plan.sched.kind == SCHED_RSQRT && plan.sched.steps == 1000 &&
           plan.sched.warmup == 100 && plan.sched.cooldown == 100,
       "rsqrt, a tenth of the steps up and a tenth down");
    ok(plan.holdout == 0.1 && plan.held_most == 1 << 24 && !plan.has_head_bias &&
           plan.spec.loss == LOSS_SIGMOID,
       "a tenth held out, the sigmoid loss and its bias");
    ok(o.image == 224 && o.classes == 1000 && o.augment == 2, "large images, cropped");
}

/* The value of a row and where it comes from. */
static bool is_program(const char *name, const char *value)
{
    char text[64] = "";
    bool is       = false;

    for (int i = 0; i < opts.count; i++) {
        if (strcmp(opts.table[i].name, name) != 0)
            continue;
        opts_text(&opts, &opts.table[i], text, sizeof text);
        is = opts.source[i] == FROM_PROGRAM && strcmp(text, value) == 0;
    }
    return is;
}

static void small_run(void)
{
    ok(resolve(0, NULL) == 0 && o.is_small && strcmp(o.data, "fractal") == 0,
       "without any option it is a small run on fractals");
    ok(is_program("shape", "128/4/512/4") && is_program("classes", "100") &&
           is_program("augment", "none") && is_program("steps", "3000"),
       "whose values are said to be the program's");
    ok(resolve(0, "--classes=60", "--steps=10", "--lr=1e-3", NULL) == 0 && o.is_small &&
           o.classes == 60 && plan.steps == 10 && o.lr == 1e-3 && o.image == 64,
       "what is given stays");
    ok(resolve(0, "--examples=640", NULL) == 0 && plan.steps == 10, "its length too");
    ok(resolve(0, "--data=fractal", NULL) == 0 && !o.is_small && o.image == 224,
       "who names fractals gets the papers' defaults");
    ok(resolve(0, "--init=some.h5", NULL) == 0 && !o.is_small && o.image == 224,
       "so does who starts from a checkpoint");
}

static void lengths(void)
{
    ok(resolve(0, "--examples=1000", "--batch=64", NULL) == 0 && plan.steps == 16,
       "1000 images in batches of 64 are 16 steps");
    ok(resolve(100, "--epochs=2.5", "--batch=8", NULL) == 0 && plan.steps == 32,
       "so are 2.5 passes through 100 images in batches of 8: 32");
    ok(resolve(25, "--epochs=2.2", "--batch=5", NULL) == 0 && plan.steps == 11 &&
           resolve(25, "--epochs=1e-15", NULL) == 0 && plan.steps == 1,
       "2.2 passes through 25 in batches of 5 are 11, whatever 2.2 is rounded to");
    ok(resolve(0, "--steps=50", "--schedule=cosine", NULL) == 0 &&
           plan.sched.warmup == 5 && plan.sched.cooldown == 0,
       "a cosine needs no cool-down");
    ok(resolve(0, "--steps=50", "--warmup-steps=0", "--cooldown-steps=20",
               "--cooldown-at=10,30", NULL) == 0 &&
           plan.sched.warmup == 0 && plan.sched.cooldown == 20 && plan.forks == 2 &&
           plan.fork[1] == 30,
       "what is asked for is taken");
    ok(resolve(0, "--out=d", "--save-every=600s", NULL) == 0 &&
           plan.save_seconds == 600 && plan.save_steps == 0,
       "saves by the clock");
    ok(resolve(0, "--out=d", "--save-every=1K", NULL) == 0 && plan.save_steps == 1000,
       "and by steps");
    ok(resolve(0, "--holdout=other.h5", NULL) == 0 && isnan(plan.holdout),
       "a file to hold out");
}

/* A place is compared as far as a checkpoint tells it. */
static void places(void)
{
    json_t *here = json_pack("{ss si si}", "mesh", "4x1", "near", 2, "threads", 1);
    json_t *from = json_pack("{ss si sf}", "mesh", "4x1", "near", 4, "seconds", 1.0);
    char text[64];

    place_compare(text, sizeof text, from, here);
    ok(strcmp(text, "data ranks of a node 4 (now 2)") == 0, "other nodes are seen: %s",
       text);
    place_compare(text, sizeof text, here, here);
    ok(text[0] == '\0', "the same ones are not mentioned");
    json_decref(here);
    json_decref(from);
}

static void going_on(void)
{
    json_t *stored;
    int rc;

    ok(resolve(0, "--lr=0.1", "--steps=5", NULL) == 0, "a run");
    stored = train_options_json(&opts, false);
    ok(resolve(0, "--lr=1e-1", "--steps=9", "--mesh=2x2", "--log-every=1",
               "--overlap=plain", NULL) == 0 &&
           train_options_compare(&opts, stored) == 0,
       "goes on longer, elsewhere, with other lines");
    rc = resolve(0, "--lr=0.2", "--steps=5", NULL);
    rc = rc == 0 ? train_options_compare(&opts, stored) : rc;
    ok(rc == ERR_USAGE && strstr(err_sentence(), "--lr is 0.2, but 0.1") != NULL,
       "but not with another learning rate: %s", err_sentence());
    ok(resolve(0, "--lr=0.1", "--seed=1", NULL) == 0 &&
           train_options_compare(&opts, stored) == ERR_USAGE,
       "nor with another seed");
    err_forget();
    ok(resolve(0, "--lr=0.1", "--steps=5", "--holdout=0.2", NULL) == 0 &&
           train_options_compare(&opts, stored) == ERR_USAGE,
       "nor with other images held out");
    err_forget();
    ok(resolve(0, "--lr=0.1", "--steps=5", "--holdout=0.1", NULL) == 0 &&
           train_options_compare(&opts, stored) == 0,
       "but with those by the share that auto is");
    json_decref(stored);
}

/* ---- when to stop ---------------------------------------------------------------- */

static void times_left(void)
{
    ok(stop_parse_left("1:02") == 62, "squeue's minutes and seconds");
    ok(stop_parse_left("3:01:02\n") == 3 * 3600 + 62, "hours");
    ok(stop_parse_left("2-03:01:02") == 2 * 86400 + 3 * 3600 + 62, "days");
    ok(stop_parse_left("UNLIMITED") < 0 && stop_parse_left("") < 0 &&
           stop_parse_left("7") < 0 && stop_parse_left("1:2:3:4") < 0 &&
           stop_parse_left("1:") < 0,
       "and what is no time");
}

/* A squeue that lists all tasks of the array 7, the last of which has its number. */
static void put_squeue(const char *folder)
{
    const char *path = scratch_path("squeue");
    FILE *file       = fopen(path, "w");
    char folders[4096];

    if (file == NULL)
        die("%s cannot be written", path);
    fprintf(file, "#!/bin/sh\ncase \"$*\" in\n"
                  "*'-j 7_3 '*) echo 1:55 ;;\n"
                  "*'-j 7 '*) echo 30:00; echo 1:55 ;;\n"
                  "*'-j 8 '*) echo 2:15 ;;\nesac\n");
    fclose(file);
    chmod(path, 0700);
    snprintf(folders, sizeof folders, "%s:%s", folder, getenv("PATH"));
    setenv("PATH", folders, 1);
}

static void asking_squeue(const char *folder)
{
    struct stop s;

    put_squeue(folder);
    setenv("SLURM_ARRAY_JOB_ID", "7", 1);
    setenv("SLURM_ARRAY_TASK_ID", "3", 1);
    setenv("SLURM_JOB_ID", "7", 1);
    stop_open(&s, 0, true);
    ok(fabs(s.end - clock_now() - 100) < 3,
       "where the task of an array has the array's number, its own end counts");
    setenv("SLURM_JOB_ID", "8", 1);
    stop_open(&s, 0, true);
    ok(fabs(s.end - clock_now() - 120) < 3,
       "a job that was sent off by a task has an end of its own");
    unsetenv("SLURM_ARRAY_JOB_ID");
    unsetenv("SLURM_ARRAY_TASK_ID");
    unsetenv("SLURM_JOB_ID");
}

static void stopping(void)
{
    struct stop s;
    char end[32];

    unsetenv("SLURM_JOB_END_TIME");
    unsetenv("SLURM_JOB_ID");
    stop_open(&s, 0, true);
    ok(!stop_is_due(&s) && isinf(s.end), "without a limit a run goes on");
    stop_open(&s, 100, true);
    ok(!stop_is_due(&s), "within its limit, too");
    s.spare = 101;
    ok(stop_is_due(&s) && strcmp(stop_reason(&s), "the time limit") == 0,
       "until a step and a save would not fit any more");
    stop_open(&s, 100, false);
    s.spare = 101;
    ok(!stop_is_due(&s), "the clock is rank 0's");
    snprintf(end, sizeof end, "%lld", (long long)time(NULL) + 1000);
    setenv("SLURM_JOB_END_TIME", end, 1);
    stop_open(&s, 0, true);
    ok(fabs(s.end - clock_now() - 985) < 3, "the batch system's end, less a reserve");
    stop_open(&s, 50, true);
    ok(fabs(s.end - clock_now() - 50) < 3, "--time-limit comes before it");
    unsetenv("SLURM_JOB_END_TIME");
    stop_open(&s, 0, true);
    ok(guard_catch_signals() == 0 && kill(getpid(), SIGUSR1) == 0, "signals are taken");
    for (int tries = 0; tries < 2000 && !stop_is_due(&s); tries++)
        usleep(10000); /* by another thread */
    ok(stop_is_due(&s) && strcmp(stop_reason(&s), "a signal") == 0, "a signal");
}

/* ---- lines ----------------------------------------------------------------------- */

static int lines_of(const char *path)
{
    FILE *file = fopen(path, "r");
    int lines  = 0, c;

    while (file != NULL && (c = fgetc(file)) != EOF)
        lines += c == '\n';
    if (file != NULL)
        fclose(file);
    return lines;
}

static int64_t bytes_of(const char *path)
{
    struct stat state;

    return stat(path, &state) == 0 ? (int64_t)state.st_size : -1;
}

/* A disk that syncs no folder, for a while. */
static bool is_name_lost;

int fsync(int fd)
{
    struct stat state;

    if (is_name_lost && fstat(fd, &state) == 0 && S_ISDIR(state.st_mode)) {
        errno = EIO;
        return -1;
    }
    return (int)syscall(SYS_fsync, fd);
}

static void lines(void)
{
    const struct step_result r = { .loss = 1.5, .grad_norm = NAN, .peak_logit = 2 };
    const char *path           = scratch_path("lines.jsonl");
    struct journal j           = { .B = 8, .T = 4, .ranks = 1 };
    struct rlimit limit;
    FILE *file;
    int rc;

    ok(journal_open(&j, path, 0) == 0, "a file for lines");
    journal_start(&j, 0, 10);
    for (int64_t step = 1; step <= 5; step++)
        journal_step(&j, step, -1, 1, &r);
    journal_metric(&j, 5, -1,
                   &(struct metric){ .examples = 3, .loss = 1, .top1 = 0.5 });
    ok(lines_of(path) == 6, "a line for every step and every look");
    getrlimit(RLIMIT_FSIZE, &limit);
    signal(SIGXFSZ, SIG_IGN);
    limit.rlim_cur = (rlim_t)bytes_of(path) + 20;
    setrlimit(RLIMIT_FSIZE, &limit);
    journal_step(&j, 6, -1, 1, &r);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_FSIZE, &limit);
    journal_step(&j, 7, -1, 1, &r);
    journal_close(&j);
    ok(lines_of(path) == 7, "but for one that had no room, of which nothing stays");
    file = fopen(path, "a");
    fputs("{\"step\": 6, \"los", file); /* of a run that was killed */
    fclose(file);
    limit.rlim_cur = 100;
    setrlimit(RLIMIT_FSIZE, &limit);
    rc             = journal_open(&j, path, 4);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_FSIZE, &limit); /* for verdicts, too */
    ok(rc == ERR_IO, "a run cannot go on where the disk is full");
    ok(lines_of(path) == 7, "and leaves all lines where they are");
    ok(journal_open(&j, path, 4) == 0, "opened by a run that goes on from step 4");
    for (int64_t step = 8; step <= 9; step++)
        journal_step(&j, step, 7, 1, &r);
    journal_close(&j);
    ok(lines_of(path) == 6, "it holds the lines up to there, and then a fork's");
    ok(truncate(path, bytes_of(path) - 1) == 0 && journal_open(&j, path, 3) == 0,
       "opened once more, from step 3");
    ok(lines_of(path) == 5, "it keeps the fork's, the last one with its newline");
    journal_cut(&j, 7, 8);
    journal_step(&j, 9, 7, 1, &r);
    ok(lines_of(path) == 5, "of which one goes that is written anew");
    is_name_lost = true;
    journal_cut(&j, 7, 8);
    is_name_lost = false;
    journal_step(&j, 9, 7, 1, &r);
    ok(lines_of(path) == 5, "also where the folder could not be synced after that");
    journal_close(&j);
    ok(journal_open(&j, path, 0) == 0, "and by a new run");
    journal_close(&j);
    ok(lines_of(path) == 0, "none");
    ok(journal_open(&j, "/nowhere/at/all.jsonl", 0) == ERR_IO,
       "a file that cannot be is refused");
    err_forget();
}

/* Ten steps that took 20 s, of 8 images of 4 tokens, on two devices of 3 FLOP/s. */
static void figures(void)
{
    const struct step_result r = { .loss = 1.5, .grad_norm = 1, .peak_logit = 2 };
    const char *path           = scratch_path("figures.jsonl");
    struct journal j           = {
                  .B = 8, .T = 4, .ranks = 2, .flops_per_step = 6, .peak = 3, .lr = 2
    };
    double examples, rate, mfu, lr;
    json_t *line;

    ok(journal_open(&j, path, 0) == 0, "a file for figures");
    journal_start(&j, 10, 40);
    j.last_time -= 20;
    journal_step(&j, 20, -1, 0.5, &r);
    journal_close(&j);
    line     = json_load_file(path, 0, NULL);
    examples = json_number_value(json_object_get(line, "examples"));
    rate     = json_number_value(json_object_get(line, "tokens_per_s"));
    mfu      = json_number_value(json_object_get(line, "mfu_measured"));
    lr       = json_number_value(json_object_get(line, "lr"));
    json_decref(line);
    ok(examples == 160 && lr == 1, "20 steps of 8 images, half of the rate");
    close_to(rate, 16, 0.5, "16 tokens a second");
    close_to(mfu, 0.5, 0.02, "half of the peak");
}

/* Held-out images are never augmented, mixed or smoothed, and are others than those
 * that are trained on.
 */
static void held_out(void)
{
    static char *const name[] = { "--data=fractal", "--data=noise" };
    const struct mesh mesh    = { .size = 1 };
    const struct range none   = { 0, 0 };

    for (int i = 0; i < 2; i++) {
        static float image[4][3 * 16 * 16];
        struct data_options plain = { .image = 16, .classes = 5, .is_held_out = true };
        struct data *same         = NULL;
        struct source s;

        ok(resolve(0, "--shape=mu", "--image=16", "--patch=4", "--classes=5", name[i],
                   i == 0 ? "--mixup=0.5" : NULL, "--label-smoothing=0.1",
                   "--augment=crop+flip", NULL) == 0 &&
               source_open(&s, &plan, &o, &mesh) == 0,
           "%s: images are there", name[i]);
        ok(s.held->mixup == 0 && s.held->smoothing == 0 &&
               s.train->mixup == (i == 0 ? 0.5 : 0) &&
               s.train->smoothing == (i == 0 ? 0.1 : 0),
           "those held out are neither mixed nor smoothed");
        s.train->ops->get(s.train, image[0], NULL, none, 0);
        s.held->ops->get(s.held, image[1], NULL, none, 0);
        ok(memcmp(image[0], image[1], sizeof image[0]) != 0, "they are others");
        plain.seed = (uint64_t)o.seed;
        if (i == 0 && data_open_fractal(&same, &plain) == 0)
            same->ops->get(same, image[2], NULL, none, 0);
        ok(i > 0 || memcmp(image[1], image[2], sizeof image[1]) == 0,
           "and as they are drawn");
        data_close(&same);
        source_close(&s);
    }
}

/* The paper's sweep has two million steps, and forks beside them. */
static void columns(void)
{
    const struct step_result r = { .loss       = 0.012345,
                                   .grad_norm  = 1.23e-12,
                                   .peak_logit = 1.23e+12 };
    const struct metric m      = {
             .examples = 1281167, .loss = 1.2345e-5, .top1 = 1, .ece = 0.5
    };
    struct journal j = { .out = tmpfile(), .B = 1, .T = 1, .ranks = 1, .lr = 1 };
    int length = 0, longest = 0, c;

    journal_start(&j, 1499999, 2000000);
    journal_step(&j, 1500000, -1, 1.23e-4, &r);
    journal_metric(&j, 1500000, -1, &m);
    journal_start(&j, 524999, 550000);
    journal_step(&j, 525000, 500000, 1.23e-4, &r);
    journal_metric(&j, 550000, 500000, &m);
    rewind(j.out);
    while ((c = fgetc(j.out)) != EOF) {
        length  = c == '\n' ? 0 : length + 1;
        longest = length > longest ? length : longest;
    }
    fclose(j.out);
    ok(longest > 0 && longest <= 80, "lines of long runs and forks have 80 columns");
}

/* A million steps of half an hour are 57 years. */
static void years_left(void)
{
    const struct step_result r = { .loss = 1 };
    struct journal j           = { .out = tmpfile(), .B = 1, .T = 1, .ranks = 1 };
    char line[256]             = "";

    journal_start(&j, 0, 1000001);
    j.last_time -= 1800.0005;
    journal_step(&j, 1, -1, 1, &r);
    rewind(j.out);
    while (fgets(line, sizeof line, j.out) != NULL && strncmp(line, "step", 4) != 0)
        ;
    fclose(j.out);
    ok(strstr(line, " 50000") != NULL, "57 years are left, in hours");
}

int main(void)
{
    const char *folder = scratch_open();

    bad_options();
    idle_options();
    defaults();
    small_run();
    lengths();
    going_on();
    places();
    times_left();
    asking_squeue(folder);
    stopping();
    lines();
    figures();
    held_out();
    columns();
    years_left();
    return tap_done();
}
