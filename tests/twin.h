/* SPDX-License-Identifier: BSD-3-Clause */
/* The same matrix on two devices, for tests of a device's operations: 'ref' on cpu:ref
 * in f64, 'got' on the device under test.  Both lie in buffers with room before, behind
 * and between the rows; everything is NaN until it is given a value, so that an
 * operation that reads its output, or writes beside it, is found out.
 */
#ifndef TESTS_TWIN_H
#define TESTS_TWIN_H

#include "src/dev/dev_update.h"

enum { TWINS = 64 };

/* A buffer, and what the host last saw of it: the same memory where it
 * is the host's.
 */
struct twin_buf {
    struct buf buf;
    char *host;
    bool is_set, is_seen; /* the host's is newer; it is what the device has */
};

struct twins { /* the two devices, and all buffers on them */
    struct dev *ref, *got;
    struct twin_buf *buf[2 * TWINS];
    int bufs;
    uint64_t draws; /* random matrices so far: each is another */
    int odd; /* number, from 1 on, of one that no vectors can be of; 0: all can */
};

struct twin {
    struct mat ref, got;
};

/* Whether the device 'name' can be opened here. */
bool twins_can(const char *name, enum dtype dtype);

/* Open cpu:ref in f64, and 'name' in 'dtype' with 'threads'. */
void twins_open(struct twins *two, const char *name, enum dtype dtype, int threads);
void twins_clear(struct twins *two); /* free all buffers */
void twins_close(struct twins *two);

/* [rows, cols], all NaN; of the device's format, of its sums, or of f64 on both. */
struct twin twin_blank(struct twins *two, int64_t rows, int64_t cols);
struct twin twin_blank_acc(struct twins *two, int64_t rows, int64_t cols);
struct twin twin_blank_f64(struct twins *two, int64_t rows, int64_t cols);

/* The same, normal numbers times 'size', rounded to the format: equal on both. */
struct twin twin_random(struct twins *two, int64_t rows, int64_t cols, double size);

/* A copy of 'a' as it is on ref, rounded to the format: equal on both. */
struct twin twin_like(struct twins *two, struct twin a);

/* The first 'rows' rows of columns 'lo' to 'hi'. */
struct twin twin_part(struct twin a, int64_t rows, int64_t lo, int64_t hi);

void twin_set(struct twin a, int64_t r, int64_t c, double value); /* on both */
double twin_ref(struct twin a, int64_t r, int64_t c);
double twin_got(struct twin a, int64_t r, int64_t c);

/* True if every element of 'got' is finite and differs from ref's by at most
 * 'roundings' units of rounding of the format times 'size' (0: the largest of |ref|),
 * and everything around the view is still NaN; else says where not.
 */
bool twin_agrees(const struct twins *two, struct twin a, double roundings, double size,
                 const char *what);

/* The largest magnitude on ref. */
double twin_largest(struct twin a);

/* No matrix. */
struct twin twin_none(void);

/* The stream for one operation on the first device (0) or the second (1): what was set
 * on the host goes to the device before, and is looked at anew after it.
 */
struct dev_stream *twin_stream(struct twins *two, int which);

/* "EACH dev_op(ON, V(y), V(x));" does an operation on both devices
 * of 'two'. */
#define EACH for (int w = 0; w < 2; w++)
#define ON   twin_stream(two, w)
#define V(a) (w == 0 ? (a).ref : (a).got)

#endif
