/* SPDX-License-Identifier: BSD-3-Clause */
/* vittrain: read the options, open a run, run it, say how it ended. */
#include "config.h"

#include "src/train/train.h"

#include "mesh/program.h"
#include "src/base/clock.h"
#include "src/base/draft.h"
#include "src/base/err.h"
#include "src/base/json.h"
#include "src/base/version.h"
#include "src/step/place.h"

#include <string.h>

#define USAGE "mpirun -n RANKS vittrain [--name=value ..]"
#define ABOUT                                                                          \
    "Trains a Vision Transformer on images, on a mesh of data and model ranks.  A "    \
    "run that was stopped, by a signal, by the clock or by an accident, goes on from " \
    "its last checkpoint when it is started again with the same options.  Without "    \
    "--data, --shape and --init it is a small run, of minutes on two cores, whose "    \
    "options it prints."
#define STATUS                                                                         \
    "\nExit status: 0 done; 1 the loss was not finite; 2 an option or input is wrong;" \
    "\n3 memory, device, files, or stopped without --out;"                             \
    "\n75 stopped by a signal or the clock after a good save: start it again.\n"       \
    "\nEvery option NAME can also be given as VITBENCH_NAME in the environment.\n"

/* ---- the beginning --------------------------------------------------------------- */

/* What timing has chosen, and when. */
static void tell_choices(struct trainer *t)
{
    char name[TUNED_TEXT], text[TUNED_TEXT], all[512] = "";
    size_t at = 0;

    for (int k = 0; k < CMM_PRODUCTS * CMM_PASSES && t->mesh->M > 1; k++) {
        tuned_choice(name, text, &t->tuned.products, (enum cmm_product)(k / CMM_PASSES),
                     (enum cmm_pass)(k % CMM_PASSES));
        at += (size_t)snprintf(all + at, sizeof all - at, ", %s %s", name, text);
    }
    journal_field(
        &t->journal, "  tuned", "progress %s%s; %s", progress_name[t->tuned.progress],
        all,
        t->is_taken_over ? "as before"
        : t->saved.path[0] != '\0'
            ? "anew: that was another mesh, device or build, or without --tune"
            : "now");
}

/* The options of a small run that nobody has given. */
static void tell_small(struct trainer *t)
{
    const struct opts *opts = t->opts;
    char all[512]           = "", value[TRAIN_PATH];
    size_t at               = 0;

    for (int i = 0; i < opts->count; i++) {
        const struct opt *row = &opts->table[i];

        if (opts->source[i] != FROM_PROGRAM || at >= sizeof all)
            continue;
        opts_text(opts, row, value, sizeof value);
        at += (size_t)snprintf(all + at, sizeof all - at, " --%s=%s", row->name, value);
    }
    journal_field(&t->journal, "  small run", "neither --data nor --shape is given:%s",
                  all);
}

/* Whether what comes now can have the bits of a run that never stopped. */
static void tell_place(struct trainer *t)
{
    json_t *here = place_json(t->mesh, t->dev);
    char text[512];

    place_compare(text, sizeof text, t->saved.tuned, here);
    json_decref(here);
    if (dev_dtype(t->dev) == DTYPE_F64)
        snprintf(text + strlen(text), sizeof text - strlen(text),
                 "%scheckpoints round f64 to f32", text[0] != '\0' ? ", " : "");
    if (text[0] != '\0')
        journal_field(&t->journal, "  last bits",
                      "may be others than without the stop: %s", text);
}

