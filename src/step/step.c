/* SPDX-License-Identifier: BSD-3-Clause */
/* A step, in order: the batch; forward; backward, which sums gradients over the data
 * axis on its way; one exchange of verdicts; the update.
 *
 * A verdict is what a rank tells all others once a step.  No rank leaves a step early:
 * whatever they must agree on is in the verdicts, which every rank puts together in
 * rank order, so that all get the same bits.
 */
#include "config.h"

#include "src/step/step.h"

#include "mesh/trace.h"
#include "src/base/clock.h"
#include "src/base/mem.h"
#include "src/dev/lap.h"
#include "src/step/batch.h"
#include "src/step/fault.h"
#include "src/step/replay.h"

#include <math.h>
#include <string.h>

const char *const stage_name[STAGES] = {
    [STAGE_INPUT] = "input", [STAGE_EMBED] = "embed",   [STAGE_BLOCKS] = "blocks",
    [STAGE_HEAD] = "head",   [STAGE_UPDATE] = "update",
};

/* What every rank tells all others at the end of a step. */
struct verdict {
    double loss;         /* of this row's images, what this rank's classes add to it */
    double norm_squared; /* of the tensors that this rank counts */
    double peak_logit;
    double is_stopping, is_save_due, is_written;
};

enum { VERDICT = sizeof(struct verdict) / sizeof(double) };

_Static_assert(sizeof(struct verdict) == TRAFFIC_VERDICT, "planned as it is sent");

struct step {
    struct vit *vit; /* borrowed, as is the next */
    struct optim *optim;
    struct batches *batches;
    int at;                  /* which of its two places the batch at hand is in */
    struct verdict *verdict; /* [ranks] */
    double *losses;          /* [micros], as the device has them */

    bool is_stopping, is_save_due, is_written;
    int64_t count;
    struct laps *laps; /* of the stages that are not the model's */

    /* What is recorded and played: a pass for each micro-batch, [micros], and the
     * update.  Where the update needs nothing of other ranks it is a part of the last
     * pass instead.
     */
    struct replay *pass, update;
    double seconds[STAGES];
};

/* ---- open and close -------------------------------------------------------------- */

/* Replay number 'number' of the step's. */
static struct replay replay_of(const struct step *s, int number)
{
    return (struct replay){ .dev    = vit_dev(s->vit),
                            .watch  = { vit_watch(s->vit), s->laps },
                            .number = number,
                            .is_cut = vit_mesh(s->vit)->size > 1 };
}

int step_open(struct step **step, struct vit *vit, struct optim *optim,
              struct data *data)
{
    struct step *made = mem_new(1, sizeof *made);
    const int micros  = vit_micros(vit);
    int rc;

    made->vit     = vit;
    made->optim   = optim;
    made->verdict = mem_new((size_t)vit_mesh(vit)->size, sizeof *made->verdict);
    made->losses  = mem_new((size_t)micros, sizeof *made->losses);
    laps_open(&made->laps, dev_stream(vit_dev(vit), LANE_COMPUTE), STAGES);

    made->pass   = mem_new((size_t)micros, sizeof *made->pass);
    made->update = replay_of(made, micros);
    for (int micro = 0; micro < micros; micro++)
        made->pass[micro] = replay_of(made, micro);

    rc = mesh_agree(vit_mesh(vit), batches_open(&made->batches, vit, data));
    if (rc != 0)
        step_close(&made);
    else
        *step = made;
    return rc;
}

void step_close(struct step **step)
{
    struct step *s = *step;

    if (s == NULL)
        return;
    batches_close(&s->batches);
    for (int micro = 0; micro < vit_micros(s->vit); micro++)
        replay_close(&s->pass[micro]);
    replay_close(&s->update);
    laps_close(&s->laps);
    mem_free(s->losses);
    mem_free(s->verdict);
    mem_free(s->pass);
    mem_free(s);
    *step = NULL;
}

/* ---- the batch ------------------------------------------------------------------- */

struct vit *step_vit(struct step *s)
{
    return s->vit;
}

struct mat step_images(struct step *s)
{
    return batches_images(s->batches, s->at);
}

struct mat step_targets(struct step *s)
{
    return batches_targets(s->batches, s->at);
}

static void next_batch(struct step *s, int micro)
{
    const double start = clock_now();

    laps_start(s->laps);
    batches_next(s->batches, s->count, micro);
    s->at = batches_at(s->batches);
    vit_micro(s->vit, micro);
    laps_take(s->laps, STAGE_INPUT);
    trace_passed(vit_mesh(s->vit), stage_name[STAGE_INPUT], 0, start);
}

