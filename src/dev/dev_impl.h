/* SPDX-License-Identifier: BSD-3-Clause */
/* What a backend is: a table of functions.  For backends and dev*.c only.
 *
 * dev.h and dev_update.h document each operation; its slot here has the same arguments.
 * Slots left NULL are filled at open, if dev.c lists them in SLOTS: from the table in
 * 'real' for the number format of the run, then from 'fallback', which must share the
 * memory family, and so on.  dev_ops.c calls them and says what they cost.
 */
#ifndef DEV_DEV_IMPL_H
#define DEV_DEV_IMPL_H

#include "src/dev/dev_update.h"
#include "src/dev/picture.h"

/* An operation as its cost knows it: FLOPs of a product or of attention, bytes of
 * another one.  Shapes are the arguments of plan/cost.h in their order: n, cols, depth;
 * or B, H, E, Nq, Nk.
 */
struct dev_work {
    const char *op; /* "gemm" */
    double flops, bytes;
    double epilogue; /* bytes that a product moves besides */
    int64_t shape[5];
    bool is_host; /* the host's memory has a part in it */
};

struct dev_ops {
    const char *name;
    const struct dev_ops *fallback;
    const struct dev_ops *real[2]; /* slots that differ by format: f64; f32, bf16 */
    const struct dev_ops *bf16;    /* before those, in bf16 */
    bool is_host;
    bool is_by_name; /* 'auto' does not take it */
    int packs;       /* copies of each weight that it keeps packed */
    bool (*spares_packs)(enum dtype dtype); /* tuning may drop them; NULL: no */
    /* The bytes of those of a weight that are in use; NULL: each is as large as it. */
    int64_t (*packed)(const struct dev_weight *weight);
    bool adds_rest;   /* gemm() does an epilogue's 'rest'; else dev_add() follows it */
    bool has_copies;  /* of parameters, which updates leave */
    bool keeps_norms; /* their results, for backward */
    bool has_tf32;    /* its products of f32 heed 'is_tf32' */
    const char *instead[DTYPES]; /* of a format of which it has no products: advice */

    /* A hollow device's: let the time of an operation pass instead of doing it; of its
     * slots for operations 'get' alone is called, which tells what nobody computed.
     */
    void (*charge)(struct dev *dev, const struct dev_work *work);

    bool (*is_there)(void); /* NULL: always; asked before a device is opened */

    /* Memory of its own, as dev_units() has it; NULL: it uses the machine's. */
    void (*apart)(struct dev_units *u, bool is_free);

    /* Take up 'dev' (its dtype and threads are set), fill 'about' and 'state'. */
    int (*open)(struct dev *dev);
    void (*close)(struct dev *dev);
    double (*peak)(struct dev *dev, double seconds);
    double (*bandwidth)(struct dev *dev, double seconds);
    bool (*clocks)(struct dev_clocks *c, struct dev *dev); /* NULL: it has none */
    void (*tune)(struct dev *dev, bool is_on);
    struct dev_choice *(*choices)(struct dev *dev, int *count);

    /* Tapes; NULL: there are none. */
    void (*tape_start)(struct dev_stream *s);
    void (*tape_stop)(struct dev_tape *t, struct dev_stream *s);
    bool (*tape_play)(struct dev_tape *t, struct dev_stream *s);
    bool (*tape_is_good)(const struct dev_tape *t);
    void (*tape_close)(struct dev_tape *t);

    int (*alloc)(struct buf *b, struct dev *dev, size_t bytes);
    void (*free)(struct buf *b);
    int (*event_open)(struct dev_event *e); /* 'is_timed' is set */

    /* Seconds from one event to another, both timed and past; NULL where operations are
     * done when they return, and the host's clock tells.
     */
    double (*event_seconds)(struct dev_event *from, struct dev_event *to);
    void (*event_close)(struct dev_event *e);
    void (*event_record)(struct dev_event *e, struct dev_stream *s);
    void (*event_wait)(struct dev_stream *s, struct dev_event *e);
    void (*join)(struct dev_stream *s, struct dev_stream *other); /* NULL: no side */
    bool (*event_is_done)(struct dev_event *e);
    void (*event_sync)(struct dev_event *e);
    void (*sync)(struct dev_stream *s);

