/* SPDX-License-Identifier: BSD-3-Clause */
/* The vectorised and threaded operations of the CPU backends: which loops they use. */
#include "config.h"

#include "src/dev/cpu.h"

#include "src/base/err.h"
#include "src/dev/cpu_info.h"

int cpu_ops_open(struct dev *dev)
{
    struct cpu_state *state;

    TRY(cpu_open(dev));
    state        = dev->state;
    state->k_f64 = &kernels_base_f64;
    state->k_f32 = &kernels_base_f32;
#if defined(__x86_64__)
    if (cpu_isa() == CPU_ISA_AVX512) {
        state->k_f64 = &kernels_avx512_f64;
        state->k_f32 = &kernels_avx512_f32;
    } else if (cpu_isa() == CPU_ISA_AVX2) {
        state->k_f64 = &kernels_avx2_f64;
        state->k_f32 = &kernels_avx2_f32;
    }
#endif
    return 0;
}

static const struct dev_ops dev_cpu_attn = {
    .name     = "cpu:attn",
    .fallback = &dev_cpu_ref,
    .real     = { &cpu_attn_f64, &cpu_attn_f32 },
    .is_host  = true,
};

const struct dev_ops dev_cpu_ops = {
    .name     = "cpu:ops",
    .fallback = &dev_cpu_attn,
    .real     = { &cpu_ops_f64, &cpu_ops_f32 },
    .is_host  = true,
    .open     = cpu_ops_open,
};
