/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,4 */
/* Steps on one GPU: played from graphs they leave the same bits as steps that are put
 * on the stream one operation after the other, whatever changes between them, in
 * micro-batches and on several ranks too, and a tiny model that trains there follows
 * the curve of cpu:ref.
 *
 * The band of the curve.  On equal parameters losses differ by roundings, 2^-8 of what
 * is rounded in bf16; the parameters of two runs part by about a step's length where
 * small gradients have another sign, which moves the loss by as much as roundings do:
 * 1e-4 of it in f32 and 2 % in bf16 are asked of eight steps.
 */
#include "config.h"

#include "tests/model.h"
#include "tests/ranks.h"
#include "tests/twin.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/dev/lap.h"
#include "src/dev/reel.h"
#include "src/step/replay.h"

#include <math.h>
#include <string.h>

enum { STEPS = 8, GROWS = 2, SPOILED = 3, WIDE = 4, BACK = 5, PLAIN = 6, CROWDED = 7 };
enum { CURVE = 8 };
enum { LISTS = 1100 };

/* Sizes that tensor cores take, all kinds of layers. */
static struct model_options tiny(const char *device, enum dtype dtype,
                                 enum optimizer method, int D, int M)
{
    struct model_options o =
        model_odd(method == OPTIMIZER_SGD ? WIRING_PARALLEL : WIRING_SEQUENTIAL,
                  POOL_MAP, method == OPTIMIZER_SGD ? LOSS_SOFTMAX : LOSS_SIGMOID);

    o.form         = CMM_RING;
    o.D            = D;
    o.M            = M;
    o.spec.shape   = D * M > 1 ? "16/3/32/2" : "16/1/32/2";
    o.spec.image   = 8;
    o.spec.patch   = 4;
    o.spec.classes = 8;
    o.B            = 4;
    o.device       = device;
    o.dtype        = dtype;
    o.optim.method = method;
    o.optim.lr     = 3e-3;
    return o;
}

/* ---- played steps ---------------------------------------------------------------- */

/* What a run leaves: results of its steps, and all parameters after them. */
struct run {
    struct step_result result[STEPS];
    int played; /* steps */
    int tapes;  /* of the last one */
    double *param;
    int64_t size;
};

/* Let operations need more room than any before, so that it is made anew. */
static void grow(struct model *m, int64_t n)
{
    struct buf b;
    struct mat x;

    if (dev_alloc(&b, m->dev, (size_t)(n + n * n) * sizeof(float)) != 0)
        die("%s", err_sentence());
    x = mat_at(&b, DTYPE_F32, n, n, n);
    dev_fill(dev_stream(m->dev, LANE_COMPUTE), x, 1);
    dev_column_sums(dev_stream(m->dev, LANE_COMPUTE), mat_at(&b, DTYPE_F32, 0, 1, n), x,
                    false);
    dev_free(&b);
}

/* Let operations work from many other lists: those of steps are to stay. */
static void crowd(struct model *m)
{
    struct dev_stream *s = dev_stream(m->dev, LANE_COMPUTE);
    struct buf b;
    struct mat x, sum;

    if (dev_alloc(&b, m->dev, LISTS * sizeof(float) + sizeof(double)) != 0)
        die("%s", err_sentence());
    sum = mat_at(&b, DTYPE_F64, 0, 1, 1);
    x   = mat_at(&b, DTYPE_F32, 2, 1, LISTS);
    dev_fill(s, x, 1);
    for (int i = 1; i <= LISTS; i++) {
        const struct mat part = mat_cols(x, 0, i);

        dev_sum_squares(s, sum, &part, 1, false);
    }
    dev_free(&b);
}

/* A parameter that is no number: the loss of the step is none, and
 * nothing may change.
 */
