/* SPDX-License-Identifier: BSD-3-Clause */
/* A step, in order: the batch, forward, backward (which sums gradients over the data
 * axis on its way), one exchange of verdicts, the update.
 *
 * Nothing in a step fails on one rank alone: what ranks must agree on rides in the
 * verdicts, which everyone adds up in rank order, so that all see the same bits.
 */
#include "config.h"

#include "src/step/step.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/data/feed.h"
#include "src/dev/lap.h"
#include "src/plan/act.h"
#include "src/step/fault.h"
#include "src/step/replay.h"

#include <math.h>

const char *const stage_name[STAGES] = {
    [STAGE_INPUT] = "input", [STAGE_EMBED] = "embed",   [STAGE_BLOCKS] = "blocks",
    [STAGE_HEAD] = "head",   [STAGE_UPDATE] = "update",
};

/* What every rank tells all others at the end of a step; traffic.c counts its bytes. */
struct verdict {
    double loss;         /* of this row's images, what this rank's classes add to it */
    double norm_squared; /* of the tensors that this rank counts */
    double peak_logit;
    double is_stopping, is_save_due, is_written;
};

enum { VERDICT = sizeof(struct verdict) / sizeof(double) };

/* A micro-batch on the device. */
struct batch {
    struct buf memory;
    struct act_table act; /* its places */
    int64_t step;         /* whose it is, sent ahead; -1: nobody's */
    int micro;
    struct dev_event *is_here; /* of what is sent ahead */
    struct dev_event *is_read; /* of what a pass has read */
};

struct step {
    struct vit *vit; /* borrowed, as is the next */
    struct optim *optim;
    struct feed *feed;

    struct local row;          /* of this rank's images, in all micro-batches */
    struct act_table host_act; /* of all of them */
    bool is_ahead;             /* the next micro-batch is sent while one computes */
    struct batch batch[2];     /* at hand, and ahead */
    int at;                    /* the one at hand */
    char *host;                /* of the row's batch as the source gives it */
    struct verdict *verdict;   /* [ranks] */

    bool is_stopping, is_save_due, is_written;
    int64_t count;
    struct laps *laps; /* of the stages that are not the model's */

    /* Of the pass of each micro-batch, [micros], the last one with the update where that
     * needs no other rank, and of the update where it does.
     */
    struct replay *pass, update;
    double seconds[STAGES];
};

/* ---- open and close ---------------------------------------------------------------- */

/* The first image of micro-batch 'micro' in the row's, and places for it in 'b'. */
static int64_t place_batch(struct batch *b, struct step *step, int micro)
{
    struct local l = step->row;

    spec_micro(&l, vit_spec(step->vit), vit_micros(step->vit), micro);
    act_make(&b->act, vit_spec(step->vit), &l, dev_dtype(vit_dev(step->vit)),
             vit_mesh(step->vit)->M, REMAT_NONE, 0, 0);
    return l.b.lo - step->row.b.lo;
}

/* A device whose memory is apart leaves the host free to bring the next images there. */
static int open_batches(struct step *step)
{
    struct dev *dev = vit_dev(step->vit);

    step->is_ahead = !dev_is_host(dev) && !dev_is_hollow(dev);
    for (int i = 0; i < 1 + step->is_ahead; i++) {
        struct batch *b = &step->batch[i];

        place_batch(b, step, 0); /* the largest */
        b->step = -1;
        TRY(dev_alloc(&b->memory, dev, (size_t)b->act.bytes[ACT_BATCH]));
        TRY(dev_event_open(&b->is_here, dev));
        TRY(dev_event_open(&b->is_read, dev));
    }
    return 0;
}

static int alloc_batch(struct step *step, const struct data *data)
{
    struct dev *dev       = vit_dev(step->vit);
    struct mesh *mesh     = vit_mesh(step->vit);
    const struct local *l = &step->row;
    void *host;

    vit_micro(step->vit, 0);
    spec_local(&step->row, vit_spec(step->vit), vit_batch(step->vit), mesh->D, mesh->M,
               mesh->d, mesh->m);
    act_make(&step->host_act, vit_spec(step->vit), l, dev_dtype(dev), mesh->M,
             REMAT_NONE, 0, 0);
    TRY(open_batches(step));
    TRY(mem_alloc(&host, (size_t)step->host_act.bytes[ACT_HOST]));
    step->host = host;
    return feed_open(&step->feed, data, mesh, vit_batch(step->vit), l->b, l->k,
                     dev_threads(dev), step->is_ahead);
}

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
    laps_open(&made->laps, dev_stream(vit_dev(vit), LANE_COMPUTE), STAGES);

    made->pass   = mem_new((size_t)micros, sizeof *made->pass);
    made->update = replay_of(made, micros);
    for (int micro = 0; micro < micros; micro++)
        made->pass[micro] = replay_of(made, micro);

    rc = mesh_agree(vit_mesh(vit), alloc_batch(made, data));
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
    feed_close(&s->feed);
    for (int micro = 0; micro < vit_micros(s->vit); micro++)
        replay_close(&s->pass[micro]);
    replay_close(&s->update);
    for (int i = 0; i < 2; i++) {
        dev_event_close(&s->batch[i].is_here);
        dev_event_close(&s->batch[i].is_read);
        dev_free(&s->batch[i].memory);
    }
    laps_close(&s->laps);
    mem_free(s->host);
    mem_free(s->verdict);
    mem_free(s->pass);
    mem_free(s);
    *step = NULL;
}

