/* SPDX-License-Identifier: BSD-3-Clause */
/* The instructions of tensor cores that are used here; tests/emu has them for the host,
 * in front of this file.
 */
#ifndef DEV_CUDA_MMA_CUH
#define DEV_CUDA_MMA_CUH

#include <cuda_bf16.h>
#include <stdint.h>

typedef __nv_bfloat16 bf16;

#ifndef CUDA_ON_HOST

/* Four 8 x 8 matrices whose rows begin at the lanes' addresses, 8 lanes each. */
static __device__ __forceinline__ void load_four(uint32_t (&r)[4], const bf16 *at)
{
    const uint32_t where = (uint32_t)__cvta_generic_to_shared(at);

    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(where)
                 : "memory");
}

static __device__ __forceinline__ void load_four_turned(uint32_t (&r)[4],
                                                        const bf16 *at)
{
    const uint32_t where = (uint32_t)__cvta_generic_to_shared(at);

    asm volatile(
        "ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
        : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
        : "r"(where)
        : "memory");
}

/* acc [16, 8] += a [16, 16] b [16, 8] */
static __device__ __forceinline__ void mma(float (&acc)[4], const uint32_t (&a)[4],
                                           uint32_t b0, uint32_t b1)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
                 "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
                 : "+f"(acc[0]), "+f"(acc[1]), "+f"(acc[2]), "+f"(acc[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

#endif
#endif
