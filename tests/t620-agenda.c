/* SPDX-License-Identifier: BSD-3-Clause */
/* What a run will do: the mesh, the depth of slices, batches, what is skipped. */
#include "config.h"

#include "bench/agenda.h"

#include "src/base/err.h"
#include "src/plan/choice.h"
#include "src/plan/predict.h"
#include "tests/tap.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static const int64_t GB = 1000000000;

static struct options o;
static struct choices c;
static struct agenda a;
static int D, M;

/* Plan a run of 'ranks' ranks on one node with 'bytes' and 'peak' FLOP/s a rank, given
 * the arguments up to NULL; 0 or a code.
 */
static int plan(int ranks, int64_t bytes, double peak, ...)
{
    char *argv[9] = { "vitbench", "--device=cpu:blis" };
    int argc      = 1;
    struct opts opts;
    va_list args;

    va_start(args, peak);
    while (argv[argc] != NULL)
        argv[++argc] = va_arg(args, char *);
    va_end(args);
    err_forget();
    TRY(options_read(&opts, &o, argc, argv));
    TRY(options_resolve(&c, &o));
    TRY(agenda_mesh(&D, &M, &o, &c, ranks, ranks, bytes));
    return agenda_make(&a, &o, &c, D, M, ranks, bytes, peak);
}

/* The share of the node's memory that an entry takes. */
static double share(const struct agenda_entry *e, int ranks, int64_t bytes)
{
    const struct traffic_job job = setting_job(&c.way, false, e->batch, D, M);

    return (double)predict_most(&e->spec, &job) * ranks / (double)bytes;
}

static void test_default_run(void)
{
    const struct agenda_entry *e = a.entry;

    ok(plan(2, 24 * GB, 250e9, NULL) == 0, "the default run on 2 ranks with 24 GB");
    ok(D == 1 && M == 2, "takes the model axis, without which 22B does not fit");
    ok(a.count == 4, "has four cases");
    ok(strcmp(e[0].spec.name, "22B") == 0 && e[0].spec.L == 1 &&
           e[0].spec.L_full == 48 && e[0].skip[0] == '\0',
       "one block of 22B");
    ok(share(&e[0], 2, 24 * GB) > 0.5 && share(&e[0], 2, 24 * GB) < 0.8,
       "in more than half of the memory");
    ok(e[1].is_rated && strcmp(e[1].spec.name, "So400m") == 0 && e[1].spec.L == 27,
       "all of So400m, which is rated");
    ok(!e[0].is_rated && !e[2].is_rated && !e[3].is_rated, "and no other");
    ok(share(&e[1], 2, 24 * GB) < 0.5, "in less than half");
    ok(e[2].spec.L == 18 && e[3].spec.L == 10, "the small ones whole");
    ok(e[0].batch >= 1 && e[0].batch < 8 && e[0].batch <= e[2].batch && e[3].batch == 8,
       "batches are lowered where steps are long: %d, %d, %d, %d", (int)e[0].batch,
       (int)e[1].batch, (int)e[2].batch, (int)e[3].batch);

    ok(plan(2, 24 * GB, 250e12, NULL) == 0 && e[0].batch > 1 && e[2].batch == 8,
       "a faster machine takes larger ones");
    ok(plan(2, 24 * GB, 1e9, NULL) == 0 && e[3].batch == 1,
       "a slow one goes down to 1");
    ok(plan(1, 8 * GB, 250e9, NULL) == 0 && e[0].skip[0] != '\0' && D == 1 && M == 1,
       "8 GB: no 22B: %s", e[0].skip);
    ok(e[1].spec.L > 1 && e[1].spec.L < 27 && e[1].skip[0] == '\0',
       "and a slice of So400m, %d blocks", (int)e[1].spec.L);
    ok(share(&e[1], 1, 8 * GB) < 0.5, "in half of the memory");
    ok(plan(4, 8 * GB, 250e9, NULL) == 0 && D == 4 && M == 1 && e[0].skip[0] != '\0',
       "what fits on no mesh does not choose it");
    ok(plan(2, 2000 * GB, 250e9, NULL) == 0 && D == 2 && M == 1 && e[0].spec.L == 48,
       "2 TB: all of 22B, without a model axis");
    ok(plan(1, 1000, 250e9, NULL) == 0 && e[3].skip[0] != '\0', "1 KB: nothing");
    ok(plan(2, 24 * GB, 250e9, "--layers=3", NULL) == 0 && e[0].spec.L == 1 &&
           e[1].spec.L == 3 && e[3].spec.L == 3,
       "--layers is the most");
    ok(plan(34, 240 * GB, 250e9, "--mesh=2x17", NULL) == 0 && e[0].skip[0] == '\0' &&
           strstr(e[1].skip, "too many") != NULL,
       "a shape with fewer heads than model ranks is skipped: %s", e[1].skip);
    ok(plan(2, 24 * GB, 250e9, "--mesh=2x1", "--batch=1", NULL) == ERR_SHAPE,
       "a batch below the data ranks is refused");
}

