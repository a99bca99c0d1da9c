/* SPDX-License-Identifier: BSD-3-Clause */
/* The text of a result: 80 columns, the lines that programs read, and the files. */
#include "config.h"

#include "bench/report.h"

#include "src/base/err.h"
#include "tests/sample.h"
#include "tests/scratch.h"
#include "tests/tap.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* All of the report, in memory. */
static char *print(const struct result *r)
{
    static struct options values;
    static char *argv[] = { "vitbench", "--shape=22B,So400m" };
    struct opts opts;
    char *text;
    size_t size;
    FILE *out = open_memstream(&text, &size);

    options_read(&opts, &values, 2, argv);
    report_banner(out, r, &opts);
    for (int i = 0; i < r->count; i++)
        report_case(out, r, &r->cases[i]);
    report_end(out, r);
    fclose(out);
    return text;
}

/* The longest line, but for the command line and the last one. */
static int widest(const char *text)
{
    int most = 0;

    while (*text != '\0') {
        const int length = (int)strcspn(text, "\n");

        if (length > most && strncmp(text, "command", 7) != 0 &&
            strncmp(text, "Final Summary", 13) != 0)
            most = length;
        text += length + (text[length] == '\n');
    }
    return most;
}

static void has(const char *text, const char *line)
{
    ok(strstr(text, line) != NULL, "says: %.*s", (int)strcspn(line, "\n"), line);
}

static void test_text(void)
{
    struct result *r = sample_result();
    char *text;

    result_warn(
        r, "two ranks on one core, which makes for a sentence that is so long that "
           "it does not fit into one line of eighty columns");
    memset(r->cases[0].check[0].note, 'x', 150);
    text = print(r);
    ok(widest(text) == 80, "no line is wider than 80 columns");
    has(text, "command        vitbench --shape=22B,So400m --case=step,coll\n");
    has(text, "  shape                22B,So400m               (command line)\n");
    has(text, "mesh           1 data x 2 model = 2 ranks\n");
    has(text, "data sheet n/a\n");
    has(text, "WARNING        two ranks on one core");
    has(text,
        "!step    22B            1/48     16     1x2       3     1000   n/a  50.0    "
        "1000\n");
    has(text, "  work         3e+12 model FLOP a step; peak 1000.0 GFLOP/s a ");
    has(text, "  slice        slice 1 of 48 blocks\n"
              "  full depth   48 s a step, 62.5 tokens/s, extrapolated\n");
    has(text, "  steps        3 after 1 warm-up: min 2, median 3, max 4 s");
    has(text,
        "act_gather     6430900224     1064      0.5       0.1 80 % (70 to 90)\n");
    has(text, "n/a (too small to tell)\n");
    has(text, "n/a (moved by the cores)\n");
    has(text, "  gemm_dw                   12  1500.000   50.0    600.0   60.0");
    has(text, "  adamw                      1   300.000   10.0        -      -     "
              "10.0   50.0\n");
    has(text, "  grad_scatter            0        0        -         - none\n");
    has(text, "  self-test   residual       0.25, threshold 32 .....");
    has(text, ".. PASSED\n");
    has(text, "max 2 s; slowest: 1 on\n               node002 2, 0 on node001 1 s\n");
    has(text, "  STRAGGLER    rank 1 on node002 takes 2 times as long as the others");
    has(text, "  SKIPPED      not enough memory\n");
    has(text, "all-reduce                   1048576         1        1        1        "
              "0   ok\n");
    has(text,
        "\nFinished 3 cases: 2 passed, 0 failed, 1 skipped\n"
        "Final Summary::vitbench result is VALID with a rating of=1e+12 model FLOP/s "
        "(1000 tokens/s, step 22B, f32)\n");
    free(text);
    result_close(&r);
}

/* What is slow has small numbers, and long ones. */
static void test_slow(void)
{
    struct result *r = sample_result();
    struct row *row  = r->cases[2].row;
    char *text;

    row->seconds = 23.99e-3;
    row->algbw = row->busbw = 5336.4;
    text                    = print(r);
    has(text, "all-reduce                   1048576     23.99 5.34e-06 5.34e-06        "
              "0   ok\n");
    free(text);
    result_close(&r);
}

/* What is fast has long numbers, of which none is shortened while there is room. */
static void test_fast(void)
{
    struct result *r = sample_result();
    char *text;

    r->cases[0].tokens_per_s = 221933.4;
    r->cases[0].flops_per_s  = 412345.6e9;
    text                     = print(r);
    has(text, "       3   221933   n/a  50.0  412346\n");
    free(text);
    r->cases[0].tokens_per_s = 123456789;
    r->cases[0].flops_per_s  = 1e18;
    text                     = print(r);
    has(text, "       3 1.23e+08   n/a  50.0   1e+09\n");
    free(text);
    result_close(&r);
}

