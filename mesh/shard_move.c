/* SPDX-License-Identifier: BSD-3-Clause */
/* The flights that gather and scatter groups over the data axis. */
#include "config.h"

#include "mesh/shard_impl.h"

/* ---- flights --------------------------------------------------------------------- */

/* What is put on 'later' from here on is done after all that 'earlier' holds. */
static void follow(struct dev_stream *later, struct dev_stream *earlier,
                   struct dev_event *e)
{
    dev_event_record(e, earlier);
    dev_event_wait(later, e);
}

/* What this rank owns of a group, in all of it. */
static struct mat own_place(const struct shard *sh, struct mat all, int group)
{
    const int64_t *cut = layout_cut(sh->layout, group);

    return mat_cols(all, cut[sh->layout->d], cut[sh->layout->d + 1]);
}

static struct flight_plan plan_of(struct shard *sh, enum traffic kind, struct mat all,
                                  int group)
{
    const enum dtype wire =
        traffic_grads_wire(dev_dtype(sh->dev), sh->mesh->has_narrow_grads);
    const struct shard_lane *lane = kind == PARAM_GATHER ? &sh->gathers : &sh->scatters;

    return (struct flight_plan){
        .mesh   = sh->mesh,
        .axis   = AXIS_DATA,
        .kind   = kind,
        .group  = 1 + group,
        .stream = lane->stream,
        .ready  = lane->ready,
        .x      = all,
        .cut    = layout_cut(sh->layout, group),
        .work =
            mat_of(&sh->work, wire, 1, (int64_t)(sh->work.bytes / dtype_size(wire))),
        .near      = sh->layout->near,
        .ring_most = HOPS_RING,
    };
}

/* ---- parameters ------------------------------------------------------------------ */

void shard_gather_start(struct shard *sh, int group)
{
    struct flight_plan plan;
    struct mat all;

    if (!layout_is_sharded(sh->layout, group) || !arena_take(&sh->params, group))
        return;
    all = shard_whole(sh, arena_room(&sh->params, group), dev_dtype(sh->dev), group);
    follow(sh->gathers.stream, sh->stream, sh->gathers.out);
    dev_copy(sh->gathers.stream, own_place(sh, all, group),
             shard_owned(sh, sh->param, group));
    plan = plan_of(sh, PARAM_GATHER, all, group);
    flight_start(&sh->gather, HOPS_GATHER, &plan);
    sh->gathering = group;
}

/* The planted fault: this rank's copy of what another one owns, a bit off. */
static void spoil_copy(struct shard *sh, int group)
{
    const int64_t *cut = layout_cut(sh->layout, group);
    const int64_t at   = sh->layout->d > 0 ? 0 : cut[1];
    const struct mat all =
        shard_whole(sh, arena_room(&sh->params, group), dev_dtype(sh->dev), group);
    unsigned char bytes[sizeof(double)] = { 0 };

    if (at == all.cols)
        return;
    dev_get(sh->stream, bytes, mat_cols(all, at, at + 1));
    bytes[0] ^= 1;
    dev_put(sh->stream, mat_cols(all, at, at + 1), bytes);
}

bool shard_is_here(const struct shard *sh, int group)
{
    return !layout_is_sharded(sh->layout, group) || arena_has(&sh->params, group);
}

bool shard_gather_finish(struct shard *sh, int group)
{
    if (sh->gathering != group)
        return false;
    dev_flush(sh->stream);
    flight_finish(&sh->gather);
    /* Messages have waited for this rank's own part, but muted ones have not. */
    follow(sh->stream, sh->gathers.stream, sh->gathers.home);
    sh->gathering = ARENA_FREE;
    if (sh->mesh->fault == FAULT_REPLICA)
        spoil_copy(sh, group);
    return true;
}

void shard_release(struct shard *sh, int group)
{
    arena_drop(&sh->params, group);
}

void shard_release_all(struct shard *sh)
{
    arena_drop_all(&sh->params);
    arena_drop_all(&sh->grads);
}

/* ---- gradients ------------------------------------------------------------------- */

void shard_micro(struct shard *sh, int micro, int micros)
{
    sh->is_first_micro = micro == 0;
    sh->is_last_micro  = micro == micros - 1;
}

bool shard_write(struct shard *sh, int group)
{
    if (!layout_is_sharded(sh->layout, group))
        return !sh->is_first_micro;
    arena_take(&sh->grads, group);
    return false;
}

static bool is_replicated(const struct shard *sh, int group)
{
    return group == sh->layout->groups - 1;
}

/* In place, over one axis, while the host waits: of the replicated group. */
static void sum_over(struct shard *sh, enum axis axis, int group)
{
    const enum dtype acc = dev_acc(sh->dev);
    const int64_t size   = sh->layout->size[group];
    const int ranks      = mesh_axis_size(sh->mesh, axis);

    if (ranks == 1 || size == 0)
        return;
    coll_allreduce(sh->mesh, axis, REDUCE, sh->stream, shard_owned(sh, sh->grad, group),
                   mat_of(&sh->work, acc, 1,
                          traffic_allreduce_room(size, dtype_size(acc), ranks)));
}

void shard_scatter_start(struct shard *sh, int group)
{
    const bool is_sharded = layout_is_sharded(sh->layout, group);
    const struct mat all =
        shard_whole(sh, shard_whole_grads(sh, group), dev_acc(sh->dev), group);
    struct flight_plan plan;

    if (sh->layout->D == 1 || is_replicated(sh, group) ||
        (!is_sharded && !sh->is_last_micro))
        return;
    follow(sh->scatters.stream, sh->stream, sh->scatters.out);
    plan = plan_of(sh, GRAD_SCATTER, all, group);
    flight_start(&sh->scatter, is_sharded ? HOPS_SCATTER : HOPS_SUM, &plan);
    sh->scattering = group;
}

/* What has come home of a sharded group goes to the sums that are owned. */
static void take_home(struct shard *sh, int group)
{
    const struct mat all =
        shard_whole(sh, shard_whole_grads(sh, group), dev_acc(sh->dev), group);
    const struct mat to = shard_owned(sh, sh->grad, group);

    if (sh->is_first_micro)
        dev_copy(sh->stream, to, own_place(sh, all, group));
    else
        dev_add(sh->stream, to, own_place(sh, all, group));
    arena_drop(&sh->grads, group);
}

void shard_scatter_finish(struct shard *sh, int group)
{
    if (is_replicated(sh, group) && sh->is_last_micro) {
        sum_over(sh, AXIS_MODEL, group);
        sum_over(sh, AXIS_DATA, group);
    }
    if (sh->scattering != group)
        return;
    dev_flush(sh->stream);
    flight_finish(&sh->scatter);
    follow(sh->stream, sh->scatters.stream, sh->scatters.home);
    sh->scattering = ARENA_FREE;
    if (layout_is_sharded(sh->layout, group))
        take_home(sh, group);
}