static void test_named(void)
{
    const struct agenda_entry *e = a.entry;
    int rc;

    ok(plan(4, 24 * GB, 1e9, "--shape=So150m,mu", NULL) == 0 && D == 4 && M == 1,
       "named shapes: the smallest model axis");
    ok(a.count == 2 && e[0].is_rated && !e[1].is_rated && e[0].spec.L == 18 &&
           e[0].batch == 32,
       "at full depth, 8 images a data rank however long it takes; the first is rated");
    ok(plan(4, 24 * GB, 1e9, "--shape=mu", "--batch=4,8,16", NULL) == 0 &&
           a.count == 3 && e[2].batch == 16 && e[0].is_rated && !e[1].is_rated,
       "every batch of a list");
    ok(plan(2, 24 * GB, 250e9, "--shape=22B", NULL) == 0 && e[0].skip[0] != '\0',
       "a shape that cannot fit is skipped: %s", e[0].skip);
    ok(plan(2, 24 * GB, 250e9, "--shape=22B", "--layers=1", NULL) == 0 &&
           e[0].skip[0] == '\0' && M == 2,
       "a slice of it runs");
    ok(plan(1, 24 * GB, 250e9, "--shape=22B", "--layers=1", "--mesh=1x1", NULL) == 0 &&
           e[0].batch == 8 && share(&e[0], 1, 24 * GB) < 0.8,
       "also on one rank");
    ok(plan(1, 24 * GB, 250e9, "--shape=L", NULL) == 0 && e[0].batch == 8,
       "8 images fit");
    ok(plan(1, (int64_t)(share(&e[0], 1, GB) * 1.2 * (double)GB), 250e9, "--shape=L",
            NULL) == 0 &&
           e[0].batch < 8 && e[0].skip[0] == '\0' && e[0].spec.L == 24,
       "else the batch is lowered: %d", (int)e[0].batch);
    ok(plan(4, 24 * GB, 250e9, "--shape=mu", "--mesh=1x4", NULL) == ERR_SHAPE,
       "more model ranks than heads are refused");
    ok(plan(4, 24 * GB, 250e9, "--shape=mu", "--batch=3", "--mesh=4x1", NULL) ==
           ERR_SHAPE,
       "so is a batch below the data ranks");
    rc = plan(4, 24 * GB, 250e9, "--shape=mu", "--mesh=3x2", NULL);
    ok(rc == ERR_SHAPE, "and a mesh for other ranks: %s", err_sentence());
    err_forget();
}

static void test_cases(void)
{
    const struct agenda_entry *e = a.entry;

    ok(plan(2, 24 * GB, 250e9, "--case=coll,machine", NULL) == 0 && a.count == 2 &&
           !e[0].has_spec && !e[1].has_spec && !e[0].is_rated,
       "collectives and machine have no shape");
    ok(plan(2, 24 * GB, 250e9, "--case=gemm,block", "--shape=22B", NULL) == 0 &&
           a.count == 2 && e[0].id == CASE_BLOCK && e[0].spec.L == 1 &&
           e[1].id == CASE_GEMM && e[1].skip[0] == '\0',
       "a block is one block, products need no model");
    ok(plan(2, 24 * GB, 250e9, "--case=step,block,gemm,cmm",
            "--shape=mu,mu,mu,mu,mu,mu,mu,mu,mu,mu,mu,mu,mu,mu,mu,mu",
            "--batch=2,2,2,2,2,2,2,2,2,2,2,2,2,2,2,2", NULL) == ERR_USAGE,
       "too many cases are refused");
}

