/* SPDX-License-Identifier: BSD-3-Clause */
/* --compare: the stage and the messages that a change comes from are named. */
#include "config.h"

#include "bench/changes.h"

#include "src/base/err.h"
#include "src/step/step.h"
#include "tests/scratch.h"
#include "tests/tap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *path;
static const char *mesh = "2x1"; /* of the run that is compared */
static const char *gpu  = NULL;  /* likewise */
static const char *blis = "0.9";

/* A run of 1 s a step: 0.1 of input, embedding, head and update each, 0.6 of blocks. */
static struct case_result earlier(void)
{
    struct case_result c = { .name = "step", .batch = 8, .dtype = DTYPE_F32 };

    c.spec  = (struct spec){ .C      = 1152,
                             .F      = 4304,
                             .H      = 16,
                             .L      = 4,
                             .L_full = 27,
                             .K      = 1000,
                             .image  = 224,
                             .patch  = 14 };
    c.steps = (struct stat){ .n = 25, .median = 1, .cv = 0.01 };
    strcpy(c.device, "cpu:blis");
    strcpy(c.overlap, "ring");
    strcpy(c.progress, "poll");
    strcpy(c.param_shard, "full");
    for (int i = 0; i < STAGES; i++)
        c.stage_s[i] = i == STAGE_BLOCKS ? 0.6 : 0.1;
    for (int k = 0; k < TRAFFIC_KINDS; k++) {
        c.comm[k].messages  = 5;
        c.comm[k].kind      = HIDDEN_VALUE;
        c.comm[k].exposed_s = 0.01;
    }
    return c;
}

static json_t *case_of(const struct case_result *c)
{
    json_t *stages = json_object(), *comm = json_object();

    for (int i = 0; i < STAGES; i++)
        json_object_set_new(stages, stage_name[i], json_real(c->stage_s[i]));
    for (int k = 0; k < TRAFFIC_KINDS; k++)
        json_object_set_new(comm, traffic_name[k],
                            json_pack("{sI so}", "messages",
                                      (json_int_t)c->comm[k].messages, "exposed_s",
                                      c->comm[k].kind == HIDDEN_NONE
                                          ? json_null()
                                          : json_real(c->comm[k].exposed_s)));
    return json_pack(
        "{ss s{sI sI sI ss sb ss si si sI} sI sI ss ss ss ss ss s{sf sf sI} so so}",
        "case", c->name, "shape", "width", (json_int_t)c->spec.C, "mlp",
        (json_int_t)c->spec.F, "heads", (json_int_t)c->spec.H, "wiring",
        wiring_name(c->spec.wiring), "qk_norm", c->spec.qk_norm, "pool",
        pool_name(c->spec.pool), "image", c->spec.image, "patch", c->spec.patch,
        "classes", (json_int_t)c->spec.K, "layers_run", (json_int_t)c->spec.L, "batch",
        (json_int_t)c->batch, "dtype", dtype_name(c->dtype), "device", c->device,
        "overlap", c->overlap, "progress", c->progress, "param_shard", c->param_shard,
        "steps", "median", c->steps.median, "cv", c->steps.cv, "n",
        (json_int_t)c->steps.n, "stages", stages, "comm", comm);
}

static json_t *json_of(const struct case_result *c, int cases)
{
    json_t *all = json_array();

    for (int i = 0; i < cases; i++) {
        json_t *one = case_of(&c[i]);

        json_object_set_new(one, "status",
                            json_string(c[i].status == STATUS_PASS ? "pass" : "fail"));
        json_object_set_new(one, "reason", json_string(c[i].reason));
        json_array_append_new(all, one);
    }
    return json_pack("{si s{s{ss}} s{ss sn s{ss}} so}", "schema_version", 1, "options",
                     "mesh", "value", "2x1", "system", "cpu", "X 1", "gpu", "libraries",
                     "BLIS", "0.9", "cases", all);
}

/* What is printed of 'is' against an earlier run of 'cases' holds 'words', in 80
 * columns.
 */
static void prints_beside(const struct case_result *was, int cases,
                          const struct case_result *is, const char *words,
                          const char *sentence)
{
    json_t *root = json_of(was, cases), *old = NULL;
    json_t *options = json_pack("{s{ss}}", "mesh", "value", mesh);
    json_t *system  = json_pack("{ss ss? s{ss}}", "cpu", "X 1", "gpu", gpu, "libraries",
                                "BLIS", blis);
    char *text      = NULL;
    size_t size, widest = 0;
    FILE *out;

    json_dump_file(root, path, 0);
    json_decref(root);
    ok(changes_open(&old, path) == 0, "the earlier run is read");
    out = open_memstream(&text, &size);
    changes_print(out, is, options, system, old);
    fclose(out);
    for (const char *at = text; *at != '\0'; at += strcspn(at, "\n") + 1)
        widest = strcspn(at, "\n") > widest ? strcspn(at, "\n") : widest;
    if (!ok(strstr(text, words) != NULL && widest <= 80, "%s", sentence))
        tap_note("%s", text);
    json_decref(options);
    json_decref(system);
    json_decref(old);
    free(text);
}

/* The same against the run above. */
static void prints(const struct case_result *is, const char *words,
                   const char *sentence)
{
    const struct case_result was = earlier();

    prints_beside(&was, 1, is, words, sentence);
}

