/* SPDX-License-Identifier: BSD-3-Clause */
/* What the processor could do at best, measured: fused multiply-adds on registers, and
 * a long update that runs through memory.  Time is cut into windows in which all
 * threads work at once; the best window counts, so that a disturbance does not lower
 * the figure.
 */
#include "config.h"

#include "src/dev/cpu_team.h"
#include "src/dev/cpu_tiles.h"

#include "src/base/clock.h"
#include "src/base/mem.h"

/* ---- Multiply-adds --------------------------------------------------------------- */

/* Twelve sums that do not wait for each other fill two pipes of up to six cycles, and
 * leave registers for the factors even where there are sixteen.  ARM has 32 registers,
 * and four pipes of four cycles or two of nine.
 */
enum { SUMS = 12, ARM_SUMS = 24, TURNS = 20000 };

/* FLOPs of one call of a loop over vectors of 'bytes' with elements of 'size'. */
static double flops_of(int sums, size_t bytes, size_t size)
{
    return 2.0 * sums * TURNS * (double)(bytes / size);
}

/* The factors are not known to the compiler, or it would drop a sum that starts where
 * the update leaves it.
 */
#define FMA_LOOP(name, real, bytes, target)                                            \
    target static double name(void)                                                    \
    {                                                                                  \
        typedef real vec __attribute__((vector_size(bytes)));                          \
        volatile const real factor = (real)0.9999, term = (real)1e-4;                  \
        const vec a = (vec){ 0 } + factor, b = (vec){ 0 } + term;                      \
        vec sum[SUMS];                                                                 \
                                                                                       \
        for (int i = 0; i < SUMS; i++)                                                 \
            sum[i] = (vec){ 0 } + (real)i;                                             \
        for (int turn = 0; turn < TURNS; turn++) {                                     \
            _Pragma("GCC unroll 12") for (int i = 0; i < SUMS; i++) sum[i] =           \
                sum[i] * a + b;                                                        \
            __asm__ volatile("" :::); /* the turns are not to be merged */             \
        }                                                                              \
        for (int i = 1; i < SUMS; i++)                                                 \
            sum[0] += sum[i];                                                          \
        __asm__ volatile("" : : "m"(sum)); /* and are wanted */                        \
        return flops_of(SUMS, bytes, sizeof(real));                                    \
    }

#if defined(__x86_64__)
FMA_LOOP(fma_f64_avx512, double, 64, __attribute__((target("avx512f"))))
FMA_LOOP(fma_f32_avx512, float, 64, __attribute__((target("avx512f"))))
FMA_LOOP(fma_f64_avx2, double, 32, __attribute__((target("avx2,fma"))))
FMA_LOOP(fma_f32_avx2, float, 32, __attribute__((target("avx2,fma"))))
FMA_LOOP(mul_f64_avx, double, 32, __attribute__((target("avx"))))
FMA_LOOP(mul_f32_avx, float, 32, __attribute__((target("avx"))))
#endif

#if !defined(__aarch64__)
FMA_LOOP(fma_f64, double, 16, )
FMA_LOOP(fma_f32, float, 16, )
#else
/* ARM's instruction writes its result over the sum: in the loop above each would come
 * with two copies.  So here products are added to the sums, in one piece of assembly:
 * the compiler would multiply but once.  'set' and 'add' are for register 'r'; those of
 * 24 and 25 are the factors.
 */
#define ARM_LOOP(name, real, target, start, set, add)                                  \
    target static double name(void)                                                    \
    {                                                                                  \
        size_t turns = TURNS, bytes = 16;                                              \
                                                                                       \
        __asm__ volatile(start ".irp r," ARM_SUM ",24,25\n\t" set "\n\t.endr\n"        \
                               "0:\t.irp r," ARM_SUM "\n\t" add "\n\t.endr\n\t"        \
                               "subs %0, %0, #1\n\tb.ne 0b"                            \
                         : "+r"(turns), "+r"(bytes)                                    \
                         :                                                             \
                         : ARM_CLOBBERED);                                             \
        return flops_of(ARM_SUMS, bytes, sizeof(real));                                \
    }
