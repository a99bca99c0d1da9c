/* SPDX-License-Identifier: BSD-3-Clause */
/* Races on the emulated GPU, as compute-sanitizer's racecheck, initcheck and memcheck
 * look for them, but exact, and between streams and the host too.
 *
 * What is checked is compiled with -fsanitize=thread, which calls a function before
 * each access to memory; these are in race_calls.cc, in place of that sanitizer's
 * library.
 * Each two bytes of arrays and of shared memory have a cell that says who wrote them
 * last and who has read them since.  Of a kernel's threads, accesses are in order
 *   of one thread; of one warp with a __syncwarp() between them; of one block with a
 *   __syncthreads() between them; of two blocks never
 * and of others if a clock says so (race.h).  A copy into shared memory is nobody's to
 * touch before it is waited for.  Shuffles and products of a warp order nothing.
 *
 * Not seen: more than two unordered readers between writes (counted as 'lost'); threads
 * of the host among each other; what libraries do to arrays by themselves.
 */
#include "tests/emu/race.h"

#include <fcntl.h>
#include <iterator>
#include <map>
#include <mutex>
#include <set>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string>
#include <sys/mman.h>
#include <unistd.h>
#include <unordered_map>

extern "C" char __executable_start[];

namespace {

/* Where arrays lie: the GPU's, and behind them pinned ones; no place is used twice. */
const uintptr_t BASE = (uintptr_t)1 << 44, SPAN = (uintptr_t)1 << 36;

enum { EPOCH_BITS = 20, WARP = 32, READERS = 2, GRAIN = 2, PAGE = 4096 };
enum { NOBODY = 0 };
enum { HOST = 1 }; /* its line's first number */
enum { MOST_REPORTS = 20 };

/* Readers of a kernel share one mark, which says how far apart they are. */
enum state : uint16_t { ONE, LANES, WARPS, BLOCKS, UNDER_WAY };

/* Who touched a cell. */
struct mark {
    uint32_t op; /* number of a line, and how much of it; of shared memory: the block */
    uint32_t block;
    uint32_t pc;
    uint16_t thread, gate, meet;
    state is;
};

struct cell {
    mark wrote, read[READERS];
};

struct actor {
    mark now;
    const race_clock *seen;
};

struct host : race_line {
    host()
    {
        number = HOST;
        seen.reserve(1 << (32 - EPOCH_BITS)); /* threads read while one of them joins */
        seen.resize(HOST + 1);
    }
} host;
actor gpu;
thread_local actor *me; /* NULL: the host */
thread_local bool is_copying;

uint32_t lines = HOST, blocks;
std::vector<uint32_t> idle; /* lines of messages that are over */
std::unordered_map<uint32_t, const char *> names;
cell *shadow;

struct range {
    uintptr_t from;
    size_t bytes;
    cell *cells;
};

range shared[2]; /* of the block */

std::map<uintptr_t, range> arrays;
std::mutex arrays_lock; /* the host has threads */

struct totals {
    long launches = 0, others = 0, lost = 0, reports = 0;
    std::set<const char *> kernels;