static void spoil(struct model *m, struct step_result *r, double schedule)
{
    const struct item *it = vit_layout(m->vit)->item;
    struct piece piece[LAYOUT_PIECES];
    struct mat at;
    double *kept;

    if (layout_pieces(piece, vit_layout(m->vit), it, m->mesh->d, m->mesh->m) == 0) {
        step_run(m->step, schedule, r);
        return;
    }
    at   = shard_piece_param(vit_shard(m->vit), it, piece);
    kept = mem_new((size_t)mat_size(at), sizeof *kept);
    model_get(m, kept, at);
    dev_fill(dev_stream(m->dev, LANE_COMPUTE), at, NAN);
    vit_changed(m->vit);
    step_run(m->step, schedule, r);
    model_put(m, at, kept);
    vit_changed(m->vit);
    mem_free(kept);
}

static void get_all(struct run *run, struct model *m)
{
    const struct layout *l = vit_layout(m->vit);

    for (int pass = 0; pass < 2; pass++) {
        int64_t n = 0;

        for (int i = 0; i < l->params.count; i++) {
            struct piece piece[LAYOUT_PIECES];
            const int pieces = layout_pieces(piece, l, &l->item[i], l->d, l->m);

            for (int k = 0; k < pieces; k++) {
                const struct mat at =
                    shard_piece_param(vit_shard(m->vit), &l->item[i], &piece[k]);

                if (pass == 1)
                    model_get(m, run->param + n, at);
                n += mat_size(at);
            }
        }
        run->size = n;
        if (pass == 0)
            run->param = mem_new((size_t)n, sizeof *run->param);
    }
}

/* From here on the gradients of biases come with those of weights, as far as they can,
 * which timing may choose; what comes until it has updates nothing.
 */
static void bring_together(struct model *m)
{
    struct step_result first;
    struct dev_choice *choice;
    int count;

    dev_tune(m->dev, true);
    step_gradients(m->step, &first);
    dev_tune(m->dev, false);
    choice = dev_choices(m->dev, &count);
    for (int i = 0; i < count; i++)
        choice[i].way = strcmp(choice[i].way_name[1], "within") == 0;
}

static void take_steps(struct run *run, const struct model_options *o, bool is_within,
                       bool has_tapes)
{
    struct model m;

    *run = (struct run){ 0 };
    model_open(&m, o, MPI_COMM_WORLD);
    model_stir(&m);
    if (dev_manner(m.dev, false, !is_within, false) != 0)
        die("%s", err_sentence());
    if (is_within)
        bring_together(&m);
    if (dev_manner(m.dev, false, !is_within, has_tapes) != 0)
        die("%s", err_sentence());
    for (int s = 0; s < STEPS; s++) {
        const double schedule = 1.0 / (1 + s);

        if (s == GROWS)
            grow(&m, 200);
        if (s == CROWDED && o->D * o->M == 1 && o->micros == 2)
            crowd(&m);
        if (s == WIDE && o->M > 1) /* needs more room, which lies elsewhere */
            cmm_set_form(vit_cmm(m.vit), CMM_BIDIR);
        if (s == BACK && o->M > 1)
            cmm_set_form(vit_cmm(m.vit), CMM_RING);
        if (s == PLAIN && o->M > 1)
            cmm_set_form(vit_cmm(m.vit), CMM_PLAIN);
        if (s == SPOILED)
            spoil(&m, &run->result[s], schedule);
        else
            step_run(m.step, schedule, &run->result[s]);
        run->tapes = step_tapes(m.step);
        run->played += run->tapes > 0;
    }
    get_all(run, &m);
    model_close(&m);
}

