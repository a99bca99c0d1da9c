/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of tensors is walked once; every tensor says which array it belongs to, and
 * where in it.  Tensors that share an array come in its order.
 */
#include "config.h"

#include "src/exchange/map.h"

#include "src/base/err.h"
#include "src/base/mem.h"

#include <stdio.h>
#include <string.h>

/* ---- making it ------------------------------------------------------------------- */

struct maker {
    struct map *map;
    const struct spec *spec;
    const struct params *params;
    const struct style *style;
};

/* The array 'name', which is new if this is its first piece; the shape
 * is that of 'dims' sizes.
 */
static int array_of(struct maker *k, const char *name, bool is_new, int dims,
                    const int64_t *size)
{
    struct map *m   = k->map;
    struct array *a = &m->array[m->arrays];
    char full[ARRAY_NAME];

    if (snprintf(full, sizeof full, "%s%s", k->style->prefix, name) >= ARRAY_NAME)
        die("the name %s is too long", name);
    if (!is_new) {
        int i = m->arrays - 1;

        while (i >= 0 && strcmp(m->array[i].name, full) != 0)
            i--;
        if (i < 0)
            die("%s has no first piece", full);
        return i;
    }
    snprintf(a->name, sizeof a->name, "%s", full);
    a->type     = ARRAY_F32;
    a->dims     = dims;
    a->elements = 1;
    for (int i = 0; i < dims; i++) {
        a->size[i] = size[i];
        a->elements *= size[i];
    }
    return m->arrays++;
}

static void add(struct maker *k, int array, int64_t at, int param, int64_t a, int64_t b,
                int64_t c, bool is_added)
{
    k->map->piece[k->map->pieces++] = (struct map_piece){ .array    = array,
                                                          .param    = param,
                                                          .at       = at,
                                                          .a        = a,
                                                          .b        = b,
                                                          .c        = c,
                                                          .is_added = is_added };
}

/* The number of the tensor "cls". */
static int find_cls(const struct params *p)
{
    for (int i = 0; i < p->count; i++) {
        if (p->param[i].slot == SLOT_CLS)
            return i;
    }
    die("there is no class token");
}

/* The positions: as they are, or below that of the class token. */
static void add_positions(struct maker *k, int param, const char *name)
{
    const int64_t C = k->spec->C, T = k->spec->T;
    const int64_t size[] = { 1, T + k->style->has_cls_place, C };
    const int array      = array_of(k, name, true, 3, size);

    if (k->style->has_cls_place)
        add(k, array, 0, find_cls(k->params), 1, 1, C, true);
    add(k, array, k->style->has_cls_place ? C : 0, param, 1, 1, T * C, false);
}

/* ---- big_vision ------------------------------------------------------------------ */

/* Before 2022 the names of a block, and of the positions, were others. */
static void make_old(char name[PARAM_NAME])
{
    static const char *const names[][2] = {
        { "MultiHeadDotProductAttention_0", "MultiHeadDotProductAttention_1" },
        { "LayerNorm_1", "LayerNorm_2" },
        { "MlpBlock_0", "MlpBlock_3" },
    };

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *at = strstr(name, names[i][0]);

        if (at != NULL)
            memcpy(at, names[i][1], strlen(names[i][1]));
    }
}

static void add_big_vision(struct maker *k, int param)
{
    const struct param *p = &k->params->param[param];
    const bool is_stacked = k->style->is_scan && p->block >= 0;
    const int64_t n       = param_size(p);
    int64_t size[ARRAY_DIMS];
    char name[PARAM_NAME];
    int dims = 0;

    snprintf(name, sizeof name, "%s", p->name);
    if (k->style->is_old && p->block >= 0)
        make_old(name);
    if (p->slot == SLOT_POS) {
        add_positions(k, param,
                      k->style->is_old ? "Transformer/posembed_input/pos_embedding"
                                       : name);
        return;
    }
    if (is_stacked) {
        param_stacked_name(name, p);
        size[dims++] = k->spec->L;
    }
    for (int i = 0; i < p->dims; i++)
        size[dims++] = p->dim[i];
    add(k, array_of(k, name, !is_stacked || p->block == 0, dims, size),
        is_stacked ? p->block * n : 0, param, 1, 1, n, false);
}

/* ---- timm ------------------------------------------------------------------------ */

/* The names of a tensor there, without those of its block; of 'parts' tensors in one
 * array this is number 'part'.
 */