#define ARM_SUM "0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23"
#define ARM_CLOBBERED                                                                  \
    "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12",   \
        "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22", "v23",   \
        "v24", "v25", "p0", "cc"

#define NEON_SET(t) "fmov v\\r\\()." t ", #0.125"
#define NEON_ADD(t) "fmla v\\r\\()." t ", v24." t ", v25." t
ARM_LOOP(fma_f64, double, , "", NEON_SET("2d"), NEON_ADD("2d"))
ARM_LOOP(fma_f32, float, , "", NEON_SET("4s"), NEON_ADD("4s"))

#if defined(__clang__)
#define SVE __attribute__((target("sve")))
#else
#define SVE __attribute__((target("+sve")))
#endif
#define SVE_START  "ptrue p0.b\n\trdvl %1, #1\n\t"
#define SVE_SET(t) "fmov z\\r\\()." t ", #0.125"
#define SVE_ADD(t) "fmla z\\r\\()." t ", p0/m, z24." t ", z25." t
ARM_LOOP(fma_f64_sve, double, SVE, SVE_START, SVE_SET("d"), SVE_ADD("d"))
ARM_LOOP(fma_f32_sve, float, SVE, SVE_START, SVE_SET("s"), SVE_ADD("s"))
#endif

#if defined(__x86_64__)
/* Dot products of pairs of bf16: four FLOPs for each of sixteen sums.  In one piece of
 * assembly, so that the sums stay in registers.
 */
__attribute__((target("avx512f"))) static double dot_bf16(void)
{
    typedef float vec __attribute__((vector_size(64)));
    const vec a = (vec){ 0 } + 0x1.01p-30F; /* two small numbers in each word */
    vec s0 = a, s1 = a, s2 = a, s3 = a, s4 = a, s5 = a, s6 = a, s7 = a, s8 = a, s9 = a,
        s10 = a, s11 = a;

    for (int turn = 0; turn < TURNS; turn++)
        __asm__ volatile("vdpbf16ps %12, %12, %0\n\tvdpbf16ps %12, %12, %1\n\t"
                         "vdpbf16ps %12, %12, %2\n\tvdpbf16ps %12, %12, %3\n\t"
                         "vdpbf16ps %12, %12, %4\n\tvdpbf16ps %12, %12, %5\n\t"
                         "vdpbf16ps %12, %12, %6\n\tvdpbf16ps %12, %12, %7\n\t"
                         "vdpbf16ps %12, %12, %8\n\tvdpbf16ps %12, %12, %9\n\t"
                         "vdpbf16ps %12, %12, %10\n\tvdpbf16ps %12, %12, %11"
                         : "+v"(s0), "+v"(s1), "+v"(s2), "+v"(s3), "+v"(s4), "+v"(s5),
                           "+v"(s6), "+v"(s7), "+v"(s8), "+v"(s9), "+v"(s10), "+v"(s11)
                         : "v"(a));
    return 4.0 * 16.0 * SUMS * TURNS;
}

/* 16 x 16 sums of 32 products each in 16 cycles, six under way since a sum is there
 * after 52.
 */
enum { TILE_SUMS = 6 };

static double tile_bf16(void)
{
    struct tile_config config = { .palette = 1 };
    float factor[TILE * TILE];

    for (int i = 0; i < TILE_SUMS + 2; i++) {
        config.bytes[i] = TILE_BYTES;
        config.rows[i]  = TILE;
    }
    for (int i = 0; i < TILE * TILE; i++)
        factor[i] = 0x1.01p-30F; /* two small numbers in each word */
    TILES_CONFIGURE(config);
    TILE_LOAD(6, factor, TILE_BYTES);
    TILE_LOAD(7, factor, TILE_BYTES);
    for (int turn = 0; turn < TURNS; turn++) {
        TILE_ADD_PRODUCT(0, 6, 7);
        TILE_ADD_PRODUCT(1, 6, 7);
        TILE_ADD_PRODUCT(2, 6, 7);
        TILE_ADD_PRODUCT(3, 6, 7);
        TILE_ADD_PRODUCT(4, 6, 7);
        TILE_ADD_PRODUCT(5, 6, 7);
    }
    TILES_RELEASE();
    return 2.0 * TILE * TILE * (TILE_BYTES / 2) * TILE_SUMS * TURNS;
}
#endif

