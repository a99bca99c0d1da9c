/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,4 alone */
/* Choices by timing: made for every product, the same on all ranks, followed by the run
 * and counted by the plan; the bar of overlap; who moves the messages.
 */
#include "config.h"

#include "bench/settle.h"
#include "src/base/err.h"
#include "src/step/pair.h"
#include "src/step/tune.h"
#include "src/step/tuned.h"
#include "tests/bed.h"

#include <math.h>
#include <string.h>

static int size;

/* All ranks have the bytes of the first. */
static bool is_same(struct mesh *mesh, const void *at, size_t bytes)
{
    char *first = malloc(bytes);
    bool is_so;

    memcpy(first, at, bytes);
    coll_broadcast(mesh, AXIS_ALL, 0, first, (int64_t)bytes);
    is_so = memcmp(first, at, bytes) == 0;
    free(first);
    return is_so;
}

static bool is_choice(struct cmm_choice c)
{
    return c.form == CMM_PLAIN ? c.panels == 0
                               : (c.form == CMM_RING || c.form == CMM_BIDIR) &&
                                     c.panels >= 0 && c.panels <= 16;
}

static void test_products(struct bed *bed, enum wiring wiring)
{
    const struct spec spec = bed_spec("48/1/96/4", wiring, POOL_MAP);
    const int products     = wiring == WIRING_PARALLEL ? 2 : 4;
    int64_t memory         = 0;
    struct cmm_tuned t;
    bool is_right = true;

    memset(&t, 7, sizeof t);
    tune_products(&t, bed->bench.mesh, bed->bench.dev, &spec, 4, 1, 0, memory);
    for (int k = 0; k < products * CMM_PASSES; k++)
        is_right &= is_choice(t.of[k / CMM_PASSES][k % CMM_PASSES]);
    ok(is_right && is_same(bed->bench.mesh, &t, sizeof t),
       "%s: a choice for every product, the same on all ranks", wiring_name(wiring));
    ok(!bed->bench.mesh->is_muted[ACT_GATHER], "nothing stays muted");
    memory = 1000;
    tune_products(&t, bed->bench.mesh, bed->bench.dev, &spec, 4, 1, 0, memory);
    for (int k = 0; k < products * CMM_PASSES; k++)
        is_right &= t.of[k / CMM_PASSES][k % CMM_PASSES].form == CMM_RING;
    ok(is_right, "without memory for it a ring for all");
}

/* How many rows are tried. */
static void test_rows(void)
{
    struct spec s = bed_spec("48/1/96/4", WIRING_SEQUENTIAL, POOL_MAP);

    ok(tune_rows(&s, 4096, 2, 0) == 4096 && tune_rows(&s, 4096, 2, 1e12) == 4096,
       "small products are tried with all their rows");
    s.C = 6144;
    s.F = 24576;
    ok(tune_rows(&s, 4096, 2, 1e11) == 128 && tune_rows(&s, 100, 2, 1e11) == 100,
       "large ones with few");
}

/* A whole case in the forms that were chosen; its messages are checked there. */
static void test_case(struct bed *bed)
{
    struct spec spec = bed_spec("48/2/96/4", WIRING_SEQUENTIAL, POOL_MAP);
    static struct agenda agenda;
    FILE *null = fopen("/dev/null", "w");

    agenda.count    = 2;
    agenda.entry[0] = (struct agenda_entry){
        .id = CASE_STEP, .has_spec = true, .spec = spec, .batch = 4
    };
    agenda.entry[1]    = agenda.entry[0];
    agenda.entry[1].id = CASE_BLOCK;
    ok(run_agenda(&bed->bench, &agenda, null) == 0, "cases in tuned forms end");
    fclose(null);
    if (bed->bench.result != NULL) {
        const struct case_result *c = &bed->bench.result->cases[0];
        const bool is_tuned         = bed->bench.mesh->M > 1;

        ok(c->status == STATUS_PASS && strcmp(c->overlap, "auto") == 0 &&
               c->tuned_products == (is_tuned ? 15u : 0u),
           "and pass: %s", c->reason);
    } else {
        ok(true, "-");
    }
}

