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

/* ---- between matrices and packed rows ---------------------------------------------- */

/* As bytes: rows that follow each other are one. */
struct lines {
    int64_t count, bytes, apart;
};

static struct lines lines_of(struct mat a)
{
    const int64_t size = (int64_t)dtype_size(a.dtype);

    if (a.ld == a.cols)
        return (struct lines){ 1, mat_size(a) * size, 0 };
    return (struct lines){ a.rows, a.cols * size, a.ld * size };
}

/* Copy lines that are 'from_apart' bytes apart to where they are 'to_apart'. */
static void copy_lines(struct dev_stream *s, char *to, int64_t to_apart,
                       const char *from, int64_t from_apart, struct lines l)
{
    THREADS(s, l.count * l.bytes / (int64_t)sizeof(float))
    {
        const struct box box = my_box(l.count, l.bytes);

        for (int64_t i = box.r.lo; i < box.r.hi; i++)
            memcpy(to + i * to_apart + box.c.lo, from + i * from_apart + box.c.lo,
                   (size_t)(box.c.hi - box.c.lo));
    }
}

static void ops_put(struct dev_stream *s, struct mat dst, const void *src)
{
    const struct lines l = lines_of(dst);

    if (mat_size(dst) > 0)
        copy_lines(s, mat_ptr(dst), l.apart, src, l.bytes, l);
}

static void ops_get(struct dev_stream *s, void *dst, struct mat src)
{
    const struct lines l = lines_of(src);

    if (mat_size(src) > 0)
        copy_lines(s, dst, l.bytes, mat_ptr(src), l.apart, l);
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
    .put      = ops_put,
    .get      = ops_get,
};
