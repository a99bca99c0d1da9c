/* SPDX-License-Identifier: BSD-3-Clause */
/* Blocks and threads: coroutines in turn.
 *
 * A GPU promises no order between barriers, so one is drawn: of a launch's blocks;
 * of a block's warps, each of which goes on as far as it gets; and of a warp's lanes.
 * Whoever needs a barrier that is not there then reads too early, or what others have
 * overwritten, in some of the blocks.  EMU_SEED draws other orders.
 *
 * What is as large as no test's is left undone, and takes a second of the GPU's clock.
 */
#include "tests/emu/emu.h"

#include "tests/emu/emu_stream.h"
#include "tests/emu/race.h"

#include <map>
#include <numeric>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#include <vector>

uint3 threadIdx, blockIdx;
dim3 blockDim, gridDim;

/* What kernels declare as shared: the .bss of their files, under another name. */
extern char __start_emu_shared[], __stop_emu_shared[];

namespace {

enum { STACK = 128 << 10, WARP = 32, SHOWN = 64 };
enum { MOST_SHARED = 228 << 10, UNASKED_SHARED = 48 << 10 };
enum { LARGE = 2048 }; /* blocks that measure a bandwidth, on one row */

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
    bool is_done;
};

/* Where one goes on: what the compiler's own setjmp() keeps, without a system's care
 * for threads and signals, which takes longer than most kernels between two barriers.
 */
typedef void *place[5];

struct thread {
    place here;
    char *stack;
    uint3 index;
    int number;
    std::vector<copy> copies;
    int groups; /* closed */
};

/* Lanes as bits: those that have not ended, and those of them that wait for nobody. */
struct warp {
    barrier gate;
    unsigned there, ready;
    unsigned met;                           /* __syncwarp(), so often */
    alignas(16) char shown[2][WARP][SHOWN]; /* by turns */
};

std::vector<thread> threads;
std::vector<warp> warps;
barrier block_gate;
int alive;
thread *now;
place scheduler;
const std::function<void()> *body;
char *room; /* of the block; behind it is a page that nobody can touch */
size_t room_bytes;
std::map<const void *, size_t> allowed; /* kernels' most bytes of it */

void finish(const copy &c)
{
    if (c.from != NULL)
        memcpy(c.to, c.from, c.bytes);
    else
        memset(c.to, 0, c.bytes);
}

[[noreturn]] void fail(const char *why)
{
    fprintf(stderr, "emulated GPU: %s (block %u %u)\n", why, blockIdx.x, blockIdx.y);
    abort();
}

/* The numbers below 'count' in an order that is drawn. */
struct order {
    unsigned count, number, step;

    explicit order(unsigned n) : count(n), number(emu_draw() % n), step(emu_draw() | 1)
    {
        if ((count & (count - 1)) != 0) /* no power of 2 */
            while (std::gcd(step, count) != 1)
                step += 2;
        step %= count;
    }
    unsigned next(void)
    {
        const unsigned n = number;

        number += step < count - number ? step : step - count;
        return n;
    }
};

unsigned bit_of(const thread *t)
{
    return 1U << t->number % WARP;
}

warp *warp_of(const thread *t)
{
    return &warps[t->number / WARP];
}

void open_gate(barrier *b)
{
    b->arrived = 0;
    b->passed++;
}

/* The last one to come, of 'all', opens the barrier and goes on. */
bool is_last_at(barrier *b, int all)
{
    if (++b->arrived != all)
        return false;
    open_gate(b);
    return true;
}

void wake(warp *w)
{
    w->ready = w->there & (w == warp_of(now) ? ~bit_of(now) : ~0U);
}

void wake_all(void)
{
    for (warp &w : warps)
        wake(&w);
}

/* The compiler wants the jump in a function of its own, and is not to conclude from
 * what it sees which registers a call leaves as they are.
 */
#define JUMPS __attribute__((noipa))

[[noreturn]] JUMPS void jump(void **to)
{
    __builtin_longjmp(to, 1);
}

JUMPS void give_way(void)
{
    if (__builtin_setjmp(now->here) == 0)
        jump(scheduler);
}

/* One thread after another: a context is made once, with system calls; what follows are
 * jumps.
 */
