/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams, events and graphs of the emulated GPU.  Nothing is done before somebody
 * waits for it, and then no more than has to be: each stream is a queue, and waiting
 * for an event works it off up to there.  So who reads too early, or lets another
 * stream do so, reads what was there before.  What the manual forbids while a stream
 * is captured is an error.
 *
 * With EMU_COUNTS in the environment the end of the program says which GPU it used, how
 * often the host waited for what was not done yet, and how much was put on streams one
 * by one and as graphs.
 */
#include "tests/emu/emu_stream.h"

#include "tests/emu/race.h"

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <vector>

namespace {

struct stream;
struct capture;

/* Where an event was recorded once: who waits for that does not wait for later ones. */
struct mark {
    stream *on;
    race_clock before; /* what comes before it */
    bool is_past = false;
    double at    = 0; /* seconds */
};

struct moment {
    std::shared_ptr<mark> last; /* NULL: never recorded */
    /* It belongs to a graph: the host cannot ask for it. */
    bool is_captured = false;
    bool is_gone     = false;  /* its event was destroyed */
    std::weak_ptr<capture> in; /* while that is made; these nodes come before it */
    std::set<size_t> after;
};

/* One event, whose moments outlive it on streams. */
struct event {
    std::shared_ptr<moment> m = std::make_shared<moment>();
    bool is_timed             = true;
};

/* A node: work, or an event to record; it comes after other ones. */
struct node {
    std::function<void()> work;
    std::shared_ptr<moment> record;
    std::set<size_t> after;
    stream *on; /* where it was captured */
};

typedef std::vector<node> graph;

/* A graph in the making, from the streams that have joined 'first'. */
struct capture {
    graph g;
    stream *first;
    bool is_invalid = false;
};

struct stream {
    std::deque<std::function<void()>> queue;
    std::shared_ptr<struct capture> capture;
    std::set<size_t> after; /* the nodes that its next one comes after */
    race_line line;
    std::map<stream *, race_line> branch; /* of graphs launched here, captured there */
};

std::set<stream *> all;
double passed; /* seconds, beside those of the host */
int graphs;    /* those that are no executable ones */

/* What is said at the end. */
struct counts {
    long stream_waits = 0, event_waits = 0, works = 0, graphs = 0;

    ~counts()
    {
        if (getenv("EMU_COUNTS") != NULL)
            fprintf(stderr,
                    "emulated GPU %d: %ld waits for streams, %ld for events, "
                    "%ld works, %ld graphs\n",
                    emu_device(), stream_waits, event_waits, works, graphs);
    }
} count;

stream *of(cudaStream_t s)
{
    return (stream *)(void *)s;
}

event *of(cudaEvent_t e)
{
    return (event *)(void *)e;
}

bool is_capturing(void)
{
    for (stream *s : all)
        if (s->capture != NULL)
            return true;
    return false;
}

/* A call that a capture does not allow. */
cudaError_t refuse(void)
{
    for (stream *s : all)
        if (s->capture != NULL)
            s->capture->is_invalid = true;
    return cudaErrorStreamCaptureUnsupported;
}

/* What is put on a stream that is captured is a node; the stream goes on after it. */
void add_node(stream *s, std::function<void()> work, std::shared_ptr<moment> record)
{
    graph &g = s->capture->g;

    g.push_back({ work, record, s->after, s });
    s->after = { g.size() - 1 };
}

void do_one(stream *s)
{
    std::function<void()> work = std::move(s->queue.front());

    s->queue.pop_front();
    work();
}

void finish(stream *s)
{
    while (!s->queue.empty())
        do_one(s);
}

void reach(const std::shared_ptr<mark> &m)
{
    while (m != NULL && !m->is_past) {
        if (m->on->queue.empty())
            abort(); /* what was recorded is on its queue */
        do_one(m->on);
    }
}

double seconds_now(void)
{
    timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec + passed;
}

void record(const std::shared_ptr<moment> &m, stream *s, const race_clock &before)
{
    const auto made = std::make_shared<mark>();

    made->on       = s;
    made->before   = before;
    m->last        = made;
    m->is_captured = false;
    s->queue.push_back([made] {
        made->is_past = true;
        made->at      = seconds_now();
    });
}

} /* namespace */

