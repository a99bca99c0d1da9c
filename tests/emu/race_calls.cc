/* SPDX-License-Identifier: BSD-3-Clause */
/* What compilers call before accesses with -fsanitize=thread, in place of that
 * sanitizer's library.
 */
#include "tests/emu/race.h"

#define FROM __builtin_return_address(0)

extern "C" {

void __tsan_init(void)
{
}

#define ACCESS(bytes)                                                                  \
    void __tsan_read##bytes(void *at)                                                  \
    {                                                                                  \
        race_touch(at, bytes, false, FROM);                                            \
    }                                                                                  \
    void __tsan_write##bytes(void *at)                                                 \
    {                                                                                  \
        race_touch(at, bytes, true, FROM);                                             \
    }                                                                                  \
    void __tsan_unaligned_read##bytes(void *at)                                        \
    {                                                                                  \
        race_touch(at, bytes, false, FROM);                                            \
    }                                                                                  \
    void __tsan_unaligned_write##bytes(void *at)                                       \
    {                                                                                  \
        race_touch(at, bytes, true, FROM);                                             \
    }

ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)

void __tsan_read_range(void *at, long bytes)
{
    race_touch(at, (size_t)bytes, false, FROM);
}

void __tsan_write_range(void *at, long bytes)
{
    race_touch(at, (size_t)bytes, true, FROM);
}

/* Atomic accesses are the host's, to its own memory. */
#define FETCH(bits, type, what)                                                        \
    type __tsan_atomic##bits##_fetch_##what(volatile void *at, type x, int)            \
    {                                                                                  \
        return __atomic_fetch_##what((volatile type *)at, x, __ATOMIC_SEQ_CST);        \
    }

#define EXCHANGE(bits, type, how)                                                      \
    bool __tsan_atomic##bits##_compare_exchange_##how(volatile void *at, void *old,    \
                                                      type x, int, int)                \
    {                                                                                  \
        return __atomic_compare_exchange_n((volatile type *)at, (type *)old, x, false, \
                                           __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);        \
    }

#define ATOMIC(bits, type)                                                             \
    type __tsan_atomic##bits##_load(const volatile void *at, int)                      \
    {                                                                                  \
        return __atomic_load_n((const volatile type *)at, __ATOMIC_SEQ_CST);           \
    }                                                                                  \
    void __tsan_atomic##bits##_store(volatile void *at, type x, int)                   \
    {                                                                                  \
        __atomic_store_n((volatile type *)at, x, __ATOMIC_SEQ_CST);                    \
    }                                                                                  \
    type __tsan_atomic##bits##_exchange(volatile void *at, type x, int)                \
    {                                                                                  \
        return __atomic_exchange_n((volatile type *)at, x, __ATOMIC_SEQ_CST);          \
    }                                                                                  \
    EXCHANGE(bits, type, strong)                                                       \
    EXCHANGE(bits, type, weak)                                                         \
    FETCH(bits, type, add)                                                             \
    FETCH(bits, type, sub)                                                             \
    FETCH(bits, type, and)                                                             \
    FETCH(bits, type, or)

ATOMIC(8, uint8_t)
ATOMIC(16, uint16_t)
ATOMIC(32, uint32_t)
ATOMIC(64, uint64_t)
}
