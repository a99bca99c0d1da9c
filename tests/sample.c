/* SPDX-License-Identifier: BSD-3-Clause */
/* The made-up run: numbers are round, so that tests find them in the output. */
#include "config.h"

#include "tests/sample.h"

#include "src/base/err.h"
#include "src/base/mem.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void set_common(struct case_result *c, const char *name, const char *shape,
                       int64_t layers)
{
    const struct spec_options o = {
        .shape = shape, .layers = layers, .wiring = -1, .qk_norm = -1
    };

    snprintf(c->name, sizeof c->name, "%s", name);
    if (shape != NULL && spec_make(&c->spec, &o) != 0)
        die("%s", err_sentence());
    c->batch = 16;
    c->dtype = DTYPE_F32;
    strcpy(c->device, "cpu:blis");
    strcpy(c->overlap, "ring");
    strcpy(c->progress, "poll");
    strcpy(c->param_shard, "none");
    c->mfu_spec = c->mfu_measured = c->mfu_palm = c->hfu = NAN;
    c->loss = c->grad_norm = c->peak_logit = NAN;
    c->full_step_s = c->full_tokens_per_s = NAN;
    for (int k = 0; k < TRAFFIC_KINDS; k++)
        c->comm[k].kind = HIDDEN_NONE;
    stat_of(&c->steps, NULL, 0, 0);
}

static void set_step(struct case_result *c)
{
    static const char *const names[] = { "self-test", "products", "overlap",
                                         "replicas" };
    double seconds[]                 = { 2.0, 4.0, 3.0 };

    set_common(c, "step", "22B", 1);
    c->is_rated       = true;
    c->tokens_per_s   = 1000;
    c->flops_per_step = 3e12;
    c->flops_per_s    = 1e12;
    c->mfu_measured   = 0.5;
    c->mfu_palm       = 0.45;
    c->peak           = 1e12;
    c->loss = 693.25, c->grad_norm = 12.5, c->peak_logit = 5.5;
    c->full_step_s       = 48;
    c->full_tokens_per_s = 62.5;
    stat_of(&c->steps, seconds, 3, 1);
    c->comm[ACT_GATHER]  = (struct comm){ .bytes      = 6430900224,
                                          .messages   = 1064,
                                          .alone_s    = 0.5,
                                          .exposed_s  = 0.1,
                                          .exposed_lo = 0.05,
                                          .exposed_hi = 0.15,
                                          .hidden     = 0.8,
                                          .hidden_lo  = 0.7,
                                          .hidden_hi  = 0.9 };
    c->comm[ACT_SCATTER] = (struct comm){ .bytes = 100, .kind = HIDDEN_SMALL };
    c->comm[REDUCE]      = (struct comm){ .bytes = 200, .kind = HIDDEN_CORES };
    c->checks            = 4;
    for (int i = 0; i < 4; i++) {
        c->check[i] = (struct check){ .residual = 0.25, .threshold = 32 };
        strcpy(c->check[i].name, names[i]);
    }
    strcpy(c->check[1].note, "an error of 0.01 times an element's size would be seen");
    c->cost             = mem_new(2, sizeof *c->cost);
    c->costs            = 2;
    c->bandwidth        = 2e10;
    c->cost[0]          = (struct cost){ "gemm_dw", 12, 1.5, 0.5, 6e11, NAN, 0.6, NAN };
    c->cost[1]          = (struct cost){ "adamw", 1, 0.3, 0.1, NAN, 1e10, NAN, 0.5 };
    c->memory_predicted = c->memory_tuned = 7000000000;
    c->memory_peak                        = 7100000000;
    c->compute_min = 1, c->compute_median = 1.5, c->compute_max = 2;
    c->slow_ranks = 2;
    c->slowest[0] = (struct slow_rank){ 1, "node002", 2 };
    c->slowest[1] = (struct slow_rank){ 0, "node001", 1 };
    strcpy(c->straggler, "rank 1 on node002 takes 2 times as long as the others (slow "
                         "in 3 of 3 parts of the run)");
}

static void set_coll(struct case_result *c)
{
    set_common(c, "coll", NULL, 0);
    c->rows   = 2;
    c->row    = mem_new(2, sizeof *c->row);
    c->row[0] = (struct row){ .name      = "all-reduce",
                              .size      = 1 << 20,
                              .seconds   = 0.001,
                              .algbw     = 1e9,
                              .busbw     = 1e9,
                              .blocked   = NAN,
                              .hidden    = NAN,
                              .error     = 0,
                              .threshold = 1 };
    c->row[1] = c->row[0];
    strcpy(c->row[1].name, "all-gather");
}

struct result *sample_result(void)
{
    static char *argv[] = { "vitbench", "--shape=22B,So400m", "--case=step,coll" };
    struct result *r    = result_open();
    struct case_result *c;

    strcpy(r->end, "2026-01-31T12:00:00Z");
    r->argc = 3;
    r->argv = argv;
    r->D = r->near   = 1;
    r->M             = 2;
    r->ranks         = 2;
    r->peak_measured = 1e12;
    strcpy(r->peak_by, "f32 multiply-adds, 1 thread a rank, all ranks");
    r->options =
        json_pack("{s{ss ss} s{si ss}}", "shape", "value", "22B,So400m", "source",
                  "command line", "seed", "value", 0, "source", "default");
    r->env = json_pack("{ss}", "OMP_NUM_THREADS", "1");
    r->build =
        json_pack("{ss ss sb}", "compiler", "gcc 12", "flags", "-O2", "debug", 0);
    r->system =
        json_pack("{s[s] ss si sI sn ss s{ss}}", "hosts", "node[001-002]", "cpu",
                  "A processor", "cores", 2, "memory_bytes", (json_int_t)24000000000,
                  "gpu", "mpi", "Open MPI v4.1.4", "libraries", "Jansson", "2.14");
    set_step(result_add(r));
    c = result_add(r);
    set_common(c, "step", "So400m", 0);
    c->status = STATUS_SKIP;
    strcpy(c->reason, "not enough memory");
    set_coll(result_add(r));
    return r;
}