    /* Memory of the host that the device reaches by itself, and, for docks (dock.h), a
     * copy from or to it, which returns early.  NULL: plain memory, a plain copy.
     */
    int (*pin)(void **at, size_t bytes);
    void (*unpin)(void *at);
    void (*carry)(struct dev_stream *s, void *to, const void *from, size_t bytes);

    void (*put)(struct dev_stream *, struct mat, const void *);
    void (*send)(struct dev_stream *, struct mat, const void *);
    void (*get)(struct dev_stream *, void *, struct mat);
    void (*get_all)(struct dev_stream *, const struct dev_result *,
                    int); /* NULL: one after another */
    void (*fill)(struct dev_stream *, struct mat, double);
    void (*normals)(struct dev_stream *, struct mat, uint64_t, uint64_t, uint64_t);
    void (*copy)(struct dev_stream *, struct mat, struct mat);
    void (*add)(struct dev_stream *, struct mat, struct mat);
    void (*max)(struct dev_stream *, struct mat, struct mat);

    int (*weight_open)(struct dev_weight *weight);
    void (*weight_close)(struct dev_weight *weight);
    void (*weight_changed)(struct dev_stream *, struct dev_weight *);
    void (*gemm)(struct dev_stream *, struct mat, struct mat, const struct dev_weight *,
                 struct range, struct range, bool, const struct epilogue *);
    void (*gemm_t)(struct dev_stream *, struct mat, struct mat,
                   const struct dev_weight *, struct range, struct range, bool,
                   const struct epilogue *);
    void (*gemm_dw)(struct dev_stream *, struct mat, struct mat, struct mat, bool);
    void (*column_sums)(struct dev_stream *, struct mat, struct mat, bool);

    /* The product of dev_gemm_gradients(), and the sums if they come with it; then
     * 'has_sums' is set.  NULL: they never do.
     */
    void (*gemm_gradients)(struct dev_stream *, struct mat dw, struct mat db,
                           struct mat x, struct mat dy, bool is_added, bool *has_sums);

    void (*norm_moments)(struct dev_stream *, struct mat, struct mat, enum norm_kind);
    void (*norm_merge)(struct dev_stream *, struct mat, struct mat, int,
                       const int64_t *, enum norm_kind);
    void (*norm_apply)(struct dev_stream *, struct mat, struct mat, struct mat,
                       struct mat, struct mat);
    void (*norm_backward_moments)(struct dev_stream *, struct mat, struct mat,
                                  struct mat, struct mat, struct mat, enum norm_kind);
    void (*norm_backward)(struct dev_stream *, struct mat, bool, struct mat, struct mat,
                          bool, struct mat, struct mat, struct mat, struct mat,
                          struct mat, int, int64_t, enum norm_kind);

    /* A norm of whole rows; NULL: in the steps above. */
    void (*norm_whole)(struct dev_stream *, struct mat, struct mat, struct mat,
                       struct mat, struct mat, struct mat, enum norm_kind);
    void (*norm_whole_backward)(struct dev_stream *, struct mat, bool, struct mat,
                                struct mat, bool, struct mat, struct mat, struct mat,
                                struct mat, struct mat, enum norm_kind);
    void (*head_norm)(struct dev_stream *, struct mat, struct mat, struct mat,
                      struct mat, int64_t, enum norm_kind);
    void (*head_norm_backward)(struct dev_stream *, struct mat, struct mat, bool,
                               struct mat, struct mat, struct mat, struct mat, int64_t,
                               enum norm_kind);

    int64_t (*attn_kept)(const struct dev *, const struct attn *);
    void (*attn)(struct dev_stream *, struct mat, struct mat, struct mat, struct mat,
                 struct mat, struct mat, const struct attn *);
    void (*attn_backward)(struct dev_stream *, struct mat, struct mat, struct mat,
                          struct mat, struct mat, struct mat, struct mat, struct mat,
                          struct mat, const struct attn *);

    void (*view_pictures)(struct dev_stream *, struct mat, struct mat,
                          const struct dev_picture *, int64_t, int, double);
    void (*patches)(struct dev_stream *, struct mat, struct mat, int, int, int64_t);
    void (*add_table)(struct dev_stream *, struct mat, struct mat);
    void (*sum_tables)(struct dev_stream *, struct mat, struct mat, bool);
    void (*pool_rows)(struct dev_stream *, struct mat, struct mat, double);
    void (*spread_rows)(struct dev_stream *, struct mat, struct mat, double);