static double (*fma_loop(enum dtype dtype))(void)
{
    const bool is_f64 = dtype == DTYPE_F64;

#if defined(__x86_64__)
    if (dtype == DTYPE_BF16 && cpu_has_bf16())
        return dot_bf16;
    if (cpu_isa() == CPU_ISA_AVX512)
        return is_f64 ? fma_f64_avx512 : fma_f32_avx512;
    if (cpu_isa() == CPU_ISA_AVX2)
        return is_f64 ? fma_f64_avx2 : fma_f32_avx2;
    if (cpu_has_avx())
        return is_f64 ? mul_f64_avx : mul_f32_avx;
#elif defined(__aarch64__)
    if (cpu_has_sve())
        return is_f64 ? fma_f64_sve : fma_f32_sve;
#endif
    return is_f64 ? fma_f64 : fma_f32;
}

enum { WINDOWS = 8 };

static double measure(struct dev *dev, double (*loop)(void), double seconds)
{
    double best = 0.0;

    loop();
    for (int w = 0; w < WINDOWS; w++) {
        double rate = 0.0;

#pragma omp parallel num_threads(dev->threads) reduction(+ : rate)
        {
            const double start = clock_now();
            double flops       = 0.0, now;

            do {
                flops += loop();
                now = clock_now();
            } while (now - start < seconds / WINDOWS);
            rate += flops / (now - start);
        }
        best = rate > best ? rate : best;
    }
    return best;
}

double cpu_peak(struct dev *dev, double seconds)
{
    return measure(dev, fma_loop(dev->dtype), seconds);
}

double cpu_peak_tiles(struct dev *dev, double seconds)
{
#if defined(__x86_64__)
    if (dev->dtype == DTYPE_BF16 && cpu_has_tiles())
        return measure(dev, tile_bf16, seconds);
#endif
    return cpu_peak(dev, seconds);
}

/* ---- Memory ---------------------------------------------------------------------- */

/* Two arrays a thread, each longer than its share of any cache. */
enum { STREAM_BYTES = 32 << 20, STREAM = STREAM_BYTES / (int)sizeof(float) };

/* 12 bytes move for each element: two are read, one is written. */
static double stream_update(float *y, const float *x)
{
#pragma omp simd
    for (int i = 0; i < STREAM; i++)
        y[i] = 0.5f * y[i] + x[i];
    return 3.0 * STREAM_BYTES;
}

double cpu_bandwidth(struct dev *dev, double seconds)
{
    float **array = mem_new((size_t)dev->threads, sizeof *array);
    double best   = 0.0;

#pragma omp parallel num_threads(dev->threads)
    {
        /* zeroed, and so first touched, by its user */
        array[member()] = mem_new(2, STREAM_BYTES);
    }
    for (int w = 0; w < WINDOWS; w++) {
        double rate = 0.0;

#pragma omp parallel num_threads(dev->threads) reduction(+ : rate)
        {
            float *y           = array[member()];
            const double start = clock_now();
            double bytes       = 0.0, now;

            do {
                bytes += stream_update(y, y + STREAM);
                now = clock_now();
            } while (now - start < seconds / WINDOWS);
            rate += bytes / (now - start);
        }
        best = rate > best ? rate : best;
    }
    for (int t = 0; t < dev->threads; t++)
        mem_free(array[t]);
    mem_free(array);
    return best;
}
