/* SPDX-License-Identifier: BSD-3-Clause */
/* Matrices on two devices.  Where a device's memory is not the host's, the host has a
 * copy of each buffer, which is brought up to date when it is looked at.
 */
#include "config.h"

#include "tests/twin.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/rng.h"

#include <math.h>
#include <stdio.h>

/* Elements around a matrix and between its rows: of columns in multiples of WIDE so
 * that vectors of them are aligned, else so that none is.
 */
enum { BEFORE = 5, BETWEEN = 3, BEHIND = 7, WIDE = 8 };

bool twins_can(const char *name, enum dtype dtype)
{
    struct dev *dev;
    const int rc = dev_open(&dev, name, dtype, 1);

    err_forget();
    if (rc == 0)
        dev_close(&dev);
    return rc == 0;
}

void twins_open(struct twins *two, const char *name, enum dtype dtype, int threads)
{
    *two = (struct twins){ 0 };
    if (dev_open(&two->ref, "cpu:ref", DTYPE_F64, 1) != 0 ||
        dev_open(&two->got, name, dtype, threads) != 0)
        die("%s", err_sentence());
}

void twins_clear(struct twins *two)
{
    while (two->bufs > 0) {
        struct twin_buf *b = two->buf[--two->bufs];

        if (!dev_is_host(b->buf.dev))
            mem_free(b->host);
        dev_free(&b->buf);
        mem_free(b);
    }
}

void twins_close(struct twins *two)
{
    twins_clear(two);
    dev_close(&two->ref);
    dev_close(&two->got);
}

/* All of a buffer, whatever is in it, as one row of pairs of bytes. */
static struct mat all_of(struct twin_buf *b)
{
    return mat_of(&b->buf, DTYPE_BF16, 1, (int64_t)(b->buf.bytes / 2));
}

struct dev_stream *twin_stream(struct twins *two, int which)
{
    struct dev *dev      = which == 0 ? two->ref : two->got;
    struct dev_stream *s = dev_stream(dev, LANE_COMPUTE);

    for (int i = 0; i < two->bufs && !dev_is_host(dev); i++) {
        struct twin_buf *b = two->buf[i];

        if (b->buf.dev != dev)
            continue;
        if (b->is_set)
            dev_put(s, all_of(b), b->host);
        b->is_set = b->is_seen = false;
    }
    return s;
}

/* What the host has of the buffer of 'a', which is a struct twin_buf's first member. */
static char *seen(struct mat a)
{
    struct twin_buf *b = (struct twin_buf *)(void *)a.buf;

    if (!dev_is_host(b->buf.dev) && !b->is_seen) {
        dev_get(dev_stream(b->buf.dev, LANE_COMPUTE), b->host, all_of(b));
        b->is_seen = true;
    }
    return b->host;
}

static char *to_set(struct mat a)
{
    char *host = seen(a);

    ((struct twin_buf *)(void *)a.buf)->is_set = true;
    return host;
}

static struct mat blank(struct twins *two, struct dev *dev, enum dtype dtype,
                        int64_t rows, int64_t cols)
{
    const bool is_wide   = cols % WIDE == 0 && two->bufs / 2 + 1 != two->odd;
    const int64_t before = is_wide ? WIDE : BEFORE;
    const int64_t ld     = cols + (is_wide ? WIDE : BETWEEN);
    const int64_t size   = before + rows * ld + BEHIND;
    struct twin_buf *b   = mem_new(1, sizeof *b);
    struct mat a         = mat_at(&b->buf, dtype, before, rows, cols);
    void *host           = NULL;

    if (two->bufs == 2 * TWINS ||
        dev_alloc(&b->buf, dev, (size_t)size * dtype_size(dtype)) != 0 ||
        (!dev_is_host(dev) && mem_alloc(&host, b->buf.bytes) != 0))
        die("no more matrices");
    two->buf[two->bufs++] = b;
    b->host               = host != NULL ? host : b->buf.at;
    b->is_seen = b->is_set = true;
    for (int64_t i = 0; i < size; i++)
        dtype_store(dtype, b->host, i, NAN);
    a.ld = ld;
    return a;
}

static struct twin make(struct twins *two, enum dtype dtype, int64_t rows, int64_t cols)
{
    return (struct twin){ .ref = blank(two, two->ref, DTYPE_F64, rows, cols),
                          .got = blank(two, two->got, dtype, rows, cols) };
}

