/* SPDX-License-Identifier: BSD-3-Clause */
/* A device: what computes, be it the cores of a rank or a GPU.  All memory of the model
 * and all arithmetic on it go through this interface; each backend fills a table of
 * operations (dev_impl.h).
 *
 * Every operation is put on a stream and may return before it is done.  Operations of
 * one stream are done in order; events order streams among each other and let the host
 * wait.  On the CPU backends an operation is done when it returns.  Results come back
 * to the host by dev_get() alone, which waits.  Operations cannot fail: a broken device
 * or a wrong argument dies.  None allocates after its first call with given sizes.  All
 * are local.
 *
 * Operations take [rows, cols] views of any leading dimension; sizes of zero are legal
 * and do nothing.  Unless said otherwise inputs and output must not overlap.  Numbers
 * are of dev_dtype(), the run's --dtype.  Sums are made in f32 or better, in f64 runs
 * in f64; statistics, losses and partial sums of moments are stored in that format,
 * dev_acc().
 *
 * FLOPs and bytes moved follow from the arguments: every input is read once and every
 * output written once; a product takes 2 * rows * cols * depth FLOPs.
 *
 * Updates of parameters are in dev_update.h, pictures in picture.h.
 */
#ifndef DEV_DEV_H
#define DEV_DEV_H

#include "src/dev/tensor.h"
#include "src/plan/spec.h"

#include <stdbool.h>
#include <stddef.h>

struct dev;
struct dev_stream;
struct dev_event;
struct dev_weight;

/* ---- Open and close -------------------------------------------------------------- */

/* Open the device 'name': "cuda", "cpu:onednn", "cpu:blis" or "cpu:ref", if this build
 * has it; "cpu:emulate", for bf16 on processors without it; or "auto", the best backend
 * for 'dtype'.  'threads' 0 means one for every core that this process may run on; if
 * OpenMP gives fewer, dev_threads() tells.  Returns 0, ERR_USAGE or ERR_DEVICE with a
 * sentence.
 */
int dev_open(struct dev **dev, const char *name, enum dtype dtype, int threads);
void dev_close(struct dev **dev);

/* Whether this build has a device 'name'. */
bool dev_is_built(const char *name);

/* Whether a device 'name' of this build has products of 'dtype', and those of TF32 that
 * 'is_tf32' asks for, as far as that does not depend on the processor: 0, or ERR_USAGE
 * with the sentence of dev_open() or dev_manner().
 */
int dev_check(const char *name, enum dtype dtype, bool is_tf32);

/* The name of the backend that dev_open() tries first for 'name', which may be "auto";
 * 'name' where that is not known beforehand.
 */
const char *dev_first(const char *name, enum dtype dtype);

/* How many packed copies of every weight the device 'name' will keep in 'dtype': memory
 * that a plan must count.
 */
int dev_packs(const char *name, enum dtype dtype);

/* Whether tuning may find that none of these copies is worth its memory. */
bool dev_spares_packs(const char *name, enum dtype dtype);

/* Whether the device 'name' has memory of its own, apart from the machine's. */
bool dev_is_apart(const char *name, enum dtype dtype);

/* How many such devices (GPUs) this process sees, 0 if their memory is not apart, and
 * the memory of one; or with 'is_free' what nobody uses now of the one that dev_open()
 * will take, for which the device is started, and its name as dev_unit() has it.
 */
enum { DEV_UNIT = 32 };
struct dev_units {
    int count;
    int64_t bytes;
    char unit[DEV_UNIT];
};
struct dev_units dev_units(const char *name, enum dtype dtype, bool is_free);

const char *dev_name(const struct dev *dev); /* "cpu:blis" */
const char *
dev_about(const struct dev *dev); /* "BLIS 0.9.0, skx kernels (chosen by ..)" */
const char *
dev_hardware(const struct dev *dev); /* the processor's or GPU's model name */

/* The name of the GPU within its machine, the same in all processes that share it;
 * empty where cores compute.
 */
