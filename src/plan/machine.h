/* SPDX-License-Identifier: BSD-3-Clause */
/* A machine: peaks, memory, links.  Data-sheet peaks with their source, and the machine
 * file that "vitbench --case=machine" writes and that planning reads.
 */
#ifndef PLAN_MACHINE_H
#define PLAN_MACHINE_H

#include "src/base/dtype.h"

#include <jansson.h>

/* The data sheet's peak of 'device' (a CPU or GPU model name as the system gives it) in
 * FLOP/s, for a CPU of 'cores' cores in use, and where the figure is from (borrowed).
 * Returns 0 when the device is not in the table: never a guess.
 */
double machine_spec_peak(const char *device, enum dtype dtype, int cores,
                         const char **source);

struct machine_link {
    char level[16]; /* "core", "node", "network" */
    double alpha_s; /* seconds of an empty message */
    double beta_s_per_byte;
};

struct machine_kernel {
    char op[16]; /* "gemm" */
    char dtype[8];
    int64_t shape[3]; /* rows, columns, depth */
    double rate;      /* FLOP/s of one rank while all ranks work */
};

enum { MACHINE_LINKS = 4, MACHINE_KERNELS = 64 };

struct machine {
    char name[64];
    int cores;            /* of a node */
    int64_t memory_bytes; /* of a node */
    double peak[3];       /* FLOP/s of one rank by enum dtype; 0: unknown */
    double mem_bw;        /* bytes/s of one rank while all ranks work */
    int nodes, ranks_per_node;
    char topology[32]; /* kind: "shared", "fat-tree", "dragonfly", .. */
    char progress[8];  /* "poll" or "full" */
    char source[256];
    int links, kernels;
    struct machine_link link[MACHINE_LINKS];
    struct machine_kernel kernel[MACHINE_KERNELS];
};

/* Write 'm' to 'path', read it back: 0, ERR_IO, or ERR_DATA with a sentence that names
 * the field.
 */
int machine_save(const struct machine *m, const char *path);
int machine_load(struct machine *m, const char *path);

#endif