void emu_pass(double seconds)
{
    passed += seconds;
}

void emu_put(cudaStream_t s, std::function<void()> work)
{
    if (of(s)->capture != NULL) {
        add_node(of(s), work, NULL);
    } else {
        race_after_host(&of(s)->line);
        of(s)->queue.push_back(race_work(&of(s)->line, work));
    }
    count.works += of(s)->capture == NULL;
}

void emu_put_call(cudaStream_t s, void (*work)(const void *), const void *args,
                  size_t size)
{
    std::vector<char> copy((const char *)args, (const char *)args + size);

    emu_put(s, [=] { work(copy.data()); });
}

int emu_is_capturing(void)
{
    return is_capturing() ? (refuse(), 1) : 0;
}

int emu_finish_all(void)
{
    if (emu_is_capturing())
        return 0;
    for (stream *s : all) {
        finish(s);
        race_waited(s->line.seen);
    }
    return 1;
}

/* ---- Streams --------------------------------------------------------------------- */

cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *most)
{
    *least = 0;
    *most  = -5;
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *s, unsigned, int)
{
    stream *made = new stream;

    all.insert(made);
    *s = (cudaStream_t)(void *)made;
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t s)
{
    if (is_capturing())
        return refuse();
    finish(of(s));
    all.erase(of(s));
    delete of(s);
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t s)
{
    if (s == NULL)
        return cudaErrorInvalidResourceHandle;
    if (is_capturing())
        return refuse();
    count.stream_waits += !of(s)->queue.empty();
    finish(of(s));
    race_waited(of(s)->line.seen);
    return cudaSuccess;
}

/* A stream that is captured may not wait for one that is not; one that is not joins the
 * capture that it waits for.
 */
cudaError_t cudaStreamWaitEvent(cudaStream_t s, cudaEvent_t e, unsigned)
{
    if (s == NULL || e == NULL)
        return cudaErrorInvalidValue;

    const std::shared_ptr<moment> m           = of(e)->m;
    const std::shared_ptr<struct capture> its = m->in.lock();
    const std::shared_ptr<mark> last          = m->last;

    if (m->is_captured && its == NULL)
        return cudaErrorInvalidValue;
    if (m->is_captured && (of(s)->capture == NULL || of(s)->capture == its)) {
        if (of(s)->capture == NULL)
            of(s)->after.clear();
        of(s)->capture = its;
        of(s)->after.insert(m->after.begin(), m->after.end());
        return cudaSuccess;
    }
    if (of(s)->capture != NULL) {
        refuse();
        return cudaErrorStreamCaptureIsolation;
    }

    if (last != NULL)
        race_join(&of(s)->line.seen, last->before);
    of(s)->queue.push_back([last] { reach(last); });
    count.works++;
    return cudaSuccess;
}

/* ---- Copies ---------------------------------------------------------------------- */

/* Whether a copy goes where it says, between arrays of the GPU and pinned ones: others
 * may be copied, but the host would wait.
 */
static bool is_sound(const void *dst, size_t to, const void *src, size_t from,
                     enum cudaMemcpyKind kind)
{
    const bool is_to_gpu   = emu_is_array(dst, to, 1);
    const bool is_from_gpu = emu_is_array(src, from, 1);

    if ((!is_to_gpu && !emu_is_array(dst, to, 0)) ||
        (!is_from_gpu && !emu_is_array(src, from, 0)))
        return false;
    return kind == cudaMemcpyDefault ||
           (is_to_gpu == (kind != cudaMemcpyDeviceToHost) &&
            is_from_gpu == (kind != cudaMemcpyHostToDevice));
}

/* When a copy is done its arrays are still there. */
static void need_sound(const void *dst, size_t to, const void *src, size_t from,
                       enum cudaMemcpyKind kind)
{
    if (is_sound(dst, to, src, from, kind))
        return;
    fprintf(stderr, "emulated GPU: a copy of memory that was freed\n");
    abort();
}

cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t bytes,
                            enum cudaMemcpyKind kind, cudaStream_t s)
{
    if (bytes == 0)
        return cudaSuccess;
    if (!is_sound(dst, bytes, src, bytes, kind))
        return cudaErrorInvalidValue;
    emu_put(s, [=] {
        need_sound(dst, bytes, src, bytes, kind);
        race_memcpy(dst, src, bytes);
    });
    return cudaSuccess;
}

cudaError_t cudaMemcpy2DAsync(void *dst, size_t to, const void *src, size_t from,
                              size_t width, size_t rows, enum cudaMemcpyKind kind,
                              cudaStream_t s)
{
    if (width > to || width > from)
        return cudaErrorInvalidPitchValue;
    if (rows == 0 || width == 0)
        return cudaSuccess;
    if (!is_sound(dst, (rows - 1) * to + width, src, (rows - 1) * from + width, kind))
        return cudaErrorInvalidValue;
    emu_put(s, [=] {
        need_sound(dst, (rows - 1) * to + width, src, (rows - 1) * from + width, kind);
        for (size_t r = 0; r < rows; r++)
            race_memcpy((char *)dst + r * to, (const char *)src + r * from, width);
    });
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *at, int value, size_t bytes, cudaStream_t s)
{
    if (!emu_is_array(at, bytes, 1))
        return cudaErrorInvalidValue;
    emu_put(s, [=] { race_memset(at, value, bytes); });
    return cudaSuccess;
}

/* ---- Events ---------------------------------------------------------------------- */

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *e, unsigned flags)
{
    event *made = new event;

    made->is_timed = (flags & cudaEventDisableTiming) == 0;
    *e             = (cudaEvent_t)(void *)made;
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *e)
{
    return cudaEventCreateWithFlags(e, 0);
}

cudaError_t cudaEventDestroy(cudaEvent_t e)
{
    of(e)->m->is_gone = true;
    delete of(e);
    return cudaSuccess;
}

cudaError_t cudaEventRecordWithFlags(cudaEvent_t e, cudaStream_t s, unsigned flags)
{
    if (e == NULL || s == NULL ||
        (of(s)->capture == NULL && flags == cudaEventRecordExternal))
        return cudaErrorInvalidValue;
    if (of(s)->capture == NULL) {
        race_after_host(&of(s)->line);
        record(of(e)->m, of(s), of(s)->line.seen);
    } else if (flags == cudaEventRecordExternal) {
        add_node(of(s), NULL, of(e)->m);
    } else {
        of(e)->m->is_captured = true;
        of(e)->m->in          = of(s)->capture;
        of(e)->m->after       = of(s)->after;
    }
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t e, cudaStream_t s)
{
    return cudaEventRecordWithFlags(e, s, cudaEventRecordDefault);
}

/* Whether the host may ask for an event, or wait for it. */
static cudaError_t may_ask(cudaEvent_t e)
{
    if (e == NULL)
        return cudaErrorInvalidValue;
    if (is_capturing())
        return refuse();
    if (of(e)->m->is_captured)
        return cudaErrorCapturedEvent;
    return cudaSuccess;
}

/* An event that is not past comes nearer with each question. */
cudaError_t cudaEventQuery(cudaEvent_t e)
{
    const cudaError_t rc = may_ask(e);

    if (rc != cudaSuccess)
        return rc;

    const std::shared_ptr<mark> last = of(e)->m->last;

    if (last != NULL && !last->is_past) {
        do_one(last->on);
        return cudaErrorNotReady;
    }
    if (last != NULL)
        race_waited(last->before);
    return cudaSuccess;
}

cudaError_t cudaEventSynchronize(cudaEvent_t e)
{
    const cudaError_t rc = may_ask(e);

    if (rc != cudaSuccess)
        return rc;

    const std::shared_ptr<mark> last = of(e)->m->last;

    if (last == NULL)
        return cudaSuccess;
    count.event_waits += !last->is_past;
    reach(last);
    race_waited(last->before);
    return cudaSuccess;
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end)
{
    if (start == NULL || end == NULL)
        return cudaErrorInvalidValue;
    if (!of(start)->is_timed || !of(end)->is_timed)
        return cudaErrorInvalidResourceHandle;

    const std::shared_ptr<mark> a = of(start)->m->last, b = of(end)->m->last;

    if (a == NULL || b == NULL || of(start)->m->is_captured || of(end)->m->is_captured)
        return cudaErrorInvalidResourceHandle;
    if (!a->is_past || !b->is_past)
        return cudaErrorNotReady;
    *ms = (float)(1e3 * (b->at - a->at));
    return cudaSuccess;
}