const char *dev_unit(const struct dev *dev);
enum dtype dev_dtype(const struct dev *dev);
enum dtype dev_acc(const struct dev *dev); /* f64 for f64, else f32 */

/* How work is done from now on: whether products of f32 round their factors to TF32,
 * whether every run gives the same bits, and whether tapes (below) are used where the
 * device has them.  Returns 0, or ERR_USAGE where it has no TF32.
 */
int dev_manner(struct dev *dev, bool is_tf32, bool is_deterministic, bool has_tapes);

/* Whether updates may take numbers from the device that the host does not know yet: a
 * pace (dev_update.h).  True of devices that return early.
 */
bool dev_has_pace(const struct dev *dev);

/* Whether updates also write a segment's rounded 'copy'.  Where they do not, segments
 * must have none.
 */
bool dev_has_copies(const struct dev *dev);

/* Whether backward is to find the results of norms, or makes them again from their
 * statistics: where memory is the device's own they are kept (plan/act.h).
 */
bool dev_keeps_norms(const struct dev *dev);

/* The unit that results are measured in: dtype_eps(), or TF32's 2^-10. */
double dev_eps(const struct dev *dev);
int dev_threads(const struct dev *dev);
bool dev_is_host(const struct dev *dev); /* MPI can read and write its memory */

/* True of the device of a simulation: all of its memory lies in the same place, nothing
 * is computed, and what is read reads as zeros.  What would be put there need not be
 * made.
 */
bool dev_is_hollow(const struct dev *dev);

/* Peak FLOP/s of what this rank computes on (its threads; the whole GPU), measured now
 * by a loop of fused multiply-adds (CPU), for about 'seconds'.  All ranks of a node
 * should call it together.
 */
double dev_peak(struct dev *dev, double seconds);

/* Bytes/s that a long out-of-cache update moves, likewise. */
double dev_bandwidth(struct dev *dev, double seconds);

/* The clocks, temperature and power of a GPU at this moment, and what holds its clocks
 * back, in words or "".  False where the device does not tell.
 */
struct dev_clocks {
    double mhz, most_mhz, memory_mhz, celsius, watts;
    char held_by[96];
};
bool dev_clocks(struct dev_clocks *c, struct dev *dev);

/* Products, and on GPUs attention, can be done in several ways.  Between dev_tune(true)
 * and dev_tune(false) each one that is new is timed in all of its ways, and from then
 * on done in the fastest.  dev_choices() returns all that were timed, in the order of
 * their first use; to have one done in another way, change its 'way'.
 */
enum { DEV_WAYS = 5 };
struct dev_choice {
    char name[64];
    int ways; /* of this one */
    const char *way_name[DEV_WAYS];
    double seconds[DEV_WAYS];
    int way;
};
void dev_tune(struct dev *dev, bool is_on);
struct dev_choice *dev_choices(struct dev *dev, int *count);
int dev_fastest(const struct dev_choice *choice); /* of its ways, by 'seconds' */

/* While muted, operations, copies to and from the host included, return at once and do
 * nothing; allocation works as always.  So a step can be run for its messages alone.
 */
void dev_mute(struct dev *dev, bool is_muted);

/* Seconds spent inside operations so far (0 for devices that return early). */
double dev_busy(const struct dev *dev);

/* What operations have cost from dev_costs_start() to dev_costs(), 'count' of
 * them, at most DEV_COSTS, in the order of their first calls.  FLOPs are those
 * of products and attention; bytes, of the other ones, are reads of every input
 * and writes of every output.  A device that returns early times each operation
 * by events meanwhile, and is a little slower for it.
 */
enum { DEV_COSTS = 64 };
struct dev_cost {
    const char *name; /* "gemm" */
    int64_t calls;
    double seconds, flops, bytes;
};
void dev_costs_start(struct dev *dev);
const struct dev_cost *dev_costs(struct dev *dev, int *count);