/* One step has no spread. */
static void test_one_step(void)
{
    struct result *r = sample_result();
    char *text;

    stat_of(&r->cases[0].steps, (double[]){ 2 }, 1, 0);
    text = print(r);
    has(text, "1 after 0 warm-up: min 2, median 2, max 2 s, spread n/a\n");
    free(text);
    result_close(&r);
}

/* A simulated machine whose file has no peak. */
static void test_no_peak(void)
{
    struct result *r = sample_result();
    char *text;

    r->is_simulated  = true;
    r->peak_measured = 0;
    strcpy(r->peak_by, "the file of machine m");
    text = print(r);
    has(text, "peak           n/a, as in the file of machine m; data sheet n/a\n");
    free(text);
    result_close(&r);
}

/* Eight images for each of 16384 data ranks. */
static void test_many(void)
{
    struct result *r = sample_result();
    char *text;

    r->D               = 16384;
    r->cases[0].batch  = 131072;
    r->cases[0].spec.L = 48;
    strcpy(r->cases[0].spec.name, "608/10/928/16");
    text = print(r);
    has(text, "!step    608/10/928/16 48/48 131072 16384x2       3 ");
    ok(widest(text) == 80, "rows of many ranks have 80 columns");
    free(text);

    r->M                    = 64;
    r->cases[0].batch       = 1048576;
    r->cases[0].spec.L      = 100;
    r->cases[0].spec.L_full = 100;
    text                    = print(r);
    has(text, "!step    608/10/928/16 100/100 1048576 16384x64       3 ");
    free(text);
    result_close(&r);
}

/* Nothing hidden is a figure, no figure is a dash. */
static void test_hidden(void)
{
    struct result *r      = sample_result();
    struct case_result *c = &r->cases[2];
    char *text;

    strcpy(c->name, "cmm");
    c->row[0].hidden = 0;
    strcpy(c->row[1].name, "norm_backward_moments");
    memcpy(c->row[1].shape, (int64_t[]){ 1024, 576, 72 }, sizeof c->row[1].shape);
    text = print(r);
    has(text, "all-reduce                   1048576         1        -        0        "
              "0   ok\n");
    has(text,
        "  norm_backward_moments    1024x576x72         1        -        -        "
        "0   ok\n");
    has(text, "  GFLOP/s are of one rank, the slowest\n");
    free(text);
    r->D = r->M = 1;
    text        = print(r);
    ok(strstr(text, "of one rank") == NULL, "which one rank need not say");
    free(text);
    result_close(&r);
}

/* Traffic, memory and stages are those of whole steps. */
static void test_block(void)
{
    static const char *const of_steps[] = { "comm", "memory", "stages" };
    struct result *r                    = sample_result();

    for (int is_block = 0; is_block < 2; is_block++) {
        json_t *all, *first;

        strcpy(r->cases[0].name, is_block ? "block" : "step");
        all   = report_json(r);
        first = json_array_get(json_object_get(all, "cases"), 0);
        for (int i = 0; i < 3; i++)
            ok(json_is_null(json_object_get(first, of_steps[i])) == is_block,
               "a %s has %s %s", r->cases[0].name, is_block ? "no" : "its",
               of_steps[i]);
        json_decref(all);
    }
    result_close(&r);
}

static void test_verdicts(void)
{
    struct result *r = sample_result();
    char *text;

    r->cases[0].checks = 0;
    text               = print(r);
    has(text, "Final Summary::vitbench result is NOT CHECKED with a rating of=1e+12");
    free(text);
    r->cases[0].checks = 4;

    r->cases[0].check[2].status = STATUS_FAIL;
    result_judge(&r->cases[0]);
    text = print(r);
    has(text, ".. FAILED\n");
    has(text, "  FAILED       check overlap");
    has(text, "Finished 3 cases: 1 passed, 1 failed, 1 skipped\n");
    has(text, "Final Summary::vitbench result is INVALID with a rating of=1e+12");
    free(text);

    r->is_incomplete = true;
    text             = print(r);
    has(text, "INCOMPLETE: stopped");
    has(text, "result is INVALID, INCOMPLETE, with a rating");
    free(text);

    r->cases[0].status = STATUS_SKIP;
    text               = print(r);
    has(text, "with no rating: step 22B did not run\n");
    free(text);
    r->cases[0].is_rated = false;
    text                 = print(r);
    has(text, "with no rating: no case of this run is rated\n");
    free(text);
    result_close(&r);
}

/* On a disk on which files have room for 'bytes'. */
static void have_room(rlim_t bytes)
{
    struct rlimit limit;

    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    setrlimit(RLIMIT_FSIZE, &limit);
}

static void test_files(void)
{
    struct result *r = sample_result();
    json_t *read;

    ok(report_write(r, scratch_path("new.json")) == 0, "a result is written");
    read = json_load_file(scratch_path("new.json"), 0, NULL);
    ok(json_integer_value(json_object_get(read, "schema_version")) == 1,
       "and can be read");
    json_decref(read);
    ok(report_write(r, scratch_path("new.json")) == 0, "and written again");
    ok(report_write(r, "/dev/full") == ERR_IO, "a full disk is noticed");
    err_forget();
    result_close(&r);
}