    ~totals();
} total;

cell *cell_of(uintptr_t at)
{
    return &shadow[(at - BASE) / GRAIN];
}

/* The array that the byte at 'at' belongs to; one of no bytes if there is none. */
const range &array_of(uintptr_t at)
{
    static thread_local range last;

    if (at - last.from < last.bytes)
        return last;

    const std::lock_guard<std::mutex> held(arrays_lock);
    const auto next = arrays.upper_bound(at);

    if (next == arrays.begin() ||
        at - std::prev(next)->first >= std::prev(next)->second.bytes)
        last = {};
    else
        last = std::prev(next)->second;
    return last;
}

/* ---- Reports --------------------------------------------------------------------- */

/* To EMU_RACE_LOG, a file, or to where errors go. */
void say(const char *format, ...)
{
    const char *path = getenv("EMU_RACE_LOG");
    const int fd = path != NULL ? open(path, O_WRONLY | O_CREAT | O_APPEND, 0666) : 2;
    va_list args;

    va_start(args, format);
    vdprintf(fd, format, args);
    va_end(args);
    if (fd != 2)
        close(fd);
}

/* The line of the source. */
std::string place(uint32_t pc)
{
    char command[200], text[300] = "?";
    FILE *f;

    snprintf(command, sizeof command,
             "addr2line -s -f -C -p -e /proc/%d/exe %#x 2>/dev/null", (int)getpid(),
             pc - 1);
    f = popen(command, "r");
    if (f == NULL || fgets(text, sizeof text, f) == NULL)
        snprintf(text, sizeof text, "%#x", pc);
    if (f != NULL)
        pclose(f);
    text[strcspn(text, "\n")] = '\0';
    return text;
}

std::string who(const mark &m, bool is_shared)
{
    char text[200];

    if (m.op >> EPOCH_BITS == HOST && !is_shared)
        return "the host in " + place(m.pc);
    if (!is_shared && names.count(m.op) == 0)
        return "another work in " + place(m.pc);
    snprintf(text, sizeof text, "'%s' block %u thread %u%s in ",
             is_shared ? names[gpu.now.op] : names[m.op], m.block, m.thread,
             m.is == ONE         ? ""
             : m.is == UNDER_WAY ? " (a copy that is under way)"
                                 : " and others");
    return text + place(m.pc);
}

/* Where 'at' lies. */
std::string where(uintptr_t at, bool is_shared)
{
    range r = is_shared ? shared[at - shared[1].from < shared[1].bytes] : array_of(at);
    char text[100];

    snprintf(text, sizeof text, "byte %zu of %zu%s", (size_t)(at - r.from), r.bytes,
             is_shared ? " of shared memory" : "");
    return text;
}

/* Once for each pair of places. */
void report(uintptr_t at, const mark &now, const char *does, const mark *other,
            const char *did, bool is_shared)
{
    static std::set<std::pair<uint32_t, uint32_t>> said;
    const uint32_t pc = other != NULL ? other->pc : 0;

    if (!said.insert({ now.pc, pc }).second || total.reports++ >= MOST_REPORTS)
        return;
    say("race: %s %s %s, %s%s\n", who(now, is_shared).c_str(), does,
        where(at, is_shared).c_str(), did,
        other != NULL ? who(*other, is_shared).c_str() : "");
}

totals::~totals()
{
    say("races: %zu kernels, %ld launches, %ld other works, %ld readers lost, %ld "
        "races\n",
        kernels.size(), launches, others, lost, reports);
    if (reports == 0)
        return;
    fflush(NULL);
    _exit(66);
}

/* ---- Order ----------------------------------------------------------------------- */

/* The line's next epoch; a line that has too many goes on under another number. */
uint32_t tick(race_line *line)
{
    const uint32_t last = (1 << EPOCH_BITS) - 1;

    if (line->number == 0 || line->seen[line->number] == last) {
        line->number = ++lines;
        if (lines >> (32 - EPOCH_BITS) != 0) {
            say("race: too many lines\n");
            abort();
        }
    }
    if (line->seen.size() <= line->number)
        line->seen.resize(line->number + 1);
    return line->number << EPOCH_BITS | ++line->seen[line->number];
}

bool knows(const race_clock &seen, uint32_t op)
{
    const uint32_t number = op >> EPOCH_BITS, epoch = op & ((1 << EPOCH_BITS) - 1);

    return number < seen.size() && seen[number] >= epoch;
}

/* 'm' came before what is done now; of shared memory 'seen' is NULL, and what others
 * than the block did is past.
 */
bool is_before(const mark &m, const mark &now, const race_clock *seen)
{
    if (m.op != now.op)
        return m.op == NOBODY || seen == NULL || knows(*seen, m.op);
    if (m.is == UNDER_WAY || m.is == BLOCKS || m.block != now.block)
        return false;
    if (m.gate != now.gate)
        return true;
    if (m.is == WARPS || m.thread / WARP != now.thread / WARP)
        return false;
    return m.meet != now.meet || (m.is == ONE && m.thread == now.thread);
}

/* One more reader of the kernel that 'm' is of. */
void add_reader(mark *m, const mark &now)
{
    if (m->is == BLOCKS || m->block != now.block)
        m->is = BLOCKS;
    else if (m->gate != now.gate)
        *m = now;
    else if (m->is == WARPS || m->thread / WARP != now.thread / WARP)
        m->is = WARPS;
    else if (m->meet != now.meet)
        *m = now;
    else if (m->thread != now.thread)
        m->is = LANES;
}

void note_reader(cell *c, const mark &now, const race_clock *seen)
{
    mark *free = NULL;

    for (mark &m : c->read) {
        if (m.op == now.op) {
            add_reader(&m, now);
            return;
        }
        if (is_before(m, now, seen))
            free = &m;
    }
    total.lost += free == NULL;
    *(free != NULL ? free : &c->read[0]) = now;
}

/* ---- Accesses -------------------------------------------------------------------- */

void touch_cell(cell *c, uintptr_t at, bool is_write, const mark &now,
                const race_clock *seen)
{
    const bool is_shared = seen == NULL;

    if (!is_before(c->wrote, now, seen))
        report(at, now, is_write ? "writes" : "reads", &c->wrote, "written by ",
               is_shared);
    if (!is_write) {
        if (is_shared ? c->wrote.op != now.op : c->wrote.op == NOBODY && !is_copying)
            report(at, now, "reads", NULL, "which nobody wrote", is_shared);
        note_reader(c, now, seen);
        return;
    }
    for (const mark &m : c->read)
        if (!is_before(m, now, seen))
            report(at, now, "writes", &m, "read by ", is_shared);
    *c = { now, {} };
}

void touch_array(uintptr_t at, size_t bytes, bool is_write, uint32_t pc)
{
    mark now = me != NULL ? me->now : mark();

    now.pc = pc;
    if (me == NULL)
        now.op = host.number << EPOCH_BITS | host.seen[host.number];

    const range &r = array_of(at);

    if (at - r.from + bytes > r.bytes) {
        if (me != NULL)
            report(at, now, "touches", NULL, "beyond arrays", false);
        return;
    }
    if (me == NULL && at - BASE < SPAN / 2) {
        report(at, now, "touches", NULL, "which is the GPU's", false);
        return;
    }
    for (uintptr_t a = at / GRAIN * GRAIN; a < at + bytes; a += GRAIN)
        touch_cell(&r.cells[(a - r.from) / GRAIN], a, is_write, now,
                   me != NULL ? me->seen : &host.seen);
}

/* Those of the block's threads alone. */
void touch_shared(const range &r, uintptr_t at, size_t bytes, bool is_write, mark now)
{
    now.op    = blocks;
    now.block = gpu.now.block;
    if (at - r.from + bytes > r.bytes)
        report(at, now, "touches", NULL, "beyond shared memory", true);
    else
        for (uintptr_t a = at / GRAIN * GRAIN; a < at + bytes; a += GRAIN)
            touch_cell(&r.cells[(a - r.from) / GRAIN], a, is_write, now, NULL);
}

} /* namespace */

