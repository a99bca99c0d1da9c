/* SPDX-License-Identifier: BSD-3-Clause */
/* Host memory: aligned blocks whose bytes are counted, now and at the peak. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>
#include <stdint.h>

enum { MEM_ALIGN = 64 };

/* Allocate 'bytes' (0 is allowed) at a multiple of MEM_ALIGN, not touched, in '*block'.
 * Returns 0 or ERR_MEMORY.  Free with mem_free(), which accepts NULL.
 */
int mem_alloc(void **block, size_t bytes);
void mem_free(void *block);

/* For small things that cannot reasonably fail: zeroed, err_end() if it does. */
void *mem_new(size_t count, size_t size);

/* A list that grows: 'count' things, the first 'used' of them those of 'old' (NULL
 * where there are none yet), which is freed.
 */
void *mem_grow(void *old, size_t used, size_t count, size_t size);

/* Fresh pages for large arrays that are filled at once or that a disk reads and
 * writes, which is several times faster where the system has large pages for them;
 * zeroed, from a multiple of MEM_PAGE on.  'bytes' are told again when they are
 * given back; NULL may be.
 */
enum { MEM_PAGE = 2 << 20 };
int mem_map(void **pages, size_t bytes);
void mem_unmap(void *pages, size_t bytes);

/* Give back to the system what was freed but is kept for later,
 * and so counts as in use.
 */
void mem_trim(void);

/* Bytes of live blocks, and their maximum so far. */
int64_t mem_now(void);
int64_t mem_peak(void);

/* Bytes the system could give this process now: the least of MemAvailable and what
 * the control groups above it leave; the machine's memory; this process's VmHWM.  0
 * where the system does not say.
 */
int64_t mem_available(void);
int64_t mem_machine(void);
int64_t mem_high_water(void);

/* 'bytes' rounded up to a multiple of MEM_ALIGN. */
static inline size_t mem_round(size_t bytes)
{
    return (bytes + MEM_ALIGN - 1) / MEM_ALIGN * MEM_ALIGN;
}

#endif