/* ---- the batch --------------------------------------------------------------------- */

static struct mat batch_mat(struct batch *b, enum act which)
{
    const struct act_place *p = &b->act.place[which];

    return mat_at(&b->memory, p->dtype, p->offset / (int64_t)dtype_size(p->dtype),
                  p->rows, p->cols);
}

struct vit *step_vit(struct step *s)
{
    return s->vit;
}

struct mat step_images(struct step *s)
{
    return batch_mat(&s->batch[s->at], BATCH_IMAGES);
}

struct mat step_targets(struct step *s)
{
    return batch_mat(&s->batch[s->at], BATCH_TARGETS);
}

/* The host's images or targets, of the row's image 'first' on. */
static float *host_part(struct step *s, enum act which, int64_t first)
{
    const struct act_place *p = &s->host_act.place[which];

    return (float *)(void *)(s->host + p->offset) + first * p->cols;
}

/* Host f32 to 'b', by way of f32 there if the run accumulates in something else. */
static void put(struct dev_stream *stream, struct batch *b, enum act which,
                const float *from)
{
    const struct mat to = batch_mat(b, which);

    if (to.dtype == DTYPE_F32) {
        dev_put(stream, to, from);
    } else {
        struct mat staged = batch_mat(b, BATCH_STAGED);

        staged.cols = staged.ld = to.cols;
        dev_put(stream, staged, from);
        dev_copy(stream, to, staged);
    }
}

/* The images of micro-batch 'micro' from the host to the device. */
static void to_device(struct step *s, struct batch *b, int micro, enum dev_lane lane)
{
    struct dev_stream *stream = dev_stream(vit_dev(s->vit), lane);
    const int64_t first       = place_batch(b, s, micro);

    put(stream, b, BATCH_IMAGES, host_part(s, HOST_IMAGES, first));
    put(stream, b, BATCH_TARGETS, host_part(s, HOST_TARGETS, first));
}

/* The same of step 'number'; the first micro-batch has the row's images made. */
static void make_batch(struct step *s, struct batch *b, int64_t number, int micro,
                       enum dev_lane lane)
{
    if (micro == 0)
        feed_batch(s->feed, host_part(s, HOST_IMAGES, 0), host_part(s, HOST_TARGETS, 0),
                   number);
    to_device(s, b, micro, lane);
}

/* Have the next micro-batch of this step at hand: it was sent ahead, or is made now. */
static void next_batch(struct step *s, int micro)
{
    struct dev_stream *stream = dev_stream(vit_dev(s->vit), LANE_COMPUTE);
    struct batch *ahead       = &s->batch[1 - s->at];

    laps_start(s->laps);
    if (s->is_ahead && ahead->step == s->count && ahead->micro == micro) {
        dev_event_wait(stream, ahead->is_here);
        ahead->step = -1;
        s->at       = 1 - s->at;
    } else {
        make_batch(s, &s->batch[s->at], s->count, micro, LANE_COMPUTE);
    }
    vit_micro(s->vit, micro);
    laps_take(s->laps, STAGE_INPUT);
}

/* While the device computes micro-batch 'micro', bring the one after it there, of the next
 * step after the last, once the images whose place it takes have been read.
 */
static void send_ahead(struct step *s, int micro)
{
    struct batch *b    = &s->batch[1 - s->at];
    const bool is_last = micro == vit_micros(s->vit) - 1;

    if (!s->is_ahead)
        return;
    dev_event_record(s->batch[s->at].is_read,
                     dev_stream(vit_dev(s->vit), LANE_COMPUTE));
    dev_event_wait(dev_stream(vit_dev(s->vit), LANE_GATHER), b->is_read);
    b->step  = s->count + is_last;
    b->micro = is_last ? 0 : micro + 1;
    make_batch(s, b, b->step, b->micro, LANE_GATHER);
    dev_event_record(b->is_here, dev_stream(vit_dev(s->vit), LANE_GATHER));
}