void race_touch(const void *p, size_t bytes, bool is_write, const void *from)
{
    const uintptr_t at = (uintptr_t)p;
    const uint32_t pc  = (uint32_t)((uintptr_t)from - (uintptr_t)__executable_start);

    if (bytes == 0)
        return;
    if (at - BASE < SPAN) {
        touch_array(at, bytes, is_write, pc);
        return;
    }
    if (me != &gpu)
        return;
    for (const range &r : shared) {
        if (at - r.from < (r.bytes + 15) / 16 * 16) {
            mark now = gpu.now;

            now.pc = pc;
            touch_shared(r, at, bytes, is_write, now);
        }
    }
}

/* ---- Lines ----------------------------------------------------------------------- */

void race_join(race_clock *to, const race_clock &from)
{
    if (to->size() < from.size())
        to->resize(from.size());
    for (size_t i = 0; i < from.size(); i++)
        if ((*to)[i] < from[i])
            (*to)[i] = from[i];
}

void race_waited(const race_clock &seen)
{
    race_join(&host.seen, seen);
}

void race_after_host(race_line *line)
{
    race_join(&line->seen, host.seen);
    tick(&host);
}

std::function<void()> race_work(race_line *line, std::function<void()> work)
{
    const uint32_t op     = tick(line);
    const race_clock seen = line->seen;

    return [op, seen, work] {
        actor *const before = me;

        gpu        = { mark(), &seen };
        gpu.now.op = op;
        me         = &gpu;
        total.others++;
        work();
        me = before;
    };
}