/* ---- Graphs ---------------------------------------------------------------------- */

cudaError_t cudaStreamBeginCapture(cudaStream_t s, enum cudaStreamCaptureMode)
{
    if (s == NULL || of(s)->capture != NULL)
        return cudaErrorInvalidValue;
    of(s)->capture        = std::make_shared<struct capture>();
    of(s)->capture->first = of(s);
    of(s)->after.clear();
    return cudaSuccess;
}

/* Whether all nodes of 'g' come before one that is put on after those in 'last'. */
static bool is_joined(const graph &g, const std::set<size_t> &last)
{
    std::vector<bool> is_before(g.size());
    size_t count = 0;

    for (size_t i : last)
        is_before[i] = true;
    for (size_t i = g.size(); i-- > 0;) {
        count += is_before[i];
        for (size_t k : g[i].after)
            is_before[k] = is_before[k] || is_before[i];
    }
    return count == g.size();
}

cudaError_t cudaStreamEndCapture(cudaStream_t s, cudaGraph_t *made)
{
    const std::shared_ptr<struct capture> c = of(s)->capture;

    *made = NULL;
    if (c == NULL || c->first != of(s))
        return cudaErrorIllegalState;
    for (stream *other : all)
        if (other->capture == c)
            other->capture.reset();
    if (c->is_invalid)
        return cudaErrorStreamCaptureInvalidated;
    if (!is_joined(c->g, of(s)->after))
        return cudaErrorStreamCaptureUnjoined;
    if (graphs++ > 0)
        abort(); /* the one before was not destroyed */
    *made = (cudaGraph_t)(void *)new graph(c->g);
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *exec, cudaGraph_t g,
                                          unsigned long long)
{
    *exec = (cudaGraphExec_t)(void *)new graph(*(graph *)(void *)g);
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t g)
{
    graphs--;
    delete (graph *)(void *)g;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    delete (graph *)(void *)exec;
    return cudaSuccess;
}

/* The nodes of 'g' in an order that is drawn, each after those that it comes after. */
static std::vector<size_t> in_some_order(const graph &g)
{
    std::vector<size_t> order, ready, left(g.size());
    std::vector<std::vector<size_t>> next(g.size());

    for (size_t i = 0; i < g.size(); i++) {
        left[i] = g[i].after.size();
        for (size_t k : g[i].after)
            next[k].push_back(i);
        if (left[i] == 0)
            ready.push_back(i);
    }
    while (!ready.empty()) {
        const size_t at = emu_draw() % ready.size(), i = ready[at];

        order.push_back(i);
        ready[at] = ready.back();
        ready.pop_back();
        for (size_t k : next[i])
            if (--left[k] == 0)
                ready.push_back(k);
    }
    if (order.size() != g.size())
        abort(); /* a circle */
    return order;
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t s)
{
    if (exec == NULL || s == NULL || of(s)->capture != NULL)
        return cudaErrorInvalidValue;
    for (const node &n : *(graph *)(void *)exec)
        if (n.record != NULL && n.record->is_gone)
            return cudaErrorInvalidResourceHandle;
    count.graphs++;
    race_after_host(&of(s)->line);

    const graph &g          = *(graph *)(void *)exec;
    const race_clock before = of(s)->line.seen;
    std::vector<race_clock> done(g.size(), before);

    for (size_t i : in_some_order(g)) {
        const node &n = g[i];
        race_line *l  = n.on == of(s) ? &of(s)->line : &of(s)->branch[n.on];

        race_join(&l->seen, before);
        for (size_t k : n.after)
            race_join(&l->seen, done[k]);
        if (n.record != NULL)
            record(n.record, of(s), l->seen);
        else
            of(s)->queue.push_back(race_work(l, n.work));
        done[i] = l->seen;
    }
    for (const race_clock &c : done)
        race_join(&of(s)->line.seen, c);
    return cudaSuccess;
}
