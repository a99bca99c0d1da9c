/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of tensors: every parameter of a model, once.  Initialisation, the layout
 * in memory, the optimizer, checkpoints and all counting walk this table.
 *
 * Tensors have the names and shapes of big_vision ("Transformer/encoderblock_0/..").
 * Tensors that are multiplied together lie in one matrix of memory, their 'slot':
 * in the parallel block SLOT_IN is [C, A_l + A_l + A_l + F_l], the columns of query,
 * key, value and MLP-in side by side, and SLOT_OUT is [F_l + A_l, C], the rows of
 * MLP-out above those of attention-out: the gradients of MLP-in's columns and of
 * MLP-out's rows, which are the same matrix, then lie where both products want them.
 */
#ifndef PLAN_PARAM_H
#define PLAN_PARAM_H

#include "src/plan/spec.h"

/* A group is what is gathered, updated and saved together: GROUP_EMBED, then one a
 * block (1 .. L), then the head (L + 1).  Tensors that every rank of a model group
 * holds whole (QK scales, the MAP probe) lie in a small buffer of their own, the last
 * group, L + 2.
 */
enum { GROUP_EMBED = 0 };
static inline int group_block(int64_t i)
{
    return 1 + (int)i;
}
static inline int group_head(const struct spec *s)
{
    return 1 + (int)s->L;
}
static inline int group_replicated(const struct spec *s)
{
    return 2 + (int)s->L;
}
static inline int group_count(const struct spec *s)
{
    return 3 + (int)s->L;
}

enum slot {
    /* embed */
    SLOT_PATCH,      /* [P, C_l]                                                    */
    SLOT_PATCH_BIAS, /* [1, C_l]                                                    */
    SLOT_CLS,        /* [1, C_l]                      class-token pooling only      */
    SLOT_POS,        /* [T, C_l]                                                    */
    /* block */
    SLOT_NORM0,      /* [1, C_l]                                                    */
    SLOT_NORM0_BIAS, /* [1, C_l]                      sequential                    */
    SLOT_IN,         /* [C, 3 A_l + F_l] parallel: q, k, v, MLP-in; else [C, 3 A_l] */
    SLOT_IN_BIAS,    /* [1, F_l] parallel: of MLP-in alone; else [1, 3 A_l]         */
    SLOT_OUT,        /* [F_l + A_l, C] parallel: MLP-out above out; else [A_l, C]   */
    SLOT_OUT_BIAS,   /* [1, C_l]                                                    */
    SLOT_NORM1,      /* [1, C_l]                      sequential, as all below      */
    SLOT_NORM1_BIAS, /* [1, C_l]                                                    */
    SLOT_UP,         /* [C, F_l]                                                    */
    SLOT_UP_BIAS,    /* [1, F_l]                                                    */
    SLOT_DOWN,       /* [F_l, C]                                                    */
    SLOT_DOWN_BIAS,  /* [1, C_l]                                                    */
    /* head; the MAP_ ones with that pooling only */
    SLOT_NORM,          /* [1, C_l]  encoder_norm                                   */
    SLOT_NORM_BIAS,     /* [1, C_l]  NORM_LAYER                                     */
    SLOT_MAP_Q,         /* [C, A_l]                                                 */
    SLOT_MAP_Q_BIAS,    /* [1, A_l]                                                 */
    SLOT_MAP_KV,        /* [C, 2 A_l]                                               */
    SLOT_MAP_KV_BIAS,   /* [1, 2 A_l]                                               */
    SLOT_MAP_OUT,       /* [A_l, C]                                                 */
    SLOT_MAP_OUT_BIAS,  /* [1, C_l]                                                 */
    SLOT_MAP_NORM,      /* [1, C_l]                                                 */
    SLOT_MAP_NORM_BIAS, /* [1, C_l]  NORM_LAYER                                     */
    SLOT_MAP_UP,        /* [C, F_l]                                                 */
    SLOT_MAP_UP_BIAS,   /* [1, F_l]                                                 */
    SLOT_MAP_DOWN,      /* [F_l, C]                                                 */
    SLOT_MAP_DOWN_BIAS, /* [1, C_l]                                                 */
    SLOT_HEAD,          /* [C, K_l]                                                 */
    SLOT_HEAD_BIAS,     /* [1, K_l]                                                 */
    /* replicated; the block's number tells them apart */
    SLOT_Q_SCALE,   /* [1, E]                                                       */
    SLOT_K_SCALE,   /* [1, E]                                                       */
    SLOT_MAP_PROBE, /* [1, C]                                                       */
    SLOT_COUNT
};

