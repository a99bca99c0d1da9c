/* SPDX-License-Identifier: BSD-3-Clause */
/* The device 'cuda': one NVIDIA GPU.
 *
 *   cuda.c            open and close, memory, streams, events, the table
 *   cuda_move.c       copies to and from the host through pinned pieces; the workspace
 *   cuda_tape.c       graphs of what was put on a stream
 *   cuda_load.c       cuBLASLt, opened when it is needed
 *   cuda_gemm.c       products by cuBLASLt; cuda_plan.c: its descriptors; cuda_algo.c:
 *                     which of its algorithms
 *   cuda_choice.c     what is done in the way that was timed to be the fastest
 *   cuda_peak.c       measured peaks
 *   cuda_clocks.c     clocks, and why they are not higher, by NVML
 *   cuda_*.cu         kernels, each with the slots of dev_impl.h that launch them
 *
 * Numbers are f32 or bf16, arithmetic f32; sums of many are formed in an order that the
 * sizes alone decide, without atomic additions, so that results repeat bit for bit.
 * What the CUDA headers need is included here and nowhere else outside src/dev/cuda*.
 */
#ifndef DEV_CUDA_H
#define DEV_CUDA_H

#include <cuda_runtime.h>

#ifdef __cplusplus
#define _Noreturn __attribute__((noreturn))
extern "C" {
#endif

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/dev/dev_impl.h"

enum { CUDA_PIECES = 2 };

/* A stream's own memory: pinned pieces through which the host's arrays pass, and room
 * for partial results of the operation at hand, which grows at the first use of a size.
 */
struct cuda_lane {
    cudaStream_t stream;
    void *piece[CUDA_PIECES];
    cudaEvent_t is_free[CUDA_PIECES];
    int next;         /* piece */
    cudaEvent_t here; /* where others join it */
    void *work;
    size_t work_bytes;
    void *product; /* cuBLASLt's workspace */
    bool is_taping;
};

/* A list that an operation works from, which stays on the GPU for the
 * next such call.
 */
struct cuda_list {
    struct cuda_list *next;
    size_t bytes;
    void *host, *there;
};

/* Ways of doing something, cuda_choice.c. */
struct cuda_choices {
    struct dev_choice *list;
    int count, room;
    bool is_tuning;
};

struct cuda_state {
    int index; /* of the GPU in this machine */
    struct cuda_lane lane[LANES];
    struct cuda_products *products; /* cuda_plan.c */
    struct cuda_list *lists;        /* the newest first */
    struct cuda_choices choices;
    int64_t moves; /* times that memory of operations was given back */
};

static inline struct cuda_state *cuda_of(const struct dev *dev)
{
    return (struct cuda_state *)dev->state;
}

static inline struct cuda_lane *cuda_lane_of(const struct dev_stream *s)
{
    return (struct cuda_lane *)s->state;
}

static inline cudaStream_t cuda_on(const struct dev_stream *s)
{
    return cuda_lane_of(s)->stream;
}

/* Calls inside operations cannot fail where nothing is broken: die with CUDA's
 * sentence.  A kernel's own errors come to light in a later call;
 * CUDA_LAUNCH_BLOCKING=1 in the environment makes that the call that launched it.
 */
_Noreturn void cuda_died(cudaError_t error, const char *call, const char *file,
                         int line);
#define TRY_CUDA(call)                                                                 \
    do {                                                                               \
        const cudaError_t cuda_rc_ = (call);                                           \
        if (cuda_rc_ != cudaSuccess)                                                   \
            cuda_died(cuda_rc_, #call, __FILE__, __LINE__);                            \
    } while (0)

/* At least 'bytes' of the GPU's memory for the operation being put on 's': what the
 * operation before it left there is gone.
 */
void *cuda_work(struct dev_stream *s, size_t bytes);

/* Seconds of one of 'calls' calls of 'work', by events; waits for them. */
typedef void (*cuda_work_fn)(struct dev_stream *s, void *ctx);
double cuda_time(struct dev_stream *s, cuda_work_fn work, void *ctx, int calls);

/* ---- Ways ------------------------------------------------------------------------ */

/* Do something in the way with this number; false if it was refused.  All ways leave
 * the same, and each overwrites what it leaves, so that one can follow another.
 */
typedef bool (*cuda_way_fn)(struct dev_stream *s, void *ctx, int way);

/* 'seconds' of each of 'count' ways, infinite where they are refused.  They are timed
 * by turns, and the least of a way's times counts, for a GPU's clock falls while it
 * gets warm.
 */
void cuda_time_ways(struct dev_stream *s, double *seconds, int count, cuda_way_fn work,
                    void *ctx);

/* Whether what was not timed shall be. */
bool cuda_may_time(const struct dev *dev);

/* Time 'what', a name and ways, for the fastest one: the number of this choice. */
int cuda_time_choice(struct dev_stream *s, const struct dev_choice *what,
                     cuda_way_fn work, void *ctx);

/* The way to take of 'what', for whom nobody keeps a number: the first one, until it is
 * timed, now if anything is.
 */
int cuda_choose(struct dev_stream *s, const struct dev_choice *what, cuda_way_fn work,
                void *ctx);

/* The number of one more choice; by its number. */
int cuda_add_choice(struct dev *dev, const struct dev_choice *made);
struct dev_choice *cuda_choice(const struct dev *dev, int number);

/* ---- Slots, by file -------------------------------------------------------------- */

/* cuda_move.c */
void cuda_put(struct dev_stream *s, struct mat dst, const void *src);
void cuda_send(struct dev_stream *s, struct mat dst, const void *src);
void cuda_get(struct dev_stream *s, void *dst, struct mat src);
void cuda_get_all(struct dev_stream *s, const struct dev_result *result, int count);
int cuda_pin(void **at, size_t bytes);
void cuda_unpin(void *at);
void cuda_carry(struct dev_stream *s, void *to, const void *from, size_t bytes);
int cuda_lane_open(struct cuda_lane *lane, enum dev_lane which);
void cuda_lane_close(struct cuda_lane *lane);

/* 'count' descriptions of 'size' bytes each, copied to the GPU's memory, or found
 * there: equal ones have equal bytes, gaps included.
 */
const void *cuda_describe(struct dev_stream *s, const void *list, size_t size,
                          size_t count);
void cuda_lists_close(struct cuda_state *state);

/* cuda_tape.c */
void cuda_tape_start(struct dev_stream *s);
void cuda_tape_stop(struct dev_tape *t, struct dev_stream *s);
bool cuda_tape_play(struct dev_tape *t, struct dev_stream *s);
bool cuda_tape_is_good(const struct dev_tape *t);
void cuda_tape_close(struct dev_tape *t);

/* cuda_copy.cu */
void cuda_fill(struct dev_stream *s, struct mat y, double value);
void cuda_copy(struct dev_stream *s, struct mat y, struct mat x);
void cuda_add(struct dev_stream *s, struct mat y, struct mat x);
void cuda_max(struct dev_stream *s, struct mat y, struct mat x);
void cuda_noise(struct dev_stream *s, struct mat y); /* numbers in -1 .. 1 */

/* cuda_normals.cu */
void cuda_normals(struct dev_stream *s, struct mat y, uint64_t seed, uint64_t stream,
                  uint64_t first);

/* cuda_gelu.cu: y's epilogue after a product. */
void cuda_finish(struct dev_stream *s, struct mat y, const struct epilogue *e);

/* cuda_sums.cu */
void cuda_column_sums(struct dev_stream *s, struct mat db, struct mat dy,
                      bool is_added);
void cuda_sum_tables(struct dev_stream *s, struct mat dtable, struct mat dy,
                     bool is_added);
void cuda_pool_rows(struct dev_stream *s, struct mat y, struct mat x, double factor);
void cuda_sum_squares(struct dev_stream *s, struct mat sum, const struct mat *x,
                      int count, bool is_added);

/* db = or += the sums of 'strips' rows of partial sums, [strips, cols] of f32; 'other',
 * which is as long or none, those of the columns behind them.
 */
void cuda_sum_strips(struct dev_stream *s, struct mat db, struct mat other,
                     const float *partial, int64_t strips, int64_t ld, bool is_added);

/* to [1, 1] = or += factor times the sum of 'count' partial sums. */
void cuda_sum_parts(struct dev_stream *s, struct mat to, const double *partial,
                    int64_t count, double factor, bool is_added);

/* cuda_image.cu */
void cuda_patches(struct dev_stream *s, struct mat rows, struct mat images, int image,
                  int patch, int64_t N);
void cuda_add_table(struct dev_stream *s, struct mat y, struct mat table);
void cuda_spread_rows(struct dev_stream *s, struct mat dx, struct mat dy,
                      double factor);

/* cuda_picture.cu */
void cuda_view_pictures(struct dev_stream *s, struct mat images, struct mat there,
                        const struct dev_picture *list, int64_t count, int image,
                        double share);

/* cuda_norm.cu */
void cuda_norm_moments(struct dev_stream *s, struct mat part, struct mat x,
                       enum norm_kind k);
void cuda_norm_merge(struct dev_stream *s, struct mat stat, struct mat parts, int M,
                     const int64_t *widths, enum norm_kind k);
void cuda_norm_apply(struct dev_stream *s, struct mat y, struct mat x, struct mat stat,
                     struct mat scale, struct mat bias);
void cuda_norm_backward_moments(struct dev_stream *s, struct mat part, struct mat dy,
                                struct mat x, struct mat stat, struct mat scale,
                                enum norm_kind k);
void cuda_norm_backward(struct dev_stream *s, struct mat dx, bool is_dx_added,
                        struct mat dscale, struct mat dbias, bool is_added,
                        struct mat dy, struct mat x, struct mat stat, struct mat scale,
                        struct mat parts, int M, int64_t C, enum norm_kind k);

/* cuda_norm_row.cu */
void cuda_norm_whole(struct dev_stream *s, struct mat y, struct mat stat,
                     struct mat part, struct mat x, struct mat scale, struct mat bias,
                     enum norm_kind k);
void cuda_norm_whole_backward(struct dev_stream *s, struct mat dx, bool is_dx_added,
                              struct mat dscale, struct mat dbias, bool is_added,
                              struct mat dy, struct mat x, struct mat stat,
                              struct mat scale, struct mat part, enum norm_kind k);

/* y = norm(x), with 'stat' as it is ('is_known') or found and left there.  False: the
 * rows do not fit, nothing is done.
 */
bool cuda_norm_rows(struct dev_stream *s, struct mat y, struct mat stat, struct mat x,
                    struct mat scale, struct mat bias, enum norm_kind k, bool is_known);

/* cuda_norm_head.cu */
void cuda_head_norm(struct dev_stream *s, struct mat y, struct mat stat, struct mat x,
                    struct mat scale, int64_t E, enum norm_kind k);
void cuda_head_norm_backward(struct dev_stream *s, struct mat dx, struct mat dscale,
                             bool is_added, struct mat dy, struct mat x,
                             struct mat stat, struct mat scale, int64_t E,
                             enum norm_kind k);

/* cuda_attn.cu */
int64_t cuda_attn_kept(const struct dev *dev, const struct attn *a);
void cuda_attn(struct dev_stream *s, struct mat o, struct mat kept, struct mat peak,
               struct mat q, struct mat k, struct mat v, const struct attn *a);
void cuda_attn_backward(struct dev_stream *s, struct mat dq, struct mat dk,
                        struct mat dv, struct mat d_o, struct mat o, struct mat kept,
                        struct mat q, struct mat k, struct mat v, const struct attn *a);

/* cuda_loss.cu */
void cuda_sigmoid_loss(struct dev_stream *s, struct mat loss, struct mat dlogits,
                       struct mat logits, struct mat targets, double scale);
void cuda_softmax_largest(struct dev_stream *s, struct mat largest, struct mat logits);
void cuda_softmax_sum(struct dev_stream *s, struct mat sum, struct mat total,
                      struct mat logits, struct mat targets, struct mat largest);
void cuda_softmax_loss(struct dev_stream *s, struct mat loss, struct mat dlogits,
                       struct mat logits, struct mat targets, struct mat largest,
                       struct mat sum, struct mat total, double scale);

/* cuda_update.cu */
void cuda_clip(struct dev_stream *s, struct mat pace, struct mat sum, struct mat others,
               double most);
void cuda_adamw(struct dev_stream *s, const struct dev_segment *segment, int count,
                const struct adamw *a);
void cuda_sgd(struct dev_stream *s, const struct dev_segment *segment, int count,
              const struct sgd *a);
void cuda_factor_sums(struct dev_stream *s, const struct dev_segment *segment,
                      int count, const struct adafactor *a);
void cuda_factor_rows(struct dev_stream *s, const struct dev_averages *tensor,
                      int count, const struct adafactor *a);
void cuda_factor_scales(struct dev_stream *s, const struct dev_averages *tensor,
                        int count, const struct adafactor *a);
void cuda_adafactor(struct dev_stream *s, const struct dev_segment *segment, int count,
                    const struct adafactor *a);

/* cuda_plan.c */
int cuda_products_open(struct dev *dev);
void cuda_products_close(struct dev *dev);

/* cuda_gemm.c */
void cuda_gemm(struct dev_stream *s, struct mat y, struct mat x,
               const struct dev_weight *weight, struct range i, struct range j,
               bool is_added, const struct epilogue *e);
void cuda_gemm_t(struct dev_stream *s, struct mat y, struct mat x,
                 const struct dev_weight *weight, struct range i, struct range j,
                 bool is_added, const struct epilogue *e);
void cuda_gemm_dw(struct dev_stream *s, struct mat dw, struct mat x, struct mat dy,
                  bool is_added);
void cuda_gemm_gradients(struct dev_stream *s, struct mat dw, struct mat db,
                         struct mat x, struct mat dy, bool is_added, bool *has_sums);

/* cuda_choice.c */
void cuda_tune(struct dev *dev, bool is_on);
struct dev_choice *cuda_choices(struct dev *dev, int *count);

/* cuda_clocks.c */
bool cuda_clocks(struct dev_clocks *c, struct dev *dev);

/* cuda_peak.c */
double cuda_peak(struct dev *dev, double seconds);
double cuda_bandwidth(struct dev *dev, double seconds);

#ifdef __cplusplus
}
#endif

#endif
