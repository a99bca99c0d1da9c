/* SPDX-License-Identifier: BSD-3-Clause */
/* The Adafactor of SoViT (big_vision's): second moments as averages over a
 * tensor's two largest axes (plan/factor.h), no clipping of updates, momentum in bf16
 * without bias correction.  It decays by beta1 itself: big_vision multiplies the
 * bf16 momentum in bf16, where 0.9 is 0.8984.
 *
 * Averages of one tensor are sums over all of its elements along an axis.  Each rank
 * adds the squares of its own pieces; where parameters are cut over the data axis the
 * sums are added over it; and those that run along the axis which is cut over the model
 * ranks are added over them:
 *
 *   sums       [ own | joint | joint means | means ]
 *              <- data axis ->
 *                      <--- model axis --->
 *
 * Then the sums become the factors that scale gradients, in place.  v holds the running
 * averages in the places of 'own' and 'joint'; every rank that has a part of a tensor
 * has all averages of this part.
 */
#include "config.h"

#include "src/optim/method.h"

#include "mesh/coll.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/plan/factor.h"

#include <math.h>

static const double eps = 1e-30;

/* Second moments decay by 1 - t^-0.8. */
static const double decay_rate = 0.8;

struct adafactor_own {
    struct factor_sizes sizes;
    struct buf v, sums, nu, work;
    struct factor *factor;        /* of every item of the layout */
    int64_t (*place)[2];          /* of every item's row and col in v and in sums */
    struct dev_factors *factors;  /* of every segment */
    struct dev_averages *average; /* 'averages' of them; rows of the last 'late' ones */
    int averages, late;           /*   are complete after the model axis' sum alone   */
};

/* ---- what is factored ------------------------------------------------------------ */

static bool is_whole(const struct param *p)
{
    struct factor f;

    factor_make(&f, p, 1, 0);
    return !f.is_factored;
}

static struct mat numbers(const struct optim *o, struct buf *of, int64_t place,
                          int64_t n)
{
    return mat_at(of, dev_acc(o->shard->dev), place, 1, n);
}

/* ---- open ------------------------------------------------------------------------ */

/* The averages of item 'i', from the places of its sums on. */
static void add_average(struct optim *o, int i, int64_t mean)
{
    struct adafactor_own *own = o->own;
    const struct factor *f    = &own->factor[i];
    const struct param *p     = o->shard->layout->item[i].param;
    const int64_t *place      = own->place[i];

    own->average[own->averages++] = (struct dev_averages){
        .row        = numbers(o, &own->sums, place[FACTOR_ROW], f->size[FACTOR_ROW]),
        .col        = numbers(o, &own->sums, place[FACTOR_COL], f->size[FACTOR_COL]),
        .v_row      = numbers(o, &own->v, place[FACTOR_ROW], f->size[FACTOR_ROW]),
        .v_col      = numbers(o, &own->v, place[FACTOR_COL], f->size[FACTOR_COL]),
        .mean       = numbers(o, &own->sums, mean, f->outer * f->inner),
        .row_count  = (double)p->dim[f->over[FACTOR_ROW]],
        .col_count  = (double)p->dim[f->over[FACTOR_COL]],
        .mean_count = (double)p->dim[f->over[FACTOR_COL]],
        .outer      = f->outer,
        .along      = f->along,
        .inner      = f->inner,
    };
}

/* Give every average its place, and list those whose rows 'are_late', or the others. */
static void lay_averages(struct optim *o)
{
    struct adafactor_own *own    = o->own;
    const struct factor_sizes *n = &own->sizes;
    const int items              = o->shard->layout->params.count;
    int64_t next[2]              = { 0, n->own }; /* own, joint */
    int64_t mean[2] = { n->own + n->joint + n->joint_means, n->own + n->joint };

    for (int i = 0; i < items; i++) {
        const struct factor *f = &own->factor[i];

        for (int which = FACTOR_ROW; f->is_factored && which <= FACTOR_COL; which++) {
            own->place[i][which] = next[f->is_joint[which]];
            next[f->is_joint[which]] += f->size[which];
        }
    }
    for (int are_late = 0; are_late < 2; are_late++) {
        for (int i = 0; i < items; i++) {
            const struct factor *f = &own->factor[i];

            if (!f->is_factored || f->is_joint[FACTOR_ROW] != (are_late != 0))
                continue;
            add_average(o, i, mean[f->is_joint[FACTOR_COL]]);
            mean[f->is_joint[FACTOR_COL]] += f->outer * f->inner;
            own->late += are_late;
        }
    }
}

