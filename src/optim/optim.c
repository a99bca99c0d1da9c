/* SPDX-License-Identifier: BSD-3-Clause */
/* What all methods have in common: moments in the parameters' places, group by group;
 * what is updated, and what counts in the norm, is listed once at open.
 */
#include "config.h"

#include "src/optim/method.h"

#include "src/base/err.h"
#include "src/base/mem.h"

#include <string.h>

static const struct optim_method *const methods[OPTIMIZERS] = {
    [OPTIMIZER_ADAMW]     = &optim_adamw,
    [OPTIMIZER_ADAFACTOR] = &optim_adafactor,
    [OPTIMIZER_SGD]       = &optim_sgd,
};

struct optim_options optim_defaults(void)
{
    return (struct optim_options){
        .lr         = 8e-4,
        .beta1      = 0.9,
        .beta2      = 0.999,
        .eps        = 1e-8,
        .decay      = 0.03,
        .head_decay = 1,
        .clip       = 1,
    };
}

const char *optim_name(enum optimizer method)
{
    return methods[method]->name;
}

/* ---- open and close -------------------------------------------------------------- */

int optim_alloc(struct buf *b, const struct optim *o, enum dtype dtype, int64_t size)
{
    TRY(dev_alloc(b, o->shard->dev, (size_t)size * dtype_size(dtype)));
    dev_fill(o->stream, mat_of(b, dtype, 1, size), 0);
    return 0;
}

static enum dtype mu_dtype(const struct optim *o)
{
    return o->method->is_mu_bf16 ? DTYPE_BF16 : dev_acc(o->shard->dev);
}

static int alloc_all(struct optim *o)
{
    for (int group = 0; group < o->shard->layout->groups; group++) {
        const int64_t size = shard_own_size(o->shard, group);

        TRY(optim_alloc(&o->mu[group], o, mu_dtype(o), size));
        if (o->method->has_nu)
            TRY(optim_alloc(&o->nu[group], o, dev_acc(o->shard->dev), size));
    }
    TRY(dev_alloc(&o->sum, o->shard->dev, sizeof(double)));
    if (dev_has_pace(o->shard->dev))
        TRY(dev_alloc(&o->pacing, o->shard->dev, PACES * sizeof(double)));
    return o->method->open != NULL ? o->method->open(o) : 0;
}

static struct mat moment(struct buf *of, enum dtype dtype, const struct item *it,
                         const struct piece *p)
{
    return (struct mat){ &of[it->group], dtype, p->offset, p->rows, p->cols, p->ld };
}

static double decay_of(const struct optim_options *o, const struct param *p)
{
    return o->decay * p->decay * (p->is_head ? o->head_decay : 1);
}

int optim_pieces(struct piece piece[LAYOUT_PIECES], const struct optim *o, int i)
{
    const struct layout *l = o->shard->layout;

    return layout_pieces(piece, l, &l->item[i], l->d, l->m);
}

static void list_pieces(struct optim *o, int i)
{
    const struct shard *sh = o->shard;
    const struct item *it  = &sh->layout->item[i];
    struct piece piece[LAYOUT_PIECES];
    const int pieces = optim_pieces(piece, o, i);

    for (int k = 0; k < pieces; k++) {
        const struct piece *p = &piece[k];
        struct dev_segment *g = &o->segment[o->segments++];

        *g = (struct dev_segment){
            .param = shard_piece_param(sh, it, p),
            .grad  = shard_piece_grad(sh, it, p),
            .mu    = moment(o->mu, mu_dtype(o), it, p),
            .decay = decay_of(&o->options, it->param),
        };
        if (o->method->has_nu)
            g->nu = moment(o->nu, dev_acc(sh->dev), it, p);
        if (dev_has_copies(sh->dev))
            g->copy = shard_piece_copy(sh, it, p);
        if (p->is_first) {
            o->group_of[o->counts]  = it->group;
            o->counted[o->counts++] = g->grad;
        }
    }
}

static int count_pieces(const struct optim *o)
{
    struct piece piece[LAYOUT_PIECES];
    int count = 0;

    for (int i = 0; i < o->shard->layout->params.count; i++)
        count += optim_pieces(piece, o, i);
    return count;
}

int optim_open(struct optim **optim, struct shard *shard,
               const struct optim_options *options)
{
    const struct layout *l = shard->layout;
    struct optim *o        = mem_new(1, sizeof *o);
    size_t most;
    int rc;

    o->options    = *options;
    o->method     = methods[options->method];
    o->shard      = shard;
    o->stream     = dev_stream(shard->dev, LANE_COMPUTE);
    most          = (size_t)count_pieces(o);
    o->mu         = mem_new((size_t)l->groups, sizeof *o->mu);
    o->nu         = mem_new((size_t)l->groups, sizeof *o->nu);
    o->segment    = mem_new(most, sizeof *o->segment);
    o->counted    = mem_new(most, sizeof *o->counted);
    o->group_of   = mem_new(most, sizeof *o->group_of);
    o->some       = mem_new(most, sizeof *o->some);
    o->is_squared = mem_new((size_t)l->groups, sizeof *o->is_squared);
    for (int i = 0; i < l->params.count; i++)
        list_pieces(o, i);

    rc = alloc_all(o);
    if (rc != 0) {
        optim_close(&o);
        return rc;
    }
    *optim = o;
    return 0;
}

