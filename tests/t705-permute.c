/* SPDX-License-Identifier: BSD-3-Clause */
/* Permutations against those that numpy 1.24 gives:
 *
 *   r = numpy.random.default_rng(seed); r.permutation(arange(n)) for n = 1, 2, 5, 10
 *   r = numpy.random.default_rng(seed); r.permutation(arange(1000))[:8], (arange(7))
 */
#include "config.h"

#include "src/eval/permute.h"

#include "tests/tap.h"

#include <stddef.h>

static const struct {
    uint64_t seed;
    int small[4][10], large[8], last[7];
} known[] = {
    { 0,
      { { 0 }, { 0, 1 }, { 2, 4, 3, 0, 1 }, { 3, 2, 0, 5, 4, 7, 1, 9, 8, 6 } },
      { 459, 206, 222, 162, 711, 814, 350, 890 },
      { 0, 3, 6, 1, 5, 2, 4 } },
    { 1,
      { { 0 }, { 0, 1 }, { 4, 0, 1, 2, 3 }, { 1, 6, 7, 9, 3, 4, 5, 8, 0, 2 } },
      { 705, 649, 543, 927, 577, 471, 608, 252 },
      { 2, 5, 3, 6, 1, 4, 0 } },
    { 7,
      { { 0 }, { 0, 1 }, { 3, 2, 0, 4, 1 }, { 3, 9, 8, 6, 7, 0, 4, 1, 5, 2 } },
      { 816, 923, 151, 900, 213, 100, 851, 503 },
      { 6, 5, 4, 2, 0, 3, 1 } },
    { (UINT64_C(1) << 33) + 5,
      { { 0 }, { 1, 0 }, { 0, 3, 4, 1, 2 }, { 8, 4, 2, 9, 6, 1, 5, 0, 3, 7 } },
      { 824, 589, 158, 673, 694, 144, 1, 768 },
      { 5, 0, 4, 1, 3, 2, 6 } },
};

static bool gives(struct permute *p, int64_t n, const int *wanted, int count)
{
    int64_t x[1000];
    bool is_right = true;

    for (int64_t i = 0; i < n; i++)
        x[i] = i;
    permute_shuffle(p, x, n);
    for (int i = 0; i < count; i++)
        is_right = is_right && x[i] == wanted[i];
    return is_right;
}

int main(void)
{
    static const int size[] = { 1, 2, 5, 10 };

    for (size_t s = 0; s < sizeof known / sizeof known[0]; s++) {
        struct permute p;

        permute_open(&p, known[s].seed);
        for (int i = 0; i < 4; i++)
            ok(gives(&p, size[i], known[s].small[i], size[i]),
               "seed %llu: %d numbers in numpy's order",
               (unsigned long long)known[s].seed, size[i]);
        permute_open(&p, known[s].seed);
        ok(gives(&p, 1000, known[s].large, 8), "1000 numbers likewise");
        ok(gives(&p, 7, known[s].last, 7), "and 7 after them");
    }
    return tap_done();
}
