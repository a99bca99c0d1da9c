/* SPDX-License-Identifier: BSD-3-Clause */
/* A machine: peaks, memory, links.  Data-sheet peaks with their source, and the machine
 * file that "vitbench --case=machine" writes and that planning reads.
 */
#ifndef PLAN_MACHINE_H
#define PLAN_MACHINE_H

#include "src/base/dtype.h"

#include <stdbool.h>

/* The data sheet's peak of 'device' (a GPU's name by its driver) in FLOP/s, and where
 * the figure is from (borrowed); with 'is_tf32' that of f32's products in TF32.
 * Returns 0 when the device is not in the table, as no CPU is: never a guess.
 */
double machine_spec_peak(const char *device, enum dtype dtype, bool is_tf32,
                         const char **source);

/* How far apart two ranks are, near to far: on one processor package (or a GPU's own
 * fabric), in one node, in two nodes, in two groups of nodes (dragonfly).
 */
enum machine_level {
    LEVEL_CORE,
    LEVEL_NODE,
    LEVEL_NETWORK,
    LEVEL_GLOBAL,
    MACHINE_LEVELS
};
extern const char *const machine_level_name[MACHINE_LEVELS]; /* "core", "node", .. */

struct machine_link {
    char level[16]; /* of machine_level_name */
    double alpha_s; /* seconds of an empty message */
    double beta_s_per_byte;
    double busy; /* share of a message's time in which the core cannot compute */
    int lanes;   /* messages to different ranks at full speed at once; 0 means 1 */
};

/* Products (W is [depth, columns]; also of gemm_t and gemm_dw) in FLOP/s, attention
 * ([images x heads, rows, head size]) in FLOP/s, and any other operation of a device in
 * bytes/s; of one rank while all work.
 */
struct machine_kernel {
    char op[24]; /* "gemm", "gemm_t", "gemm_dw", "attn", "norm_apply", .. */
    char dtype[8];
    int64_t shape[3]; /* rows, columns, depth */
    double rate;
};

/* Of the topology: a number with a name. */
struct machine_parameter {
    char name[24];
    double value;
};

enum { MACHINE_LINKS = MACHINE_LEVELS, MACHINE_KERNELS = 160, MACHINE_PARAMETERS = 8 };

/* Parameters that cost.h knows, above 0; all may be missing:
 *
 *   ranks_per_package  of ranks_per_node, those that share a package; missing: all
 *   node_bw            bytes/s that leave a node, all its ranks together
 *   nodes_per_group    nodes within reach of LEVEL_NETWORK
 *   group_bw           bytes/s that leave a group, all its nodes together
 */
struct machine {
    char name[64];
    int cores;            /* of a node */
    int gpus;             /* of a node; 0: ranks compute on the cores */
    int64_t memory_bytes; /* of a node; with GPUs theirs */
    double peak[3];       /* FLOP/s of one rank by enum dtype; 0: unknown */
    double mem_bw;        /* bytes/s of one rank while all ranks work */
    double op_s;          /* seconds that any operation takes, however small */
    int packs; /* copies of each weight that a rank keeps packed: dev_packs() */
    int nodes, ranks_per_node;
    char topology[32]; /* kind: "shared", "fat-tree", "dragonfly", .. */
    char progress[8];  /* "poll" or "full" */
    char source[1024];
    int links, kernels, parameters;
    struct machine_link link[MACHINE_LINKS];
    struct machine_kernel kernel[MACHINE_KERNELS];
    struct machine_parameter parameter[MACHINE_PARAMETERS];
};

/* Write 'm' to 'path', read it back: 0, ERR_IO, or ERR_DATA with a sentence that names
 * the field: one that is wrong, missing, or unknown.
 */
int machine_save(const struct machine *m, const char *path);
int machine_load(struct machine *m, const char *path);

/* machine_load() of what a user gives: the path of a file, or the name of a machine
 * that is shipped, NAME.json in the folder of $VIT_MACHINES or the installed one.
 * ERR_USAGE with a sentence that lists the shipped ones if it is neither.
 */
int machine_find(struct machine *m, const char *file_or_name);

/* The parameter 'name', or 'missing'. */
double machine_parameter(const struct machine *m, const char *name, double missing);

/* The link between ranks that are 'level' apart: the one given, else the nearest one of
 * a lower level, else of a higher one; NULL without any.
 */
const struct machine_link *machine_link_at(const struct machine *m,
                                           enum machine_level level);

/* The fastest product's rate over the peak of its format, where that is known: above
 * MACHINE_OVER_PEAK (clocks wander) the peak is not one.  0 without such products.
 */
#define MACHINE_OVER_PEAK 1.05
double machine_over_peak(const struct machine *m);

/* Ranks of a package when a node has 'on_node' of them; 0:
 * packages are not told apart.
 */
int machine_package(const struct machine *m, int on_node);

/* How far apart ranks a and b are when ranks fill nodes in their order, 'on_node' of
 * them on each.
 */
enum machine_level machine_distance(const struct machine *m, int on_node, int64_t a,
                                    int64_t b);

#endif
