/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,4 */
/* A step by what it says and costs: it learns, its messages, bytes and memory are those
 * that were planned, its verdicts reach everyone, and planted faults show.
 */
#include "config.h"

#include "tests/model.h"
#include "tests/ranks.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/dev/dev_impl.h"
#include "src/plan/act.h"
#include "src/plan/predict.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- a batch that is always the same --------------------------------------------- */

struct fixed {
    struct data data;
    struct data *source; /* borrowed */
    int64_t B, first;    /* how many there are, from which image of the source on */
    bool is_broken;      /* one image is not a number */
};

static void fixed_get(const struct data *data, float *image, float *target,
                      struct range k, int64_t index)
{
    const struct fixed *f = (const struct fixed *)data;

    f->source->ops->get(f->source, image, target, k, f->first + index % f->B);
    if (f->is_broken && index % f->B == f->B - 1)
        image[0] = NAN;
}

static void fixed_close(struct data *data)
{
    (void)data;
}

static const struct data_ops fixed_ops = { .name  = "fixed",
                                           .get   = fixed_get,
                                           .close = fixed_close };

/* Let the steps of 'm' see the first batch of its source again and again. */
static void fix_batch(struct model *m, struct fixed *f, int64_t B)
{
    *f          = (struct fixed){ .source = m->data, .B = B };
    f->data     = *m->data;
    f->data.ops = &fixed_ops;
    step_close(&m->step);
    if (step_open(&m->step, m->vit, m->optim, &f->data) != 0)
        abort();
}

static void check_learning(struct model_options o)
{
    struct step_result first, last;
    struct fixed fixed;
    struct model m;

    o.optim.lr = 1e-3;
    model_open(&m, &o, MPI_COMM_WORLD);
    fix_batch(&m, &fixed, o.B);
    step_run(m.step, 1, &first);
    for (int s = 1; s < 20; s++)
        step_run(m.step, 1, &last);
    step_gradients(m.step, &last);
    if (!ok(last.loss < 0.7 * first.loss && last.is_finite && step_count(m.step) == 20,
            "20 steps on one batch lower the loss on %dx%d %s", o.D, o.M,
            dtype_name(o.dtype)))
        tap_note("from %g to %g", first.loss, last.loss);
    model_close(&m);
}

static struct traffic_job job_of(const struct model_options *o)
{
    return (struct traffic_job){ .B                = o->B,
                                 .D                = o->D,
                                 .M                = o->M,
                                 .near             = o->near,
                                 .dtype            = o->dtype,
                                 .form             = o->form,
                                 .optimizer        = o->optim.method,
                                 .shard            = o->shard,
                                 .remat            = o->remat,
                                 .micros           = o->micros,
                                 .has_wide_sums    = o->has_wide_sums,
                                 .has_narrow_grads = o->has_narrow_grads };
}

/* ---- cost ------------------------------------------------------------------------ */

static void check_traffic(struct model_options o, const char *what)
{
    const struct traffic_job job = job_of(&o);
    struct traffic_count plan[TRAFFIC_KINDS];
    struct step_result r;
    struct model m;
    bool is_equal = true;

    model_open(&m, &o, MPI_COMM_WORLD);
    traffic_of_rank(plan, &m.spec, &job, m.mesh->d, m.mesh->m);
    mesh_count_reset(m.mesh);
    step_run(m.step, 1, &r);
    for (int k = 0; k < TRAFFIC_KINDS; k++) {
        const struct traffic_count sent = m.mesh->sent[k];

        if (sent.messages == plan[k].messages && sent.bytes == plan[k].bytes)
            continue;
        is_equal = false;
        tap_note("%s: %lld messages, %lld bytes; planned %lld, %lld", traffic_name[k],
                 (long long)sent.messages, (long long)sent.bytes,
                 (long long)plan[k].messages, (long long)plan[k].bytes);
    }
    ok(is_equal, "%s on %dx%d %s, shard %s, remat %s, %d micro-batches: as planned",
       what, o.D, o.M, o.form == CMM_PLAIN ? "plain" : "ring",
       param_shard_name(o.shard, o.D), remat_name(o.remat), job_micros(&job));

    int64_t kept, work, batch;

    struct local row;

    spec_local(&row, &m.spec, o.B, o.D, o.M, m.mesh->d, m.mesh->m);
    act_bytes(&kept, &work, &batch, &m.spec, &row, &job);
    if (!ok(vit_bytes(m.vit) == kept + work, "and takes the memory that was planned"))
        tap_note("%lld bytes, planned %lld", (long long)vit_bytes(m.vit),
                 (long long)(kept + work));
    model_close(&m);
}