double step_forward(struct step *s, struct data *data, int64_t number, int micro)
{
    if (micro == 0)
        feed_once(host_part(s, HOST_IMAGES, 0), host_part(s, HOST_TARGETS, 0), data,
                  vit_mesh(s->vit), vit_batch(s->vit), number, s->row.b, s->row.k,
                  dev_threads(vit_dev(s->vit)));
    to_device(s, &s->batch[s->at], micro, LANE_COMPUTE);
    vit_micro(s->vit, micro);
    vit_forward(s->vit, step_images(s), step_targets(s));
    return vit_loss(s->vit);
}

/* ---- verdicts ---------------------------------------------------------------------- */

/* Tell all ranks what this one has found, once the device has, and make of everyone's the
 * result of the step.
 */
static void conclude(struct step *s, struct step_result *result)
{
    const struct verdict own = { .loss         = vit_own_loss(s->vit),
                                 .norm_squared = optim_norm_squared(s->optim),
                                 .peak_logit   = vit_peak_logit(s->vit),
                                 .is_stopping  = s->is_stopping,
                                 .is_save_due  = s->is_save_due,
                                 .is_written   = s->is_written };
    struct mesh *mesh        = vit_mesh(s->vit);
    double norm_squared      = 0;

    coll_host_gather(mesh, AXIS_ALL, REDUCE, (double *)s->verdict, (double *)&own,
                     VERDICT);
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

/* ---- the step ---------------------------------------------------------------------- */

static void pass(struct step *s)
{
    vit_forward(s->vit, step_images(s), step_targets(s));
    vit_backward(s->vit);
}

/* What is played: with the batch at hand, or another one that is in its place. */
static void put_pass(void *ctx, int which)
{
    struct step *s = ctx;
    const int at   = s->at;

    s->at = which;
    pass(s);
    s->at = at;
}

/* The last pass, and all that follows. */
static void put_rest(void *ctx, int which)
{
    struct step *s = ctx;

    put_pass(s, which);
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

/* All passes through the model, the last one by 'last'. */
static void run_passes(struct step *s, replay_fn last)
{
    const int micros = vit_micros(s->vit);

    for (int micro = 0; micro < micros; micro++) {
        next_batch(s, micro);
        play(s, &s->pass[micro], s->at, micro == micros - 1 ? last : put_pass);
        send_ahead(s, micro);
    }
}

/* The same operation by operation, and the gradients' squares. */
void step_gradients(struct step *s, struct step_result *result)
{
    for (int micro = 0; micro < vit_micros(s->vit); micro++) {
        next_batch(s, micro);
        pass(s);
        send_ahead(s, micro);
    }
    laps_start(s->laps);
    optim_square(s->optim);
    conclude(s, result);
    laps_take(s->laps, STAGE_UPDATE);
}

/* Where no other rank is to be asked the update follows without waiting for the loss and
 * the norm, which the host reads when all is on its way.  Planted faults need them before.
 */
static bool is_waitless(const struct step *s)
{
    return vit_mesh(s->vit)->size == 1 && is_played(s) && dev_has_pace(vit_dev(s->vit));
}

static void run_waitless(struct step *s, double schedule, struct step_result *result)
{
    optim_pace(s->optim, schedule);
    run_passes(s, put_rest);
    conclude(s, result);
    if (result->is_finite)
        optim_took(s->optim);
}

/* The update by a norm that the host knows. */
static void update(struct step *s, double norm, double schedule)
{
    if (!is_played(s) || !dev_has_pace(vit_dev(s->vit))) {
        optim_update(s->optim, norm, schedule);
        fault_spoil(s->vit, s->count);
        if (is_played(s))
            vit_updated(s->vit);
        else
            vit_changed(s->vit);
        return;
    }
    optim_pace_clipped(s->optim, norm, schedule);
    play(s, &s->update, 0, put_update);
    optim_took(s->optim);
}

static void run_waiting(struct step *s, double schedule, struct step_result *result)
{
    const double before = dev_busy(vit_dev(s->vit));

    run_passes(s, put_pass);
    laps_start(s->laps);
    optim_square(s->optim);
    conclude(s, result);
    laps_take(s->laps, STAGE_UPDATE);
    if (result->is_finite)
        update(s, result->grad_norm, schedule);
    fault_dawdle(s->vit, s->optim, before);
    laps_take(s->laps, STAGE_UPDATE);
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

/* ---- times ------------------------------------------------------------------------- */

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
