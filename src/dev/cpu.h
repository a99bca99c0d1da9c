/* SPDX-License-Identifier: BSD-3-Clause */
/* What the CPU backends share: the state behind a device, working memory, tables.
 *
 *   cpu:blis  products (cpu_blis_real.h)
 *      falls back to dev_cpu_ops, which vectorises and threads the rest
 *      (cpu_ops_real.h), attention too (cpu_attn_real.h)
 *      falls back to cpu:ref
 */
#ifndef DEV_CPU_H
#define DEV_CPU_H

#include "src/dev/cpu_kernels.h"
#include "src/dev/dev_impl.h"

/* Memory that an operation may use until it returns, one block a thread.  A block grows
 * at the first use of a size and is kept.
 */
struct cpu_block {
    void *at;
    size_t bytes;
    char apart[48]; /* no two threads' blocks in one cache line */
};

struct cpu_state {
    struct cpu_block *block;         /* [threads] */
    const struct kernels_f64 *k_f64; /* the loops for this processor */
    const struct kernels_f32 *k_f32;
    const struct kernels_bf16 *k_bf16;
    void *library; /* a backend's own */
};

/* The loops on pairs of bf16 numbers of the processor that 's' computes on. */
static inline const struct kernels_bf16 *pair_loops(const struct dev_stream *s)
{
    return ((const struct cpu_state *)s->dev->state)->k_bf16;
}

#define CPU_NORM_EPS 1e-6

/* Row r of 'a'. */
static inline double *at_f64(struct mat a, int64_t r)
{
    return (double *)mat_ptr(a) + r * a.ld;
}

static inline float *at_f32(struct mat a, int64_t r)
{
    return (float *)mat_ptr(a) + r * a.ld;
}

/* What does bf16 where a backend does not. */
#define CPU_FOR_BF16                                                                   \
    "cpu:onednn has, on processors with AVX512-BF16, and --dtype=bf16:emulate runs "   \
    "anywhere"

int cpu_open(struct dev *dev);     /* state and hardware, for the open of a backend */
int cpu_ops_open(struct dev *dev); /* the same, and loops for this processor */
void cpu_close(struct dev *dev);

/* At least 'bytes' for 'thread' of 'dev', aligned, not zeroed; dies without memory. */
void *cpu_block(struct dev *dev, int thread, size_t bytes);

/* dev_gemm_dw() of bf16 factors, by the loops in bf16. */
void cpu_dw_bf16(struct dev_stream *s, struct mat dw, struct mat x, struct mat dy,
                 bool is_added);

/* Pack a factor [rows, cols] of bf16, or the transpose of one [cols, rows], 'ld' apart:
 * to [panels of CPU_PANEL columns, tall / 2 pairs of rows, CPU_PANEL], zeros around.
 */
enum { CPU_PANEL = 64 };
void cpu_panels_bf16(const struct dev *dev, uint32_t *to, const uint16_t *from,
                     int64_t ld, bool is_turned, int64_t rows, int64_t cols,
                     int64_t tall);

/* Slots; the second peak is that of products of tiles where there are any. */
double cpu_peak(struct dev *dev, double seconds);
double cpu_peak_tiles(struct dev *dev, double seconds);
double cpu_bandwidth(struct dev *dev, double seconds);

/* y's epilogue after a product, threaded. */
void cpu_finish_f64(struct dev_stream *s, struct mat y, const struct epilogue *e);
void cpu_finish_f32(struct dev_stream *s, struct mat y, const struct epilogue *e);

/* Slots by number format, and the fallback between cpu:blis and cpu:ref. */
extern const struct dev_ops cpu_ref_f64, cpu_ref_f32;
extern const struct dev_ops cpu_ops_f64, cpu_ops_f32;
extern const struct dev_ops cpu_attn_f64, cpu_attn_f32, cpu_attn_bf16;
extern const struct dev_ops cpu_blis_f64, cpu_blis_f32;
extern const struct dev_ops dev_cpu_ops;

#endif
