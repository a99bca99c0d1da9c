/* SPDX-License-Identifier: BSD-3-Clause */
/* Boxes of tensors: their elements are found in the tensor, one by one and in runs. */
#include "config.h"

#include "ckpt/box.h"

#include "tests/tap.h"

enum { MOST = 4 * 3 * 5 * 2 };

/* The numbers in the tensor of the box's elements, in order; returns how many. */
static int64_t list_elements(int64_t *index, const struct box *b)
{
    int64_t size = 1, n = 0;

    for (int i = 0; i < b->dims; i++)
        size *= b->dim[i];
    for (int64_t x = 0; x < size; x++) {
        int64_t rest = x;
        bool is_in   = true;

        for (int i = b->dims - 1; i >= 0; i--) {
            const int64_t at = rest % b->dim[i];

            is_in = is_in && at >= b->lo[i] && at < b->hi[i];
            rest /= b->dim[i];
        }
        if (is_in)
            index[n++] = x;
    }
    return n;
}

static bool are_runs_right(const struct box *b, const int64_t *index, int64_t n)
{
    for (int64_t p = 0; p < n; p++) {
        for (int64_t end = p + 1; end <= n; end++) {
            const struct run run = box_run(b, p, end);
            int64_t count        = 1;

            while (p + count < end && index[p + count] == index[p] + count)
                count++;
            if (run.start != index[p] || run.count < 1 || run.count > count)
                return false;
            /* The longest but where a block of whole dimensions ends. */
            if (run.count < count && end == n && p == 0 && b->dims == 1)
                return false;
        }
    }
    return true;
}

static bool are_counts_right(const struct box *b, const int64_t *index, int64_t n,
                             int64_t size)
{
    int64_t below = 0;

    for (int64_t x = 0; x <= size; x++) {
        while (below < n && index[below] < x)
            below++;
        if (box_below(b, x) != below)
            return false;
    }
    return true;
}

/* Every box of a tensor. */
static void test_shape(int dims, const int64_t *dim, const char *what)
{
    struct box b  = { .dims = dims };
    int64_t boxes = 1, size = 1, index[MOST];
    bool are_right = true, are_whole = true;

    for (int i = 0; i < dims; i++) {
        b.dim[i] = dim[i];
        size *= dim[i];
        boxes *= (dim[i] + 1) * (dim[i] + 1);
    }
    for (int64_t k = 0; k < boxes; k++) {
        int64_t rest = k, n;
        bool is_box  = true;

        for (int i = 0; i < dims; i++) {
            b.lo[i] = rest % (dim[i] + 1);
            rest /= dim[i] + 1;
            b.hi[i] = rest % (dim[i] + 1);
            rest /= dim[i] + 1;
            is_box = is_box && b.lo[i] <= b.hi[i];
        }
        if (!is_box)
            continue;
        n         = list_elements(index, &b);
        are_right = are_right && box_size(&b) == n &&
                    are_counts_right(&b, index, n, size) &&
                    are_runs_right(&b, index, n);
        if (n == size)
            are_whole = are_whole && box_run(&b, 0, n).count == n;
    }
    ok(are_right, "elements of all boxes of %s are counted and found", what);
    ok(are_whole, "a whole tensor of %s is one run", what);
}

int main(void)
{
    test_shape(1, (int64_t[]){ 7 }, "[7]");
    test_shape(2, (int64_t[]){ 4, 5 }, "[4, 5]");
    test_shape(3, (int64_t[]){ 3, 4, 2 }, "[3, 4, 2]");
    test_shape(3, (int64_t[]){ 1, 1, 6 }, "[1, 1, 6]");
    test_shape(4, (int64_t[]){ 2, 3, 2, 3 }, "[2, 3, 2, 3]");
    return tap_done();
}
