/* SPDX-License-Identifier: BSD-3-Clause */
/* Data-sheet peaks, and machine files that are read back as they were written. */
#include "config.h"

#include "src/plan/machine.h"

#include "src/base/err.h"
#include "tests/scratch.h"
#include "tests/tap.h"

#include <jansson.h>
#include <string.h>
#include <unistd.h>

static void peaks(void)
{
    const char *source = NULL;

    ok(machine_spec_peak("NVIDIA H200", DTYPE_BF16, false, &source) == 989.5e12 &&
           source != NULL && strstr(source, "data sheet") != NULL,
       "the H200's dense bf16 peak comes from its data sheet");
    ok(machine_spec_peak("NVIDIA A100-SXM4-80GB", DTYPE_BF16, false, &source) == 312e12,
       "and the A100's");
    ok(machine_spec_peak("NVIDIA GH200 120GB", DTYPE_BF16, false, &source) ==
               989.5e12 &&
           machine_spec_peak("NVIDIA GH200 480GB", DTYPE_F64, false, &source) == 67e12,
       "a superchip is called after the memory beside its GPU");
    ok(machine_spec_peak("NVIDIA A100-SXM4-80GB", DTYPE_F32, true, &source) == 156e12 &&
           machine_spec_peak("NVIDIA A100-SXM4-80GB", DTYPE_F32, false, &source) ==
               19.5e12,
       "TF32 is not f32");
    source = NULL;
    ok(machine_spec_peak("AMD EPYC 9654 96-Core Processor", DTYPE_F32, false,
                         &source) == 0 &&
           source == NULL,
       "a device that is not in the table has no peak");
    ok(machine_spec_peak("NVIDIA B200", DTYPE_F32, false, &source) == 0 &&
           source == NULL,
       "nor has a format for which the sheet is not clear");
    ok(machine_spec_peak("", DTYPE_F64, false, &source) == 0, "nor has no device");
}

static const struct machine cluster = {
    .name           = "test \"cluster\"",
    .cores          = 64,
    .memory_bytes   = INT64_C(512) << 30,
    .peak           = { 1.5e12, 3e12, 0 },
    .mem_bw         = 2.5e10,
    .nodes          = 16,
    .ranks_per_node = 32,
    .topology       = "fat-tree",
    .progress       = "poll",
    .source         = "a test",
    .links          = 2,
    .kernels        = 2,
    .link = { { "node", 3e-7, 1e-10, 0.75, 2 }, { "network", 1.25e-6, 8.1e-11, 0, 1 } },
    .gpus = 4,
    .op_s = 2.5e-6,
    .packs      = 2,
    .parameters = 2,
    .parameter  = { { "node_bw", 5e10 }, { "ranks_per_package", 16 } },
    .kernel     = { { "gemm", "f32", { 2048, 1152, 4304 }, 2.2e11 },
                    { "gemm", "f64", { 512, 6144, 24576 }, 1.1e11 } },
};

static void over_peak(void)
{
    struct machine m = cluster;

    close_to(machine_over_peak(&m), 1.1 / 15, 1e-15, "products far below the peak");
    m.kernel[1].rate = 2.25e12;
    close_to(machine_over_peak(&m), 1.5, 1e-15, "one that is above it, of its format");
    strcpy(m.kernel[1].dtype, "bf16");
    strcpy(m.kernel[0].op, "attn");
    ok(machine_over_peak(&m) == 0, "a format without a peak, and what is no product");
}

static void round_trip(const char *path)
{
    struct machine m;

    ok(machine_save(&cluster, path) == 0, "a machine can be written");
    memset(&m, 0x55, sizeof m);
    ok(machine_load(&m, path) == 0, "and read");
    ok(memcmp(&m, &cluster, sizeof m) == 0, "and is the same to the last bit");
}

/* The good file with the value of one field replaced: which sentence, if any. */
static void one_change(const char *path, const char *field, json_t *value,
                       const char *says)
{
    struct machine m = { .cores = 77 };
    json_t *root     = json_load_file(path, 0, NULL);
    char bad[256];

    snprintf(bad, sizeof bad, "%s.bad", path);
    if (value != NULL)
        json_object_set_new(root, field, value);
    else
        json_object_del(root, field);
    json_dump_file(root, bad, 0);
    json_decref(root);

    const int rc = machine_load(&m, bad);

    ok(rc == ERR_DATA && strstr(err_sentence(), says) != NULL && m.cores == 77,
       "a wrong '%s' is named: %s", field, says);
    tap_note("%s", err_sentence() != NULL ? err_sentence() : "");
    err_forget();
    unlink(bad);
}