/* Tell a segment, a piece of item 'i', where the averages of its elements are, or its
 * second moments: these lie one after the other from '*next' on.
 */
static void place_segment(struct optim *o, struct dev_segment *g, int i,
                          const struct piece *piece, int64_t *next)
{
    struct adafactor_own *own = o->own;
    const struct item *it     = &o->shard->layout->item[i];
    const struct param *p     = it->param;
    const struct factor *f    = &own->factor[i];
    struct dev_factors *to    = &own->factors[g - o->segment];
    int64_t row = own->place[i][FACTOR_ROW], col = own->place[i][FACTOR_COL];

    if (!f->is_factored) {
        g->nu = mat_at(&own->nu, dev_acc(o->shard->dev), *next, g->param.rows,
                       g->param.cols);
        *next += mat_size(g->param);
        return;
    }
    for (int axis = 0; axis < p->dims; axis++) {
        const int64_t start = axis == p->split ? it->part.lo : 0;
        const int64_t lo    = piece->lo[axis] - start;

        to->extent[axis]   = piece->hi[axis] - piece->lo[axis];
        to->row_step[axis] = f->step[FACTOR_ROW][axis];
        to->col_step[axis] = f->step[FACTOR_COL][axis];
        row += lo * to->row_step[axis];
        col += lo * to->col_step[axis];
    }
    g->factors = to;
    to->axes   = p->dims;
    to->fold   = p->fold;
    to->tensor = i;
    to->row    = numbers(o, &own->sums, row, 1);
    to->col    = numbers(o, &own->sums, col, 1);
}

static int alloc_own(struct optim *o, int64_t whole)
{
    struct adafactor_own *own    = o->own;
    const struct factor_sizes *n = &own->sizes;
    const struct layout *l       = o->shard->layout;
    const enum dtype acc         = dev_acc(o->shard->dev);
    const int64_t over_data      = l->is_sharded ? n->own + n->joint : 0;
    const int64_t over_model     = l->M > 1 ? n->joint + n->joint_means : 0;
    const size_t size            = dtype_size(acc);
    const int64_t data           = traffic_allreduce_room(over_data, size, l->D);
    const int64_t model          = traffic_allreduce_room(over_model, size, l->M);

    TRY(optim_alloc(&own->v, o, acc, n->own + n->joint));
    TRY(optim_alloc(&own->sums, o, acc, n->own + n->joint + n->joint_means + n->means));
    TRY(optim_alloc(&own->nu, o, acc, whole));
    return optim_alloc(&own->work, o, acc, data > model ? data : model);
}

static int adafactor_open(struct optim *o)
{
    struct adafactor_own *own = mem_new(1, sizeof *own);
    const struct layout *l    = o->shard->layout;
    const size_t items        = (size_t)l->params.count;
    int64_t whole             = 0;
    int segment               = 0;

    o->own       = own;
    own->factor  = mem_new(items, sizeof *own->factor);
    own->place   = mem_new(items, sizeof *own->place);
    own->average = mem_new(items, sizeof *own->average);
    own->factors = mem_new((size_t)o->segments, sizeof *own->factors);
    factor_sizes(&own->sizes, &l->params, l->M, l->m);
    for (int i = 0; i < l->params.count; i++)
        factor_make(&own->factor[i], l->item[i].param, l->M, l->m);
    lay_averages(o);
    for (int i = 0; i < l->params.count; i++) {
        struct piece piece[LAYOUT_PIECES];
        const int pieces = optim_pieces(piece, o, i);

        for (int k = 0; k < pieces; k++)
            place_segment(o, &o->segment[segment++], i, &piece[k], &whole);
    }
    return alloc_own(o, whole);
}

static void adafactor_close(struct optim *o)
{
    struct adafactor_own *own = o->own;

    if (own == NULL)
        return;
    dev_free(&own->v);
    dev_free(&own->sums);
    dev_free(&own->nu);
    dev_free(&own->work);
    mem_free(own->factor);
    mem_free(own->place);
    mem_free(own->average);
    mem_free(own->factors);
    mem_free(own);
    o->own = NULL;
}