void run_threads(void)
{
    for (;;) {
        give_way();
        (*body)();
        warp_of(now)->there &= ~bit_of(now);
        alive--;
        if (block_gate.arrived > 0 && block_gate.arrived == alive) {
            open_gate(&block_gate);
            wake_all();
        }
    }
}

JUMPS void start(thread *t)
{
    ucontext_t outside, inside;

    t->stack = (char *)malloc(STACK);
    getcontext(&inside);
    inside.uc_stack.ss_sp   = t->stack;
    inside.uc_stack.ss_size = STACK;
    inside.uc_link          = NULL;
    makecontext(&inside, run_threads, 0);
    now = t;
    if (__builtin_setjmp(scheduler) == 0)
        swapcontext(&outside, &inside);
}

void stand(void)
{
    race_thread(now->number, block_gate.passed, warp_of(now)->met);
}

/* Let the thread run until it waits or ends. */
JUMPS void resume(thread *t)
{
    now       = t;
    threadIdx = t->index;
    warp_of(t)->ready &= ~bit_of(t);
    stand();
    if (__builtin_setjmp(scheduler) == 0)
        jump(t->here);
}

void prepare(thread *t, unsigned i)
{
    t->index  = { i % blockDim.x, i / blockDim.x % blockDim.y,
                  i / blockDim.x / blockDim.y };
    t->number = (int)i;
    t->groups = 0;
    t->copies.clear();
    if (t->stack == NULL)
        start(t);
}

/* Let a warp's lanes run until all of them wait for other warps or have ended; false if
 * none could run.
 */
bool run_warp(unsigned w, unsigned count)
{
    const unsigned lanes = min(count - w * WARP, (unsigned)WARP);
    const bool can_run   = warps[w].ready != 0;

    while (warps[w].ready != 0) {
        order lane(lanes);

        for (unsigned i = 0; i < lanes; i++) {
            thread *t = &threads[w * WARP + lane.next()];

            if ((warps[w].ready & bit_of(t)) != 0)
                resume(t);
        }
    }
    return can_run;
}

/* Run all that can; false if none could. */
bool turn(unsigned count)
{
    order warp((unsigned)warps.size());
    bool has_run = false;

    for (unsigned i = 0; i < warp.count; i++)
        has_run |= run_warp(warp.next(), count);
    return has_run;
}

void run_block(unsigned count)
{
    alive      = (int)count;
    block_gate = {};
    for (unsigned w = 0; w < warps.size(); w++) {
        warps[w].gate  = {};
        warps[w].met   = 0;
        warps[w].there = ~0U >> (WARP - min(count - w * WARP, (unsigned)WARP));
        warps[w].ready = warps[w].there;
    }
    for (unsigned i = 0; i < count; i++)
        prepare(&threads[i], i);
    while (alive > 0)
        if (!turn(count))
            fail("threads wait for others that do not come");
}

/* Shared memory is full of NaN, in every format; what follows nobody can touch. */
void take_room(size_t bytes)
{
    static const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    static const size_t most = (MOST_SHARED + page - 1) / page * page;
    static char *const all   = (char *)mmap(NULL, most + page, PROT_READ | PROT_WRITE,
                                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (all == MAP_FAILED || mprotect(all + most, page, PROT_NONE) != 0)
        fail("no memory");
    room = all + most - (bytes + 15) / 16 * 16;
    memset(room, 0xff, bytes);
    room_bytes = bytes;
}

void run_all(const char *what, const std::function<void()> &kernel, dim3 grid,
             dim3 block, size_t shared)
{
    const unsigned count = block.x * block.y * block.z;

    blockDim = block;
    gridDim  = grid;
    body     = &kernel;
    if (threads.size() < count)
        threads.resize(count);
    warps.resize((count + WARP - 1) / WARP);

    order block_of(grid.x * grid.y * grid.z);

    for (unsigned i = 0; i < block_of.count; i++) {
        const unsigned n = block_of.next();

        blockIdx = { n % grid.x, n / grid.x % grid.y, n / grid.x / grid.y };
        take_room(shared);
        memset(__start_emu_shared, 0xff,
               (size_t)(__stop_emu_shared - __start_emu_shared));
        race_block(what, n, __start_emu_shared, __stop_emu_shared, room, shared);
        run_block(count);
    }
}

} /* namespace */