/* Memory by the counter of all host memory: what opening takes is planned, but for
 * lists of pointers and the like.
 */
static void check_memory(struct model_options o)
{
    const int64_t small    = 128 << 10;
    struct traffic_job job = job_of(&o);
    struct predict_memory plan;
    struct model m;
    int64_t taken;

    o.B    = 14;
    job.B  = o.B;
    o.spec = (struct spec_options){ .shape   = "96/3/256/4",
                                    .wiring  = -1,
                                    .qk_norm = -1,
                                    .image   = 64,
                                    .patch   = 8,
                                    .classes = 10 };
    taken  = mem_now();
    model_open(&m, &o, MPI_COMM_WORLD);
    taken = mem_now() - taken;
    predict_memory(&plan, &m.spec, &job, m.mesh->d, m.mesh->m);
    if (!ok(llabs(taken - plan.total) < small,
            "memory on %dx%d, shard %s, remat %s, %d micro-batches is as planned", o.D,
            o.M, param_shard_name(o.shard, o.D), remat_name(o.remat), job_micros(&job)))
        tap_note("%lld bytes; planned %lld", (long long)taken, (long long)plan.total);
    model_close(&m);
}

/* ---- verdicts -------------------------------------------------------------------- */

/* Weights of the classifier so large that the loss is a number, but the gradients'
 * squares are none.
 */
static void make_huge(struct model *m)
{
    const struct layout *l = vit_layout(m->vit);
    const double huge      = 1e200;

    for (int i = 0; i < l->params.count; i++) {
        struct piece piece[LAYOUT_PIECES];
        const int pieces = layout_pieces(piece, l, &l->item[i], l->d, l->m);

        if (pieces == 0 || strcmp(l->item[i].param->name, "head/kernel") != 0)
            continue;
        model_put(
            m,
            mat_cols(mat_rows(shard_piece_param(vit_shard(m->vit), &l->item[i], piece),
                              0, 1),
                     0, 1),
            &huge);
    }
    vit_changed(m->vit);
}

static void check_verdicts(struct model_options o)
{
    struct step_result r;
    struct fixed fixed;
    struct model m;

    model_open(&m, &o, MPI_COMM_WORLD);
    fix_batch(&m, &fixed, o.B);
    step_run(m.step, 1, &r);
    ok(r.is_finite && !r.is_stopped, "a good step on %dx%d is finite", o.D, o.M);

    if (m.mesh->rank == 0)
        step_ask_stop(m.step);
    step_ask_save(m.step, m.mesh->rank == 0);
    step_say_written(m.step, m.mesh->rank > 0);
    step_run(m.step, 1, &r);
    ok(r.is_stopped && r.is_save_due && !r.is_written,
       "one rank's wish to stop or to save is known to all, or what it has to write");
    step_ask_save(m.step, false);
    step_say_written(m.step, true);

    fixed.is_broken = true;
    step_run(m.step, 1, &r);
    ok(!r.is_finite && optim_steps(m.optim) == 2 && step_count(m.step) == 3,
       "a step that is not finite is seen by all, and not taken");
    fixed.is_broken = false;
    step_run(m.step, 1, &r);
    ok(r.is_finite && optim_steps(m.optim) == 3 && !r.is_save_due && r.is_written,
       "and the next one is fine");

    const double mine[2] = { r.loss, r.grad_norm };
    double all[2]        = { r.loss, r.grad_norm };

    coll_broadcast(m.mesh, AXIS_ALL, 0, all, sizeof all);
    ok(memcmp(all, mine, sizeof all) == 0, "all ranks have the same bits");
    ok(step_seconds(m.step)[STAGE_BLOCKS] > 0 && step_seconds(m.step)[STAGE_HEAD] > 0,
       "and spent time in every stage");
    ok(step_seconds(m.step)[STAGE_EMBED] == vit_seconds(m.vit)[VIT_EMBED] &&
           step_seconds(m.step)[STAGE_HEAD] == vit_seconds(m.vit)[VIT_HEAD] &&
           step_seconds(m.step)[STAGE_BLOCKS] == vit_seconds(m.vit)[VIT_BLOCKS],
       "as much as the model in its own");
    step_reset_times(m.step);
    for (int stage = 0; stage < STAGES; stage++)
        ok(step_seconds(m.step)[stage] == 0, "which is forgotten, %s",
           stage_name[stage]);
    make_huge(&m);
    step_run(m.step, 1, &r);
    ok(isfinite(r.loss) && !r.is_finite && optim_steps(m.optim) == 3,
       "nor is a step taken whose loss alone is finite");
    model_close(&m);
}