static void bad_files(const char *path)
{
    struct machine m;
    FILE *file;

    ok(machine_load(&m, "/nowhere/machine.json") == ERR_DATA,
       "a file that is not there");
    ok(machine_save(&cluster, "/nowhere/machine.json") == ERR_IO,
       "a file that cannot be written");
    ok(machine_load(&m, "/") != 0, "a directory");
    err_forget();

    one_change(path, "cores", NULL, "'cores'");
    one_change(path, "cores", json_real(1.5), "'cores'");
    one_change(path, "nodes", json_integer(-1), "'nodes'");
    one_change(path, "memory_bytes", json_string("8G"), "'memory_bytes'");
    one_change(path, "peak", json_pack("{s:f}", "f16", 1e12), "'peak.f16'");
    one_change(path, "peak", json_pack("{s:s}", "f32", "fast"), "'peak.f32'");
    one_change(path, "progress", json_string("sometimes"), "'progress'");
    one_change(path, "topology", json_string("fat-tree"), "'topology.kind'");
    one_change(path, "links", json_pack("[{s:s}]", "level", "node"),
               "'links[0].alpha_s'");
    one_change(path, "kernels",
               json_pack("[{s:s,s:s,s:[i,i],s:f}]", "op", "gemm", "dtype", "f32",
                         "shape", 1, 2, "rate", 1.0),
               "'kernels[0].shape'");
    one_change(path, "pack", json_integer(2), "'pack' is unknown");
    one_change(path, "topology", json_pack("{s:s,s:i}", "kind", "tree", "levels", 3),
               "'topology.levels' is unknown");
    one_change(path, "topology",
               json_pack("{s:s,s:{s:f}}", "kind", "tree", "parameters", "nodebw", 1e9),
               "'topology.parameters.nodebw' is unknown");
    one_change(path, "links",
               json_pack("[{s:s,s:f,s:f,s:f}]", "level", "node", "alpha_s", 1e-6,
                         "beta_s_per_byte", 1e-9, "bussy", 0.5),
               "'links[0].bussy' is unknown");
    one_change(path, "links",
               json_pack("[{s:s,s:f,s:f},{s:s,s:f,s:f}]", "level", "node", "alpha_s",
                         1e-6, "beta_s_per_byte", 1e-9, "level", "node", "alpha_s",
                         1e-6, "beta_s_per_byte", 1e-10),
               "'links[1].level' is that of a link before");
    one_change(path, "kernels",
               json_pack("[{s:s,s:s,s:[i,i,i],s:f,s:f}]", "op", "gemm", "dtype", "f32",
                         "shape", 1, 2, 3, "rate", 1.0, "flops", 2.0),
               "'kernels[0].flops' is unknown");
    one_change(path, "kernels",
               json_pack("[{s:s,s:s,s:[i,i,i],s:f}]", "op", "gemm", "dtype", "f33",
                         "shape", 1, 2, 3, "rate", 1.0),
               "'kernels[0].dtype'");
    one_change(path, "kernels",
               json_pack("[{s:s,s:s,s:[i,i,i],s:f}]", "op", "gem", "dtype", "f32",
                         "shape", 1, 2, 3, "rate", 1.0),
               "'kernels[0].op' is 'gem', which is none of adafactor, ");
    one_change(path, "topology",
               json_pack("{s:s,s:{s:i}}", "kind", "tree", "parameters", "node_bw", 0),
               "'topology.parameters.node_bw' is 0");
    one_change(path, "topology",
               json_pack("{s:s,s:{s:f}}", "kind", "tree", "parameters",
                         "nodes_per_group", 0.5),
               "'topology.parameters.nodes_per_group' is below 1");
    one_change(path, "memory_bytes", json_integer(0), "'memory_bytes' is 0");
    one_change(path, "mem_bw", json_real(1e-300), "'mem_bw' is less than 1 a second");
    one_change(path, "peak", json_pack("{s:f}", "f32", 0.1), "'peak.f32' is less");
    one_change(path, "op_s", json_real(1e300), "'op_s' is more than 1000 seconds");
    one_change(path, "links",
               json_pack("[{s:s,s:f,s:f}]", "level", "node", "alpha_s", 1e4,
                         "beta_s_per_byte", 1e-9),
               "'links[0].alpha_s' is more than 1000 seconds");
    one_change(path, "name",
               json_string("a name of more than sixty-three characters, which is more "
                           "than there is room for"),
               "'name'");
    one_change(path, "links", json_pack("[{},{},{},{},{}]"), "'links'");

    file = fopen(path, "w");
    fputs("{ \"name\": ", file);
    fclose(file);
    ok(machine_load(&m, path) == ERR_DATA, "a file cut short");
    err_forget();
}

int main(void)
{
    const char *path;

    scratch_open();
    path = scratch_path("machine.json");
    peaks();
    over_peak();
    round_trip(path);
    bad_files(path);
    return tap_done();
}