unsigned emu_draw(void)
{
    static const char *const seed = getenv("EMU_SEED");
    static uint64_t state         = seed != NULL ? strtoull(seed, NULL, 10) : 1;

    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33);
}

/* EMU_SHARED in the environment: so many bytes are the most, as of a smaller GPU. */
cudaError_t cudaFuncSetAttribute(const void *kernel, enum cudaFuncAttribute what,
                                 int value)
{
    static const char *const asked = getenv("EMU_SHARED");
    static const int most = asked != NULL ? atoi(asked) : MOST_SHARED - (1 << 10);

    if (kernel == NULL || what != cudaFuncAttributeMaxDynamicSharedMemorySize ||
        value < 0 || value > most)
        return cudaErrorInvalidValue;
    allowed[kernel] = (size_t)value;
    return cudaSuccess;
}

void emu_launch(cudaStream_t stream, const char *what, const void *kernel,
                std::function<void()> call, dim3 grid, dim3 block, size_t shared)
{
    const unsigned count = block.x * block.y * block.z;

    if (count == 0 || count > 1024 || block.z > 64 || grid.x == 0 ||
        grid.x > INT32_MAX || grid.y == 0 || grid.y > 65535 || grid.z == 0 ||
        grid.z > 65535 || (shared > UNASKED_SHARED && shared > allowed[kernel]))
        fail("an impossible launch");
    if (emu_device() < 0)
        fail("a launch from a thread that has not set its device");
    if (cudaGetLastError() != cudaSuccess)
        fail("a launch after an error that nobody has taken");
    if (grid.x >= LARGE && grid.y == 1 && strcmp(what, "an elementwise operation") == 0)
        emu_put(stream, [] { emu_pass(1); });
    else
        emu_put(stream, [=] { run_all(what, call, grid, block, shared); });
}

void *emu_shared(void)
{
    return room;
}

void __syncthreads(void)
{
    if (is_last_at(&block_gate, alive))
        wake_all();
    else
        give_way();
    stand();
}

static warp *meet(void)
{
    warp *w = warp_of(now);

    if (w->there != ~0U)
        fail("an exchange in a warp of which lanes are gone");
    if (is_last_at(&w->gate, WARP))
        wake(w);
    else
        give_way();
    return w;
}

void __syncwarp(void)
{
    warp *w = meet();

    w->met = w->gate.passed;
    stand();
}

void emu_seen_all(void)
{
    meet();
}

void emu_need_aligned(const void *at, size_t bytes)
{
    if ((uintptr_t)at % bytes != 0)
        fail("an address that is not aligned");
}

static bool is_within(const void *at, size_t bytes, const char *from, size_t all)
{
    const uintptr_t offset = (uintptr_t)at - (uintptr_t)from;

    return offset < all && bytes <= all - offset;
}

static void need_shared(const void *at, size_t bytes)
{
    emu_need_aligned(at, bytes);
    if (!is_within(at, bytes, room, room_bytes) &&
        !is_within(at, bytes, __start_emu_shared,
                   (size_t)(__stop_emu_shared - __start_emu_shared)))
        fail("an address that is not of shared memory");
}

void emu_need_all(unsigned mask)
{
    if (mask != 0xffffffffu)
        fail("an exchange in a warp that leaves lanes out");
}

void emu_copy_start(void *to, const void *from, size_t bytes, bool is_in)
{
    const copy c = { to, is_in ? from : NULL, bytes, now->groups, emu_draw() % 2 == 0 };

    need_shared(to, bytes);
    emu_need_aligned(from, bytes);
    race_copy_starts(c.to, c.from, bytes);
    if (c.is_done)
        finish(c);
    now->copies.push_back(c);
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
        if (!c.is_done)
            finish(c);
        race_copy_ends(c.to, c.bytes);
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
    memcpy(warp_of(now)->shown[warp_of(now)->gate.passed % 2][emu_lane()], mine, bytes);
    meet();
}

/* Which lane of a warp it is that reads a row is not said: no lane's own elements. */
void emu_show_row(const void *at)
{
    need_shared(at, 16);
    race_touch(at, 16, false, __builtin_return_address(0));
    emu_show(&at, sizeof at);
}

const void *emu_seen(int lane)
{
    return warp_of(now)->shown[(warp_of(now)->gate.passed - 1) % 2][lane];
}
