/* SPDX-License-Identifier: BSD-3-Clause */
/* Between the host's arrays and the GPU.  The GPU reaches pinned memory alone at full
 * speed, so they pass through pinned pieces of it, two of a stream by turns: while one
 * is copied by the GPU the host fills or empties the other.  Also the room that
 * operations work in.
 */
#include "config.h"

#include "src/dev/cuda.h"

#include <string.h>

static const size_t PIECE = (size_t)4 << 20; /* bytes */

/* ---- Lanes ----------------------------------------------------------------------- */

/* What is on the side gets the multiprocessors that the others leave. */
static int open_lane(struct cuda_lane *lane, enum dev_lane which)
{
    const int pieces = which == LANE_OUT || which == LANE_IN ? 0 : CUDA_PIECES;
    int least, most;
    cudaError_t rc = cudaDeviceGetStreamPriorityRange(&least, &most);

    if (rc == cudaSuccess)
        rc = cudaStreamCreateWithPriority(&lane->stream, cudaStreamNonBlocking,
                                          which == LANE_SIDE ? least : most);
    if (rc == cudaSuccess)
        rc = cudaEventCreateWithFlags(&lane->here, cudaEventDisableTiming);
    for (int i = 0; i < pieces && rc == cudaSuccess; i++) {
        rc = cudaHostAlloc(&lane->piece[i], PIECE, cudaHostAllocDefault);
        if (rc == cudaSuccess)
            rc = cudaEventCreateWithFlags(&lane->is_free[i], cudaEventDisableTiming);
    }
    if (rc != cudaSuccess)
        return ERR(ERR_DEVICE, "the GPU gives no stream: %s", cudaGetErrorString(rc));
    return 0;
}

int cuda_lane_open(struct cuda_lane *lane, enum dev_lane which)
{
    const int rc = open_lane(lane, which);

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
    if (lane->here != NULL)
        cudaEventDestroy(lane->here);
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
        TRY_CUDA(cudaFree(lane->work)); /* waits for what works in it */
        lane->work = NULL;
        TRY_CUDA(cudaMalloc(&lane->work, bytes));
        cuda_of(s->dev)->moves++;
        dev_count(s->dev, (int64_t)bytes - (int64_t)lane->work_bytes);
        lane->work_bytes = bytes;
    }
    return lane->work;
}

/* ---- Docks ----------------------------------------------------------------------- */

int cuda_pin(void **at, size_t bytes)
{
    const cudaError_t rc = cudaHostAlloc(at, bytes, cudaHostAllocDefault);

    if (rc != cudaSuccess)
        return ERR(ERR_MEMORY,
                   "no %.2f GB of the host's memory for the GPU to copy to: "
                   "%s",
                   (double)bytes * 1e-9, cudaGetErrorString(rc));
    return 0;
}

void cuda_unpin(void *at)
{
    TRY_CUDA(cudaFreeHost(at));
}

void cuda_carry(struct dev_stream *s, void *to, const void *from, size_t bytes)
{
    TRY_CUDA(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDefault, cuda_on(s)));
}

/* ---- Pieces ---------------------------------------------------------------------- */

/* The piece whose turn it is, after the GPU has copied what was in it, or to it. */
static void *take_piece(struct cuda_lane *lane)
{
    TRY_CUDA(cudaEventSynchronize(lane->is_free[lane->next]));
    return lane->piece[lane->next];
}

static void pass_on(struct cuda_lane *lane)
{
    lane->next = (lane->next + 1) % CUDA_PIECES;
}

/* The GPU copies it from now on. */
static void give_piece(struct cuda_lane *lane)
{
    TRY_CUDA(cudaEventRecord(lane->is_free[lane->next], lane->stream));
    pass_on(lane);
}

/* A part of a matrix that fits in a piece: 'rows' of 'width' bytes, 'pitch' bytes apart
 * at 'at' on the GPU, packed 'offset' bytes behind the start of the host's array.
 */
struct box {
    char *at;
    size_t pitch, width, rows, offset;
};

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Box number 'k' of a matrix; false if there are no more.  A box is of whole rows, or
 * of a part of a single one.
 */
static bool box_of(struct box *b, struct mat m, size_t k)
{
    const size_t size = dtype_size(m.dtype);
    size_t width, rows, r, c = 0;

    if (mat_size(m) == 0)
        return false;
    if (mat_is_packed(m))
        m = mat_at(m.buf, m.dtype, m.offset, 1, mat_size(m));
    width = (size_t)m.cols * size;
    rows  = (size_t)m.rows;
    if (width > PIECE) {
        const size_t parts = (width + PIECE - 1) / PIECE;

        r        = k / parts;
        c        = k % parts * PIECE;
        b->width = least(PIECE, width - c);
        b->rows  = 1;
    } else {
        r        = k * (PIECE / width);
        b->width = width;
        b->rows  = r < rows ? least(PIECE / width, rows - r) : 0;
    }
    b->pitch  = b->rows == 1 ? b->width : (size_t)m.ld * size;
    b->offset = r * width + c;
    b->at     = r < rows ? (char *)mat_ptr(m) + r * (size_t)m.ld * size + c : NULL;
    return r < rows;
}