void race_block(const char *kernel, unsigned block, const void *fixed, const void *end,
                const void *room, size_t bytes)
{
    static const size_t most = 1 << 20;
    static cell *const cells =
        (cell *)mmap(NULL, 2 * most * sizeof(cell), PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (names.emplace(gpu.now.op, kernel).second) {
        total.kernels.insert(kernel);
        total.launches++;
        total.others--;
    }
    gpu.now.block = block;
    blocks++;
    shared[0] = { (uintptr_t)fixed, (size_t)((char *)end - (char *)fixed), cells };
    shared[1] = { (uintptr_t)room, bytes, cells + most };
}

void race_thread(int thread, unsigned gate, unsigned meet)
{
    gpu.now.thread = (uint16_t)thread;
    gpu.now.gate   = (uint16_t)gate;
    gpu.now.meet   = (uint16_t)meet;
}

static void mark_copy(const void *to, size_t bytes, state is, const void *pc)
{
    const state before = gpu.now.is;

    gpu.now.is = is;
    race_touch(to, bytes, true, pc);
    gpu.now.is = before;
}

void race_copy_starts(const void *to, const void *from, size_t bytes)
{
    if (from != NULL)
        race_touch(from, bytes, false, __builtin_return_address(0));
    mark_copy(to, bytes, UNDER_WAY, __builtin_return_address(0));
}

/* Its own mark goes first: it is no race. */
void race_copy_ends(const void *to, size_t bytes)
{
    for (const range &r : shared)
        for (size_t i = 0; i < bytes && (uintptr_t)to - r.from < r.bytes; i += GRAIN)
            r.cells[((uintptr_t)to - r.from + i) / GRAIN].wrote.is = ONE;
    mark_copy(to, bytes, ONE, __builtin_return_address(0));
}

/* ---- Arrays ---------------------------------------------------------------------- */

void *race_place(size_t bytes, int is_gpu)
{
    static uintptr_t next[2] = { BASE + SPAN / 2, BASE };
    const uintptr_t at       = next[is_gpu];

    if (shadow == NULL)
        shadow = (cell *)mmap(NULL, SPAN / GRAIN * sizeof(cell), PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (shadow == MAP_FAILED || at - BASE + bytes > (is_gpu ? SPAN / 2 : SPAN)) {
        say("race: no place for another array\n");
        abort();
    }
    next[is_gpu] += bytes;
    return (void *)at;
}

void race_array(const void *at, size_t bytes)
{
    const uintptr_t from = (uintptr_t)at;

    if (from - BASE >= SPAN) {
        say("race: an array lies where it should not\n");
        abort();
    }

    const std::lock_guard<std::mutex> held(arrays_lock);

    arrays[from] = { from, bytes, cell_of(from) };
}

void race_free(const void *at)
{
    const range r        = array_of((uintptr_t)at);
    const uintptr_t from = ((uintptr_t)r.cells + PAGE - 1) / PAGE * PAGE;
    const uintptr_t end  = (uintptr_t)(r.cells + r.bytes / GRAIN) / PAGE * PAGE;

    if (end > from)
        madvise((void *)from, end - from, MADV_DONTNEED);

    const std::lock_guard<std::mutex> held(arrays_lock);

    arrays.erase(r.from);
}

/* ---- Messages -------------------------------------------------------------------- */

uint32_t race_posted(const void *at, size_t bytes, int is_write)
{
    race_line line;
    actor message;

    if ((uintptr_t)at - BASE >= SPAN)
        return 0;
    line.seen = host.seen;
    if (!idle.empty()) {
        line.number = idle.back();
        idle.pop_back();
    }
    message        = { mark(), &line.seen };
    message.now.op = tick(&line);
    me             = &message;
    race_touch(at, bytes, is_write, __builtin_return_address(0));
    me = NULL;
    tick(&host);
    return message.now.op;
}

void race_over(uint32_t message)
{
    const uint32_t number = message >> EPOCH_BITS;

    if (message == 0)
        return;
    if (host.seen.size() <= number)
        host.seen.resize(number + 1);
    host.seen[number] = message & ((1 << EPOCH_BITS) - 1);
    idle.push_back(number);
}

/* ---- Functions of the C library -------------------------------------------------- */

/* A copy of what nobody wrote is that, too. */
void *race_memcpy(void *to, const void *from, size_t bytes)
{
    const uintptr_t at = (uintptr_t)to, old = (uintptr_t)from;

    is_copying = true;
    race_touch(from, bytes, false, __builtin_return_address(0));
    is_copying = false;
    race_touch(to, bytes, true, __builtin_return_address(0));
    for (size_t i = 0; i < bytes && at - BASE < SPAN && old - BASE < SPAN; i += GRAIN)
        if (cell_of(old + i)->wrote.op == NOBODY)
            cell_of(at + i)->wrote.op = NOBODY;
    return memcpy(to, from, bytes);
}

void *race_memmove(void *to, const void *from, size_t bytes)
{
    race_touch(from, bytes, false, __builtin_return_address(0));
    race_touch(to, bytes, true, __builtin_return_address(0));
    return memmove(to, from, bytes);
}

void *race_memset(void *to, int value, size_t bytes)
{
    race_touch(to, bytes, true, __builtin_return_address(0));
    return memset(to, value, bytes);
}
