/* SPDX-License-Identifier: BSD-3-Clause */
/* The digest: the same in any pieces and any order of them, another for any change. */
#include "config.h"

#include "ckpt/digest.h"

#include "tests/tap.h"

#include <string.h>

enum { N = 1000 };

/* The definition, one element at a time, so that no vectors are used. */
static uint64_t digest_one(float x, int64_t index)
{
    uint64_t z = UINT64_C(0x9e3779b97f4a7c15) * (uint64_t)(index + 1);
    uint32_t bits;

    memcpy(&bits, &x, sizeof bits);
    z += bits;
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

int main(void)
{
    const int64_t far = INT64_C(1) << 40;
    uint64_t sum      = 0, whole;
    bool is_same = true, is_changed = true;
    float x[N];

    for (int i = 0; i < N; i++) {
        x[i] = (float)(i % 7) - 3;
        sum += digest_one(x[i], far + i);
    }
    whole = digest_of(x, N, far);
    ok(whole == sum, "it is the sum over elements");
    for (int i = 0; i <= N; i++)
        is_same =
            is_same && digest_of(x + i, N - i, far + i) + digest_of(x, i, far) == whole;
    ok(is_same, "in two pieces it is the same");
    ok(digest_of(x, 0, 5) == 0, "of nothing it is zero");
    ok(digest_of(x, N, far + 1) != whole, "elsewhere it is another");

    for (int i = 0; i < N; i++) {
        const float before = x[i];
        uint32_t bits;

        memcpy(&bits, &x[i], sizeof bits);
        bits ^= UINT32_C(1) << i % 32;
        memcpy(&x[i], &bits, sizeof bits);
        is_changed     = is_changed && digest_of(x, N, far) != whole;
        x[i]           = x[(i + 1) % N];
        x[(i + 1) % N] = before;
        is_changed     = is_changed && digest_of(x, N, far) != whole;
        x[(i + 1) % N] = x[i];
        x[i]           = before;
    }
    ok(is_changed && digest_of(x, N, far) == whole,
       "any bit that changes and any two elements that change places are seen");
    return tap_done();
}
