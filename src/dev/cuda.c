/* SPDX-License-Identifier: BSD-3-Clause */
/* The device 'cuda': which GPU, its memory, streams and events, and the table of slots.
 *
 * The run-time library is linked into the program and opens the driver by itself, so
 * that a program starts on a machine without one and says so when the device is asked
 * for.  Ranks of a machine take its GPUs in turn, by the number that their launcher
 * gave them among themselves; more ranks than GPUs share.
 */
#include "config.h"

#include "src/dev/cuda.h"

#include "src/base/mem.h"
#include "src/dev/cuda_gemm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void cuda_died(cudaError_t error, const char *call, const char *file, int line)
{
    const bool is_capture = error >= cudaErrorStreamCaptureUnsupported &&
                            error <= cudaErrorStreamCaptureWrongThread;

    err_die(file, line, "CUDA: %s: %s (%s)%s", call, cudaGetErrorString(error),
            cudaGetErrorName(error),
            is_capture ? ": --no-graph takes steps without graphs" : "");
}

/* ---- Which GPU ------------------------------------------------------------------- */

/* This process's number among those of its machine, 0 if nobody started it as one.
 * Slurm is asked last: where mpiexec starts the ranks, all have that of the script.
 */
static int local_rank(void)
{
    static const char *const names[] = { "OMPI_COMM_WORLD_LOCAL_RANK",
                                         "MPI_LOCALRANKID",
                                         "PALS_LOCAL_RANKID",
                                         "MV2_COMM_WORLD_LOCAL_RANK",
                                         "JSM_NAMESPACE_LOCAL_RANK",
                                         "FLUX_TASK_LOCAL_ID",
                                         "SLURM_LOCALID" };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *text = getenv(names[i]);

        if (text != NULL && text[0] >= '0' && text[0] <= '9')
            return (int)strtol(text, NULL, 10);
    }
    return 0;
}

static int refuse(cudaError_t error)
{
    const char *why = cudaGetErrorString(error);

    if (error == cudaErrorInsufficientDriver)
        return ERR(ERR_DEVICE, "no GPU for --device=cuda: there is no NVIDIA driver "
                               "here, or one older than the CUDA of this build");
    if (error == cudaErrorNoDevice)
        return ERR(ERR_DEVICE, "no GPU for --device=cuda: the driver sees none");
    return ERR(ERR_DEVICE, "no GPU for --device=cuda: %s (%s)", why,
               cudaGetErrorName(error));
}

/* Kernels run on the same generation from their step on; those of the last one also on
 * later generations, for which the driver compiles them when it loads them.
 */
static bool has_kernels(int major, int minor)
{
    const char *arch = CUDA_ARCHS;
    char *end;

    for (;; arch = end + 1) {
        const int built    = (int)strtol(arch, &end, 10);
        const bool is_last = *end != ',';

        if (built <= 10 * major + minor && (built / 10 == major || is_last))
            return true;
        if (is_last)
            return false;
    }
}

/* Take GPU 'index', if kernels of this build run on it. */
static int take_gpu(struct dev *dev, struct cuda_state *state)
{
    struct cudaDeviceProp prop;
    cudaError_t rc;
    int version;

    rc = cudaSetDevice(state->index);
    if (rc == cudaSuccess)
        rc = cudaGetDeviceProperties(&prop, state->index);
    if (rc == cudaSuccess)
        rc = cudaDeviceGetPCIBusId(dev->unit, sizeof dev->unit, state->index);
    if (rc == cudaSuccess)
        rc = cudaRuntimeGetVersion(&version);
    if (rc != cudaSuccess)
        return refuse(rc);
    snprintf(dev->hardware, sizeof dev->hardware, "%.63s", prop.name);
    snprintf(dev->about, sizeof dev->about,
             "CUDA %d.%d, GPU %d, %d multiprocessors, %.0f GB", version / 1000,
             version % 1000 / 10, state->index, prop.multiProcessorCount,
             (double)prop.totalGlobalMem * 1e-9);
    if (has_kernels(prop.major, prop.minor))
        return 0;
    return ERR(ERR_DEVICE,
               "%s has compute capability %d.%d, and this build has kernels for %s: "
               "configure with --with-cuda-arch=%d%d",
               prop.name, prop.major, prop.minor, CUDA_ARCHS, prop.major, prop.minor);
}

/* ---- Open and close -------------------------------------------------------------- */

static void cuda_close(struct dev *dev)
{
    struct cuda_state *state = cuda_of(dev);

    cuda_products_close(dev);
    for (int i = 0; i < LANES; i++)
        cuda_lane_close(&state->lane[i]);
    cuda_lists_close(state);
    mem_free(state->choices.list);
    mem_free(state);
    dev->state = NULL;
}

