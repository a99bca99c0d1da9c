/* SPDX-License-Identifier: BSD-3-Clause */
/* What the kernels of attention work on, and how they are launched. */
#ifndef DEV_CUDA_ATTN_CUH
#define DEV_CUDA_ATTN_CUH

#include "src/dev/cuda_view.cuh"

#include <type_traits>

struct attention {
    view q, k, v, o, d_o, dq, dk, dv;
    float *kept; /* [B, H, Nq, 2]: a row's largest logit, and the sum of exponentials */
    float *delta; /* f32: [B, H, Nq], d_o o of a row */
    float *known; /* bf16: [B, H, Nq, 2], what backward knows of a row */
    int64_t B, H, E, Nq, Nk;
    float factor; /* 1 / sqrt(E) */
    bool wide;    /* bf16: rows of heads can be read 16 bytes at a time */
};

void attn_forward_bf16(struct dev_stream *s, const attention &a);
void attn_backward_bf16(struct dev_stream *s, const attention &a);
void attn_forward_f32(struct dev_stream *s, const attention &a);
void attn_backward_f32(struct dev_stream *s, const attention &a);

/* Let blocks of 'kernel' have so much shared memory, and launch it.  Workstations' GPUs
 * have less than half of what others have.
 */
template <class Kernel>
static void launch_attention(struct dev_stream *s, Kernel kernel, int64_t blocks,
                             int threads, size_t shared, const attention &a)
{
    const cudaError_t rc = cudaFuncSetAttribute(
        (const void *)kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared);

    if (rc == cudaErrorInvalidValue)
        die("attention with heads of %lld needs %zu bytes of shared memory for a "
            "block, and this GPU has less",
            (long long)a.E, shared);
    TRY_CUDA(rc);
    launch(s, "attention", kernel, (unsigned)blocks, threads, shared, a);
}

/* Call 'of' with the first of these widths, which rise, that has room for a head. */
template <int EP, int... WIDER, class Of>
static void of_width(const attention &a, const Of &of)
{
    if constexpr (sizeof...(WIDER) > 0)
        if (a.E > EP)
            return of_width<WIDER...>(a, of);
    of(std::integral_constant<int, EP>());
}

#endif
