/* SPDX-License-Identifier: BSD-3-Clause */
/* --dry-run: the text is 80 columns wide, the JSON has what src/plan says. */
#include "config.h"

#include "bench/dry.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/dev/dev.h"
#include "src/plan/count.h"
#include "src/plan/predict.h"
#include "tests/scratch.h"
#include "tests/tap.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static struct options o;
static struct choices c;
static char *text; /* what was printed */
static json_t *json;
static const char *path;

/* Plan for the arguments up to NULL; text and JSON are kept until the next call. */
static int dry(char *first, ...)
{
    char *argv[16] = { "vitbench", "--dry-run", first };
    char option[64];
    int argc = 2, rc;
    struct opts opts;
    va_list args;
    size_t size;
    FILE *out;

    va_start(args, first);
    while (argv[argc] != NULL)
        argv[++argc] = va_arg(args, char *);
    va_end(args);
    snprintf(option, sizeof option, "--json=%s", path);
    argv[argc++] = option;

    free(text);
    json_decref(json);
    err_forget();
    out = open_memstream(&text, &size);
    rc  = options_read(&opts, &o, argc, argv);
    if (rc == 0)
        rc = options_resolve(&c, &o);
    if (rc == 0)
        rc = dry_run(out, &o, &c);
    fclose(out);
    json = rc == 0 ? json_load_file(path, 0, NULL) : NULL;
    return rc;
}

static double number(const char *name)
{
    return json_number_value(json_object_get(json, name));
}

/* The sum over the members of the object 'name', or over 'field' of each of them. */
static double sum_of(const char *name, const char *field)
{
    double sum = 0;
    const char *member;
    json_t *value;

    json_object_foreach(json_object_get(json, name), member, value)
    {
        (void)member;
        sum += json_number_value(field != NULL ? json_object_get(value, field) : value);
    }
    return sum;
}

static int widest(void)
{
    int most = 0;

    for (const char *at = text; *at != '\0'; at += strcspn(at, "\n") + 1)
        most = (int)strcspn(at, "\n") > most ? (int)strcspn(at, "\n") : most;
    return most;
}

static void test_refused(void)
{
    const int rc = dry("--shape=22B", "--ranks=8", "--mesh=2x2", NULL);

    ok(rc == ERR_SHAPE, "a mesh for other ranks is refused: %s", err_sentence());
    ok(dry("--shape=mu", "--mesh=1x4", NULL) == ERR_SHAPE,
       "so are more ranks than heads");
    ok(dry("--shape=mu", "--mesh=8x1", "--batch=4", NULL) == ERR_SHAPE,
       "and fewer images than data ranks");
    ok(dry("--shape=22B", "--batch=10000000", "--image=1000", "--patch=1", NULL) ==
               ERR_SHAPE &&
           strstr(err_sentence(), "too large to be counted") != NULL,
       "so are more bytes than can be counted");
    ok(json == NULL && text[0] == '\0', "nothing is printed");
    ok(dry("--shape=1000/3/1000/1", "--batch=10000", "--image=10000", "--patch=1",
           "--dtype=f64", NULL) == 0 &&
           number("bytes_per_rank") > 2e17 && number("bytes_per_rank") < 4e17,
       "nearly as many are");
}