static int open_lanes(struct dev *dev, struct cuda_state *state)
{
    for (int i = 0; i < LANES; i++) {
        TRY(cuda_lane_open(&state->lane[i], (enum dev_lane)i));
        dev->stream[i].state = &state->lane[i];
    }
    return 0;
}

/* A GPU that this build has no kernels for, or no library, is none to whoever takes
 * what there is.
 */
static bool is_there(void)
{
    struct cudaDeviceProp prop;
    int count = 0;

    return cudaGetDeviceCount(&count) == cudaSuccess && count > 0 &&
           cudaGetDeviceProperties(&prop, local_rank() % count) == cudaSuccess &&
           has_kernels(prop.major, prop.minor) && cuda_products_are_there();
}

/* GPUs of a machine are taken to be alike. */
static void apart(struct dev_units *u, bool is_free)
{
    struct cudaDeviceProp prop;
    size_t left = 0, all = 0;
    int index;

    if (cudaGetDeviceCount(&u->count) != cudaSuccess || u->count == 0) {
        u->count = 0;
        return;
    }
    index = local_rank() % u->count;
    if (!is_free) {
        if (cudaGetDeviceProperties(&prop, index) == cudaSuccess)
            u->bytes = (int64_t)prop.totalGlobalMem;
    } else if (cudaSetDevice(index) == cudaSuccess &&
               cudaDeviceGetPCIBusId(u->unit, sizeof u->unit, index) == cudaSuccess &&
               cudaMemGetInfo(&left, &all) == cudaSuccess) {
        u->bytes = (int64_t)left;
    }
}

static int cuda_open(struct dev *dev)
{
    struct cuda_state *state;
    int count = 0, rc;
    cudaError_t error;

    error = cudaGetDeviceCount(&count);
    if (error != cudaSuccess || count == 0)
        return refuse(error != cudaSuccess ? error : cudaErrorNoDevice);
    state        = mem_new(1, sizeof *state);
    state->index = local_rank() % count;
    dev->state   = state;
    rc           = take_gpu(dev, state);
    if (rc == 0)
        rc = open_lanes(dev, state);
    if (rc == 0)
        rc = cuda_products_open(dev);
    if (rc != 0)
        cuda_close(dev);
    return rc;
}

/* ---- Memory and events ----------------------------------------------------------- */

static int cuda_alloc(struct buf *b, struct dev *dev, size_t bytes)
{
    void *at             = NULL;
    const cudaError_t rc = cudaMalloc(&at, bytes > 0 ? bytes : 1);
    size_t left = 0, all = 0;

    if (rc == cudaErrorMemoryAllocation) {
        cudaGetLastError(); /* so that no later call reports it */
        cudaMemGetInfo(&left, &all);
        return ERR(ERR_MEMORY, "no %.2f GB left on the GPU: %.2f of %.2f GB are free",
                   (double)bytes * 1e-9, (double)left * 1e-9, (double)all * 1e-9);
    }
    TRY_CUDA(rc);
    *b = (struct buf){ .dev = dev, .at = at, .bytes = bytes };
    return 0;
}

/* cudaFree() waits for what is under way. */
static void cuda_free(struct buf *b)
{
    TRY_CUDA(cudaFree(b->at));
}

static int event_open(struct dev_event *e)
{
    const unsigned flags = e->is_timed ? cudaEventDefault : cudaEventDisableTiming;
    cudaEvent_t event;

    TRY_CUDA(cudaEventCreateWithFlags(&event, flags));
    e->state = event;
    return 0;
}

static void event_close(struct dev_event *e)
{
    TRY_CUDA(cudaEventDestroy(e->state));
}

/* On a tape an event is recorded each time that it is played. */
static void event_record(struct dev_event *e, struct dev_stream *s)
{
    const unsigned flags =
        cuda_lane_of(s)->is_taping ? cudaEventRecordExternal : cudaEventRecordDefault;

    TRY_CUDA(cudaEventRecordWithFlags(e->state, cuda_on(s), flags));
}

static void event_wait(struct dev_stream *s, struct dev_event *e)
{
    TRY_CUDA(cudaStreamWaitEvent(cuda_on(s), e->state, 0));
}

/* Never by an event that the host or a graph's own nodes know. */
static void join(struct dev_stream *s, struct dev_stream *other)
{
    const struct cuda_lane *lane = cuda_lane_of(other);

    TRY_CUDA(cudaEventRecord(lane->here, lane->stream));
    TRY_CUDA(cudaStreamWaitEvent(cuda_on(s), lane->here, 0));
}

static bool event_is_done(struct dev_event *e)
{
    const cudaError_t rc = cudaEventQuery(e->state);

    if (rc == cudaErrorNotReady)
        return false;
    TRY_CUDA(rc);
    return true;
}