/* From now on call 'note' (NULL: nothing) after every operation, with its name without
 * "dev_" and its start and end on clock_now().  A device that returns early is waited
 * for each time.
 */
typedef void (*dev_note_fn)(void *ctx, const char *op, double start, double end);
void dev_note(struct dev *dev, dev_note_fn note, void *ctx);

/* ---- Memory ---------------------------------------------------------------------- */

/* Returns 0 or ERR_MEMORY; 'b' is empty after failure or free.  Not zeroed. */
int dev_alloc(struct buf *b, struct dev *dev, size_t bytes);
void dev_free(struct buf *b);

/* The most bytes that were in use at a time since the last call with 'is_reset',
 * working memory of the operations included.
 */
int64_t dev_bytes_most(struct dev *dev, bool is_reset);

/* The same of packed copies alone, of weights and of other factors.  For weights it may
 * be less than dev_packs() says, since products chosen by timing may need fewer.
 */
int64_t dev_packed_most(struct dev *dev, bool is_reset);

/* ---- Streams and events ---------------------------------------------------------- */

/* The streams, which are opened with the device. */
enum dev_lane {
    LANE_COMPUTE, /* all operations but these: */
    LANE_GATHER,  /* what is gathered over the data axis; batches brought ahead */
    LANE_SCATTER, /* what is summed over it */
    LANE_SIDE,    /* work of low priority, done when the others leave something free */
    LANE_OUT,     /* copies to the host that nobody waits for (dock.h) */
    LANE_IN,      /* and from the host */
    LANES
};
struct dev_stream *dev_stream(struct dev *dev, enum dev_lane lane);

int dev_event_open(struct dev_event **e, struct dev *dev);
int dev_event_open_timed(struct dev_event **e, struct dev *dev); /* for lap.h */
void dev_event_close(struct dev_event **e);
void dev_event_record(struct dev_event *e, struct dev_stream *s);
void dev_event_wait(struct dev_stream *s, struct dev_event *e); /* the stream waits */
bool dev_event_is_done(struct dev_event *e);
void dev_event_sync(struct dev_event *e); /* the host waits */
void dev_sync(struct dev_stream *s);      /* the host waits for all of 's' */

/* An event of the stream's own that is past when all is done that 's' holds now;
 * borrowed, until the next call.  NULL on CPU backends, where all is done already.
 */
struct dev_event *dev_mark(struct dev_stream *s);

/* What is put on 's' from now on is done after all that 'other' holds now.  While one
 * of the two is recorded on a tape, this becomes a part of the tape: a stream that
 * joins the recorded one is recorded, too, and must in the end be joined by it.  Only
 * where dev_has_side(), which is false while operations are timed one by one.
 */
bool dev_has_side(const struct dev *dev);
void dev_join(struct dev_stream *s, struct dev_stream *other);

/* Begin what was put on 's' if that is not done yet: the host is about to wait for
 * something else.
 */
void dev_flush(struct dev_stream *s);

/* ---- Tapes ----------------------------------------------------------------------- */

/* Tapes (CUDA graphs).  What is put on a stream between dev_tape_start() and
 * dev_tape_stop() is not done but recorded; each dev_tape_play() then does all of it by
 * one call.  While recording nothing can be waited for, read or allocated, so
 * everything must have been done once before.  If dev_tape_play() returns false it has
 * done nothing, and the tape must be made anew; so must one that dev_tape_is_good()
 * denies.  There are no tapes while operations are muted, noted or timed one by one.
 * Work with messages in it is for reels (reel.h).
 */
struct dev_tape;
bool dev_has_tapes(const struct dev *dev);
void dev_tape_start(struct dev_stream *s);
void dev_tape_stop(struct dev_tape **t, struct dev_stream *s);
bool dev_tape_play(struct dev_tape *t, struct dev_stream *s);
bool dev_tape_is_good(const struct dev_tape *t);
void dev_tape_close(struct dev_tape **t);