void cuda_put(struct dev_stream *s, struct mat dst, const void *src)
{
    struct cuda_lane *lane = cuda_lane_of(s);
    struct box b;

    for (size_t k = 0; box_of(&b, dst, k); k++) {
        void *piece = take_piece(lane);

        memcpy(piece, (const char *)src + b.offset, b.width * b.rows);
        TRY_CUDA(cudaMemcpy2DAsync(b.at, b.pitch, piece, b.width, b.width, b.rows,
                                   cudaMemcpyHostToDevice, lane->stream));
        give_piece(lane);
    }
}

void cuda_send(struct dev_stream *s, struct mat dst, const void *src)
{
    cuda_carry(s, mat_ptr(dst), src, (size_t)mat_bytes(dst));
}

/* Empty the piece whose turn it is into the box's place; a box of no rows is none. */
static void *empty_piece(struct cuda_lane *lane, void *dst, struct box *b)
{
    void *piece = take_piece(lane);

    if (b->rows > 0)
        memcpy((char *)dst + b->offset, piece, b->width * b->rows);
    b->rows = 0;
    return piece;
}

void cuda_get(struct dev_stream *s, void *dst, struct mat src)
{
    struct cuda_lane *lane           = cuda_lane_of(s);
    struct box arriving[CUDA_PIECES] = { { .rows = 0 } }, b;

    for (size_t k = 0; box_of(&b, src, k); k++) {
        const int turn = lane->next;
        void *piece    = empty_piece(lane, dst, &arriving[turn]);

        TRY_CUDA(cudaMemcpy2DAsync(piece, b.width, b.at, b.pitch, b.width, b.rows,
                                   cudaMemcpyDeviceToHost, lane->stream));
        give_piece(lane);
        arriving[turn] = b;
    }
    for (int i = 0; i < CUDA_PIECES; i++, pass_on(lane))
        empty_piece(lane, dst, &arriving[lane->next]);
}

/* All of them in one piece, which the stream itself has done with before. */
void cuda_get_all(struct dev_stream *s, const struct dev_result *result, int count)
{
    struct cuda_lane *lane = cuda_lane_of(s);
    char *piece            = lane->piece[lane->next];
    size_t at              = 0;

    for (int i = 0; i < count; i++) {
        const struct mat from = result[i].from;
        const size_t bytes    = (size_t)mat_bytes(from);

        if (!mat_is_packed(from) || at + bytes > PIECE)
            die("results that do not fit in a piece of %zu bytes", PIECE);
        cuda_carry(s, piece + at, mat_ptr(from), bytes);
        at += bytes;
    }
    TRY_CUDA(cudaStreamSynchronize(lane->stream));
    for (int i = 0; i < count; i++) {
        memcpy(result[i].to, piece, (size_t)mat_bytes(result[i].from));
        piece += mat_bytes(result[i].from);
    }
}

/* ---- Lists ----------------------------------------------------------------------- */

void cuda_lists_close(struct cuda_state *state)
{
    while (state->lists != NULL) {
        struct cuda_list *l = state->lists;

        state->lists = l->next;
        cudaFree(l->there);
        mem_free(l->host);
        mem_free(l);
    }
}

static const void *remember(struct dev_stream *s, const void *list, size_t bytes)
{
    struct cuda_state *state = cuda_of(s->dev);
    struct cuda_lane *lane   = cuda_lane_of(s);
    struct cuda_list *l;
    void *piece;

    if (bytes > PIECE)
        die("a list of %zu bytes does not fit in a piece of %zu", bytes, PIECE);
    l        = mem_new(1, sizeof *l);
    l->bytes = bytes;
    l->host  = mem_new(bytes, 1);
    memcpy(l->host, list, bytes);
    TRY_CUDA(cudaMalloc(&l->there, bytes));
    piece = take_piece(lane);
    memcpy(piece, list, bytes);
    TRY_CUDA(
        cudaMemcpyAsync(l->there, piece, bytes, cudaMemcpyHostToDevice, lane->stream));
    TRY_CUDA(cudaStreamSynchronize(lane->stream)); /* also for the other streams */
    l->next      = state->lists;
    state->lists = l;
    return l->there;
}

const void *cuda_describe(struct dev_stream *s, const void *list, size_t size,
                          size_t count)
{
    const size_t bytes = size * count;

    if (bytes == 0)
        return NULL;
    for (struct cuda_list *l = cuda_of(s->dev)->lists; l != NULL; l = l->next)
        if (l->bytes == bytes && memcmp(l->host, list, bytes) == 0)
            return l->there;
    return remember(s, list, bytes);
}
