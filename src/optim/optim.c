/* SPDX-License-Identifier: BSD-3-Clause */
/* AdamW over the items of a layout.  The moments have the parameters' places, group by
 * group; what is updated, and what counts in the norm, is listed once at open.
 */
#include "config.h"

#include "src/optim/optim.h"

#include "src/base/err.h"
#include "src/base/mem.h"

struct optim {
    struct optim_options options;
    struct shard *shard; /* borrowed */
    struct dev_stream *stream;
    struct buf *mu, *nu;         /* a buffer a group, dev_acc() */
    struct buf sum;              /* [1, 1] f64 */
    struct dev_segment *segment; /* 'segments' of them: this rank's pieces */
    struct mat *counted;         /* gradients of the first pieces */
    int segments, counts;
    int64_t steps;
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

/* ---- open and close ---------------------------------------------------------------- */

static int alloc_moments(struct buf *b, const struct shard *sh, int group)
{
    const enum dtype acc = dev_acc(sh->dev);
    const int64_t size   = shard_own_size(sh, group);

    TRY(dev_alloc(b, sh->dev, (size_t)size * dtype_size(acc)));
    dev_fill(dev_stream(sh->dev, LANE_COMPUTE), mat_of(b, acc, 1, size), 0);
    return 0;
}

static int alloc_all(struct optim *o)
{
    for (int group = 0; group < o->shard->layout->groups; group++) {
        TRY(alloc_moments(&o->mu[group], o->shard, group));
        TRY(alloc_moments(&o->nu[group], o->shard, group));
    }
    return dev_alloc(&o->sum, o->shard->dev, sizeof(double));
}

static struct mat moment(const struct optim *o, struct buf *of, const struct item *it,
                         const struct piece *p)
{
    return (struct mat){ &of[it->group], dev_acc(o->shard->dev),
                         p->offset,      p->rows,
                         p->cols,        p->ld };
}

static double decay_of(const struct optim_options *o, const struct param *p)
{
    return o->decay * p->decay * (p->is_head ? o->head_decay : 1);
}

static void list_pieces(struct optim *o, const struct item *it)
{
    const struct shard *sh = o->shard;
    const struct layout *l = sh->layout;
    struct piece piece[LAYOUT_PIECES];
    const int pieces = layout_pieces(piece, l, it, l->d, l->m);

    for (int i = 0; i < pieces; i++) {
        const struct piece *p = &piece[i];
        const struct mat grad = shard_piece_grad(sh, it, p);

        o->segment[o->segments++] = (struct dev_segment){
            .param = shard_piece_param(sh, it, p),
            .grad  = grad,
            .mu    = moment(o, o->mu, it, p),
            .nu    = moment(o, o->nu, it, p),
            .decay = decay_of(&o->options, it->param),
        };
        if (p->is_first)
            o->counted[o->counts++] = grad;
    }
}

int optim_open(struct optim **optim, struct shard *shard,
               const struct optim_options *options)
{
    const struct layout *l = shard->layout;
    const size_t most      = (size_t)l->params.count * LAYOUT_PIECES;
    struct optim *o        = mem_new(1, sizeof *o);
    int rc;

    o->options = *options;
    o->shard   = shard;
    o->stream  = dev_stream(shard->dev, LANE_COMPUTE);
    o->mu      = mem_new((size_t)l->groups, sizeof *o->mu);
    o->nu      = mem_new((size_t)l->groups, sizeof *o->nu);
    o->segment = mem_new(most, sizeof *o->segment);
    o->counted = mem_new(most, sizeof *o->counted);
    for (int i = 0; i < l->params.count; i++)
        list_pieces(o, &l->item[i]);

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
    for (int group = 0; group < o->shard->layout->groups; group++) {
        dev_free(&o->mu[group]);
        dev_free(&o->nu[group]);
    }
    dev_free(&o->sum);
    mem_free(o->mu);
    mem_free(o->nu);
    mem_free(o->segment);
    mem_free(o->counted);
    mem_free(o);
    *optim = NULL;
}

/* ---- update ------------------------------------------------------------------------ */

double optim_norm_squared(struct optim *o)
{
    const struct mat sum = mat_of(&o->sum, DTYPE_F64, 1, 1);
    double value         = 0;

    dev_sum_squares(o->stream, sum, o->counted, o->counts);
    dev_get(o->stream, &value, sum);
    return value;
}

void optim_update(struct optim *o, double norm, double schedule)
{
    const struct optim_options *with = &o->options;
    const bool is_clipped            = with->clip > 0 && norm > with->clip;

    o->steps++;
    dev_adamw(o->stream, o->segment, o->segments,
              &(struct adamw){
                  .lr       = with->lr,
                  .beta1    = with->beta1,
                  .beta2    = with->beta2,
                  .eps      = with->eps,
                  .schedule = schedule,
                  .clip     = is_clipped ? with->clip / norm : 1,
                  .t        = o->steps,
              });
}

/* ---- its parts --------------------------------------------------------------------- */

int64_t optim_steps(const struct optim *o)
{
    return o->steps;
}

struct mat optim_mu(const struct optim *o, const struct item *it, const struct piece *p)
{
    return moment(o, o->mu, it, p);
}

struct mat optim_nu(const struct optim *o, const struct item *it, const struct piece *p)
{
    return moment(o, o->nu, it, p);
}