/* ---- Copies ---------------------------------------------------------------------- */

/* Between host arrays (packed rows, the matrix's dtype) and the device.  dev_put() has
 * read 'src' when it returns; dev_get() waits for the stream, if there is what to get.
 */
void dev_put(struct dev_stream *s, struct mat dst, const void *src);
void dev_get(struct dev_stream *s, void *dst, struct mat src);

/* dev_get() of 'count' results of a few numbers each, for which the host waits once. */
struct dev_result {
    void *to;
    struct mat from;
};
void dev_get_all(struct dev_stream *s, const struct dev_result *result, int count);

/* dev_put() of a packed matrix from pinned memory, from which the device copies by
 * itself: it must not change until what was put on 's' is done.  dev_pin() allocates
 * such memory and returns 0 or ERR_MEMORY.
 */
void dev_send(struct dev_stream *s, struct mat dst, const void *src);
int dev_pin(void **at, struct dev *dev, size_t bytes);
void dev_unpin(void **at, struct dev *dev);

void dev_fill(struct dev_stream *s, struct mat y, double value);

/* y, packed, row after row, = the normal numbers of (seed, stream) from index 'first'
 * on (src/base/rng.h), rounded to f32: the same bits everywhere.
 */
void dev_normals(struct dev_stream *s, struct mat y, uint64_t seed, uint64_t stream,
                 uint64_t first);

void dev_copy(struct dev_stream *s, struct mat y, struct mat x); /* converts dtypes */
void dev_add(struct dev_stream *s, struct mat y, struct mat x);  /* y += x */

/* ---- Products -------------------------------------------------------------------- */

/* A weight matrix [rows, cols] to multiply with, and what the device keeps for it:
 * packed panels, copies in other formats, plans.  'w' is borrowed until closed.  After
 * the matrix has changed, dev_weight_changed() must be called.
 */
int dev_weight_open(struct dev_weight **weight, struct dev *dev, struct mat w);
void dev_weight_close(struct dev_weight **weight);
void dev_weight_changed(struct dev_stream *s, struct dev_weight *weight);
struct mat dev_weight_mat(const struct dev_weight *weight);

/* What is done to a product while it is written. */
enum epilogue_kind {
    EPI_NONE,
    EPI_BIAS,  /* y += bias                                                         */
    EPI_GELU,  /* y += bias (if given); act = gelu(y); both are written             */
    EPI_DGELU, /* y *= gelu'(pre)                                                   */
};

struct epilogue {
    enum epilogue_kind kind;
    enum gelu_form gelu;
    struct mat bias; /* [1, cols] */
    struct mat act;  /* [rows, cols], EPI_GELU */
    struct mat pre;  /* [rows, cols], EPI_DGELU */
    struct mat rest; /* [rows, cols], EPI_NONE and EPI_BIAS of dev_gemm(): y += rest */
};

/* y [n, j] = or += x [n, i] W[i, j], where 'i' and 'j' are ranges of rows and columns
 * of the weight; then the epilogue 'e' (NULL: none).
 */
void dev_gemm(struct dev_stream *s, struct mat y, struct mat x,
              const struct dev_weight *weight, struct range i, struct range j,
              bool is_added, const struct epilogue *e);

/* y [n, i] = or += x [n, j] W[i, j]^T, then the epilogue: the gradient of the data. */
void dev_gemm_t(struct dev_stream *s, struct mat y, struct mat x,
                const struct dev_weight *weight, struct range i, struct range j,
                bool is_added, const struct epilogue *e);

/* dw [i, j] = or += x [n, i]^T dy [n, j]: the gradient of the weights. */
void dev_gemm_dw(struct dev_stream *s, struct mat dw, struct mat x, struct mat dy,
                 bool is_added);

/* Both gradients of a layer: dev_gemm_dw(), and dev_column_sums() of as many of the
 * last columns of dy as db has; db may be none.  A device may make the sums within the
 * product.
 */
