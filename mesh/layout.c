/* SPDX-License-Identifier: BSD-3-Clause */
/* Groups, slots and items, made in one walk over the table of tensors.
 *
 * The tensors of a slot are neighbours in the table.  They lie side by side, as columns
 * of one product; those of SLOT_OUT lie one above the other, since it is their inputs
 * that lie side by side.
 */
#include "config.h"

#include "mesh/layout.h"

#include "src/base/err.h"
#include "src/base/mem.h"

/* ---- the table of places --------------------------------------------------------- */

/* The table of a group; the replicated group, the last one, has one for every block. */
static struct slot_place *place_at(const struct layout *l, int group, enum slot slot,
                                   int block)
{
    const int table = group < l->groups - 1 || block < 0 ? group : group + block;

    return &l->place[(int64_t)table * SLOT_COUNT + slot];
}

struct slot_place layout_slot(const struct layout *l, int group, enum slot slot,
                              int block)
{
    return *place_at(l, group, slot, block);
}

/* ---- parts ----------------------------------------------------------------------- */

/* The product of dimensions lo .. hi - 1. */
static int64_t dims_size(const struct param *p, int lo, int hi)
{
    int64_t size = 1;

    for (int i = lo; i < hi; i++)
        size *= p->dim[i];
    return size;
}

/* This rank's part of tensor 'p' as a matrix.  The dimension that is cut comes first
 * among the rows or among the columns, so that a part is a range of rows or of columns.
 */
static void cut(struct item *it, const struct param *p, int M, int m)
{
    const bool is_row = p->split >= 0 && p->split < p->fold;
    const int first   = is_row ? 0 : p->fold;

    it->param         = p;
    it->group         = p->group;
    it->slot          = p->slot;
    it->is_replicated = p->split < 0;
    it->part          = param_range(p, M, m);
    it->rows          = dims_size(p, 0, p->fold);
    it->cols          = dims_size(p, p->fold, p->dims);
    if (p->split < 0)
        return;
    if (dims_size(p, first, p->split) != 1)
        die("%s is cut inside its rows or columns", p->name);
    if (is_row)
        it->rows = range_size(it->part) * dims_size(p, p->split + 1, p->fold);
    else
        it->cols = range_size(it->part) * dims_size(p, p->split + 1, p->dims);
}

int64_t item_index(const struct item *it, int64_t r, int64_t c)
{
    const struct param *p = it->param;
    const int64_t cols    = dims_size(p, p->fold, p->dims);

    if (p->split >= p->fold)
        c += it->part.lo * dims_size(p, p->split + 1, p->dims);
    else if (p->split >= 0)
        r += it->part.lo * dims_size(p, p->split + 1, p->fold);
    return r * cols + c;
}

/* ---- what a rank owns ------------------------------------------------------------ */

bool layout_is_sharded(const struct layout *l, int group)
{
    return l->is_sharded && group < l->groups - 1;
}

const int64_t *layout_cut(const struct layout *l, int group)
{
    return group == GROUP_EMBED     ? l->cut[0]
           : group < l->groups - 2  ? l->cut[1]
           : group == l->groups - 2 ? l->cut[2]
                                    : NULL;
}

int64_t layout_own_size(const struct layout *l, int group, int d)
{
    const int64_t *cut = layout_cut(l, group);

    return layout_is_sharded(l, group) ? cut[d + 1] - cut[d] : l->size[group];
}

/* The rows of an item before element 'at' of its group. */
static int64_t rows_before(const struct layout *l, const struct item *it, int64_t at)
{
    const struct slot_place *slot = place_at(l, it->group, it->slot, it->param->block);
    const int64_t above = (it->offset - slot->offset) / it->ld; /* in the slot */
    const int64_t rows  = (at - slot->offset + it->ld - 1) / it->ld - above;

    if (at <= slot->offset || rows < 0)
        return 0;
    return rows < it->rows ? rows : it->rows;
}

/* Rows 'row' .. of an item as one box; 'first' and 'second' are its ranges of the first
 * two dimensions, where these are rows.
 */
static struct piece box(const struct item *it, int64_t row, int64_t rows,
                        struct range first, struct range second)
{
    const struct param *p = it->param;
    struct piece piece = { .row = row, .rows = rows, .cols = it->cols, .ld = it->ld };

    piece.offset = it->offset + row * it->ld;
    for (int i = 0; i < p->dims; i++) {
        piece.lo[i] = i == p->split ? it->part.lo : 0;
        piece.hi[i] = i == p->split ? it->part.hi : p->dim[i];
    }
    piece.lo[0] = p->fold > 0 ? first.lo : piece.lo[0];
    piece.hi[0] = p->fold > 0 ? first.hi : piece.hi[0];
    if (p->fold > 1) {
        piece.lo[1] = second.lo;
        piece.hi[1] = second.hi;
    }
    return piece;
}

/* Rows lo .. hi - 1 of an item as boxes.  With two dimensions of rows: what is left of
 * the first index, then whole ones, then the beginning of the last.
 */