static void test_22B(void)
{
    const struct spec_options all = { .shape = "22B", .wiring = -1, .qk_norm = -1 };
    struct traffic_job job        = { .B     = 1024,
                                      .D     = 128,
                                      .M     = 8,
                                      .dtype = DTYPE_F32,
                                      .form  = CMM_AUTO,
                                      .packs = dev_packs("auto", DTYPE_F32),
                                      .shard = SHARD_FULL };
    struct traffic_count sent[TRAFFIC_KINDS];
    double messages = 0, bytes = 0, params = 0, flops = 0;
    const char *name;
    json_t *term;
    struct spec s;

    ok(dry("--shape=22B", "--ranks=1024", "--mesh=128x8", NULL) == 0,
       "22B on 1024 ranks");
    ok(widest() <= 80, "in 80 columns");
    ok(strstr(text, "1024 ranks, mesh 128x8 (data x model), batch 1024") != NULL,
       "says the mesh and the batch");
    ok(strstr(text, "a node is taken to hold one data rank, or all") != NULL,
       "and what it takes a node to hold");
    ok(strstr(text, "21,743,271,936") != NULL,
       "and the parameters of the blocks' kernels");

    spec_make(&s, &all);
    ok(number("ranks") == 1024 && number("params_matmul") == 21743271936.0 &&
           number("params") == (double)count_params(&s),
       "parameters");
    close_to(number("flops_per_image_forward"), count_flops_forward(&s), 1e3,
             "FLOP forward");
    close_to(number("flops_per_token_train"), 131.8e9, 0.05e9, "FLOP a token");
    ok(number("bytes_per_rank") == (double)predict_most(&s, &job), "memory of a rank");
    job.packs = 0;
    ok(number("bytes_per_rank_least") == (double)predict_most(&s, &job),
       "and what it is at least, where tuning packs no weights");
    traffic_most(sent, &s, &job);
    for (int k = 0; k < TRAFFIC_KINDS; k++) {
        messages += (double)sent[k].messages;
        bytes += (double)sent[k].bytes;
    }
    ok(number("messages_per_step") == messages && number("bytes_per_step") == bytes,
       "messages and bytes");
    ok(sum_of("comm", "messages") == messages && sum_of("comm", "bytes") == bytes,
       "also by kind");
    ok(sum_of("memory", NULL) == number("bytes_per_rank"),
       "and what the memory is for");
    json_object_foreach(json_object_get(json, "terms"), name, term)
    {
        params += json_number_value(json_object_get(term, "params"));
        flops += json_number_value(json_object_get(term, "flops"));
    }
    ok(params == number("params"), "the terms add up to the parameters");
    close_to(flops / (1024 * number("flops_per_token_train") * 256), 1, 1e-9,
             "and to the FLOPs of a step");
}

static int count_of(const char *words)
{
    int n = 0;

    for (const char *at = text; (at = strstr(at, words)) != NULL; at++)
        n++;
    return n;
}

static void test_others(void)
{
    ok(dry("--ranks=4096", NULL) == 0 && json_array_size(json) == 4 && widest() <= 80,
       "the default run is four plans");
    ok(dry("--shape=So400m", "--layers=4", NULL) == 0 && number("ranks") == 1 &&
           strstr(text, "4 of 27 blocks") != NULL,
       "a slice on one rank");
    ok(dry("--shape=96/2/256/4", "--image=56", "--classes=10", NULL) == 0 &&
           count_of("training MFLOP") == 1 && count_of("           8.241 ") == 1 &&
           widest() <= 80,
       "a small model's terms are in MFLOP");
    ok(dry("--shape=B", "--mesh=4x2", NULL) == 0 && number("ranks") == 8,
       "a mesh says how many ranks there are");
    ok(dry("--shape=B", "--ranks=10000000", NULL) == 0 && widest() <= 80,
       "ten million ranks");
}

static bool is_mesh(int D, int M)
{
    const json_t *mesh = json_object_get(json, "mesh");

    return json_integer_value(json_object_get(mesh, "D")) == D &&
           json_integer_value(json_object_get(mesh, "M")) == M;
}