void dev_gemm_gradients(struct dev_stream *s, struct mat dw, struct mat db,
                        struct mat x, struct mat dy, bool is_added);

/* db [1, j] = or += the sums of the columns of dy [n, j]. */
void dev_column_sums(struct dev_stream *s, struct mat db, struct mat dy, bool is_added);

/* ---- Norms ----------------------------------------------------------------------- */

/* The columns of a row lie on all ranks of the model axis, so a norm is made in steps,
 * with messages between them.  'part' is what one rank finds of each row, with R = 1
 * number for NORM_RMS and R = 2 for NORM_LAYER.  'parts' [M * n, R] holds those of all
 * M ranks, one after another, and 'widths[M]' how many columns each has; they are
 * merged in rank order.  eps is 1e-6.
 *
 *   part [n, R]  RMS: the sum of squares; layer: mean and M2 of the local columns
 *   stat [n, 2]  mean (RMS: 0) and 1 / sqrt(variance or mean square + eps)
 */
void dev_norm_moments(struct dev_stream *s, struct mat part, struct mat x,
                      enum norm_kind k);
void dev_norm_merge(struct dev_stream *s, struct mat stat, struct mat parts, int M,
                    const int64_t *widths, enum norm_kind k);

/* y = (x - mean) rstd scale + bias; 'bias' is none for NORM_RMS. */
void dev_norm_apply(struct dev_stream *s, struct mat y, struct mat x, struct mat stat,
                    struct mat scale, struct mat bias);

/* Backward: part [n, R]: the local sums over columns of g xhat (RMS), or of g and of
 * g xhat (layer), where g = dy scale and xhat = (x - mean) rstd; then
 *   dx = or += rstd (g - sum(g) / C [layer only] - xhat sum(g xhat) / C)
 *   dscale [1, C_l] = or += sum over rows of dy xhat, dbias likewise of dy
 * with C the width over all ranks.  'is_dx_added' and 'is_added' (dscale, dbias)
 * choose.
 */
void dev_norm_backward_moments(struct dev_stream *s, struct mat part, struct mat dy,
                               struct mat x, struct mat stat, struct mat scale,
                               enum norm_kind k);
void dev_norm_backward(struct dev_stream *s, struct mat dx, bool is_dx_added,
                       struct mat dscale, struct mat dbias, bool is_added,
                       struct mat dy, struct mat x, struct mat stat, struct mat scale,
                       struct mat parts, int M, int64_t C, enum norm_kind k);

/* Forward and backward for a rank that has whole rows (M = 1): all steps at once, which
 * a device may do in one pass.  'part' [n, R] is working memory.
 */
void dev_norm_whole(struct dev_stream *s, struct mat y, struct mat stat,
                    struct mat part, struct mat x, struct mat scale, struct mat bias,
                    enum norm_kind k);
void dev_norm_whole_backward(struct dev_stream *s, struct mat dx, bool is_dx_added,
                             struct mat dscale, struct mat dbias, bool is_added,
                             struct mat dy, struct mat x, struct mat stat,
                             struct mat scale, struct mat part, enum norm_kind k);

/* Every head's E columns of x [n, H_l * E] normalised by themselves, with one scale
 * [1, E] for all; stat is [n, 2 * H_l]: (mean, rstd) of each head.  Backward, by the
 * formulas above with C = E: dx is written; dscale [1, E] = or += the sum over rows and
 * heads of dy xhat.
 */
void dev_head_norm(struct dev_stream *s, struct mat y, struct mat stat, struct mat x,
                   struct mat scale, int64_t E, enum norm_kind k);
void dev_head_norm_backward(struct dev_stream *s, struct mat dx, struct mat dscale,
                            bool is_added, struct mat dy, struct mat x, struct mat stat,
                            struct mat scale, int64_t E, enum norm_kind k);

/* ---- Attention ------------------------------------------------------------------- */