static void sentences(void)
{
    struct case_result c = earlier();

    prints(&c, "no change beyond the spread", "the same run has not changed");
    c.steps.median = 1.003;
    prints(&c, "no change beyond the spread", "nor one within the spread");
    c.steps.median = 1.02;
    c.stage_s[STAGE_UPDATE] += 0.02;
    prints(&c, "slower by 0.02 s", "but one beyond it, of so many steps");
    c.steps.median = 2; /* 25 steps of which the deviation of the mean is 0.52 s */
    c.steps.cv     = 1.3;
    prints(&c, "no change beyond the spread of 1.04 s", "each run has its own spread");

    c                       = earlier();
    c.steps.median          = 1.3;
    c.stage_s[STAGE_UPDATE] = 0.4;
    prints(&c, "slower by 0.3 s: +0.3 s in update, computing rather than waiting",
           "a slower update is named");
    c                              = earlier();
    c.steps.median                 = 1.3;
    c.stage_s[STAGE_BLOCKS]        = 0.9;
    c.comm[PARAM_GATHER].exposed_s = 0.29;
    prints(&c, "+0.3 s in blocks; +0.28 s of waiting for param_gather",
           "and so are parameters that are waited for");
    c.comm[GRAD_SCATTER].exposed_s = 0;
    prints(&c, "+0.28 s of waiting for param_gather",
           "whatever has become better at the same time");
    c                       = earlier();
    c.steps.median          = 0.8;
    c.stage_s[STAGE_BLOCKS] = 0.4;
    prints(&c, "faster by 0.2 s: -0.2 s in blocks, computing", "faster blocks too");
    strcpy(c.overlap, "plain");
    prints(&c, "overlap was ring, is plain", "other options are told");
    c.spec.image = 64;
    mesh         = "1x2";
    prints(&c, "  image was 224, is 64\n  mesh was \"2x1\", is \"1x2\"\n  overlap was",
           "also those of the model and of the mesh");
    c.spec.image = 224;
    mesh         = "2x1";
    gpu          = "Y 2";
    blis         = "1.0";
    prints(&c, "is plain\n  gpu was none, is Y 2\n  BLIS was 0.9, is 1.0\n  step ",
           "those of the machine and of libraries, too");
    gpu     = NULL;
    blis    = "0.9";
    c.batch = 16;
    prints(&c, "batch was 8, is 16", "and another batch");
    prints(&c, "not comparable\n", "whose seconds tell nothing");
    c.spec.L = 5;
    prints(&c, "the earlier run has no such case", "another slice is another case");
}

/* Of several cases of one shape the likest counts. */
static void several(void)
{
    struct case_result was[3] = { earlier(), earlier(), earlier() }, c;

    was[1].batch        = 16;
    was[1].steps.median = 2;
    was[2].spec.patch   = 16;
    was[2].steps.median = 0.7;
    c                   = was[1];
    prints_beside(was, 3, &c, "no change beyond the spread", "the same batch");
    c = was[2];
    prints_beside(was, 3, &c, "no change beyond the spread", "the same patches");
    c = earlier();
    prints_beside(was, 3, &c, "no change beyond the spread", "the first of them, too");
}

/* What is not known is not made up. */
static void unknown(void)
{
    struct case_result was = earlier(), c = earlier();

    c.steps = (struct stat){ .n = 1, .median = 1.3, .cv = NAN };
    prints(&c, "one step tells no spread", "one step is not judged");
    c.steps        = was.steps;
    c.steps.median = 1.3;
    was.steps.n    = 1;
    was.steps.cv   = 0;
    prints_beside(&was, 1, &c, "one step tells no spread", "nor is one before");

    was        = earlier();
    was.status = STATUS_INCOMPLETE;
    strcpy(was.reason, "stopped by a signal after 25 steps");
    prints_beside(&was, 1, &c,
                  "\n  it FAILED then  stopped by a signal after 25 steps\n",
                  "that a run is no measure is told");
    was = earlier();
    prints(&c, "slower by 0.3 s: no stage tells where", "nor is a stage picked");

    for (int k = 0; k < TRAFFIC_KINDS; k++)
        was.comm[k].kind = HIDDEN_NONE;
    c.stage_s[STAGE_BLOCKS]        = 0.9;
    c.comm[PARAM_GATHER].exposed_s = 0.29;
    prints_beside(&was, 1, &c, "+0.3 s in blocks; waiting is not known",
                  "what a run that was stopped waited for is not known");
    for (int k = 0; k < TRAFFIC_KINDS; k++)
        was.comm[k].messages = 0;
    prints_beside(&was, 1, &c, "+0.29 s of waiting for param_gather",
                  "what it did not send it has not waited for");
}

static void refusals(void)
{
    json_t *old = NULL;
    FILE *file  = fopen(path, "w");

    ok(changes_open(&old, "/nowhere/x.json") == ERR_DATA, "a file that is not there");
    ok(tap_says(changes_open(&old, "/"), ERR_IO, "/ cannot be read: Is a directory"),
       "a folder is named as one");
    fputs("{ \"cases\": 5 }", file);
    fclose(file);
    ok(changes_open(&old, path) == ERR_DATA &&
           strstr(err_sentence(), "not the JSON of a run") != NULL,
       "a file of something else");
    file = fopen(path, "w");
    fputs("{ \"cases\"", file);
    fclose(file);
    ok(changes_open(&old, path) == ERR_DATA && old == NULL, "a file cut short");
    err_forget();
}

int main(void)
{
    scratch_open();
    path = scratch_path("earlier.json");
    sentences();
    several();
    unknown();
    refusals();
    return tap_done();
}
