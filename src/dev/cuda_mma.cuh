/* SPDX-License-Identifier: BSD-3-Clause */
/* Instructions that C++ has no words for: of tensor cores, copies that run beside them,
 * and a quick power; tests/emu has them for the host, in front of this file.
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

/* The first two of them, of which the lower 16 lanes have the rows. */
static __device__ __forceinline__ void load_two(uint32_t (&r)[4], const bf16 *at)
{
    const uint32_t where = (uint32_t)__cvta_generic_to_shared(at);

    asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0, %1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(where)
                 : "memory");
}

static __device__ __forceinline__ void load_two_turned(uint32_t (&r)[4], const bf16 *at)
{
    const uint32_t where = (uint32_t)__cvta_generic_to_shared(at);

    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0, %1}, [%2];"
                 : "=r"(r[0]), "=r"(r[1])
                 : "r"(where)
                 : "memory");
}

/* acc [16, 8] += a [16, 16] b [16, 8] */
static __device__ __forceinline__ void mma(float (&acc)[4], const uint32_t (&a)[4],
                                           uint32_t b0, uint32_t b1)
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(acc[0]), "+f"(acc[1]), "+f"(acc[2]), "+f"(acc[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/* acc [16, 8] += a [16, 8] b [8, 8], the left halves of what mma() takes */
static __device__ __forceinline__ void mma_half(float (&acc)[4], const uint32_t (&a)[4],
                                                uint32_t b0)
{
    asm("mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 "
        "{%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
        : "+f"(acc[0]), "+f"(acc[1]), "+f"(acc[2]), "+f"(acc[3])
        : "r"(a[0]), "r"(a[1]), "r"(b0));
}

/* Start a copy of 8 or 16 bytes into shared memory, or of zeros; 'from'
 * is aligned alike.
 */
template <int BYTES>
static __device__ __forceinline__ void copy_start(void *to, const void *from,
                                                  bool is_in)
{
    const uint32_t where = (uint32_t)__cvta_generic_to_shared(to);
    const int there      = is_in ? BYTES : 0;

    if (BYTES == 16)
        asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                     :
                     : "r"(where), "l"(from), "r"(there)
                     : "memory");
    else
        asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;"
                     :
                     : "r"(where), "l"(from), "n"(BYTES), "r"(there)
                     : "memory");
}

/* A thread's copies since the last call are a group; all but the last LEFT groups are
 * there for it after copies_wait(), and for the block's others when they have met.
 */
static __device__ __forceinline__ void copies_close()
{
    asm volatile("cp.async.commit_group;" ::: "memory");
}

template <int LEFT> static __device__ __forceinline__ void copies_wait()
{
    asm volatile("cp.async.wait_group %0;" ::"n"(LEFT) : "memory");
}

static __device__ __forceinline__ float power_of_two(float x)
{
    float y;

    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

#endif
#endif