static int boxes(struct piece *piece, const struct item *it, int64_t lo, int64_t hi)
{
    const struct param *p  = it->param;
    const int64_t together = cut_rows_together(p); /* rows of one second index */
    const int64_t inner    = p->fold > 1 ? p->dim[1] * together : 1;
    const int64_t start    = p->split == 0 ? it->part.lo : 0;
    const struct range all = { 0, p->fold > 1 ? p->dim[1] : 1 };
    int n                  = 0;

    while (lo < hi) {
        const int64_t at = lo / inner, from = lo % inner;
        int64_t to = hi;

        if (from == 0 && hi - lo >= inner) {
            to         = hi / inner * inner;
            piece[n++] = box(it, lo, to - lo,
                             (struct range){ start + at, start + to / inner }, all);
        } else {
            if (to > (at + 1) * inner)
                to = (at + 1) * inner;
            piece[n++] =
                box(it, lo, to - lo, (struct range){ start + at, start + at + 1 },
                    (struct range){ from / together, (from + to - lo) / together });
        }
        lo = to;
    }
    return n;
}

int layout_pieces(struct piece piece[LAYOUT_PIECES], const struct layout *l,
                  const struct item *it, int d, int m)
{
    const int64_t *cut    = layout_cut(l, it->group);
    const bool is_sharded = layout_is_sharded(l, it->group);
    int n;

    if (it->rows == 0 || it->cols == 0)
        return 0;
    if (is_sharded)
        n = boxes(piece, it, rows_before(l, it, cut[d]),
                  rows_before(l, it, cut[d + 1]));
    else
        n = boxes(piece, it, 0, it->rows);
    for (int i = 0; i < n; i++) {
        piece[i].offset -= is_sharded ? cut[d] : 0;
        piece[i].is_first = (is_sharded || d == 0) && (m == 0 || !it->is_replicated);
    }
    return n;
}

/* ---- the walk -------------------------------------------------------------------- */

/* Put the 'count' items of one slot together at the end of their group. */
static void lay_slot(struct layout *l, struct item *item, int count)
{
    const bool is_stacked = item->slot == SLOT_OUT;
    struct slot_place *at = place_at(l, item->group, item->slot, item->param->block);
    int64_t offset        = l->size[item->group];

    at->offset = offset;
    for (int i = 0; i < count; i++) {
        const int64_t along  = is_stacked ? item[i].rows : item[i].cols;
        const int64_t across = is_stacked ? item[i].cols : item[i].rows;
        int64_t *sum         = is_stacked ? &at->rows : &at->cols;
        int64_t *common      = is_stacked ? &at->cols : &at->rows;

        if (i > 0 && across != *common)
            die("%s does not fit beside its neighbours", item[i].param->name);
        *sum += along;
        *common = across;
    }
    for (int i = 0; i < count; i++) {
        item[i].offset = offset;
        item[i].ld     = at->cols;
        offset += is_stacked ? item[i].rows * at->cols : item[i].cols;
    }
    l->size[item->group] += param_round(at->rows * at->cols);
}

/* The cuts of three groups stand for all, since blocks are alike. */
static void make_cuts(struct layout *l, const struct spec *s, int near)
{
    const int group[] = { GROUP_EMBED, group_block(0), group_head(s) };

    for (int k = 0; k < 3; k++) {
        struct cut cut;
        int64_t room;

        l->cut[k] = mem_new((size_t)l->D + 1, sizeof *l->cut[k]);
        cut_make(&cut, &l->params, group[k], l->M, l->m);
        for (int d = 0; d <= l->D; d++)
            l->cut[k][d] = cut_place(&cut, l->is_sharded, l->D, d);
        room = cut_room(&cut, l->is_sharded, l->D, near);
        if (room > l->room)
            l->room = room;
    }
}

void layout_make(struct layout *l, const struct spec *s, enum head_init head,
                 enum param_shard shard, int D, int M, int near, int d, int m)
{
    int next;

    *l = (struct layout){ .groups     = group_count(s),
                          .blocks     = s->L,
                          .D          = D,
                          .M          = M,
                          .near       = near,
                          .d          = hops_part(d, D, near),
                          .m          = m,
                          .is_sharded = shard == SHARD_FULL && D > 1 };
    params_make(&l->params, s, head);
    l->item = mem_new((size_t)l->params.count, sizeof *l->item);
    l->size = mem_new((size_t)l->groups, sizeof *l->size);
    l->place =
        mem_new((size_t)(l->groups - 1 + l->blocks) * SLOT_COUNT, sizeof *l->place);
    for (int i = 0; i < l->params.count; i++)
        cut(&l->item[i], &l->params.param[i], M, m);
    for (int i = 0; i < l->params.count; i = next) {
        for (next = i + 1; next < l->params.count; next++) {
            if (!param_is_beside(&l->params.param[i], &l->params.param[next]))
                break;
        }
        lay_slot(l, &l->item[i], next - i);
    }
    make_cuts(l, s, near);
}

void layout_free(struct layout *l)
{
    params_free(&l->params);
    mem_free(l->item);
    mem_free(l->size);
    mem_free(l->place);
    for (int k = 0; k < 3; k++)
        mem_free(l->cut[k]);
    *l = (struct layout){ 0 };
}
