/* SPDX-License-Identifier: BSD-3-Clause */
/* Data-sheet peaks, and what a machine's description says of links.
 *
 * The table of peaks is short on purpose.  It holds what a vendor's data sheet states
 * for dense products (sheets that only print the figure "with sparsity" are halved),
 * and of CPUs nothing: their peak follows from a clock that no data sheet promises
 * under load, and a denominator that is too small would show more than 100 %.
 */
#include "config.h"

#include "src/plan/machine.h"

#include <math.h>
#include <string.h>

/* ---- data sheets ----------------------------------------------------------------- */

struct sheet {
    const char *device; /* as the driver calls it */
    double peak[3];     /* FLOP/s by enum dtype, dense; 0: not stated */
    const char *source;
};

#define A100  "NVIDIA A100 Tensor Core GPU data sheet; f64 by tensor cores"
#define H100  "NVIDIA H100 Tensor Core GPU data sheet, dense; f64 by tensor cores"
#define H200  "NVIDIA H200 Tensor Core GPU data sheet, dense; f64 by tensor cores"
#define GH200 "NVIDIA GH200 Superchip data sheet, dense; f64 by tensor cores"
#define B200  "NVIDIA HGX B200 data sheet, dense"
#define GB200 "NVIDIA GB200 NVL72 data sheet, a GPU, dense; f64 by tensor cores"

/* f64 is the tensor cores' figure because that is what products run on; f32
 * is that of the ordinary units, since TF32 is not f32: all of these sheets
 * state half of bf16's for it.
 */
static const struct sheet sheets[] = {
    { "NVIDIA A100-SXM4-40GB", { 19.5e12, 19.5e12, 312e12 }, A100 },
    { "NVIDIA A100-SXM4-80GB", { 19.5e12, 19.5e12, 312e12 }, A100 },
    { "NVIDIA A100-PCIE-40GB", { 19.5e12, 19.5e12, 312e12 }, A100 },
    { "NVIDIA A100 80GB PCIe", { 19.5e12, 19.5e12, 312e12 }, A100 },
    { "NVIDIA H100 80GB HBM3", { 67e12, 67e12, 989.5e12 }, H100 },
    { "NVIDIA H100 PCIe", { 51e12, 51e12, 756.5e12 }, H100 },
    { "NVIDIA H200", { 67e12, 67e12, 989.5e12 }, H200 },
    { "NVIDIA GH200 120GB", { 67e12, 67e12, 989.5e12 }, GH200 },
    { "NVIDIA GH200 480GB", { 67e12, 67e12, 989.5e12 }, GH200 },
    { "NVIDIA B200", { 0, 0, 2250e12 }, B200 },
    { "NVIDIA GB200", { 40e12, 80e12, 2500e12 }, GB200 },
};

double machine_spec_peak(const char *device, enum dtype dtype, bool is_tf32,
                         const char **source)
{
    for (size_t i = 0; i < sizeof sheets / sizeof sheets[0]; i++) {
        const struct sheet *t = &sheets[i];
        const double peak     = is_tf32 ? t->peak[DTYPE_BF16] / 2 : t->peak[dtype];

        if (strcmp(device, t->device) != 0 || peak == 0)
            continue;
        *source = t->source;
        return peak;
    }
    return 0;
}

/* ---- links ----------------------------------------------------------------------- */

const char *const machine_level_name[MACHINE_LEVELS] = {
    [LEVEL_CORE]    = "core",
    [LEVEL_NODE]    = "node",
    [LEVEL_NETWORK] = "network",
    [LEVEL_GLOBAL]  = "global",
};

double machine_parameter(const struct machine *m, const char *name, double missing)
{
    for (int i = 0; i < m->parameters; i++) {
        if (strcmp(m->parameter[i].name, name) == 0)
            return m->parameter[i].value;
    }
    return missing;
}

static const struct machine_link *link_named(const struct machine *m, const char *level)
{
    for (int i = 0; i < m->links; i++) {
        if (strcmp(m->link[i].level, level) == 0)
            return &m->link[i];
    }
    return NULL;
}

const struct machine_link *machine_link_at(const struct machine *m,
                                           enum machine_level level)
{
    const struct machine_link *found = NULL;

    for (int l = level; l >= 0 && found == NULL; l--)
        found = link_named(m, machine_level_name[l]);
    for (int l = level + 1; l < MACHINE_LEVELS && found == NULL; l++)
        found = link_named(m, machine_level_name[l]);
    return found;
}

double machine_over_peak(const struct machine *m)
{
    double most = 0;

    for (int i = 0; i < m->kernels; i++) {
        const struct machine_kernel *k = &m->kernel[i];

        if (strncmp(k->op, "gemm", 4) != 0)
            continue;
        for (int t = DTYPE_F64; t <= DTYPE_BF16; t++) {
            if (strcmp(k->dtype, dtype_name((enum dtype)t)) == 0 && m->peak[t] > 0)
                most = fmax(most, k->rate / m->peak[t]);
        }
    }
    return most;
}

int machine_package(const struct machine *m, int on_node)
{
    const double package = machine_parameter(m, "ranks_per_package", 0);

    return (int)(package * on_node / m->ranks_per_node);
}

enum machine_level machine_distance(const struct machine *m, int on_node, int64_t a,
                                    int64_t b)
{
    const int64_t package = machine_package(m, on_node);
    const int64_t group   = (int64_t)machine_parameter(m, "nodes_per_group", 0);
    const int64_t p = a / on_node, q = b / on_node;

    if (p != q && group > 0 && p / group != q / group)
        return LEVEL_GLOBAL;
    if (p != q)
        return LEVEL_NETWORK;
    if (package > 0 && a % on_node / package != b % on_node / package)
        return LEVEL_NODE;
    return LEVEL_CORE;
}
