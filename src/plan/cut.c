/* SPDX-License-Identifier: BSD-3-Clause */
/* Cuts, from the table of tensors: the same walk by slots as in param_group_elements().
 */
#include "config.h"

#include "src/plan/cut.h"

#include "src/base/err.h"
#include "src/plan/hops.h"

int64_t cut_rows_together(const struct param *p)
{
    int64_t rows = 1;

    for (int i = 2; i < p->fold; i++)
        rows *= p->dim[i];
    return rows;
}

/* Rows of a tensor's part as a matrix. */
static int64_t rows_of(const struct param *p, int M, int m)
{
    int64_t rows = 1;

    for (int i = 0; i < p->fold; i++)
        rows *= i == p->split ? range_size(param_range(p, M, m)) : p->dim[i];
    return rows;
}

/* And its columns. */
static int64_t cols_of(const struct param *p, int M, int m)
{
    int64_t cols = 1;

    for (int i = p->fold; i < p->dims; i++)
        cols *= i == p->split ? range_size(param_range(p, M, m)) : p->dim[i];
    return cols;
}

/* Add the slot whose first tensor is 'first' and that holds 'elements'. */
static void add_slot(struct cut *c, const struct param *first, int64_t elements, int M,
                     int m)
{
    const int64_t rows = rows_of(first, M, m);
    int64_t row        = rows > 0 ? elements / rows : 0;

    /* In this slot tensors lie one above the other, else side by side. */
    if (first->slot == SLOT_OUT)
        row = cols_of(first, M, m);
    row *= cut_rows_together(first);
    if (elements > 0) {
        if (c->slots == CUT_SLOTS)
            die("group %d has more than %d slots", first->group, CUT_SLOTS);
        c->slot[c->slots].offset = c->size;
        c->slot[c->slots].row    = row;
        c->slot[c->slots].rows   = elements / row;
        c->slots++;
    }
    c->size += param_round(elements);
}

void cut_make(struct cut *c, const struct params *p, int group, int M, int m)
{
    int next;

    c->size  = 0;
    c->slots = 0;
    for (int i = 0; i < p->count; i = next) {
        const struct param *first = &p->param[i];
        int64_t elements          = 0;

        for (next = i; next < p->count; next++) {
            if (!param_is_beside(first, &p->param[next]))
                break;
            elements += param_size_local(&p->param[next], M, m);
        }
        if (first->group == group)
            add_slot(c, first, elements, M, m);
    }
}

int64_t cut_at(const struct cut *c, int D, int d)
{
    const int64_t aim = c->size / D * d + c->size % D * d / D; /* the share's start */
    int i             = c->slots - 1;

    if (aim == 0 || d == D)
        return aim;
    while (i > 0 && c->slot[i].offset > aim)
        i--;

    const int64_t row  = c->slot[i].row;
    const int64_t rows = (aim - c->slot[i].offset + row - 1) / row;

    if (rows < c->slot[i].rows)
        return c->slot[i].offset + rows * row;
    return i + 1 < c->slots ? c->slot[i + 1].offset : c->size;
}

int64_t cut_place(const struct cut *c, bool is_sharded, int D, int d)
{
    return is_sharded ? cut_at(c, D, d) : split_start(c->size, D, d);
}

int64_t cut_room(const struct cut *c, bool is_sharded, int D, int near)
{
    const int stretch = hops_stretch(D, near, HOPS_RING);
    int64_t most      = 0;

    for (int d = 0; D > 1 && d < D; d += stretch) {
        const int end = d + stretch < D ? d + stretch : D;
        const int64_t size =
            cut_place(c, is_sharded, D, end) - cut_place(c, is_sharded, D, d);

        most = size > most ? size : most;
    }
    return most;
}