struct twin twin_blank(struct twins *two, int64_t rows, int64_t cols)
{
    return make(two, dev_dtype(two->got), rows, cols);
}

struct twin twin_blank_f64(struct twins *two, int64_t rows, int64_t cols)
{
    return make(two, DTYPE_F64, rows, cols);
}

struct twin twin_blank_acc(struct twins *two, int64_t rows, int64_t cols)
{
    return make(two, dev_acc(two->got), rows, cols);
}

struct twin twin_part(struct twin a, int64_t rows, int64_t lo, int64_t hi)
{
    return (struct twin){ .ref = mat_cols(mat_rows(a.ref, 0, rows), lo, hi),
                          .got = mat_cols(mat_rows(a.got, 0, rows), lo, hi) };
}

struct twin twin_none(void)
{
    return (struct twin){ .ref = mat_none(), .got = mat_none() };
}

static int64_t index_of(struct mat a, int64_t r, int64_t c)
{
    return a.offset + r * a.ld + c;
}

double twin_ref(struct twin a, int64_t r, int64_t c)
{
    return dtype_load(a.ref.dtype, seen(a.ref), index_of(a.ref, r, c));
}

double twin_got(struct twin a, int64_t r, int64_t c)
{
    return dtype_load(a.got.dtype, seen(a.got), index_of(a.got, r, c));
}

void twin_set(struct twin a, int64_t r, int64_t c, double value)
{
    dtype_store(a.got.dtype, to_set(a.got), index_of(a.got, r, c), value);
    dtype_store(a.ref.dtype, to_set(a.ref), index_of(a.ref, r, c), twin_got(a, r, c));
}

struct twin twin_random(struct twins *two, int64_t rows, int64_t cols, double size)
{
    struct twin a       = twin_blank(two, rows, cols);
    const uint64_t draw = two->draws++;

    for (int64_t r = 0; r < rows; r++)
        for (int64_t c = 0; c < cols; c++)
            twin_set(a, r, c,
                     size * rng_normal(draw, RNG_TEST, (uint64_t)(r * cols + c)));
    return a;
}

struct twin twin_like(struct twins *two, struct twin a)
{
    struct twin b = make(two, a.got.dtype, a.got.rows, a.got.cols);

    for (int64_t r = 0; r < a.got.rows; r++)
        for (int64_t c = 0; c < a.got.cols; c++)
            twin_set(b, r, c, twin_ref(a, r, c));
    return b;
}

double twin_largest(struct twin a)
{
    double most = 0.0;

    for (int64_t r = 0; r < a.ref.rows; r++)
        for (int64_t c = 0; c < a.ref.cols; c++)
            most = fmax(most, fabs(twin_ref(a, r, c)));
    return most;
}

/* Whether element 'i' of the buffer belongs to the view. */
static bool is_inside(struct mat a, int64_t i)
{
    i -= a.offset;
    return i >= 0 && i / a.ld < a.rows && i % a.ld < a.cols;
}

bool twin_agrees(const struct twins *two, struct twin a, double roundings, double size,
                 const char *what)
{
    const double unit   = a.got.dtype == DTYPE_BF16          ? 0x1p-8
                          : dev_dtype(two->got) == DTYPE_F64 ? 0x1p-53
                                                             : 0x1p-24;
    const int64_t count = (int64_t)(a.got.buf->bytes / dtype_size(a.got.dtype));

    if (size == 0.0)
        size = twin_largest(a);
    for (int64_t r = 0; r < a.ref.rows; r++) {
        for (int64_t c = 0; c < a.ref.cols; c++) {
            const double ref = twin_ref(a, r, c), got = twin_got(a, r, c);

            if (!isfinite(got) || !(fabs(got - ref) <= roundings * unit * size)) {
                fprintf(
                    stderr,
                    "# %s: (%lld, %lld) is %.9g, not %.9g: %.3g of %.3g roundings\n",
                    what, (long long)r, (long long)c, got, ref,
                    fabs(got - ref) / (unit * size), roundings);
                return false;
            }
        }
    }
    for (int64_t i = 0; i < count; i++) {
        if (!is_inside(a.got, i) && !isnan(dtype_load(a.got.dtype, seen(a.got), i))) {
            fprintf(stderr, "# %s: element %lld, beside the matrix, was written\n",
                    what, (long long)i);
            return false;
        }
    }
    return true;
}