double step_forward(struct step *s, struct data *data, int64_t number, int micro)
{
    batches_other(s->batches, data, number, micro);
    vit_micro(s->vit, micro);
    vit_forward(s->vit, step_images(s), step_targets(s));
    return vit_loss(s->vit);
}

/* ---- verdicts -------------------------------------------------------------------- */

/* What this rank has found, once the device has; zeros on a muted one. */
static struct verdict own_verdict(struct step *s)
{
    const struct mat losses = vit_losses(s->vit), peak = vit_peak_logit(s->vit);
    double highest                  = 0;
    struct verdict own              = { .is_stopping = s->is_stopping,
                                        .is_save_due = s->is_save_due,
                                        .is_written  = s->is_written };
    const struct dev_result found[] = {
        { s->losses, losses },
        { &own.norm_squared, optim_squares(s->optim) },
        { &highest, peak },
    };

    memset(s->losses, 0, (size_t)losses.cols * sizeof *s->losses);
    dev_get_all(dev_stream(vit_dev(s->vit), LANE_COMPUTE), found,
                (int)(sizeof found / sizeof found[0]));
    for (int64_t i = 0; i < losses.cols; i++)
        own.loss += dtype_load(losses.dtype, s->losses, i);
    own.peak_logit = dtype_load(peak.dtype, &highest, 0);
    return own;
}

/* Tell all ranks what this one has found, and make of everyone's the
 * result of the step.
 */
static void conclude(struct step *s, struct step_result *result)
{
    const struct verdict own = own_verdict(s);
    struct mesh *mesh        = vit_mesh(s->vit);
    double norm_squared      = 0;

    coll_host_gather(mesh, AXIS_ALL, (double *)s->verdict, (double *)&own, VERDICT);
    *result = (struct step_result){ .peak_logit = -INFINITY, .is_written = true };
    for (int i = 0; i < mesh->size; i++) {
        const struct verdict *v = &s->verdict[i];

        result->loss += v->loss;
        norm_squared += v->norm_squared;
        result->peak_logit = fmax(result->peak_logit, v->peak_logit);
        result->is_stopped |= v->is_stopping != 0;
        result->is_save_due |= v->is_save_due != 0;
        result->is_written &= v->is_written != 0;
    }
    result->grad_norm = sqrt(norm_squared);
    result->is_finite = isfinite(result->loss) && isfinite(result->grad_norm);
}

/* ---- the step -------------------------------------------------------------------- */

/* With the batch at hand, or another one that is in its place. */
static void put_pass(void *ctx, int which)
{
    struct step *s = ctx;
    const int at   = s->at;

    s->at = which;
    vit_forward(s->vit, step_images(s), step_targets(s));
    vit_backward(s->vit);
    s->at = at;
}

static void square_group(void *ctx, int group)
{
    struct step *s = ctx;

    optim_square_group(s->optim, group);
}

/* The last pass, and all that follows: squares of gradients are summed
 * as they are done.
 */
static void put_rest(void *ctx, int which)
{
    struct step *s = ctx;

    vit_tell(s->vit, square_group, s);
    put_pass(s, which);
    vit_tell(s->vit, NULL, NULL);
    laps_start(s->laps);
    optim_square(s->optim);
    optim_update_ahead(s->optim, vit_losses(s->vit));
    vit_updated(s->vit);
    laps_take(s->laps, STAGE_UPDATE);
}

/* The update of which the device has the numbers. */
static void put_update(void *ctx, int which)
{
    struct step *s = ctx;

    (void)which; /* there is one */
    optim_update_paced(s->optim);
    vit_updated(s->vit);
}

/* What the work of a step depends on, besides its batch: how products go together with
 * messages, and which of these there are.
 */
static uint64_t key_of(const struct step *s)
{
    const struct mesh *mesh = vit_mesh(s->vit);
    const struct cmm *cmm   = vit_cmm(s->vit);
    uint64_t key = (uint64_t)cmm_moves(cmm) * CMM_FORMS + (uint64_t)cmm_form_of(cmm);

    for (int kind = 0; kind < TRAFFIC_KINDS; kind++)
        key = 2 * key + mesh->is_muted[kind];
    return key;
}

/* A planted fault is found where operations are put on the stream, one by one. */
static bool is_played(const struct step *s)
{
    return vit_mesh(s->vit)->fault == FAULT_NONE;
}

