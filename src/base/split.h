/* SPDX-License-Identifier: BSD-3-Clause */
/* n things over p owners, in order, as evenly as whole things allow: the first n % p
 * owners hold one more.  Owners may be left with nothing.
 */
#ifndef BASE_SPLIT_H
#define BASE_SPLIT_H

#include <stdint.h>

struct range {
    int64_t lo, hi; /* lo <= i < hi */
};

static inline int64_t range_size(struct range r)
{
    return r.hi - r.lo;
}

static inline struct range split_range(int64_t n, int owners, int owner)
{
    const int64_t base = n / owners, rest = n % owners;
    const int64_t lo = owner * base + (owner < rest ? owner : rest);

    return (struct range){ lo, lo + base + (owner < rest) };
}

/* Where a share begins; that of owner 'owners' is the end. */
static inline int64_t split_start(int64_t n, int owners, int owner)
{
    return owner < owners ? split_range(n, owners, owner).lo : n;
}

static inline int64_t split_size(int64_t n, int owners, int owner)
{
    return n / owners + (owner < n % owners);
}

/* The largest share: that of the first owner. */
static inline int64_t split_most(int64_t n, int owners)
{
    return split_size(n, owners, 0);
}

/* The greatest number that divides both. */
static inline int64_t split_divisor(int64_t a, int64_t b)
{
    while (b > 0) {
        const int64_t rest = a % b;

        a = b;
        b = rest;
    }
    return a;
}

static inline int split_owner(int64_t n, int owners, int64_t i)
{
    const int64_t base = n / owners, rest = n % owners;

    if (i < rest * (base + 1))
        return (int)(i / (base + 1));
    return (int)(rest + (i - rest * (base + 1)) / base);
}

#endif
