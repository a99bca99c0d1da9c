/* SPDX-License-Identifier: BSD-3-Clause */
/* The vectorised and threaded operations of the CPU backends: which loops they use. */
#include "config.h"

#include "src/dev/cpu.h"

#include "src/base/err.h"
#include "src/dev/cpu_info.h"
#include "src/dev/cpu_team.h"

#include <string.h>

int cpu_ops_open(struct dev *dev)
{
    struct cpu_state *state;

    TRY(cpu_open(dev));
    state         = dev->state;
    state->k_f64  = &kernels_base_f64;
    state->k_f32  = &kernels_base_f32;
    state->k_bf16 = &kernels_base_bf16;
#if defined(__x86_64__)
    if (cpu_isa() == CPU_ISA_AVX512) {
        state->k_f64  = &kernels_avx512_f64;
        state->k_f32  = &kernels_avx512_f32;
        state->k_bf16 = !cpu_has_bf16()   ? &kernels_avx512_bf16
                        : cpu_has_tiles() ? &kernels_tiles_bf16
                                          : &kernels_dots_bf16;
    } else if (cpu_isa() == CPU_ISA_AVX2) {
        state->k_f64  = &kernels_avx2_f64;
        state->k_f32  = &kernels_avx2_f32;
        state->k_bf16 = &kernels_avx2_bf16;
    }
#endif
    return 0;
}

/* What a snapshot takes is dealt out: training stands still for it. */
static void ops_get(struct dev_stream *s, void *dst, struct mat src)
{
    const int64_t size   = (int64_t)dtype_size(src.dtype);
    const bool is_packed = src.ld == src.cols;
    const int64_t rows   = is_packed ? 1 : src.rows;
    const int64_t bytes  = (is_packed ? mat_size(src) : src.cols) * size;
    const char *from     = mat_ptr(src);

    if (mat_size(src) == 0)
        return;
    THREADS(s, mat_size(src))
    {
        const struct box box = my_box(rows, bytes);

        for (int64_t i = box.r.lo; i < box.r.hi; i++)
            memcpy((char *)dst + i * bytes + box.c.lo,
                   from + i * src.ld * size + box.c.lo, (size_t)(box.c.hi - box.c.lo));
    }
}

static const struct dev_ops dev_cpu_attn = {
    .name     = "cpu:attn",
    .fallback = &dev_cpu_ref,
    .real     = { &cpu_attn_f64, &cpu_attn_f32 },
    .bf16     = &cpu_attn_bf16,
    .is_host  = true,
};

const struct dev_ops dev_cpu_ops = {
    .name     = "cpu:ops",
    .fallback = &dev_cpu_attn,
    .real     = { &cpu_ops_f64, &cpu_ops_f32 },
    .is_host  = true,
    .open     = cpu_ops_open,
    .get      = ops_get,
};