    void (*sigmoid_loss)(struct dev_stream *, struct mat, struct mat, struct mat,
                         struct mat, double);
    void (*softmax_largest)(struct dev_stream *, struct mat, struct mat);
    void (*softmax_sum)(struct dev_stream *, struct mat, struct mat, struct mat,
                        struct mat, struct mat);
    void (*softmax_loss)(struct dev_stream *, struct mat, struct mat, struct mat,
                         struct mat, struct mat, struct mat, struct mat, double);

    /* dev_clip(); NULL: the device has no pace. */
    void (*clip)(struct dev_stream *, struct mat, struct mat, struct mat, double);
    void (*adamw)(struct dev_stream *, const struct dev_segment *, int,
                  const struct adamw *);
    void (*sgd)(struct dev_stream *, const struct dev_segment *, int,
                const struct sgd *);
    void (*factor_sums)(struct dev_stream *, const struct dev_segment *, int,
                        const struct adafactor *);
    void (*factor_rows)(struct dev_stream *, const struct dev_averages *, int,
                        const struct adafactor *);
    void (*factor_scales)(struct dev_stream *, const struct dev_averages *, int,
                          const struct adafactor *);
    void (*adafactor)(struct dev_stream *, const struct dev_segment *, int,
                      const struct adafactor *);
    void (*sum_squares)(struct dev_stream *, struct mat, const struct mat *, int, bool);
};

struct dev_stream {
    struct dev *dev;
    enum dev_lane lane;
    void *state;            /* the backend's own */
    struct dev_event *mark; /* dev_mark()'s */
};

struct dev_event {
    struct dev *dev;
    bool is_timed;
    void *state;
};

struct dev_tape {
    struct dev *dev;
    int64_t number; /* the backend's own, as is the state */
    void *state;
};

struct dev_weight {
    struct dev *dev;
    struct mat w;
    void *state;
};

/* Rows 'i' and columns 'j' of it. */
static inline struct mat dev_weight_part(const struct dev_weight *weight,
                                         struct range i, struct range j)
{
    return mat_cols(mat_rows(weight->w, i.lo, i.hi), j.lo, j.hi);
}

struct dev {
    struct dev_ops ops; /* complete: own slots and the fallbacks' */
    enum dtype dtype;
    int threads;
    char about[128], hardware[64], unit[DEV_UNIT];
    bool is_muted;
    bool is_tf32, is_deterministic, has_tapes;
    int64_t bytes, bytes_most;   /* in use, and at most */
    int64_t packed, packed_most; /* of them in packed copies */
    double busy;                 /* seconds inside operations */
    struct laps
        *laps[LANES]; /* of a device that returns early, while costs are taken */
    dev_note_fn note; /* of every operation, or NULL */
    void *note_ctx;
    struct dev_cost cost[DEV_COSTS];
    int costs;
    struct dock *docks;
    struct dev_reel *reel; /* that is being recorded or played */
    struct dev_stream stream[LANES];
    void *state; /* the backend's own */
};

/* Open the backend 'table', as dev_open() does once it has found it; 'state' may be set
 * for its open().
 */
int dev_open_table(struct dev **dev, const struct dev_ops *table, enum dtype dtype,
                   int threads, void *state);

/* So many more bytes (or, negative, less) are in use. */
void dev_count(struct dev *dev, int64_t bytes);
void dev_count_packed(struct dev *dev, int64_t bytes);

extern const struct dev_ops dev_at_once; /* what others fall back to in the end */
extern const struct dev_ops dev_cpu_ref;
extern const struct dev_ops dev_cpu_emulate;
extern const struct dev_ops dev_cpu_blis;   /* only where configure found BLIS */
extern const struct dev_ops dev_cpu_onednn; /* only where configure found oneDNN */
extern const struct dev_ops dev_cuda;       /* only where configure found CUDA */

/* The backends of this build, best first, up to a NULL.  In a file of its own, so that
 * a program that brings its own list is linked without the backends that it leaves out.
 */
extern const struct dev_ops *const dev_backends[];

#endif