/* A table of every form at once, as if it had been chosen. */
static void test_mixed(struct bed *bed)
{
    static const struct cmm_tuned mixed = {
        .of = { { { CMM_BIDIR, 0 }, { CMM_PLAIN, 0 } },
                { { CMM_RING, 4 }, { CMM_BIDIR, 2 } },
                { { CMM_RING, 1 }, { CMM_BIDIR, 0 } },
                { { CMM_PLAIN, 0 }, { CMM_RING, 0 } } }
    };
    const struct spec spec = bed_spec("48/2/96/4", WIRING_SEQUENTIAL, POOL_MAP);
    struct case_result c   = { .mfu_spec = NAN, .mfu_measured = NAN };

    bed->bench.tuned = &mixed;
    ok(case_step(&bed->bench, &c, &spec, 4) == 0 && c.status == STATUS_PASS,
       "a step of all forms together passes: %s", c.reason);
    bed->bench.tuned = NULL;
}

static void test_choose(void)
{
    const struct manner m[] = { { .choice = { CMM_PLAIN, 0 } },
                                { .choice = { CMM_RING, 0 } },
                                { .choice = { CMM_RING, 4 } } };

    ok(tune_choose((double[]){ 1, 0.96, 1.2 }, m, 3) == 0,
       "a ring that is hardly faster is not taken");
    ok(tune_choose((double[]){ 1, 0.9, 0.89 }, m, 3) == 1,
       "one that is clearly faster is, with the panels it comes with");
    ok(tune_choose((double[]){ 1, 0.9, 0.8 }, m, 3) == 2, "or better ones");
    ok(tune_choose((double[]){ 1, 1.1, 1.2 }, m, 3) == 0, "a slower one never");
}

static struct comm kind(enum hidden_kind k, double alone, double hidden)
{
    return (struct comm){ .kind = k, .alone_s = alone, .hidden = hidden };
}

/* What the bar says of two kinds in a step of one second. */
static bool fails(struct comm a, struct comm b, const char *words)
{
    struct case_result c = { .steps = { .median = 1 }, .status = STATUS_PASS };

    for (int k = 0; k < TRAFFIC_KINDS; k++)
        c.comm[k].kind = HIDDEN_NONE;
    c.comm[ACT_GATHER] = a;
    c.comm[REDUCE]     = b;
    result_judge_overlap(&c, 70);
    return c.status == STATUS_FAIL && strstr(c.reason, words) != NULL;
}

static void test_bar(void)
{
    const struct comm none = kind(HIDDEN_NONE, 0, 0);
    const struct comm few  = kind(HIDDEN_SMALL, 0.01, 0);

    ok(!fails(kind(HIDDEN_VALUE, 0.2, 0.8), few, ""),
       "a kind that is hidden passes, whatever small ones do");
    ok(fails(kind(HIDDEN_VALUE, 0.2, 0.6), few, "act_gather: 60 %"),
       "one that is not fails, with its figure");
    ok(fails(few, none, "n/a (too small to tell)"), "small ones alone fail");
    ok(fails(kind(HIDDEN_SMALL, 0.3, 0), none, "n/a (too small to tell)"),
       "so does noise");
    ok(fails(kind(HIDDEN_CORES, 0.3, 0), few, "n/a (moved by the cores)"),
       "and what the cores move");
    ok(fails(none, none, "none"), "and a run without messages");
}

static void test_progress(struct bed *bed)
{
    static const char *const name[] = { "poll", "poll", "", "none" };

    for (int k = 0; k < 4; k++) {
        const enum progress_form form = tune_progress(bed->bench.mesh, k, true);

        ok(k == PROGRESS_CHOICE_THREAD
               ? form == PROGRESS_POLL || form == PROGRESS_THREAD
               : strcmp(progress_name[form], name[k]) == 0,
           "progress choice %d is %s", k, progress_name[form]);
    }
    tune_progress(bed->bench.mesh, PROGRESS_CHOICE_AUTO, true);
}