static void banner(struct trainer *t)
{
    const struct train_options *o = t->options;
    const struct spec *s          = &t->plan.spec;
    const struct sched *sched     = &t->plan.sched;
    struct journal *j             = &t->journal;

    journal_say(
        j, "vittrain %s: %s, width %lld, depth %lld, MLP %lld, %lld heads, %s%s",
        version_text(), s->name, (long long)s->C, (long long)s->L, (long long)s->F,
        (long long)s->H, wiring_name(s->wiring), s->qk_norm ? ", QK-norm" : "");
    journal_field(j, "  images",
                  "%s, %d pixels, patch %d, %lld classes, batch %lld, seed "
                  "%lld",
                  o->data, s->image, s->patch, (long long)s->K, (long long)o->batch,
                  (long long)o->seed);
    journal_field(j, "  learning",
                  "%s, lr %g, decay %g, clip %g; %lld steps, warm-up %lld, "
                  "cool-down %lld",
                  optim_name(t->plan.optim.method), o->lr, o->weight_decay, o->clip,
                  (long long)sched->steps, (long long)sched->warmup,
                  (long long)sched->cooldown);
    journal_field(j, "  runs on", "mesh %dx%d, %s on %s, %d %s a rank", t->mesh->D,
                  t->mesh->M, dtype_name(dev_dtype(t->dev)), dev_name(t->dev),
                  dev_threads(t->dev), dev_threads(t->dev) == 1 ? "thread" : "threads");
    if (o->is_small)
        tell_small(t);
    if (o->tune)
        tell_choices(t);
    if (o->init[0] != '\0' && t->saved.path[0] == '\0')
        journal_say(j, "  starts from %s%s%s", o->init,
                    t->saved.adopted.text[0] != '\0' ? ": " : "",
                    t->saved.adopted.text);
    if (t->saved.path[0] != '\0') {
        journal_say(j, "  goes on     from %s, step %lld", t->saved.path,
                    (long long)t->saved.step);
        tell_place(t);
    }
}

/* ---- the end --------------------------------------------------------------------- */

/* Whether all lines have arrived, so far. */
static int heard(const struct trainer *t)
{
    return mesh_agree(t->mesh, t->mesh->rank == 0 ? err_unheard(stdout) : 0);
}

/* How it ended, with status 'status', as JSON on rank 0. */
static int write_end(const struct trainer *t, int status)
{
    const struct mesh *mesh = t->mesh;
    char id[TRAINER_ID], date[24];
    json_t *all;
    int rc;

    trainer_id(id, t, -1);
    clock_date(date);
    all = json_pack("{ss ss ss ss so sI sI s{si si} sf so so so si}", "tool",
                    "vittrain", "version", version_text(), "id", id, "end", date,
                    "options", train_options_json(t->opts, false), "step",
                    (json_int_t)step_count(t->step), "steps",
                    (json_int_t)t->plan.sched.steps, "mesh", "D", mesh->D, "M", mesh->M,
                    "seconds", trainer_spent(t).seconds, "loss",
                    json_finite(t->last.loss), "top1", json_finite(t->last.top1), "ece",
                    json_finite(t->last.ece), "exit_status", status);
    rc  = draft_json(all, JSON_INDENT(2), t->options->json);
    json_decref(all);
    return rc;
}

static int run(struct opts *opts, void *values, int argc, char **argv)
{
    const struct train_options *o = values;
    struct trainer t;
    int rc, status;

    (void)argc;
    (void)argv;
    rc = trainer_open(&t, opts, o);
    if (rc == 0) {
        banner(&t);
        rc = heard(&t);
    }
    if (rc == 0)
        rc = trainer_run(&t);
    if (rc == 0)
        rc = heard(&t);
    status = err_exit_status(rc);
    if (t.step != NULL && o->json[0] != '\0') {
        rc = mesh_agree(t.mesh, t.mesh->rank == 0 ? write_end(&t, status) : 0);
        if (status == 0)
            status = err_exit_status(rc);
    }
    trainer_close(&t);
    return status;
}

int main(int argc, char **argv)
{
    struct train_options options;

    return program_main(&(struct program){ .name        = "vittrain",
                                           .usage       = USAGE,
                                           .about       = ABOUT,
                                           .status      = STATUS,
                                           .read        = train_options_read,
                                           .values      = &options,
                                           .size        = sizeof options,
                                           .is_threaded = setting_is_threaded,
                                           .run         = run },
                        argc, argv);
}
