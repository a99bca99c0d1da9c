/* SPDX-License-Identifier: BSD-3-Clause */
/* cpu:ref, every operation in plain loops on one thread: the oracle of every test and
 * the fallback of other CPU backends.  Here is what does not depend on the number
 * format of a run: memory and copies.  The arithmetic is in cpu_ref_real.h.
 */
#include "config.h"

#include "src/dev/cpu.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "src/dev/cpu_info.h"
#include "src/dev/cpu_team.h"

#include <stdio.h>
#include <string.h>

/* ---- State ----------------------------------------------------------------------- */

/* How many threads OpenMP gives where so many are asked for: its own variables may
 * limit them (OMP_THREAD_LIMIT), or leave it to each region (OMP_DYNAMIC), which ends
 * here.  oneDNN makes wrong products where it gets fewer than it was told.
 */
static int threads_given(int asked)
{
    int given = 1;

    (void)asked; /* there is one without OpenMP */
#ifdef _OPENMP
    omp_set_dynamic(0);
#pragma omp parallel num_threads(asked)
#pragma omp single
    given = team();
#endif
    return given;
}

int cpu_open(struct dev *dev)
{
    struct cpu_state *state;

    dev->threads = threads_given(dev->threads);
    state        = mem_new(1, sizeof *state);
    state->block = mem_new((size_t)dev->threads, sizeof *state->block);
    dev->state   = state;
    cpu_model(dev->hardware, sizeof dev->hardware);
    return 0;
}

void cpu_close(struct dev *dev)
{
    struct cpu_state *state = dev->state;

    for (int t = 0; t < dev->threads; t++)
        mem_free(state->block[t].at);
    mem_free(state->block);
    mem_free(state);
    dev->state = NULL;
}

void *cpu_block(struct dev *dev, int thread, size_t bytes)
{
    struct cpu_state *state = dev->state;
    struct cpu_block *block = &state->block[thread];

    if (block->bytes < bytes) {
        mem_free(block->at);
        block->at = NULL;
        if (mem_alloc(&block->at, bytes) != 0)
            err_end(ERR_MEMORY);
        block->bytes = bytes;
    }
    return block->at;
}

static int ref_open(struct dev *dev)
{
    dev->threads = 1;
    TRY(cpu_open(dev));
    snprintf(dev->about, sizeof dev->about, "plain loops, one thread");
    return 0;
}

/* ---- Memory ---------------------------------------------------------------------- */

static int ref_alloc(struct buf *b, struct dev *dev, size_t bytes)
{
    void *at;

    TRY(mem_alloc(&at, bytes));
    *b = (struct buf){ .dev = dev, .at = at, .bytes = bytes };
    return 0;
}

static void ref_free(struct buf *b)
{
    mem_free(b->at);
}

/* ---- Copies ---------------------------------------------------------------------- */

static void *row_of(struct mat a, int64_t r)
{
    return (char *)mat_ptr(a) + r * a.ld * (int64_t)dtype_size(a.dtype);
}

static size_t row_bytes(struct mat a)
{
    return (size_t)a.cols * dtype_size(a.dtype);
}

static void ref_put(struct dev_stream *s, struct mat dst, const void *src)
{
    (void)s;
    if (mat_size(dst) == 0)
        return;
    for (int64_t r = 0; r < dst.rows; r++)
        memcpy(row_of(dst, r), (const char *)src + (size_t)r * row_bytes(dst),
               row_bytes(dst));
}

static void ref_get(struct dev_stream *s, void *dst, struct mat src)
{
    (void)s;
    if (mat_size(src) == 0)
        return;
    for (int64_t r = 0; r < src.rows; r++)
        memcpy((char *)dst + (size_t)r * row_bytes(src), row_of(src, r),
               row_bytes(src));
}

static void ref_fill(struct dev_stream *s, struct mat y, double value)
{
    (void)s;
    for (int64_t r = 0; r < y.rows; r++)
        for (int64_t c = 0; c < y.cols; c++)
            dtype_store(y.dtype, row_of(y, r), c, value);
}

static void ref_normals(struct dev_stream *s, struct mat y, uint64_t seed,
                        uint64_t stream, uint64_t first)
{
    (void)s;
    for (int64_t i = 0; i < mat_size(y); i++)
        dtype_store(y.dtype, mat_ptr(y), i,
                    (float)rng_normal(seed, stream, first + (uint64_t)i));
}

static void ref_copy(struct dev_stream *s, struct mat y, struct mat x)
{
    (void)s;
    for (int64_t r = 0; r < y.rows; r++) {
        if (y.dtype == x.dtype && y.cols > 0)
            memcpy(row_of(y, r), row_of(x, r), row_bytes(y));
        else
            for (int64_t c = 0; c < y.cols; c++)
                dtype_store(y.dtype, row_of(y, r), c,
                            dtype_load(x.dtype, row_of(x, r), c));
    }
}

static void ref_add(struct dev_stream *s, struct mat y, struct mat x)
{
    (void)s;
    for (int64_t r = 0; r < y.rows; r++)
        for (int64_t c = 0; c < y.cols; c++)
            dtype_store(y.dtype, row_of(y, r), c,
                        dtype_load(y.dtype, row_of(y, r), c) +
                            dtype_load(x.dtype, row_of(x, r), c));
}

static void ref_max(struct dev_stream *s, struct mat y, struct mat x)
{
    (void)s;
    for (int64_t r = 0; r < y.rows; r++)
        for (int64_t c = 0; c < y.cols; c++) {
            const double v = dtype_load(x.dtype, row_of(x, r), c);

            if (v > dtype_load(y.dtype, row_of(y, r), c) || v != v) /* NaN stays */
                dtype_store(y.dtype, row_of(y, r), c, v);
        }
}

const struct dev_ops dev_cpu_ref = {
    .name      = "cpu:ref",
    .fallback  = &dev_at_once,
    .real      = { &cpu_ref_f64, &cpu_ref_f32 },
    .is_host   = true,
    .instead   = { [DTYPE_BF16] = CPU_FOR_BF16 },
    .open      = ref_open,
    .close     = cpu_close,
    .peak      = cpu_peak,
    .bandwidth = cpu_bandwidth,
    .alloc     = ref_alloc,
    .free      = ref_free,
    .put       = ref_put,
    .send      = ref_put,
    .get       = ref_get,
    .fill      = ref_fill,
    .normals   = ref_normals,
    .copy      = ref_copy,
    .add       = ref_add,
    .max       = ref_max,
};
