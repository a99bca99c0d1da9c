/* SPDX-License-Identifier: BSD-3-Clause */
/* Tapes are CUDA graphs, captured from what operations put on a stream.
 *
 * Nothing of that is forbidden while a stream is captured: operations launch kernels
 * and copy within the GPU; their lists are there since the first use, as is the
 * workspace, and timed events become nodes that record them anew each time.  What is
 * not ready is seen, for then the capture ends with an error.  The mode is relaxed,
 * since other threads are of no concern here, and libraries may ask what they like.
 */
#include "config.h"

#include "src/dev/cuda.h"

void cuda_tape_start(struct dev_stream *s)
{
    TRY_CUDA(cudaStreamBeginCapture(cuda_on(s), cudaStreamCaptureModeRelaxed));
    cuda_lane_of(s)->is_taping = true;
}

void cuda_tape_stop(struct dev_tape *t, struct dev_stream *s)
{
    cudaGraphExec_t exec;
    cudaGraph_t graph;

    cuda_lane_of(s)->is_taping = false;
    TRY_CUDA(cudaStreamEndCapture(cuda_on(s), &graph));
    TRY_CUDA(cudaGraphInstantiateWithFlags(&exec, graph,
                                           cudaGraphInstantiateFlagUseNodePriority));
    TRY_CUDA(cudaGraphDestroy(graph));
    t->state  = exec;
    t->number = cuda_of(s->dev)->moves;
}

/* The memory that operations work in may have moved since. */
bool cuda_tape_is_good(const struct dev_tape *t)
{
    return t->number == cuda_of(t->dev)->moves;
}

bool cuda_tape_play(struct dev_tape *t, struct dev_stream *s)
{
    if (!cuda_tape_is_good(t))
        return false;
    TRY_CUDA(cudaGraphLaunch(t->state, cuda_on(s)));
    return true;
}

/* A graph that is under way ends nevertheless. */
void cuda_tape_close(struct dev_tape *t)
{
    TRY_CUDA(cudaGraphExecDestroy(t->state));
}