/* A mesh is chosen by the batch, and the memory that a run may take. */
static void test_mesh(const char *machine)
{
    const struct spec_options of = { .shape = "S", .wiring = -1, .qk_norm = -1 };
    struct traffic_job job       = { .D = 1, .M = 1, .dtype = DTYPE_F32 };
    const double node            = (double)mem_machine();
    struct spec s;
    char batch[32];

    ok(dry("--shape=S", "--ranks=8", "--batch=2", machine, NULL) == 0 && is_mesh(2, 4),
       "two images go onto eight ranks%s", machine != NULL ? " of a machine" : "");
    ok(dry("--shape=S", "--ranks=8", "--batch=8", "--micro-batches=4", machine, NULL) ==
               0 &&
           is_mesh(2, 4),
       "and eight that go through in four parts");
    ok(dry("--shape=S", "--ranks=4", "--micro-batches=16", machine, NULL) == 0 &&
           number("batch") / json_integer_value(
                                 json_object_get(json_object_get(json, "mesh"), "D")) ==
               16,
       "where no batch is asked for each part has an image, as in a run");
    ok(dry("--shape=S", "--ranks=8", "--batch=1", machine, NULL) == ERR_SHAPE,
       "eight ranks are too many for one image and six heads");
    if (machine != NULL)
        return;

    spec_make(&s, &of);
    for (job.B = 1; (double)predict_most(&s, &job) < 0.8 * node;)
        job.B++;
    snprintf(batch, sizeof batch, "--batch=%lld", (long long)job.B);
    ok((double)predict_most(&s, &job) < node &&
           dry("--shape=S", "--device=cpu:ref", batch, NULL) == 0 &&
           count_of("No mesh of so many ranks fits into nodes like this one") == 1,
       "what a run would skip does not fit");
    snprintf(batch, sizeof batch, "--batch=%lld", (long long)job.B - 1);
    ok(dry("--shape=S", "--device=cpu:ref", batch, NULL) == 0 && count_of("fits") == 0,
       "and one image less does");
}

/* Every shape with every batch has a plan. */
static void test_lists(void)
{
    const json_t *last;

    ok(dry("--shape=Ti,S", "--batch=4,16", NULL) == 0 && json_array_size(json) == 4,
       "two shapes with two batches are four plans");
    last = json_array_get(json, 3);
    ok(strcmp(json_string_value(json_object_get(last, "shape")), "S") == 0 &&
           json_integer_value(json_object_get(last, "batch")) == 16,
       "which say what they are of");
    ok(count_of("batch 4,") == 2 && count_of("batch 16,") == 2, "in the text, too");
}

/* With a machine there are seconds, and a table of meshes whose best one is taken. */
static void test_machine(void)
{
    const json_t *meshes, *best;
    char folder[512];
    int rc;

    snprintf(folder, sizeof folder, "%s/src/plan/machines",
             getenv("srcdir") != NULL ? getenv("srcdir") : ".");
    setenv("VIT_MACHINES", folder, 1);
    rc = dry("--shape=22B", "--ranks=4096", "--machine=nowhere", NULL);
    ok(rc == ERR_USAGE && strstr(err_sentence(), "h200") != NULL,
       "a machine that there is not is refused: %s", err_sentence());
    setenv("VIT_MACHINES", "/nonexistent", 1);
    ok(dry("--machine=h200", NULL) == ERR_USAGE &&
           strstr(err_sentence(), "VIT_MACHINES") != NULL,
       "where none are installed, it says how to find them");
    setenv("VIT_MACHINES", folder, 1);
    ok(dry("--shape=22B", "--ranks=4096", "--machine=h200", "--batch=32768", NULL) ==
               0 &&
           widest() <= 80,
       "22B on 4096 GPUs, in 80 columns");
    meshes = json_object_get(json, "meshes");
    best   = json_array_get(meshes, 0);
    ok(json_array_size(meshes) == 6 &&
           json_integer_value(json_object_get(best, "D")) ==
               json_integer_value(
                   json_object_get(json_object_get(json, "mesh"), "D")) &&
           json_number_value(json_object_get(best, "step_s")) == number("step_s") &&
           number("mfu") > 0 && number("mfu") < 1 && number("exposed_s") > 0,
       "the best of its meshes is the one that is planned with");
    ok(strstr(text, ", bf16, ") != NULL, "GPUs compute in bf16");
    ok(strstr(text, "On h200 a step of mesh") != NULL && strstr(text, "grad") != NULL,
       "the text has the table");
    ok(strstr(text, "It takes 512 nodes of 8 ranks.\n") != NULL &&
           number("nodes") == 512 && number("ranks_per_node") == 8 &&
           strstr(text, "has only") == NULL,
       "and the nodes");
    ok(dry("--shape=22B", "--ranks=16384", "--machine=h200", "--batch=131072", NULL) ==
               0 &&
           strstr(text, "h200 has only 1024 nodes of 8: more ranks share a node's "
                        "GPUs.\n") != NULL &&
           number("ranks_per_node") == 16,
       "more ranks than it has places are told");
    ok(dry("--shape=22B", "--mesh=4096x1", "--machine=h200", "--batch=32768", NULL) ==
               0 &&
           number("step_s") >
               json_number_value(json_object_get(
                   json_array_get(json_object_get(json, "meshes"), 0), "step_s")),
       "a mesh that is asked for is planned with, and compared");
    ok(strstr(text,
              "\nOn the data axis 8 ranks of a node exchange first, then 512 such "
              "groups.\n") != NULL &&
           json_integer_value(json_object_get(json_object_get(json, "mesh"), "near")) ==
               8,
       "and says which data ranks exchange first");
    ok(dry("--shape=22B", "--ranks=4096", "--machine=workstation", "--batch=32768",
           NULL) == 0 &&
           count_of(" 32768 2.57e+06 ") == 1 && widest() <= 80,
       "columns stay apart where a step takes a month");
    ok(dry("--shape=22B", "--ranks=7919", "--batch=1", "--machine=h200", NULL) ==
           ERR_SHAPE,
       "a batch without a mesh is refused");
    ok(dry("--machine=h200", "--grad-wire=bf16", "--ring-wire=f32", NULL) == 0 &&
           count_of(", partial sums in f32, gradients sent") == 4 && widest() <= 80,
       "as GPUs compute in bf16, there is a choice of what travels");
    test_mesh("--machine=cpu-cluster");
    unsetenv("VIT_MACHINES");
}