/* ---- other images ---------------------------------------------------------------- */

/* The loss of the second step, between which and the first one other images may pass
 * forward; on a device to which the next micro-batch is sent ahead.
 */
static double loss_of_second(struct model_options o, bool has_others)
{
    struct step_result r;
    struct fixed fixed, other;
    struct model m;

    model_open(&m, &o, MPI_COMM_WORLD);
    m.dev->ops.is_host = false;
    fix_batch(&m, &fixed, o.B);
    other          = fixed;
    other.data.ops = &fixed_ops;
    other.first    = o.B;
    step_run(m.step, 1, &r);
    for (int micro = 0; micro < o.micros && has_others; micro++)
        step_forward(m.step, &other.data, 1, micro);
    step_run(m.step, 1, &r);
    model_close(&m);
    return r.loss;
}

static void check_others(struct model_options o)
{
    o.micros = 2;
    o.B      = 11;
    ok(loss_of_second(o, true) == loss_of_second(o, false),
       "what is looked at between two steps on %dx%d leaves their images", o.D, o.M);
}

/* ---- planted faults -------------------------------------------------------------- */

static double loss_with_fault(struct model_options o, const char *fault, double *param)
{
    struct step_result r;
    struct model m;
    double loss;

    setenv("VITBENCH_FAULT", fault, 1);
    model_open(&m, &o, MPI_COMM_WORLD);
    unsetenv("VITBENCH_FAULT");
    step_run(m.step, 0, &r);
    loss   = r.loss;
    *param = 0;

    const struct layout *l = vit_layout(m.vit);

    for (int i = 0; i < l->params.count; i++) {
        const struct item *it = &l->item[i];
        const struct mat at   = shard_item_param(vit_shard(m.vit), it);
        double first;

        if (at.rows == 0 || at.cols == 0)
            continue;
        model_get(&m, &first, mat_cols(mat_rows(at, 0, 1), 0, 1));
        *param += fabs(first - param_init(it->param, 1, item_index(it, 0, 0)));
    }
    *param = coll_sum(m.mesh, AXIS_ALL, *param);
    model_close(&m);
    return loss;
}

/* A step's seconds inside operations. */
static double busy_step(struct model *m)
{
    const double before = dev_busy(vit_dev(m->vit));
    struct step_result r;

    step_run(m->step, 1, &r);
    return dev_busy(vit_dev(m->vit)) - before;
}

/* Whatever else the machine does: in some pair of steps the slow one
 * takes its double.
 */
static void check_slow(struct model_options o)
{
    bool is_slow = false;
    struct model m;

    model_open(&m, &o, MPI_COMM_WORLD);
    for (int i = 0; i < 50 && !is_slow; i++) {
        double quick, slow;

        m.mesh->fault = FAULT_NONE;
        quick         = busy_step(&m);
        m.mesh->fault = FAULT_SLOW;
        slow          = busy_step(&m);
        is_slow       = coll_largest(m.mesh, AXIS_ALL, !(slow > 1.8 * quick)) == 0;
    }
    ok(is_slow, "a slow rank takes twice as long on %dx%d", o.D, o.M);
    model_close(&m);
}

static void check_faults(struct model_options o)
{
    double param;
    const double loss = loss_with_fault(o, "", &param);

    ok(param == 0, "no fault, no change");
    ok(loss_with_fault(o, "slow:0", &param) == loss && param == 0,
       "nor with a slow rank on %dx%d", o.D, o.M);
    check_slow(o);
    if (o.M > 1)
        ok(fabs(loss_with_fault(o, "moments:0", &param) / loss - 1) > 1e-6,
           "a norm without its neighbour's moments shows on %dx%d", o.D, o.M);
    if (o.M > 1 || o.D > 1) {
        loss_with_fault(o, "replica:1", &param);
        ok(param > 0 && param < 1e-12, "a replica is one bit off on %dx%d", o.D, o.M);
    }
}

