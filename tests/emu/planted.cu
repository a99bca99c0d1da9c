/* SPDX-License-Identifier: BSD-3-Clause */
/* Races and other faults that are planted, each beside the same without it: race.cc
 * must find the ones, and nothing in the others.  Each runs in a process of its own.
 */
#include "tests/emu/race.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string>
#include <sys/wait.h>
#include <unistd.h>

namespace {

enum { N = 64 };

cudaStream_t new_stream(void)
{
    cudaStream_t s;

    cudaStreamCreateWithPriority(&s, cudaStreamNonBlocking, 0);
    return s;
}

cudaEvent_t new_event(void)
{
    cudaEvent_t e;

    cudaEventCreateWithFlags(&e, cudaEventDisableTiming);
    return e;
}

float *new_array(void)
{
    void *at;

    cudaMalloc(&at, N * sizeof(float));
    return (float *)at;
}

float *new_pinned(void)
{
    void *at;

    cudaHostAlloc(&at, N * sizeof(float), cudaHostAllocDefault);
    return (float *)at;
}

/* Put a kernel on 's', of 'blocks' of N threads. */
void run(cudaStream_t s, std::function<void()> kernel, unsigned blocks = 1)
{
    emu_launch(s, "planted", NULL, kernel, dim3(blocks), dim3(N), N * sizeof(float));
}

void fill(cudaStream_t s, float *x)
{
    run(s, [=] { x[threadIdx.x] = 1.0F; });
}

/* What is left out when 'is_faulty'. */

void block_barrier(bool is_faulty)
{
    const cudaStream_t s = new_stream();
    float *y             = new_array();

    run(s, [=] {
        __shared__ float x[N];

        x[threadIdx.x] = 1.0F;
        if (!is_faulty)
            __syncthreads();
        y[threadIdx.x] = x[N - 1 - threadIdx.x];
    });
    cudaStreamSynchronize(s);
}

/* The next turn overwrites what others may not have read yet. */
void second_barrier(bool is_faulty)
{
    const cudaStream_t s = new_stream();
    float *y             = new_array();

    run(s, [=] {
        SHARED_ROOM(float, x);

        for (int turn = 0; turn < 2; turn++) {
            x[threadIdx.x] = 1.0F;
            __syncthreads();
            y[threadIdx.x] = x[(threadIdx.x + 32) % N];
            if (!is_faulty)
                __syncthreads();
        }
    });
    cudaStreamSynchronize(s);
}

/* An exchange of the warp is no barrier for memory. */
void warp_barrier(bool is_faulty)
{
    const cudaStream_t s = new_stream();
    float *y             = new_array();

    run(s, [=] {
        SHARED_ROOM(float, x);

        x[threadIdx.x] = 1.0F;
        y[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1.0F, 1);
        if (!is_faulty)
            __syncwarp();
        y[threadIdx.x] += x[threadIdx.x ^ 1];
    });
    cudaStreamSynchronize(s);
}

/* Lanes that take rows into a product write over them: each over what came to itself,
 * of a row that another one may have read.
 */
void row_barrier(bool is_faulty)
{
    const cudaStream_t s = new_stream();

    run(s, [=] {
        SHARED_ROOM(float, x);
        const unsigned first = threadIdx.x / 32 * 32 + threadIdx.x % 8 * 4;
        uint32_t r[4];

        x[threadIdx.x] = 1.0F;
        __syncwarp();
        load_four(r, (const bf16 *)(x + first));
        if (!is_faulty)
            __syncwarp();
        x[threadIdx.x] = (float)r[0];
    });
    cudaStreamSynchronize(s);
}

void lanes_left_out(bool is_faulty)
{
    const cudaStream_t s = new_stream();
    float *y             = new_array();

    run(s, [=] {
        y[threadIdx.x] = __shfl_xor_sync(is_faulty ? 0xffffu : 0xffffffffu, 1.0F, 1);
    });
    cudaStreamSynchronize(s);
}

void blocks_apart(bool is_faulty)
{
    const cudaStream_t s = new_stream();
    float *y             = new_array();

    run(
        s,
        [=] {
            const unsigned i = blockIdx.x * N / 2 + threadIdx.x / 2;

            if (threadIdx.x % 2 == 0)
                y[is_faulty ? i % 32 : i] = 1.0F;
        },
        2);
    cudaStreamSynchronize(s);
}

/* A thread's copy into shared memory, which others read. */
void copy(bool waits, bool meets)
{
    const cudaStream_t s = new_stream();
    float *y             = new_array();

    fill(s, y);
    run(s, [=] {
        SHARED_ROOM(float, x);

        if (threadIdx.x % 2 == 0)
            copy_start<8>(x + threadIdx.x, y + threadIdx.x, true);
        copies_close();
        if (waits)
            copies_wait<0>();
        if (meets)
            __syncthreads();
        y[threadIdx.x] = x[threadIdx.x];
    });
    cudaStreamSynchronize(s);
}

void copy_elsewhere(bool is_faulty)
{
    const cudaStream_t s = new_stream();
    float *y             = new_array();

    fill(s, y);
    run(s, [=] {
        SHARED_ROOM(float, x);

        if (threadIdx.x == 0)
            copy_start<8>(is_faulty ? y : x, y + 2, true);
        copies_close();
        copies_wait<0>();
    });
    cudaStreamSynchronize(s);
}

void copy_wait(bool is_faulty)
{
    copy(!is_faulty, true);
}

void copy_barrier(bool is_faulty)
{
    copy(true, !is_faulty);
}

void event_wait(bool is_faulty)
{
    const cudaStream_t s = new_stream(), other = new_stream();
    const cudaEvent_t e = new_event();
    float *x            = new_array();

    fill(s, x);
    cudaEventRecord(e, s);
    if (!is_faulty)
        cudaStreamWaitEvent(other, e, 0);
    run(other, [=] { x[threadIdx.x] += 1.0F; });
    cudaStreamSynchronize(s);
    cudaStreamSynchronize(other);
}

/* Who waits for an event waits for where it was recorded then, not for where it is
 * recorded later.
 */
void event_again(bool is_faulty)
{
    const cudaStream_t s = new_stream(), other = new_stream();
    const cudaEvent_t e = new_event();
    float *x            = new_array();

    fill(s, x);
    cudaEventRecord(e, s);
    if (is_faulty)
        cudaEventRecord(e, other);
    cudaStreamWaitEvent(other, e, 0);
    if (!is_faulty)
        cudaEventRecord(e, other);
    run(other, [=] { x[threadIdx.x] += 1.0F; });
    cudaStreamSynchronize(other);
}

/* A branch that reads what the other one writes. */
void graph_edge(bool is_faulty)
{
    const cudaStream_t s = new_stream(), other = new_stream();
    const cudaEvent_t begun = new_event(), e = new_event();
    float *x = new_array();
    cudaGraph_t graph;
    cudaGraphExec_t exec;

    fill(s, x);
    cudaStreamBeginCapture(s, cudaStreamCaptureModeRelaxed);
    cudaEventRecord(begun, s);
    fill(s, x);
    cudaEventRecord(e, s);
    cudaStreamWaitEvent(other, is_faulty ? begun : e, 0);
    run(other, [=] { x[threadIdx.x] += 1.0F; });
    cudaEventRecord(e, other);
    cudaStreamWaitEvent(s, e, 0);
    cudaStreamEndCapture(s, &graph);
    cudaGraphInstantiateWithFlags(&exec, graph, 0);
    cudaGraphLaunch(exec, s);
    cudaGraphLaunch(exec, s);
    cudaStreamSynchronize(s);
}

void pinned_write(bool is_faulty)
{
    const cudaStream_t s = new_stream();
    const cudaEvent_t e  = new_event();
    float *x = new_array(), *piece = new_pinned();

    for (int turn = 0; turn < 2; turn++) {
        race_memset(piece, turn, N * sizeof(float));
        cudaMemcpyAsync(x, piece, N * sizeof(float), cudaMemcpyHostToDevice, s);
        cudaEventRecord(e, s);
        if (!is_faulty)
            cudaEventSynchronize(e);
    }
    cudaStreamSynchronize(s);
}

void pinned_free(bool is_faulty)
{
    const cudaStream_t s = new_stream();
    float *x = new_array(), *piece = new_pinned();

    race_memset(piece, 0, N * sizeof(float));
    cudaMemcpyAsync(x, piece, N * sizeof(float), cudaMemcpyHostToDevice, s);
    if (!is_faulty)
        cudaStreamSynchronize(s);
    cudaFreeHost(piece);
    cudaStreamSynchronize(s);
}

/* What MPI sends is written before the message is over. */
void message(bool is_faulty)
{
    const cudaStream_t s = new_stream();
    float *x = new_array(), *piece = new_pinned();

    fill(s, x);
    cudaMemcpyAsync(piece, x, N * sizeof(float), cudaMemcpyDeviceToHost, s);
    cudaStreamSynchronize(s);

    const uint32_t sent = race_posted(piece, N * sizeof(float), 0);

    if (!is_faulty)
        race_over(sent);
    cudaMemcpyAsync(piece, x, N * sizeof(float), cudaMemcpyDeviceToHost, s);
    cudaStreamSynchronize(s);
    if (is_faulty)
        race_over(sent);
}

void not_written(bool is_faulty)
{
    const cudaStream_t s = new_stream();
    float *x             = new_array();

    if (!is_faulty)
        fill(s, x);
    run(s, [=] { x[threadIdx.x] += 1.0F; });
    cudaStreamSynchronize(s);
}

void shared_end(bool is_faulty)
{
    const cudaStream_t s = new_stream();

    emu_launch(
        s, "planted", NULL,
        [=] {
            SHARED_ROOM(float, x);

            x[threadIdx.x] = 1.0F;
        },
        dim3(1), dim3(N), (N - is_faulty) * sizeof(float));
    cudaStreamSynchronize(s);
}

void array_end(bool is_faulty)
{
    const cudaStream_t s = new_stream();
    void *at;

    cudaMalloc(&at, (N - is_faulty) * sizeof(float));
    fill(s, (float *)at);
    cudaStreamSynchronize(s);
}

void failed_before(bool is_faulty)
{
    const cudaStream_t s = new_stream();
    float *x             = new_array();
    void *at;

    cudaMalloc(&at, (size_t)1 << 40);
    if (!is_faulty)
        cudaGetLastError();
    fill(s, x);
    cudaStreamSynchronize(s);
}

struct launcher {
    cudaStream_t s;
    float *x;
    bool has_device;
};

void *launch_there(void *ctx)
{
    const launcher *l = (const launcher *)ctx;

    if (l->has_device)
        cudaSetDevice(0);
    fill(l->s, l->x);
    return NULL;
}

void other_thread(bool is_faulty)
{
    launcher l = { new_stream(), new_array(), !is_faulty };
    pthread_t thread;

    pthread_create(&thread, NULL, launch_there, &l);
    pthread_join(thread, NULL);
    cudaStreamSynchronize(l.s);
}

void host_access(bool is_faulty)
{
    const cudaStream_t s = new_stream();
    float *x             = is_faulty ? new_array() : new_pinned();

    fill(s, x);
    cudaStreamSynchronize(s);
    x[0] = 2.0F;
}

const struct {
    const char *what;
    void (*run)(bool is_faulty);
    const char *says;
} faults[] = {
    { "no barrier of the block before others' writes are read", block_barrier,
      "written by" },
    { "no barrier of the block before what others read is written", second_barrier,
      "read by" },
    { "no barrier of the warp but an exchange", warp_barrier, "written by" },
    { "no barrier of the warp before rows of a product are written", row_barrier,
      "read by" },
    { "an exchange of half a warp", lanes_left_out, "leaves lanes out" },
    { "two blocks write one element", blocks_apart, "written by" },
    { "a copy to where no shared memory is", copy_elsewhere, "not of shared memory" },
    { "a copy into shared memory is not waited for", copy_wait, "is under way" },
    { "a copy is waited for by its own thread alone", copy_barrier, "written by" },
    { "no wait for another stream's event", event_wait, "written by" },
    { "a wait for an event that is recorded anew elsewhere", event_again,
      "nobody wrote" },
    { "no edge between two branches of a graph", graph_edge, "written by" },
    { "the host writes pinned memory before it is copied", pinned_write,
      "written by the host" },
    { "pinned memory is freed before it is copied", pinned_free, "that was freed" },
    { "what MPI sends is written before it is gone", message, "read by" },
    { "an array is read that nobody wrote", not_written, "nobody wrote" },
    { "shared memory is left", shared_end, "beyond shared memory" },
    { "an array is left", array_end, "beyond arrays" },
    { "a launch after an allocation that failed", failed_before, "nobody has taken" },
    { "a launch from a thread without a device", other_thread, "has not set its" },
    { "the host touches the GPU's memory", host_access, "which is the GPU's" },
};

/* What a process says that does it, with its exit status in the end. */
std::string said(void (*work)(bool), bool is_faulty, int *status)
{
    std::string text;
    char part[1000];
    int ends[2];
    ssize_t n;
    pid_t child;

    if (pipe(ends) != 0 || (child = fork()) < 0)
        return "no process";
    if (child == 0) {
        cudaSetDevice(0);
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        close(ends[1]);
        unsetenv("EMU_RACE_LOG");
        work(is_faulty);
        exit(0);
    }
    close(ends[1]);
    while ((n = read(ends[0], part, sizeof part)) > 0)
        text.append(part, (size_t)n);
    close(ends[0]);
    waitpid(child, status, 0);
    return text;
}

} /* namespace */

int main(void)
{
    const int count = (int)(sizeof faults / sizeof faults[0]);
    int bad         = 0;

    for (int i = 0; i < count; i++) {
        int status, status_without;
        const std::string text    = said(faults[i].run, true, &status);
        const std::string without = said(faults[i].run, false, &status_without);
        const bool is_ok          = text.find(faults[i].says) != std::string::npos &&
                           status != 0 && status_without == 0 &&
                           without.find("race: ") == std::string::npos;

        bad += !is_ok;
        printf("%sok %d - %s\n", is_ok ? "" : "not ", i + 1, faults[i].what);
        if (!is_ok)
            printf("# with the fault:\n%s# without:\n%s", text.c_str(),
                   without.c_str());
        fflush(stdout);
    }
    printf("1..%d\n", count);
    return bad > 0;
}
