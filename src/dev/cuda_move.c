/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the host's arrays and the GPU.  Arrays of the host may be given back at once, so
 * they pass through pinned pieces of memory, two of each stream by turns: while one is
 * copied by the GPU the host fills the other.  Also the room that operations work in.
 */
#include "config.h"

#include "src/dev/cuda.h"

#include <string.h>

static const size_t PIECE = (size_t)4 << 20; /* bytes */

/* ---- Lanes --------------------------------------------------------------------------- */

static int open_lane(struct cuda_lane *lane)
{
    cudaError_t rc = cudaStreamCreateWithFlags(&lane->stream, cudaStreamNonBlocking);

    for (int i = 0; i < CUDA_PIECES && rc == cudaSuccess; i++) {
        rc = cudaHostAlloc(&lane->piece[i], PIECE, cudaHostAllocDefault);
        if (rc == cudaSuccess)
            rc = cudaEventCreateWithFlags(&lane->is_free[i], cudaEventDisableTiming);
    }
    if (rc != cudaSuccess)
        return ERR(ERR_DEVICE, "the GPU gives no stream: %s", cudaGetErrorString(rc));
    return 0;
}

int cuda_lane_open(struct cuda_lane *lane)
{
    const int rc = open_lane(lane);

    if (rc != 0)
        cuda_lane_close(lane);
    return rc;
}

/* What is not there is NULL, and is not closed; nothing is left to do about errors. */
void cuda_lane_close(struct cuda_lane *lane)
{
    if (lane->stream != NULL)
        cudaStreamSynchronize(lane->stream);
    for (int i = 0; i < CUDA_PIECES; i++) {
        if (lane->is_free[i] != NULL)
            cudaEventDestroy(lane->is_free[i]);
        cudaFreeHost(lane->piece[i]);
    }
    cudaFree(lane->work);
    cudaFree(lane->product);
    if (lane->stream != NULL)
        cudaStreamDestroy(lane->stream);
    memset(lane, 0, sizeof *lane);
}

void *cuda_work(struct dev_stream *s, size_t bytes)
{
    struct cuda_lane *lane = cuda_lane_of(s);

    if (lane->work_bytes < bytes) {
        TRY_CUDA(cudaStreamSynchronize(lane->stream));
        TRY_CUDA(cudaFree(lane->work));
        lane->work = NULL;
        TRY_CUDA(cudaMalloc(&lane->work, bytes));
        dev_count(s->dev, (int64_t)bytes - (int64_t)lane->work_bytes);
        lane->work_bytes = bytes;
    }
    return lane->work;
}

/* ---- Pieces -------------------------------------------------------------------------- */

/* The piece whose turn it is, after the GPU has read what was in it. */
static void *take_piece(struct cuda_lane *lane)
{
    TRY_CUDA(cudaEventSynchronize(lane->is_free[lane->next]));
    return lane->piece[lane->next];
}

/* The GPU reads it from now on. */
static void give_piece(struct cuda_lane *lane)
{
    TRY_CUDA(cudaEventRecord(lane->is_free[lane->next], lane->stream));
    lane->next = (lane->next + 1) % CUDA_PIECES;
}

/* 'rows' of 'width' bytes, packed at 'src', to rows 'pitch' bytes apart at 'dst'. */
static void put_box(struct cuda_lane *lane, char *dst, size_t pitch, const char *src,
                    size_t width, size_t rows)
{
    void *piece = take_piece(lane);

    memcpy(piece, src, width * rows);
    TRY_CUDA(cudaMemcpy2DAsync(dst, pitch, piece, width, width, rows,
                               cudaMemcpyHostToDevice, lane->stream));
    give_piece(lane);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

void cuda_put(struct dev_stream *s, struct mat dst, const void *src)
{
    const size_t size = dtype_size(dst.dtype);
    const char *from  = src;
    size_t width, pitch, rows, at_once;
    char *to;

    if (mat_size(dst) == 0)
        return;
    if (mat_is_packed(dst))
        dst = mat_at(dst.buf, dst.dtype, dst.offset, 1, mat_size(dst));
    to      = mat_ptr(dst);
    width   = (size_t)dst.cols * size;
    pitch   = (size_t)dst.ld * size;
    rows    = (size_t)dst.rows;
    at_once = PIECE / width; /* rows; 0: not even one */
    for (size_t r = 0; r < rows && at_once > 0; r += at_once)
        put_box(cuda_lane_of(s), to + r * pitch, pitch, from + r * width, width,
                least(at_once, rows - r));
    for (size_t r = 0; r < rows && at_once == 0; r++)
        for (size_t c = 0; c < width; c += PIECE)
            put_box(cuda_lane_of(s), to + r * pitch + c, PIECE, from + r * width + c,
                    least(PIECE, width - c), 1);
}

void cuda_get(struct dev_stream *s, void *dst, struct mat src)
{
    const size_t width = (size_t)src.cols * dtype_size(src.dtype);
    const size_t pitch = (size_t)src.ld * dtype_size(src.dtype);

    if (mat_size(src) > 0 && mat_is_packed(src))
        TRY_CUDA(cudaMemcpyAsync(dst, mat_ptr(src), (size_t)mat_bytes(src),
                                 cudaMemcpyDeviceToHost, cuda_on(s)));
    else if (mat_size(src) > 0)
        TRY_CUDA(cudaMemcpy2DAsync(dst, width, mat_ptr(src), pitch, width,
                                   (size_t)src.rows, cudaMemcpyDeviceToHost,
                                   cuda_on(s)));
    TRY_CUDA(cudaStreamSynchronize(cuda_on(s)));
}

void *cuda_describe(struct dev_stream *s, const void *list, size_t size, size_t count)
{
    struct cuda_lane *lane = cuda_lane_of(s);
    const size_t bytes     = size * count;
    void *room             = cuda_work(s, bytes > 0 ? bytes : 1);

    if (bytes > PIECE)
        die("a list of %zu bytes does not fit in a piece of %zu", bytes, PIECE);
    if (bytes > 0) {
        void *piece = take_piece(lane);

        memcpy(piece, list, bytes);
        TRY_CUDA(
            cudaMemcpyAsync(room, piece, bytes, cudaMemcpyHostToDevice, lane->stream));
        give_piece(lane);
    }
    return room;
}