struct timm_name {
    const char *ours, *theirs;
    int part, parts;
};

static const struct timm_name timm_names[] = {
    { "embedding/kernel", "patch_embed.proj.weight", 0, 1 },
    { "embedding/bias", "patch_embed.proj.bias", 0, 1 },
    { "cls", "cls_token", 0, 1 },
    { "pos_embedding", "pos_embed", 0, 1 },
    { "Transformer/encoder_norm/scale", "norm.weight", 0, 1 },
    { "Transformer/encoder_norm/bias", "norm.bias", 0, 1 },
    { "head/kernel", "head.weight", 0, 1 },
    { "head/bias", "head.bias", 0, 1 },
    { "MAPHead_0/probe", "attn_pool.latent", 0, 1 },
    { "MAPHead_0/MultiHeadDotProductAttention_0/query/", "attn_pool.q.", 0, 1 },
    { "MAPHead_0/MultiHeadDotProductAttention_0/key/", "attn_pool.kv.", 0, 2 },
    { "MAPHead_0/MultiHeadDotProductAttention_0/value/", "attn_pool.kv.", 1, 2 },
    { "MAPHead_0/MultiHeadDotProductAttention_0/out/", "attn_pool.proj.", 0, 1 },
    { "MAPHead_0/LayerNorm_0/", "attn_pool.norm.", 0, 1 },
    { "MAPHead_0/MlpBlock_0/Dense_0/", "attn_pool.mlp.fc1.", 0, 1 },
    { "MAPHead_0/MlpBlock_0/Dense_1/", "attn_pool.mlp.fc2.", 0, 1 },
    { "LayerNorm_0/", "norm1.", 0, 1 },
    { "LayerNorm_1/", "norm2.", 0, 1 },
    { "MultiHeadDotProductAttention_0/query/", "attn.qkv.", 0, 3 },
    { "MultiHeadDotProductAttention_0/key/", "attn.qkv.", 1, 3 },
    { "MultiHeadDotProductAttention_0/value/", "attn.qkv.", 2, 3 },
    { "MultiHeadDotProductAttention_0/out/", "attn.proj.", 0, 1 },
    { "MultiHeadDotProductAttention_0/query_ln/", "attn.q_norm.", 0, 1 },
    { "MultiHeadDotProductAttention_0/key_ln/", "attn.k_norm.", 0, 1 },
    { "MlpBlock_0/Dense_0/", "mlp.fc1.", 0, 1 },
    { "MlpBlock_0/Dense_1/", "mlp.fc2.", 0, 1 },
};

/* "Transformer/encoderblock_3/LayerNorm_0/scale" is "blocks.3.norm1.weight". */
static const struct timm_name *timm_name(char name[PARAM_NAME], const struct param *p)
{
    char block[24]   = "";
    const char *ours = p->name;

    if (p->block >= 0) {
        snprintf(block, sizeof block, "blocks.%d.", p->block);
        ours = strchr(strstr(ours, "encoderblock_"), '/') + 1;
    }
    for (size_t i = 0; i < sizeof timm_names / sizeof timm_names[0]; i++) {
        const struct timm_name *row = &timm_names[i];
        const size_t n              = strlen(row->ours);
        const bool is_family        = row->ours[n - 1] == '/';
        const char *kind            = "";

        if (strncmp(ours, row->ours, n) != 0 || (!is_family && ours[n] != '\0'))
            continue;
        if (is_family)
            kind = strcmp(ours + n, "bias") == 0 ? "bias" : "weight";
        snprintf(name, PARAM_NAME, "%s%s%s", block, row->theirs, kind);
        return row;
    }
    die("%s has no name in timm", p->name);
}

/* Rows and columns of a tensor as the matrix that multiplies; a vector is one row. */
static int64_t rows_of(const struct param *p)
{
    int64_t rows = 1;

    for (int i = 0; i < p->fold; i++)
        rows *= p->dim[i];
    return rows;
}

static bool is_kernel(const struct param *p)
{
    return p->decay > 0;
}

static void add_matrix(struct maker *k, int param, const char *name,
                       const struct timm_name *row)
{
    const struct param *p = &k->params->param[param];
    const int64_t n = param_size(p), rows = rows_of(p);
    const int64_t size[] = { row->parts * (n / rows), rows };

    add(k, array_of(k, name, row->part == 0, 2, size), row->part * n, param, rows, 1,
        n / rows, false);
}