void optim_close(struct optim **optim)
{
    struct optim *o = *optim;

    if (o == NULL)
        return;
    if (o->method->close != NULL)
        o->method->close(o);
    for (int group = 0; group < o->shard->layout->groups; group++) {
        dev_free(&o->mu[group]);
        dev_free(&o->nu[group]);
    }
    dev_free(&o->sum);
    dev_free(&o->pacing);
    mem_free(o->mu);
    mem_free(o->nu);
    mem_free(o->segment);
    mem_free(o->counted);
    mem_free(o->group_of);
    mem_free(o->some);
    mem_free(o->is_squared);
    mem_free(o);
    *optim = NULL;
}

/* ---- update ---------------------------------------------------------------------- */

struct mat optim_squares(const struct optim *o)
{
    struct optim *of = (struct optim *)o; /* views of a const state are for reading */

    return mat_of(&of->sum, DTYPE_F64, 1, 1);
}

/* Put what is counted of 'group', or (-1) of all that were not ahead, in o->some.
 * Returns how many.
 */
static int list_some(struct optim *o, int group)
{
    int count = 0;

    for (int i = 0; i < o->counts; i++)
        if (group < 0 ? !o->is_squared[o->group_of[i]] : o->group_of[i] == group)
            o->some[count++] = o->counted[i];
    return count;
}

void optim_square_group(struct optim *o, int group)
{
    struct dev *dev = o->shard->dev;
    struct dev_stream *side;

    if (!dev_has_side(dev))
        return;
    side = dev_stream(dev, LANE_SIDE);
    dev_join(side, o->stream);
    dev_sum_squares(side, optim_squares(o), o->some, list_some(o, group),
                    o->has_squares);
    o->is_squared[group] = true;
    o->has_squares       = true;
}

void optim_square(struct optim *o)
{
    if (o->has_squares)
        dev_join(o->stream, dev_stream(o->shard->dev, LANE_SIDE));
    dev_sum_squares(o->stream, optim_squares(o), o->some, list_some(o, -1),
                    o->has_squares);
    for (int group = 0; group < o->shard->layout->groups; group++)
        o->is_squared[group] = false;
    o->has_squares = false;
}

/* What gradients of this norm are scaled by. */
static double clip_of(const struct optim *o, double norm)
{
    const double most = o->options.clip;

    return most > 0 && norm > most ? most / norm : 1;
}

void optim_update(struct optim *o, double norm, double schedule)
{
    o->steps++;
    o->method->update(o, clip_of(o, norm), schedule);
}

static struct mat pace_of(struct optim *o)
{
    return mat_of(&o->pacing, DTYPE_F64, 1, PACES);
}

void optim_pace(struct optim *o, double schedule)
{
    double pace[PACES] = { 0 };

    o->method->pace(pace, o, schedule);
    dev_put(o->stream, mat_cols(pace_of(o), PACE_CLIP + 1, PACES),
            pace + PACE_CLIP + 1);
}

void optim_update_ahead(struct optim *o, struct mat losses)
{
    dev_clip(o->stream, mat_cols(pace_of(o), PACE_CLIP, PACE_CLIP + 1),
             optim_squares(o), losses, o->options.clip);
    optim_update_paced(o);
}

void optim_pace_clipped(struct optim *o, double norm, double schedule)
{
    double pace[PACES] = { 0 };

    pace[PACE_CLIP] = clip_of(o, norm);
    o->method->pace(pace, o, schedule);
    dev_put(o->stream, pace_of(o), pace);
}

void optim_update_paced(struct optim *o)
{
    o->pace = pace_of(o);
    o->method->update(o, 1, 1);
    o->pace = mat_none();
}

void optim_took(struct optim *o)
{
    o->steps++;
}

int64_t optim_steps(const struct optim *o)
{
    return o->steps;
}

void optim_set_steps(struct optim *o, int64_t steps)
{
    o->steps = steps;
}

/* ---- its state ------------------------------------------------------------------- */

int optim_list_pieces(struct optim_state *list, const struct optim *o, const char *kind,
                      bool (*is_kept)(const struct param *p), optim_view_fn view)
{
    const struct params *params = &o->shard->layout->params;
    int count = 0, next = 0;

    for (int i = 0; i < params->count; i++) {
        const struct param *p = &params->param[i];
        struct optim_state *s = &list[count];
        struct piece piece[LAYOUT_PIECES];
        const int pieces = optim_pieces(piece, o, i), first = next;

        next += pieces;
        if (is_kept != NULL && !is_kept(p))
            continue;
        *s = (struct optim_state){
            .kind = kind, .param = p, .dims = p->dims, .fold = p->fold, .pieces = pieces
        };
        memcpy(s->dim, p->dim, sizeof s->dim);
        for (int k = 0; k < pieces; k++) {
            s->piece[k] = (struct optim_piece){ .at = view(&o->segment[first + k]),
                                                .is_first = piece[k].is_first };
            memcpy(s->piece[k].lo, piece[k].lo, sizeof piece[k].lo);
            memcpy(s->piece[k].hi, piece[k].hi, sizeof piece[k].hi);
        }
        count++;
    }
    return count;
}

static struct mat view_mu(const struct dev_segment *g)
{
    return g->mu;
}

static struct mat view_nu(const struct dev_segment *g)
{
    return g->nu;
}

int optim_states(struct optim_state **list, const struct optim *o)
{
    const int most = 1 + o->method->has_nu + o->method->states;
    struct optim_state *all =
        mem_new((size_t)o->shard->layout->params.count * (size_t)most, sizeof *all);
    int count = optim_list_pieces(all, o, "mu", NULL, view_mu);

    if (o->method->has_nu)
        count += optim_list_pieces(all + count, o, "nu", NULL, view_nu);
    if (o->method->list != NULL)
        count += o->method->list(all + count, o);
    *list = all;
    return count;
}