static int lines_of(const char *name)
{
    FILE *file = fopen(scratch_path(name), "r");
    int n      = 0;

    for (int c = getc(file); c != EOF; c = getc(file))
        n += c == '\n';
    fclose(file);
    return n;
}

static void add_step(struct jsonl *j, int64_t step, double seconds, double mfu)
{
    report_jsonl_step(j, &(struct jsonl_step){ .name         = "step",
                                               .shape        = "Ti",
                                               .batch        = 8,
                                               .step         = step,
                                               .seconds      = seconds,
                                               .loss         = 693.25,
                                               .grad_norm    = 12.5,
                                               .tokens_per_s = 100,
                                               .mfu_measured = mfu });
}

/* Steps whose lines go to a disk that is full, and what is said of it. */
static void test_full_disk(void)
{
    const int err   = dup(STDERR_FILENO);
    struct jsonl *j = NULL;
    int said;

    ok(report_jsonl_open(&j, "/dev/full") == 0 &&
           freopen(scratch_path("said"), "w", stderr) != NULL,
       "a disk that is full");
    add_step(j, 1, 1, 1);
    said = lines_of("said");
    add_step(j, 2, 1, 1);
    ok(report_jsonl_close(&j) == ERR_IO, "spoils the run");
    fflush(stderr);
    dup2(err, STDERR_FILENO);
    close(err);
    ok(said == 1 && lines_of("said") == 1, "and is told of at once, and once");
    unlink(scratch_path("said"));
}

static void test_jsonl(void)
{
    struct jsonl *j = NULL;
    char line[512];
    bool is_refused;
    json_t *step;
    FILE *file;

    ok(report_jsonl_open(&j, "") == 0 && j == NULL, "no path, no file");
    add_step(j, 1, 1, 1);
    ok(report_jsonl_close(&j) == 0 && !report_jsonl_again(j),
       "none to close or to write anew");
    test_full_disk();
    ok(report_jsonl_open(&j, "/nowhere/x") == ERR_IO && j == NULL,
       "a bad path is refused");
    err_forget();
    ok(report_jsonl_open(&j, scratch_path("steps")) == 0, "one line a step");
    add_step(j, 1, 0.1, NAN);
    file = fopen(scratch_path("steps"), "r");
    ok(fgets(line, sizeof line, file) != NULL && strchr(line, '\n') != NULL,
       "is there as soon as the step is done");
    step = json_loads(line, 0, NULL);
    ok(json_object_size(step) == 9 &&
           json_real_value(json_object_get(step, "seconds")) == 0.1,
       "with every digit");
    ok(strcmp(json_string_value(json_object_get(step, "shape")), "Ti") == 0 &&
           json_integer_value(json_object_get(step, "batch")) == 8,
       "and which of a run's cases it belongs to");
    ok(json_is_null(json_object_get(step, "mfu_measured")), "and null for NaN");
    add_step(j, 2, 0.1, 0.5);
    ok(fgets(line, sizeof line, file) != NULL && fgets(line, sizeof line, file) == NULL,
       "two steps, two lines");
    json_decref(step);
    fclose(file);
    report_jsonl_begin(j);
    add_step(j, 1, 0.1, 0.123456789);
    have_room(64);
    report_jsonl_again(j);
    add_step(j, 1, 0.2, 0.25);
    is_refused = !report_jsonl_settle(j);
    have_room(RLIM_INFINITY); /* for verdicts, too */
    ok(is_refused && lines_of("steps") == 3,
       "on a full disk the lines of the second case stay as they are");
    ok(report_jsonl_again(j), "else they are written anew");
    add_step(j, 1, 0.2, 0.25);
    ok(lines_of("steps") == 3 && report_jsonl_settle(j), "and then take their place");
    report_jsonl_begin(j);
    add_step(j, 1, 0.3, 0.25);
    ok(report_jsonl_close(&j) == 0 && lines_of("steps") == 4, "a third case goes on");
    ok(j == NULL, "closed");
    file = fopen(scratch_path("steps"), "r");
    for (int i = 0; i < 3; i++)
        ok(fgets(line, sizeof line, file) != NULL, "line %d", i + 1);
    step = json_loads(line, 0, NULL);
    ok(json_real_value(json_object_get(step, "seconds")) == 0.2, "is the one anew");
    json_decref(step);
    fclose(file);
    report_jsonl_open(&j, scratch_path("steps"));
    add_step(j, 1, 0.3, 0.25);
    report_jsonl_begin(j);
    ok(truncate(scratch_path("steps"), 0) == 0 && !report_jsonl_again(j),
       "of a file that somebody cuts off nothing is written anew");
    report_jsonl_close(&j);
}

int main(void)
{
    scratch_open();
    test_text();
    test_slow();
    test_fast();
    test_one_step();
    test_no_peak();
    test_many();
    test_hidden();
    test_block();
    test_verdicts();
    test_files();
    test_jsonl();
    return tap_done();
}