/* Play 'work', or do it. */
static void play(struct step *s, struct replay *r, int which, replay_fn work)
{
    if (is_played(s))
        replay_run(r, which, key_of(s), work, s);
    else
        work(s, which);
}

/* All passes through the model, the last one by 'last'; played, if they may be. */
static void run_passes(struct step *s, replay_fn last, bool may_play)
{
    const int micros = vit_micros(s->vit);

    for (int micro = 0; micro < micros; micro++) {
        const replay_fn work = micro == micros - 1 ? last : put_pass;

        next_batch(s, micro);
        if (may_play)
            play(s, &s->pass[micro], s->at, work);
        else
            work(s, s->at);
        batches_ahead(s->batches, s->count, micro);
    }
}

/* The gradients' squares, and what all ranks say. */
static void settle(struct step *s, struct step_result *result)
{
    laps_start(s->laps);
    optim_square(s->optim);
    conclude(s, result);
    laps_take(s->laps, STAGE_UPDATE);
}

void step_gradients(struct step *s, struct step_result *result)
{
    run_passes(s, put_pass, false);
    settle(s, result);
}

/* Where no other rank is to be asked the update follows without waiting for the
 * loss and the norm, which the host reads when all is on its way.  Planted
 * faults need them before.
 */
static bool is_waitless(const struct step *s)
{
    return vit_mesh(s->vit)->size == 1 && is_played(s) && dev_has_pace(vit_dev(s->vit));
}

static void run_waitless(struct step *s, double schedule, struct step_result *result)
{
    optim_pace(s->optim, schedule);
    run_passes(s, put_rest, true);
    conclude(s, result);
    if (result->is_finite)
        optim_took(s->optim);
}

/* The update by a norm that the host knows. */
static void update(struct step *s, double norm, double schedule)
{
    if (!is_played(s) || !dev_has_pace(vit_dev(s->vit))) {
        optim_update(s->optim, norm, schedule);
        if (fault_spoil(s->vit, s->count))
            vit_changed(s->vit); /* the copies that the update has left are old */
        else
            vit_updated(s->vit);
        return;
    }
    optim_pace_clipped(s->optim, norm, schedule);
    play(s, &s->update, 0, put_update);
    optim_took(s->optim);
}

static void run_waiting(struct step *s, double schedule, struct step_result *result)
{
    const double before = dev_busy(vit_dev(s->vit));
    double start;

    run_passes(s, put_pass, true);
    start = clock_now();
    settle(s, result);
    if (result->is_finite)
        update(s, result->grad_norm, schedule);
    fault_dawdle(s->vit, s->optim, before);
    laps_take(s->laps, STAGE_UPDATE);
    trace_passed(vit_mesh(s->vit), stage_name[STAGE_UPDATE], 0, start);
}

void step_run(struct step *s, double schedule, struct step_result *result)
{
    s->update.tapes = 0;
    if (is_waitless(s))
        run_waitless(s, schedule, result);
    else
        run_waiting(s, schedule, result);
    s->count++;
}

void step_ask_stop(struct step *s)
{
    s->is_stopping = true;
}

void step_ask_save(struct step *s, bool is_due)
{
    s->is_save_due = is_due;
}

void step_say_written(struct step *s, bool is_written)
{
    s->is_written = is_written;
}

int step_tapes(const struct step *s)
{
    int tapes = s->update.tapes;

    for (int micro = 0; micro < vit_micros(s->vit); micro++)
        tapes += s->pass[micro].tapes;
    return tapes;
}

int64_t step_count(const struct step *s)
{
    return s->count;
}

void step_set_count(struct step *s, int64_t count)
{
    s->count = count;
}

/* ---- times ----------------------------------------------------------------------- */

const double *step_seconds(struct step *s)
{
    const double *part = vit_seconds(s->vit), *rest = laps_known(s->laps);

    s->seconds[STAGE_INPUT]  = rest[STAGE_INPUT];
    s->seconds[STAGE_EMBED]  = part[VIT_EMBED];
    s->seconds[STAGE_BLOCKS] = part[VIT_BLOCKS];
    s->seconds[STAGE_HEAD]   = part[VIT_HEAD];
    s->seconds[STAGE_UPDATE] = rest[STAGE_UPDATE];
    return s->seconds;
}

void step_reset_times(struct step *s)
{
    vit_reset_seconds(s->vit);
    laps_reset(s->laps);
}