/* A machine whose file has no peak of the format, or one that its products pass. */
static void test_peak(void)
{
    const char *mine = scratch_path("machine.json");
    char option[600];
    struct machine m;

    snprintf(option, sizeof option, "%s/src/plan/machines/h200.json",
             getenv("srcdir") != NULL ? getenv("srcdir") : ".");
    ok(machine_load(&m, option) == 0, "a machine");
    snprintf(option, sizeof option, "--machine=%s", mine);
    m.peak[DTYPE_BF16] = 0;
    ok(machine_save(&m, mine) == 0 &&
           dry("--shape=22B", "--ranks=64", option, NULL) == 0 && number("step_s") > 0,
       "without a peak in bf16");
    ok(json_is_null(json_object_get(json, "mfu")) &&
           strstr(text, "tokens/s, MFU n/a.\n") != NULL && widest() <= 80,
       "MFU is unknown, and not of the peak of another format");
    m.peak[DTYPE_BF16] = 275e12;
    ok(machine_save(&m, mine) == 0 &&
           dry("--shape=22B", "--ranks=64", option, NULL) == 0 &&
           strstr(text, "reaches 247 % of the peak: one of the two is wrong") != NULL,
       "a peak that products pass is doubted");
    ok(strstr(text, "has no products in") == NULL, "its rates are of the run's format");
    m.peak[DTYPE_BF16] = 2 * m.peak[DTYPE_F32];
    for (int i = 0; i < m.kernels; i++)
        strcpy(m.kernel[i].dtype, "f32");
    ok(machine_save(&m, mine) == 0 &&
           dry("--shape=22B", "--ranks=64", "--dtype=bf16", option, NULL) == 0 &&
           strstr(text,
                  "It has no products in bf16: rates of f32 are taken, times 2.\n") !=
               NULL &&
           strcmp(json_string_value(json_object_get(json, "kernels_dtype")), "f32") ==
               0,
       "and told where they are of another one");
}

int main(void)
{
    scratch_open();
    path = scratch_path("plan.json");
    test_refused();
    test_22B();
    test_others();
    test_mesh(NULL);
    test_lists();
    test_machine();
    test_peak();
    free(text);
    json_decref(json);
    return tap_done();
}