static void test_official(void)
{
    const struct agenda_entry *e = a.entry;

    ok(plan(2, 24 * GB, 250e9, "--official", "--shape=So150m", NULL) == 0 &&
           share(&e[0], 2, 24 * GB) >= 0.25 && e[0].skip[0] == '\0',
       "an official run fills a quarter of the memory, with a batch of %d",
       (int)e[0].batch);
    ok(plan(2, 24 * GB, 250e9, "--official", "--shape=mu", "--batch=8", NULL) == 0 &&
           strstr(e[0].skip, "a quarter of the memory") != NULL,
       "or does not run: %s", e[0].skip);
}

/* Packed copies of 22B's weights do not fit into 24 GB beside all else. */
static void test_device(void)
{
    char *argv[] = { "vitbench", "--dtype=f32", NULL };
    struct opts opts;

    if (options_read(&opts, &o, 2, argv) != 0 || options_resolve(&c, &o) != 0)
        exit(99);
    if (c.way.packs == 0) {
        tap_skip("the device by memory", "no device here keeps packed copies");
        return;
    }
    agenda_device(&c, &o, 2, 2, 240 * GB);
    ok(strcmp(c.way.device, "auto") == 0, "much memory leaves the device as it is");
    agenda_device(&c, &o, 2, 2, 24 * GB);
#ifdef HAVE_BLIS
    ok(strcmp(c.way.device, "cpu:blis") == 0 && c.way.packs == 0,
       "little takes one without packed copies, if more shapes fit then");
#else
    ok(strcmp(c.way.device, "auto") == 0 && c.way.packs > 0,
       "and so does little in a build that has no other");
#endif
}

/* Mesh for 4 ranks of 22B's block with 4 images, on a machine whose
 * links take 'beta'.
 */
static int mesh_on(double beta)
{
    static struct machine m;
    char *argv[] = { "vitbench", "--device=cpu:blis", "--shape=22B", "--layers=1",
                     "--batch=4" };
    struct opts opts;

    m = (struct machine){ .nodes          = 4,
                          .ranks_per_node = 1,
                          .memory_bytes   = INT64_C(1) << 40,
                          .peak           = { 1e12, 1e12, 1e12 },
                          .mem_bw         = 1e13,
                          .links          = 1,
                          .link           = { { "network", 1e-6, beta, 0, 1 } } };
    if (options_read(&opts, &o, 5, argv) != 0 || options_resolve(&c, &o) != 0)
        return 0;
    c.machine = &m;
    return agenda_mesh(&D, &M, &o, &c, 4, 1, INT64_C(1) << 40) == 0 ? M : 0;
}

/* Without a machine the smallest M that fits is taken, whatever messages cost. */
static void test_machine(void)
{
    ok(mesh_on(1e-8) == 4, "slow links: rather few activations than many parameters");
    ok(mesh_on(1e-8) == 4 && agenda_mesh(&D, &M, &o, &c, 4, 1, INT64_C(1) << 40) == 0 &&
           D == 1,
       "and the data ranks follow");
    c.machine = NULL;
    ok(agenda_mesh(&D, &M, &o, &c, 4, 1, INT64_C(1) << 40) == 0 && M == 1,
       "without a machine it is the smallest that fits");
}

/* The batch with which meshes are compared is the one that runs: with one image a rank,
 * updates and packed weights would count for more than products do.
 */
static void test_batch(void)
{
    static struct machine m;
    static struct choice list[CHOICES];
    char path[512], *argv[] = { "vitbench", "--device=cpu:blis", "--shape=S" };
    const char *srcdir = getenv("srcdir");
    struct traffic_job job;
    struct opts opts;
    struct spec s;
    int count;

    snprintf(path, sizeof path, "%s/src/plan/machines/workstation.json",
             srcdir != NULL ? srcdir : ".");
    if (machine_load(&m, path) != 0 || options_read(&opts, &o, 3, argv) != 0 ||
        options_resolve(&c, &o) != 0 || options_make_spec(&s, &o, &c, c.shape[0]) != 0)
        die("%s", err_sentence());
    c.machine = &m;
    job       = setting_job(&c.way, false, 0, 0, 0);
    if (choice_list(list, &count, &s, &job, &m, 2, 0, AGENDA_IMAGES) != 0 ||
        agenda_mesh(&D, &M, &o, &c, 2, 2, 240 * GB) != 0)
        die("%s", err_sentence());
    ok(M == list[0].job.M, "a run takes the mesh that a plan finds: %dx%d", D, M);
}

int main(void)
{
    test_default_run();
    test_device();
    test_named();
    test_cases();
    test_official();
    test_machine();
    test_batch();
    return tap_done();
}