/* Messages and memory with all that changes them. */
static void check_costs(struct model_options o, const char *what)
{
    o.B = 14;
    for (int k = 0; k < 8; k++) {
        o.shard  = k & 1 ? SHARD_FULL : SHARD_NONE;
        o.remat  = k & 2 ? REMAT_BLOCK : REMAT_NONE;
        o.micros = k & 4 ? 3 : 1;
        if (o.D > 1 || o.shard == SHARD_NONE)
            check_traffic(o, what);
        if (k == 0 || k == 7 || (k == 1 && o.D > 1))
            check_memory(o);
    }
}

/* In bf16, where what travels has a format of its own. */
static void check_wires(int M, int D)
{
    struct model_options o = model_odd(WIRING_SEQUENTIAL, POOL_MAP, LOSS_SIGMOID);

    o.device = "cpu:emulate";
    o.dtype  = DTYPE_BF16;
    o.M      = M;
    o.D      = D;
    for (int k = 0; k < 8; k++) {
        o.has_wide_sums    = k & 1;
        o.has_narrow_grads = k & 2;
        o.shard            = k & 4 ? SHARD_FULL : SHARD_NONE;
        o.form             = k & 1 ? CMM_RING : CMM_BIDIR;
        check_traffic(o, k & 1 ? "partial sums in f32" : "partial sums in bf16");
        if (k > 5)
            check_memory(o);
    }
}

/* The data axis of four ranks on two nodes; what is counted for four nodes is not what
 * is sent.
 */
static void check_nodes(struct model_options o)
{
    for (int k = 0; k < 2; k++) {
        struct traffic_count two[TRAFFIC_KINDS], four[TRAFFIC_KINDS];
        struct traffic_job job;
        struct spec s;

        o.near  = 2;
        o.shard = k ? SHARD_FULL : SHARD_NONE;
        check_traffic(o, "two nodes");
        check_memory(o);
        if (spec_make(&s, &o.spec) != 0)
            die("%s", err_sentence());
        job = job_of(&o);
        traffic_of_rank(two, &s, &job, 1, 0);
        job.near = 1;
        traffic_of_rank(four, &s, &job, 1, 0);
        ok(two[GRAD_SCATTER].messages < four[GRAD_SCATTER].messages,
           "with fewer messages than on four");
    }
}

int main(int argc, char **argv)
{
    const int ranks = ranks_open(&argc, &argv, "t500-step");

    for (int M = 1; M <= ranks; M *= 2) {
        struct model_options o = model_odd(WIRING_PARALLEL, POOL_MAP, LOSS_SIGMOID);

        o.M = M;
        o.D = ranks / M;
        check_costs(o, "parallel with MAP head");
        if (o.D == 4)
            check_nodes(o);
        check_verdicts(o);
        o.shard = SHARD_FULL;
        check_verdicts(o);
        o.shard = SHARD_NONE;
        check_others(o);
        check_faults(o);
        o.form       = CMM_RING;
        o.optim.clip = 1;
        check_learning(o);
        o.dtype = DTYPE_F32;
        check_learning(o);
        check_traffic(o, "the same in f32");
        o.optim.method = OPTIMIZER_ADAFACTOR;
        check_learning(o);
        check_traffic(o, "with Adafactor");
        o      = model_odd(WIRING_SEQUENTIAL, POOL_CLS, LOSS_SOFTMAX);
        o.form = CMM_RING;
        o.M    = M;
        o.D    = ranks / M;
        check_traffic(o, "sequential with class token and softmax");
        o.spec.pool = POOL_MAP;
        check_costs(o, "sequential with MAP head");
        o              = model_odd(WIRING_PARALLEL, POOL_GAP, LOSS_SOFTMAX);
        o.spec.qk_norm = 0;
        o.M            = M;
        o.D            = ranks / M;
        check_traffic(o, "nothing replicated");
        check_wires(M, ranks / M);
    }
    return ranks_done();
}