enum init {
    INIT_ZERO,
    INIT_ONE,
    INIT_NORMAL, /* N(0, init_scale^2) */
    INIT_XAVIER, /* U(-a, a), a = sqrt(6 / (fan_in + fan_out)) = init_scale */
    INIT_CONST,  /* init_scale everywhere */
};

enum { PARAM_NAME = 96, PARAM_DIMS = 4 };

struct param {
    char name[PARAM_NAME];
    int dims;                /* number of dimensions */
    int64_t dim[PARAM_DIMS]; /* the logical shape */
    int split;               /* the dimension cut over the model axis; -1: replicated */
    int fold;                /* in memory the first 'fold' dimensions are the rows */
    int group, block;        /* group; number of the block it belongs to, -1: none */
    enum slot slot;
    enum init init;
    double init_scale;
    uint64_t stream;  /* of random numbers, made of the name */
    double decay;     /* weight decay multiplier: kernels 1, everything else 0 */
    bool is_head;     /* head/kernel: takes --head-decay */
    bool is_matmul;   /* a kernel of a block: counted in params_matmul */
    bool is_key_bias; /* its gradient is zero without QK-norm, up to rounding */
};

/* Whether both lie in one slot. */
static inline bool param_is_beside(const struct param *a, const struct param *b)
{
    return a->group == b->group && a->slot == b->slot && a->block == b->block;
}

/* How the classifier starts: vittrain as the papers do, with a zero kernel and, for the
 * sigmoid loss, a bias of -ln K, the logit of one class of K; the papers' -10 and -6.9
 * are this for their 29,593 and 1000.  From a lower one a run of few classes spends its
 * first thousand steps on raising it.  vitbench and tests start with a normal kernel,
 * so that gradients flow.
 */
enum head_init { HEAD_INIT_PAPER, HEAD_INIT_NORMAL };

struct params {
    struct param *param; /* 'count' of them, by group, slot, and place in the slot */
    int count;
};

/* Make the table of 's'; params_free() undoes it. */
void params_make(struct params *p, const struct spec *s, enum head_init head);
void params_free(struct params *p);

/* The tensor's name where the blocks are stacked: "Transformer/encoderblock/..",
 * without the number of the block; the others keep theirs.
 */
void param_stacked_name(char name[PARAM_NAME], const struct param *p);

/* Elements of the whole tensor, and of the part of model rank m of M: 'range' of the
 * split dimension (heads, columns or classes, whichever the dimension counts); of a
 * replicated tensor the whole of its first dimension.
 */
int64_t param_size(const struct param *p);
struct range param_range(const struct param *p, int M, int m);
int64_t param_size_local(const struct param *p, int M, int m);

/* Elements of the flat buffer of 'group' on model rank m of M.  A slot (in the
 * replicated group: a slot of one block) starts at a multiple of PARAM_ALIGN elements,
 * so each one counts rounded up to that.
 */
enum { PARAM_ALIGN = 16 };
int64_t param_group_elements(const struct params *p, const struct spec *s, int group,
                             int M, int m);
static inline int64_t param_round(int64_t elements)
{
    return (elements + PARAM_ALIGN - 1) / PARAM_ALIGN * PARAM_ALIGN;
}

/* The initial value of the element with logical (row-major) index 'i', rounded to f32
 * in every dtype, so that runs in other formats start from the same model.
 */
double param_init(const struct param *p, uint64_t seed, int64_t i);

/* The same for the 'n' elements from index 'first' on, faster. */
void param_fill(float *x, int64_t n, const struct param *p, uint64_t seed,
                int64_t first);

#endif