/* To a checkpoint's words and back; not to another mesh or build. */
static void test_words(struct bed *bed)
{
    struct mesh other = *bed->bench.mesh;
    struct tuned t = { .progress = PROGRESS_NONE }, back = { 0 };
    json_t *words;

    for (int k = 0; k < CMM_PRODUCTS * CMM_PASSES; k++)
        t.products.of[k / CMM_PASSES][k % CMM_PASSES] =
            (struct cmm_choice){ (enum cmm_form)(k % CMM_AUTO),
                                 k % CMM_AUTO == CMM_PLAIN ? 0 : k };
    words = tuned_json(&t, bed->bench.mesh, bed->bench.dev);
    ok(tuned_take(&back, words, bed->bench.mesh, bed->bench.dev) &&
           memcmp(&back, &t, sizeof t) == 0,
       "choices come back from their words");
    other.D++;
    ok(!tuned_take(&back, words, &other, bed->bench.dev), "not on another mesh");
    json_object_set_new(words, "build", json_string("another"));
    ok(!tuned_take(&back, words, bed->bench.mesh, bed->bench.dev),
       "nor in another build");
    json_decref(words);
    words = tuned_json(&t, bed->bench.mesh, bed->bench.dev);
    json_object_del(words, "up_backward");
    ok(!tuned_take(&back, words, bed->bench.mesh, bed->bench.dev) &&
           memcmp(&back, &t, sizeof t) == 0,
       "nor if one is missing");
    json_decref(words);
}

/* Products of two kinds, the first of which rank 0 alone does faster in its first way;
 * on the last rank the second is of 'kind', and has 'ways'.
 */
static bool settles(struct mesh *mesh, struct dev_choice choice[2], const char *kind,
                    int ways)
{
    const bool is_last = mesh->rank == size - 1;

    choice[0] = (struct dev_choice){ .name     = "x W 8x4x4",
                                     .ways     = 2,
                                     .way_name = { "one", "another" },
                                     .seconds  = { 1 + 2 * mesh->rank, 2 } };
    choice[1] = (struct dev_choice){ .name     = "x^T dy 4x4x8",
                                     .ways     = is_last ? ways : 3,
                                     .way_name = { "one", "another", "third" },
                                     .seconds  = { 3, 2, 1 } };
    if (is_last)
        snprintf(choice[1].name, sizeof choice[1].name, "%s 5x4x8", kind);
    return settle_choices(mesh, choice, 2);
}

static void test_settle(struct mesh *mesh)
{
    struct dev_choice c[2];

    ok(settles(mesh, c, "x^T dy", 3) && c[0].way == 1 && c[1].way == 2,
       "the slowest rank's times decide how a product is done");
    ok(!settles(mesh, c, "x^T dy", 2) && c[0].way == 0 && c[1].way == 0 &&
           coll_sum(mesh, AXIS_ALL, 1) == size,
       "as many products with other ways on one rank: nothing is chosen");
    ok(!settles(mesh, c, "x W^T", 3) && c[0].way == 0 && c[1].way == 0,
       "nor where one rank has met another product");
}

/* 16 rows of the MLP's pair, in f32 and on all ranks of this machine. */
static void test_room(struct bed *bed)
{
    enum { ROWS = 16, C = 48, F = 96 };
    const struct spec spec = bed_spec("48/1/96/4", WIRING_SEQUENTIAL, POOL_MAP);
    const int64_t M        = bed->bench.mesh->M;
    const int64_t own      = ROWS * (2 * C / M + 3 * F / M) + 4 * C * F / M,
                  all      = 4 * size * own;
    struct pair p;

    ok(pair_open(&p, bed->bench.mesh, bed->bench.dev, &spec, 1, ROWS, all - 1) ==
           ERR_MEMORY,
       "a pair does not fit in a byte less");
    if (ok(pair_open(&p, bed->bench.mesh, bed->bench.dev, &spec, 1, ROWS, all) == 0,
           "than what it takes on a node"))
        pair_close(&p);
}

int main(int argc, char **argv)
{
    size = ranks_open(&argc, &argv, "t665-tune");
    test_bar();
    test_rows();
    test_choose();
    for (int M = 1; M <= size; M *= 2) {
        struct bed bed;

        bed_open_auto(&bed, size / M, M, DTYPE_F32, CMM_AUTO);
        bed.options.tune = true;
        if (M > 1) {
            test_products(&bed, WIRING_PARALLEL);
            test_products(&bed, WIRING_SEQUENTIAL);
            test_mixed(&bed);
            test_settle(bed.bench.mesh);
        }
        test_case(&bed);
        test_progress(&bed);
        test_words(&bed);
        test_room(&bed);
        bed_close(&bed);
    }
    return ranks_done();
}
