/* SPDX-License-Identifier: BSD-3-Clause */
/* Blocks and threads: coroutines in turn. */
#include "tests/emu/emu.h"

#include "tests/emu/emu_stream.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <vector>

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

namespace {

enum { STACK = 128 << 10, WARP = 32, SHOWN = 64, MOST_SHARED = 232448 };

struct barrier {
    int arrived;
    unsigned passed;
};

/* A copy into shared memory that was started, and the group that it belongs to. */
struct copy {
    void *to;
    const void *from; /* NULL: zeros */
    size_t bytes;
    int group;
};

struct thread {
    jmp_buf place; /* where it goes on */
    char *stack;
    uint3 index;
    int number;
    bool is_done;
    const barrier *at; /* where it waits, for 'passed' to become another number */
    unsigned passed;
    std::vector<copy> copies;
    int groups; /* closed */
};

struct warp {
    barrier gate;
    int lanes;
    char shown[WARP][SHOWN];
};

std::vector<thread> threads;
std::vector<warp> warps;
barrier block_gate;
int alive;
thread *now;
jmp_buf scheduler;
const std::function<void()> *body;
alignas(128) char room[MOST_SHARED];

[[noreturn]] void fail(const char *why)
{
    fprintf(stderr, "emulated GPU: %s (block %u %u)\n", why, blockIdx.x, blockIdx.y);
    abort();
}

void open_gate(barrier *b)
{
    b->arrived = 0;
    b->passed++;
}

void wait_at(barrier *b, int all)
{
    if (++b->arrived == all) {
        open_gate(b);
        return;
    }
    now->at     = b;
    now->passed = b->passed;
    if (_setjmp(now->place) == 0)
        _longjmp(scheduler, 1);
}

/* One thread after another: a context is made once, with system calls; what follows are
 * jumps.
 */
void run_threads(void)
{
    for (;;) {
        if (_setjmp(now->place) == 0)
            _longjmp(scheduler, 1);
        (*body)();
        now->is_done = true;
        alive--;
        warps[now->number / WARP].lanes--;
        if (block_gate.arrived > 0 && block_gate.arrived == alive)
            open_gate(&block_gate);
    }
}

void start(thread *t)
{
    ucontext_t outside, inside;

    t->stack = (char *)malloc(STACK);
    getcontext(&inside);
    inside.uc_stack.ss_sp   = t->stack;
    inside.uc_stack.ss_size = STACK;
    inside.uc_link          = NULL;
    makecontext(&inside, run_threads, 0);
    now = t;
    if (_setjmp(scheduler) == 0)
        swapcontext(&outside, &inside);
}

/* Let the thread run until it waits or ends. */
void resume(thread *t)
{
    now       = t;
    threadIdx = t->index;
    if (_setjmp(scheduler) == 0)
        _longjmp(t->place, 1);
}

void prepare(thread *t, unsigned i)
{
    t->index   = { i % blockDim.x, i / blockDim.x % blockDim.y,
                   i / blockDim.x / blockDim.y };
    t->number  = (int)i;
    t->is_done = false;
    t->groups  = 0;
    t->copies.clear();
    t->at = NULL;
    if (t->stack == NULL)
        start(t);
}

/* Run all that can; false if none could. */
bool turn(unsigned count)
{
    bool has_run = false;

    for (unsigned i = 0; i < count; i++) {
        thread *t = &threads[i];

        if (t->is_done || (t->at != NULL && t->at->passed == t->passed))
            continue;
        t->at = NULL;
        resume(t);
        has_run = true;
    }
    return has_run;
}

void run_block(unsigned count)
{
    alive      = (int)count;
    block_gate = {};
    for (unsigned w = 0; w < warps.size(); w++) {
        warps[w].gate  = {};
        warps[w].lanes = (int)min(count - w * WARP, (unsigned)WARP);
    }
    for (unsigned i = 0; i < count; i++)
        prepare(&threads[i], i);
    while (alive > 0)
        if (!turn(count))
            fail("threads wait for others that do not come");
}

void run_all(const std::function<void()> &kernel, dim3 grid, dim3 block, size_t shared)
{
    const unsigned count = block.x * block.y * block.z;

    blockDim = block;
    gridDim  = grid;
    body     = &kernel;
    if (threads.size() < count)
        threads.resize(count);
    warps.resize((count + WARP - 1) / WARP);
    for (unsigned i = 0; i < grid.x * grid.y * grid.z; i++) {
        blockIdx.x = i % grid.x;
        blockIdx.y = i / grid.x % grid.y;
        blockIdx.z = i / grid.x / grid.y;
        memset(room, 0xff, shared); /* NaN, in every format */
        run_block(count);
    }
}

} /* namespace */

void emu_launch(cudaStream_t stream, std::function<void()> kernel, dim3 grid,
                dim3 block, size_t shared)
{
    const unsigned count = block.x * block.y * block.z;

    if (count == 0 || count > 1024 || grid.x == 0 || grid.y == 0 || grid.y > 65535 ||
        grid.z == 0 || grid.z > 65535 || shared > MOST_SHARED)
        fail("an impossible launch");
    emu_put(stream, [=] { run_all(kernel, grid, block, shared); });
}

void *emu_shared(void)
{
    return room;
}

void __syncthreads(void)
{
    wait_at(&block_gate, alive);
}

void emu_sync_warp(void)
{
    warp *w = &warps[now->number / WARP];

    if (w->lanes != WARP)
        fail("an exchange in a warp of which lanes are gone");
    wait_at(&w->gate, WARP);
}

void emu_copy_start(void *to, const void *from, size_t bytes, bool is_in)
{
    if ((uintptr_t)to % bytes != 0 || (uintptr_t)from % bytes != 0)
        fail("a copy that is not aligned");
    now->copies.push_back({ to, is_in ? from : NULL, bytes, now->groups });
}

void emu_copies_close(void)
{
    now->groups++;
}

void emu_copies_wait(int left)
{
    size_t done = 0;

    for (; done < now->copies.size(); done++) {
        const copy &c = now->copies[done];

        if (c.group >= now->groups - left)
            break;
        if (c.from != NULL)
            memcpy(c.to, c.from, c.bytes);
        else
            memset(c.to, 0, c.bytes);
    }
    now->copies.erase(now->copies.begin(), now->copies.begin() + (long)done);
}

int emu_lane(void)
{
    return now->number % WARP;
}

void emu_show(const void *mine, size_t bytes)
{
    if (bytes > SHOWN)
        fail("too much to show");
    memcpy(warps[now->number / WARP].shown[emu_lane()], mine, bytes);
    emu_sync_warp();
}

const void *emu_seen(int lane)
{
    return warps[now->number / WARP].shown[lane];
}