static void add_patches(struct maker *k, int param, const char *name)
{
    const struct param *p = &k->params->param[param];
    const int64_t size[]  = { p->dim[3], p->dim[2], p->dim[0], p->dim[1] };

    add(k, array_of(k, name, true, 4, size), 0, param, p->dim[0] * p->dim[1], p->dim[2],
        p->dim[3], false);
}

/* Biases, scales: one dimension; the class token and the probe keep their three. */
static void add_vector(struct maker *k, int param, const char *name,
                       const struct timm_name *row)
{
    const struct param *p = &k->params->param[param];
    const int64_t n       = param_size(p);
    const int64_t flat[]  = { row->parts * n };
    const bool is_flat    = p->dims < 3;

    add(k,
        array_of(k, name, row->part == 0, is_flat ? 1 : p->dims,
                 is_flat ? flat : p->dim),
        row->part * n, param, 1, 1, n, false);
}

/* timm's norms of queries and keys have a bias, ours none. */
static void add_zeros(struct maker *k, const char *weight, int64_t n)
{
    char name[PARAM_NAME];

    snprintf(name, sizeof name, "%.*sbias", (int)(strlen(weight) - strlen("weight")),
             weight);
    add(k, array_of(k, name, true, 1, &n), 0, NO_PARAM, 1, 1, n, true);
}

static void add_timm(struct maker *k, int param)
{
    const struct param *p = &k->params->param[param];
    char name[PARAM_NAME];
    const struct timm_name *row = timm_name(name, p);

    if (p->slot == SLOT_POS)
        add_positions(k, param, name);
    else if (p->slot == SLOT_PATCH)
        add_patches(k, param, name);
    else if (is_kernel(p))
        add_matrix(k, param, name, row);
    else
        add_vector(k, param, name, row);
    if (p->slot == SLOT_Q_SCALE || p->slot == SLOT_K_SCALE)
        add_zeros(k, name, param_size(p));
}

/* ---- all of it ------------------------------------------------------------------- */

/* Bring the pieces of an array together; their order stays. */
static void sort(struct map *m)
{
    struct map_piece *sorted = mem_new((size_t)m->pieces + 1, sizeof *sorted);
    int *next;

    m->first = mem_new((size_t)m->arrays + 1, sizeof *m->first);
    next     = mem_new((size_t)m->arrays + 1, sizeof *next);
    for (int i = 0; i < m->pieces; i++)
        m->first[m->piece[i].array + 1]++;
    for (int i = 0; i < m->arrays; i++)
        m->first[i + 1] += m->first[i];
    memcpy(next, m->first, (size_t)m->arrays * sizeof *next);
    for (int i = 0; i < m->pieces; i++)
        sorted[next[m->piece[i].array]++] = m->piece[i];
    mem_free(next);
    mem_free(m->piece);
    m->piece = sorted;
}

int map_make(struct map *m, const struct spec *s, const struct params *p,
             const struct style *style)
{
    struct maker k       = { m, s, p, style };
    const size_t at_most = 2 * (size_t)p->count + 2;

    if (style->is_timm && s->wiring != WIRING_SEQUENTIAL)
        return ERR(ERR_DATA,
                   "%s has parallel blocks: timm has none with this embedding and "
                   "these norms; take .npz",
                   s->name);
    *m       = (struct map){ 0 };
    m->array = mem_new(at_most, sizeof *m->array);
    m->piece = mem_new(at_most, sizeof *m->piece);
    for (int i = 0; i < p->count; i++) {
        const enum slot slot = p->param[i].slot;

        if (!style->has_head && (slot == SLOT_HEAD || slot == SLOT_HEAD_BIAS))
            continue;
        if (style->is_timm)
            add_timm(&k, i);
        else
            add_big_vision(&k, i);
    }
    sort(m);
    return 0;
}

void map_free(struct map *m)
{
    mem_free(m->array);
    mem_free(m->first);
    mem_free(m->piece);
    *m = (struct map){ 0 };
}

void map_turn(float *to, const float *from, int64_t a, int64_t b, int64_t c)
{
    enum { TILE = 32 };

    for (int64_t i0 = 0; i0 < a; i0 += TILE) {
        const int64_t i1 = i0 + TILE < a ? i0 + TILE : a;

        for (int64_t j = 0; j < b; j++) {
            for (int64_t k = 0; k < c; k++) {
                for (int64_t i = i0; i < i1; i++)
                    to[(k * b + j) * a + i] = from[(i * b + j) * c + k];
            }
        }
    }
}