/* 'B' images with 'Nq' query and 'Nk' key rows each, 'H' heads of 'E' columns, side by
 * side; of every image and head
 *   o = p v,  p = softmax(q k^T / sqrt(E)) over the Nk keys
 */
struct attn {
    int64_t B, H, E, Nq, Nk;
};

/* Elements of dev_acc() type that forward keeps for backward. */
int64_t dev_attn_kept(const struct dev *dev, const struct attn *a);

/* o [B*Nq, H*E] from q (same), k and v [B*Nk, H*E]; 'kept' [1, dev_attn_kept()] is the
 * backend's own, image by image; 'peak' [1, 1] of dev_acc() receives the largest logit,
 * a number of q k^T / sqrt(E).  Backward writes dq, dk, dv, of the shapes of q, k, v,
 * from d_o, the gradient of o, and what forward was given and has left.
 */
void dev_attn(struct dev_stream *s, struct mat o, struct mat kept, struct mat peak,
              struct mat q, struct mat k, struct mat v, const struct attn *a);
void dev_attn_backward(struct dev_stream *s, struct mat dq, struct mat dk,
                       struct mat dv, struct mat d_o, struct mat o, struct mat kept,
                       struct mat q, struct mat k, struct mat v, const struct attn *a);

/* ---- Embedding and pooling ------------------------------------------------------- */

/* rows [B*N, P] from images [B, image*image*3] (rows, columns, colours): patch t of an
 * image, its values by row, column, colour, in row N - T + t; rows before the first
 * patch (a class token's) are zero.  Patches that do not fit whole are left out.
 */
void dev_patches(struct dev_stream *s, struct mat rows, struct mat images, int image,
                 int patch, int64_t N);

/* y [B*N, c] += table [N, c] for every image; and back: dtable = or += the sum. */
void dev_add_table(struct dev_stream *s, struct mat y, struct mat table);
void dev_sum_tables(struct dev_stream *s, struct mat dtable, struct mat dy,
                    bool is_added);

/* y [B, c] = factor * the sum of each image's N rows of x [B*N, c]; and the other way:
 * dx [B*N, c] = factor * dy of the row's image.
 */
void dev_pool_rows(struct dev_stream *s, struct mat y, struct mat x, double factor);
void dev_spread_rows(struct dev_stream *s, struct mat dx, struct mat dy, double factor);

/* ---- Losses ---------------------------------------------------------------------- */

/* Logits z and targets y, labels in 0 .. 1, are [B_l, K_l] of dev_acc() type, as is the
 * loss [1, 1]; dlogits [B_l, K_l], its gradient, is in the run's format.  Sums go over
 * images and local classes:
 *   loss = scale * sum of (log(1 + exp(z)) - y z);  dlogits = scale (1/(1+exp(-z)) - y)
 */
void dev_sigmoid_loss(struct dev_stream *s, struct mat loss, struct mat dlogits,
                      struct mat logits, struct mat targets, double scale);

/* The same of a softmax over classes that are split over the model axis, in three steps
 * with messages between them; all are [B_l, 1] of dev_acc() type, a number an image:
 *
 *   largest       the largest local logit; dev_max() finds that of all ranks
 *   sum, total    of exp(z - largest), and of y, over local classes; then added up over
 *                 all ranks
 *   loss    = scale * sum of y (largest + log(sum) - z)
 *   dlogits = scale (total exp(z - largest) / sum - y)
 */
void dev_softmax_largest(struct dev_stream *s, struct mat largest, struct mat logits);
void dev_softmax_sum(struct dev_stream *s, struct mat sum, struct mat total,
                     struct mat logits, struct mat targets, struct mat largest);
void dev_softmax_loss(struct dev_stream *s, struct mat loss, struct mat dlogits,
                      struct mat logits, struct mat targets, struct mat largest,
                      struct mat sum, struct mat total, double scale);

/* y = max(y, x), element by element. */
void dev_max(struct dev_stream *s, struct mat y, struct mat x);

#endif