static bool is_same(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static void compare(const struct model_options *o, bool is_within)
{
    const int D = o->D, M = o->M, micros = o->micros > 1 ? o->micros : 1;
    const char *name = optim_name(o->optim.method);
    struct run once, played;
    int wrong = 0, finite = 0;

    take_steps(&once, o, is_within, false);
    take_steps(&played, o, is_within, true);
    for (int s = 0; s < STEPS; s++) {
        const struct step_result *a = &once.result[s], *b = &played.result[s];

        wrong += !is_same(a->loss, b->loss) || !is_same(a->grad_norm, b->grad_norm) ||
                 !is_same(a->peak_logit, b->peak_logit);
        finite += b->is_finite && a->is_finite;
    }
    ok(once.played == 0 && played.played == STEPS - 1 - 3 * (M > 1),
       "%dx%d, %s, %d micro-batches: all steps are played but the first of a kind", D,
       M, name, micros);
    ok(D * M == 1 ? played.tapes == micros : played.tapes > 2 * micros, "%s",
       D * M == 1 ? "from one graph each" : "from graphs between messages");
    tap_note("%d graphs", played.tapes);
    ok(wrong == 0 && finite == STEPS - 1,
       "with the losses, norms and largest logits of steps that are not");
    if (!ok(memcmp(once.param, played.param, (size_t)once.size * sizeof *once.param) ==
                0,
            "and leave the same parameters"))
        for (int64_t i = 0; i < once.size; i++)
            if (once.param[i] != played.param[i]) {
                tap_note("number %lld: %.9g, played %.9g", (long long)i, once.param[i],
                         played.param[i]);
                break;
            }
    mem_free(once.param);
    mem_free(played.param);
}

/* With so many micro-batches and their parameters here or there. */
static void compare_with(enum optimizer method, int D, int M, int micros,
                         enum param_shard shard, enum remat remat)
{
    struct model_options o = tiny("cuda", DTYPE_F32, method, D, M);

    o.micros = micros;
    o.shard  = shard;
    o.remat  = remat;
    /* A GPU's algorithms are chosen anew in each run, and differ in bits. */
#ifdef CUDA_ON_HOST
    compare(&o, method == OPTIMIZER_ADAFACTOR && D > M);
#else
    compare(&o, false);
#endif
}

/* ---- the curve ------------------------------------------------------------------- */

static void train(double loss[CURVE], double norm[CURVE], const char *device,
                  enum dtype dtype)
{
    struct model_options o = tiny(device, dtype, OPTIMIZER_ADAMW, 1, 1);
    struct step_result r;
    struct model m;

    o.optim.lr = 1e-2;
    model_open(&m, &o, MPI_COMM_WORLD);
    if (dev_manner(m.dev, false, false, true) != 0)
        die("%s", err_sentence());
    for (int s = 0; s < CURVE; s++) {
        step_set_count(m.step, 0); /* the same batch, to be learnt */
        step_run(m.step, 1, &r);
        loss[s] = r.loss;
        norm[s] = r.grad_norm;
    }
    model_close(&m);
}

static void curve(enum dtype dtype, double band)
{
    double want[CURVE], got[CURVE], norm[CURVE], got_norm[CURVE], worst = 0;

    train(want, norm, "cpu:ref", DTYPE_F64);
    train(got, got_norm, "cuda", dtype);
    for (int s = 0; s < CURVE; s++)
        worst = tap_worse(worst, fabs(got[s] - want[s]) / want[0]);
    if (!ok(worst <= band && want[CURVE - 1] < 0.9 * want[0],
            "a tiny model in %s follows cpu:ref for %d steps", dtype_name(dtype),
            CURVE))
        tap_note("off by %g; losses %g to %g", worst, want[0], want[CURVE - 1]);
    if (!ok(fabs(got_norm[0] / norm[0] - 1) <= band,
            "and its first gradients have the norm of those of cpu:ref"))
        tap_note("%g, not %g", got_norm[0], norm[0]);
}

/* ---- the host goes on ------------------------------------------------------------ */

struct sum {
    struct dev_stream *s;
    struct laps *watch[REPLAY_WATCHES];
    struct mat x, y;
};

static void put_sums(void *ctx, int which)
{
    struct sum *w = ctx;

    (void)which;
    laps_start(w->watch[0]);
    for (int i = 0; i < 8; i++)
        dev_add(w->s, w->y, w->x);
    laps_take(w->watch[0], 0);
}

/* How often an event must be asked for until it is past: the emulated GPU
 * does one piece of work for each question, so that a work that was waited
 * for needs no more than one.
 */
static int questions(struct dev_event *e)
{
    int asked = 0;

    while (!dev_event_is_done(e))
        asked++;
    return asked;
}

/* Work is put on the stream and left alone, whether or not anybody asks how long it
 * took the last time.
 */
static void no_waiting(void)
{
    enum { TIMES = 5 };
    struct twins pair, *two = &pair;
    struct dev_event *past;
    struct replay r = { .number = 0 };
    struct sum w;
    int fewest = 1 << 20;

    twins_open(two, "cuda", DTYPE_F32, 1);
    if (dev_manner(two->got, false, false, true) != 0 ||
        dev_event_open(&past, two->got) != 0)
        die("%s", err_sentence());
    w.x = twin_random(two, 64, 64, 1.0).got;
    w.y = twin_random(two, 64, 64, 1.0).got;
    w.s = twin_stream(two, 1);
    for (int i = 0; i < REPLAY_WATCHES; i++) {
        laps_open(&w.watch[i], w.s, 1);
        r.watch[i] = w.watch[i];
    }
    r.dev = two->got;
    for (int i = 0; i < TIMES; i++) {
        dev_sync(w.s);
        replay_run(&r, 0, 1, put_sums, &w);
        dev_event_record(past, w.s);

        const int asked = questions(past);

        fewest = asked < fewest ? asked : fewest;
    }
    ok(r.tapes == 1 && laps_all(w.watch[0])[0] > 0, "sums are played, and timed");
#ifdef CUDA_ON_HOST
    if (!ok(fewest > 8, "and nobody waits for them when they are put on the stream"))
        tap_note("%d questions", fewest);
#endif
    replay_close(&r);
    for (int i = 0; i < REPLAY_WATCHES; i++)
        laps_close(&w.watch[i]);
    dev_event_close(&past);
    twins_close(two);
}

/* ---- parts ----------------------------------------------------------------------- */

/* On the compute stream y += x as often as makes a tape. */
static void add_thrice(struct dev_stream *s, struct mat y, struct mat x)
{
    for (int i = 0; i < REEL_LEAST; i++)
        dev_add(s, y, x);
}

/* What is recorded in parts, between which the host reads and writes, another stream
 * works, and events are recorded and asked for: what x holds is another each time.
 */
static void parts(void)
{
    enum { TIMES = 3, MOST = 1 << 16 };
    struct twins pair, *two = &pair;
    struct dev_reel *reel = NULL;
    struct dev_stream *s, *side;
    struct dev_event *past;
    struct mat x, y, z, w;
    bool is_right = true;

    twins_open(two, "cuda", DTYPE_F32, 1);
    if (dev_manner(two->got, false, false, true) != 0 ||
        dev_event_open(&past, two->got) != 0)
        die("%s", err_sentence());
    x    = twin_random(two, 1, 1, 1.0).got;
    y    = twin_random(two, 1, 1, 1.0).got;
    z    = twin_random(two, 1, 1, 1.0).got;
    w    = twin_random(two, 1, 1, 1.0).got;
    s    = twin_stream(two, 1);
    side = dev_stream(two->got, LANE_SIDE);
    for (int t = 1; t <= TIMES; t++) {
        const float first = (float)t, second = (float)(10 * t);
        float three, most, twice, all;
        int asked = 0;

        dev_put(s, x, &first);
        dev_reel_start(&reel, s);
        dev_fill(s, y, 0.0);
        dev_fill(s, z, 0.0);
        add_thrice(s, y, x);
        dev_get(s, &three, y);
        add_thrice(s, y, x);
        dev_put(s, x, &second);
        add_thrice(s, y, x);
        dev_join(side, s);
        dev_add(side, z, y);
        add_thrice(s, w, x); /* beside that */
        dev_join(s, side);
        add_thrice(s, y, z);
        dev_event_record(past, s);
        add_thrice(s, y, x);
        dev_event_wait(s, past);
        add_thrice(s, y, x);
        dev_event_sync(past);
        add_thrice(s, y, x);
        while (!dev_event_is_done(past) && asked < MOST)
            asked++;
        dev_get(s, &most, y);
        dev_reel_stop(s);
        dev_get(s, &twice, z);
        dev_get(s, &all, y);
        is_right &= three == 3 * first && twice == 6 * first + 3 * second &&
                    most == 4 * twice + 9 * second && all == most && asked < MOST;
    }
    ok(is_right && dev_reel_tapes(reel) == 8,
       "parts between which others work are played as they were recorded");
    tap_note("%d graphs", dev_reel_tapes(reel));
    dev_reel_close(&reel);
    dev_event_close(&past);
    twins_close(two);
}

/* ---- pictures -------------------------------------------------------------------- */

/* A batch that was not brought ahead is made on the stream that computes, and the next
 * micro-batch of the same pictures on another: in the room that both of them have.
 */
static void pictures(void)
{
    const struct data_options from = { .image = 8, .classes = 8, .seed = 1 };
    struct model_options o         = tiny("cuda", DTYPE_F32, OPTIMIZER_ADAMW, 1, 1);
    struct step_result first, again;
    struct data *data;
    struct step *step;
    struct model m;

    o.micros = 2;
    model_open(&m, &o, MPI_COMM_WORLD);
    if (data_open_fractal(&data, &from) != 0 ||
        step_open(&step, m.vit, m.optim, data) != 0)
        die("%s", err_sentence());
    step_gradients(step, &first);
    step_gradients(step, &again);
    ok(first.is_finite && is_same(first.loss, again.loss) &&
           is_same(first.grad_norm, again.grad_norm),
       "pictures of a step are the same when it is done again");
    step_close(&step);
    data_close(&data);
    model_close(&m);
}

/* A tape that is recorded anew has the marks of its last recording alone. */
static void marks(void)
{
    enum { MANY = 100 }; /* more than there is room for */
    struct dev *dev;
    struct laps *w;

    if (dev_open(&dev, "cuda", DTYPE_F32, 1) != 0)
        die("%s", err_sentence());
    laps_open(&w, dev_stream(dev, LANE_COMPUTE), 1);
    for (int i = 0; i < MANY; i++) {
        laps_tape_start(w, 0);
        laps_start(w);
        laps_take(w, 0);
        laps_tape_stop(w);
    }
    laps_play(w, 0);
    ok(laps_all(w)[0] > 0, "a tape that was recorded again has its last marks");
    laps_close(&w);
    dev_close(&dev);
}

int main(int argc, char **argv)
{
    const int size = ranks_open(&argc, &argv, "t502-graph");

    if (!twins_can("cuda", DTYPE_F32)) {
        tap_skip("cuda", "there is no GPU, or no CUDA in this build");
        return ranks_done();
    }
    if (size == 2) {
        compare_with(OPTIMIZER_ADAMW, 2, 1, 2, SHARD_FULL, REMAT_BLOCK);
        compare_with(OPTIMIZER_ADAFACTOR, 2, 1, 2, SHARD_NONE, REMAT_NONE);
        compare_with(OPTIMIZER_SGD, 1, 2, 1, SHARD_NONE, REMAT_NONE);
        compare_with(OPTIMIZER_ADAMW, 1, 2, 3, SHARD_NONE, REMAT_BLOCK);
    }
    if (size == 4) {
        compare_with(OPTIMIZER_ADAFACTOR, 2, 2, 1, SHARD_FULL, REMAT_NONE);
        compare_with(OPTIMIZER_ADAMW, 2, 2, 2, SHARD_FULL, REMAT_NONE);
    }
    if (size > 1)
        return ranks_done();
    for (int i = 0; i < OPTIMIZERS; i++)
        compare_with((enum optimizer)i, 1, 1, 1, SHARD_NONE, REMAT_NONE);
    compare_with(OPTIMIZER_ADAMW, 1, 1, 3, SHARD_NONE, REMAT_BLOCK);
    compare_with(OPTIMIZER_SGD, 1, 1, 2, SHARD_NONE, REMAT_NONE);
    no_waiting();
    parts();
    marks();
    pictures();
    curve(DTYPE_F32, 1e-4);
    curve(DTYPE_BF16, 2e-2);
    return ranks_done();
}