static double event_seconds(struct dev_event *from, struct dev_event *to)
{
    float ms;

    TRY_CUDA(cudaEventElapsedTime(&ms, from->state, to->state));
    return (double)ms * 1e-3;
}

static void event_sync(struct dev_event *e)
{
    TRY_CUDA(cudaEventSynchronize(e->state));
}

double cuda_time(struct dev_stream *s, cuda_work_fn work, void *ctx, int calls)
{
    cudaEvent_t start, end;
    float ms = 0.0F;

    TRY_CUDA(cudaEventCreate(&start));
    TRY_CUDA(cudaEventCreate(&end));
    TRY_CUDA(cudaEventRecord(start, cuda_on(s)));
    for (int i = 0; i < calls; i++)
        work(s, ctx);
    TRY_CUDA(cudaEventRecord(end, cuda_on(s)));
    TRY_CUDA(cudaEventSynchronize(end));
    TRY_CUDA(cudaEventElapsedTime(&ms, start, end));
    TRY_CUDA(cudaEventDestroy(start));
    TRY_CUDA(cudaEventDestroy(end));
    return (double)ms * 1e-3 / calls;
}

static void stream_sync(struct dev_stream *s)
{
    TRY_CUDA(cudaStreamSynchronize(cuda_on(s)));
}

const struct dev_ops dev_cuda = {
    .name                  = "cuda",
    .fallback              = &dev_at_once, /* for weights, which lie as they are */
    .adds_rest             = true,
    .has_copies            = true,
    .keeps_norms           = true,
    .has_tf32              = true,
    .instead               = { [DTYPE_F64] = "take cpu:blis or cpu:ref" },
    .is_there              = is_there,
    .apart                 = apart,
    .open                  = cuda_open,
    .close                 = cuda_close,
    .peak                  = cuda_peak,
    .bandwidth             = cuda_bandwidth,
    .clocks                = cuda_clocks,
    .tune                  = cuda_tune,
    .choices               = cuda_choices,
    .tape_start            = cuda_tape_start,
    .tape_stop             = cuda_tape_stop,
    .tape_play             = cuda_tape_play,
    .tape_is_good          = cuda_tape_is_good,
    .tape_close            = cuda_tape_close,
    .alloc                 = cuda_alloc,
    .free                  = cuda_free,
    .event_open            = event_open,
    .event_close           = event_close,
    .event_record          = event_record,
    .event_wait            = event_wait,
    .event_seconds         = event_seconds,
    .join                  = join,
    .event_is_done         = event_is_done,
    .event_sync            = event_sync,
    .sync                  = stream_sync,
    .pin                   = cuda_pin,
    .unpin                 = cuda_unpin,
    .carry                 = cuda_carry,
    .put                   = cuda_put,
    .send                  = cuda_send,
    .get                   = cuda_get,
    .get_all               = cuda_get_all,
    .fill                  = cuda_fill,
    .normals               = cuda_normals,
    .copy                  = cuda_copy,
    .add                   = cuda_add,
    .max                   = cuda_max,
    .gemm                  = cuda_gemm,
    .gemm_t                = cuda_gemm_t,
    .gemm_dw               = cuda_gemm_dw,
    .gemm_gradients        = cuda_gemm_gradients,
    .column_sums           = cuda_column_sums,
    .norm_moments          = cuda_norm_moments,
    .norm_merge            = cuda_norm_merge,
    .norm_apply            = cuda_norm_apply,
    .norm_backward_moments = cuda_norm_backward_moments,
    .norm_backward         = cuda_norm_backward,
    .norm_whole            = cuda_norm_whole,
    .norm_whole_backward   = cuda_norm_whole_backward,
    .head_norm             = cuda_head_norm,
    .head_norm_backward    = cuda_head_norm_backward,
    .attn_kept             = cuda_attn_kept,
    .attn                  = cuda_attn,
    .attn_backward         = cuda_attn_backward,
    .view_pictures         = cuda_view_pictures,
    .patches               = cuda_patches,
    .add_table             = cuda_add_table,
    .sum_tables            = cuda_sum_tables,
    .pool_rows             = cuda_pool_rows,
    .spread_rows           = cuda_spread_rows,
    .sigmoid_loss          = cuda_sigmoid_loss,
    .softmax_largest       = cuda_softmax_largest,
    .softmax_sum           = cuda_softmax_sum,
    .softmax_loss          = cuda_softmax_loss,
    .clip                  = cuda_clip,
    .adamw                 = cuda_adamw,
    .sgd                   = cuda_sgd,
    .factor_sums           = cuda_factor_sums,
    .factor_rows           = cuda_factor_rows,
    .factor_scales         = cuda_factor_scales,
    .adafactor             = cuda_adafactor,
    .sum_squares           = cuda_sum_squares,
};
