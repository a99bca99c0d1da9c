/* SPDX-License-Identifier: BSD-3-Clause */
/* Races, and reads of what nobody wrote, on the emulated GPU: what the emulator says to
 * race.cc about the order of things.  Without EMU_RACES all of it is nothing.
 *
 * Lines are what does one thing after another: the host (all its threads), a stream, a
 * branch of a graph that is launched, a message of MPI.  A clock says how much of each
 * line is over.  Work carries the clock of its stream when it was put there: neither
 * the order in which the emulator does it nor its threads order anything.
 */
#ifndef TESTS_EMU_RACE_H
#define TESTS_EMU_RACE_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef EMU_RACES
#ifdef __cplusplus

#include <functional>
#include <vector>

typedef std::vector<uint32_t> race_clock;

struct race_line {
    uint32_t number = 0; /* none yet */
    race_clock seen;     /* before what comes next */
};

/* 'to' knows what 'from' knows. */
void race_join(race_clock *to, const race_clock &from);

/* The host has waited for what 'seen' says. */
void race_waited(const race_clock &seen);

/* The line goes on after what the host did until now. */
void race_after_host(race_line *line);

/* The next work of 'line', as the line's own. */
std::function<void()> race_work(race_line *line, std::function<void()> work);

/* 'bytes' at 'at' are read or written by what is at 'from' in the program. */
void race_touch(const void *at, size_t bytes, bool is_write, const void *from);

/* A kernel's block begins, with so much shared memory at 'room' beside what lies from
 * 'fixed' to 'end'; its thread goes on, or stands behind a barrier: numbers of it, of
 * barriers of the block until then, and of its warp.
 */
void race_block(const char *kernel, unsigned block, const void *fixed, const void *end,
                const void *room, size_t bytes);
void race_thread(int thread, unsigned gate, unsigned meet);

/* A thread's copy into shared memory starts ('from' NULL: of zeros), and is over. */
void race_copy_starts(const void *to, const void *from, size_t bytes);
void race_copy_ends(const void *to, size_t bytes);

extern "C" {
#endif

/* Where the next array shall lie; a new one, which nobody wrote; the end of one. */
void *race_place(size_t bytes, int is_gpu);
void race_array(const void *at, size_t bytes);
void race_free(const void *at);

/* A message of MPI's reads or writes 'bytes' at 'at' until it is over; 0 if that is no
 * concern.
 */
uint32_t race_posted(const void *at, size_t bytes, int is_write);
void race_over(uint32_t message);

void *race_memcpy(void *to, const void *from, size_t bytes);
void *race_memmove(void *to, const void *from, size_t bytes);
void *race_memset(void *to, int value, size_t bytes);

#ifdef __cplusplus
}
#endif
#else
#ifdef __cplusplus

#include <functional>

struct race_clock {};
struct race_line {
    race_clock seen;
};

static inline void race_join(race_clock *, const race_clock &)
{
}
static inline void race_waited(const race_clock &)
{
}
static inline void race_after_host(race_line *)
{
}
static inline std::function<void()> race_work(race_line *, std::function<void()> work)
{
    return work;
}
static inline void race_touch(const void *, size_t, bool, const void *)
{
}
static inline void race_block(const char *, unsigned, const void *, const void *,
                              const void *, size_t)
{
}
static inline void race_thread(int, unsigned, unsigned)
{
}
static inline void race_copy_starts(const void *, const void *, size_t)
{
}
static inline void race_copy_ends(const void *, size_t)
{
}

#endif
#define race_place(bytes, is_gpu) NULL
#define race_array(at, bytes)     ((void)0)
#define race_free(at)             ((void)0)
#define race_memcpy               memcpy
#define race_memset               memset
#endif
#endif