/* ---- update ---------------------------------------------------------------------- */

static void sum_over(struct optim *o, enum axis axis, int64_t from, int64_t n)
{
    struct adafactor_own *own = o->own;
    const int ranks           = mesh_axis_size(o->shard->mesh, axis);
    const size_t size         = dtype_size(dev_acc(o->shard->dev));

    if (ranks > 1 && n > 0)
        coll_allreduce(
            o->shard->mesh, axis, REDUCE, o->stream, numbers(o, &own->sums, from, n),
            numbers(o, &own->work, 0, traffic_allreduce_room(n, size, ranks)));
}

static double beta2_of(const struct optim *o, int64_t t)
{
    return fmin(o->options.beta2, 1 - pow((double)t, -decay_rate));
}

static void update(struct optim *o, double clip, double schedule)
{
    struct adafactor_own *own    = o->own;
    const struct factor_sizes *n = &own->sizes;
    const int early              = own->averages - own->late;
    const struct adafactor with  = { .lr       = o->options.lr,
                                     .beta1    = o->options.beta1,
                                     .beta2    = beta2_of(o, o->steps),
                                     .eps      = eps,
                                     .schedule = schedule,
                                     .clip     = clip,
                                     .pace     = o->pace };

    dev_fill(o->stream, numbers(o, &own->sums, 0, n->own + n->joint), 0);
    dev_factor_sums(o->stream, o->segment, o->segments, &with);
    if (o->shard->layout->is_sharded)
        sum_over(o, AXIS_DATA, 0, n->own + n->joint);
    dev_factor_rows(o->stream, own->average, early, &with);
    sum_over(o, AXIS_MODEL, n->own, n->joint + n->joint_means);
    dev_factor_rows(o->stream, own->average + early, own->late, &with);
    dev_factor_scales(o->stream, own->average, own->averages, &with);
    dev_adafactor(o->stream, o->segment, o->segments, &with);
}

static void pace(double pace[PACES], const struct optim *o, double schedule)
{
    pace[PACE_RATE]  = schedule * o->options.lr;
    pace[PACE_FIRST] = beta2_of(o, o->steps + 1);
}

/* ---- state ----------------------------------------------------------------------- */

static struct mat view_nu(const struct dev_segment *g)
{
    return g->nu;
}

/* The averages 'which' of all factored tensors: one piece, that of the model rank.
 * Data ranks all have it, and all model ranks if it is joint.
 */
static int list_averages(struct optim_state *list, const struct optim *o, int which,
                         const char *kind)
{
    struct adafactor_own *own = o->own;
    const struct layout *l    = o->shard->layout;
    int count                 = 0;

    for (int i = 0; i < l->params.count; i++) {
        const struct item *it  = &l->item[i];
        const struct factor *f = &own->factor[i];
        struct optim_state *s  = &list[count];
        struct optim_piece *at = &s->piece[0];

        if (!f->is_factored)
            continue;
        *s = (struct optim_state){ .kind = kind, .param = it->param };
        for (int axis = 0; axis < it->param->dims; axis++) {
            const bool is_split = axis == it->param->split;

            if (axis == f->over[which])
                continue;
            s->dim[s->dims]   = it->param->dim[axis];
            at->lo[s->dims]   = is_split ? it->part.lo : 0;
            at->hi[s->dims++] = is_split ? it->part.hi : it->param->dim[axis];
        }
        at->at = numbers(o, &own->v, own->place[i][which], f->size[which]);
        at->is_first =
            l->d == 0 && (l->m == 0 || !(it->is_replicated || f->is_joint[which]));
        s->pieces = f->size[which] > 0;
        count++;
    }
    return count;
}

static int adafactor_list(struct optim_state *list, const struct optim *o)
{
    int count = list_averages(list, o, FACTOR_ROW, "v_row");

    count += list_averages(list + count, o, FACTOR_COL, "v_col");
    return count + optim_list_pieces(list + count, o, "v", is_whole, view_nu);
}

const struct optim_method optim_adafactor = {
    .name       = "adafactor",
    .is_mu_bf16 = true,
    .states     = 2,
    .open       = adafactor_open,
    .close      = adafactor_close,
    .list       = adafactor_list,
    .update     = update,
    .pace       = pace,
};
