/* SPDX-License-Identifier: BSD-3-Clause */
/* The result as JSON, as schema.json has it: every field is always there, null where
 * there is nothing to say.
 */
#include "config.h"

#include "bench/report.h"

#include "bench/profile.h"
#include "src/base/draft.h"
#include "src/base/err.h"
#include "src/base/json.h"
#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/base/version.h"
#include "src/step/step.h"
#include "src/step/tuned.h"

#include <math.h>
#include <string.h>

enum { SCHEMA_VERSION = 1 };

/* ---- values ---------------------------------------------------------------------- */

static json_t *positive(double x)
{
    return x > 0 ? json_finite(x) : json_null();
}

/* Text of any origin: bytes that are not UTF-8 become question marks. */
static json_t *text(const char *bytes)
{
    json_t *string = json_string(bytes);
    char plain[4096];

    if (string != NULL)
        return string;
    snprintf(plain, sizeof plain, "%s", bytes);
    for (char *c = plain; *c != '\0'; c++)
        *c = *c & 0x80 ? '?' : *c;
    return json_string(plain);
}

static json_t *status_json(enum status s)
{
    static const char *const name[] = { [STATUS_PASS]       = "pass",
                                        [STATUS_FAIL]       = "fail",
                                        [STATUS_SKIP]       = "skip",
                                        [STATUS_INCOMPLETE] = "fail" };

    return json_string(name[s]);
}

/* ---- a case ---------------------------------------------------------------------- */

static json_t *shape_json(const struct spec *s)
{
    if (s->C == 0)
        return json_null();
    return json_pack("{sI sI sI sI si si sI sI ss ss sb}", "width", (json_int_t)s->C,
                     "depth", (json_int_t)s->L_full, "mlp", (json_int_t)s->F, "heads",
                     (json_int_t)s->H, "image", s->image, "patch", s->patch, "tokens",
                     (json_int_t)s->T, "classes", (json_int_t)s->K, "pool",
                     pool_name(s->pool), "wiring", wiring_name(s->wiring), "qk_norm",
                     s->qk_norm);
}

static json_t *steps_json(const struct stat *s)
{
    if (s->n < 1)
        return json_null();
    return json_pack("{si si so so so so so so}", "n", s->n, "warmup", s->warmup,
                     "median", json_finite(s->median), "p5", json_finite(s->p5), "p95",
                     json_finite(s->p95), "min", json_finite(s->min), "max",
                     json_finite(s->max), "cv", json_finite(s->cv));
}

static json_t *extrapolated_json(const struct case_result *c)
{
    if (c->spec.L == c->spec.L_full || isnan(c->full_step_s))
        return json_null();
    return json_pack("{so so}", "step_s", json_finite(c->full_step_s), "tokens_per_s",
                     json_finite(c->full_tokens_per_s));
}

static json_t *comm_json(const struct case_result *c)
{
    json_t *all = json_object();

    for (int k = 0; k < TRAFFIC_KINDS; k++) {
        const struct comm *t = &c->comm[k];
        const bool is_timed  = t->kind != HIDDEN_NONE;

        json_object_set_new(
            all, traffic_name[k],
            json_pack("{sI sI so so so}", "bytes", (json_int_t)t->bytes, "messages",
                      (json_int_t)t->messages, "alone_s",
                      is_timed ? json_finite(t->alone_s) : json_null(), "exposed_s",
                      is_timed ? json_finite(t->exposed_s) : json_null(), "hidden",
                      t->kind == HIDDEN_VALUE ? json_finite(t->hidden) : json_null()));
    }
    return all;
}

static json_t *checks_json(const struct case_result *c)
{
    json_t *all = json_array();

    for (int i = 0; i < c->checks; i++)
        json_array_append_new(all,
                              json_pack("{so so so so}", "name", text(c->check[i].name),
                                        "residual", json_finite(c->check[i].residual),
                                        "threshold", json_finite(c->check[i].threshold),
                                        "status", status_json(c->check[i].status)));
    return all;
}

static json_t *ranks_json(const struct case_result *c)
{
    json_t *slowest = json_array();

    if (c->slow_ranks == 0) {
        json_decref(slowest);
        return json_null();
    }
    for (int i = 0; i < c->slow_ranks; i++)
        json_array_append_new(slowest,
                              json_pack("{si so so}", "rank", c->slowest[i].rank,
                                        "host", text(c->slowest[i].host), "seconds",
                                        json_finite(c->slowest[i].seconds)));
    return json_pack("{so so so so}", "min", json_finite(c->compute_min), "median",
                     json_finite(c->compute_median), "max", json_finite(c->compute_max),
                     "slowest", slowest);
}

static json_t *clocks_json(const struct dev_clocks *c)
{
    return json_pack("{so so so so so so}", "mhz", json_finite(c->mhz), "most_mhz",
                     json_finite(c->most_mhz), "memory_mhz", json_finite(c->memory_mhz),
                     "celsius", json_finite(c->celsius), "watts", json_finite(c->watts),
                     "held_by", text(c->held_by));
}

static json_t *rows_json(const struct case_result *c)
{
    json_t *all = json_array();

    for (int i = 0; i < c->rows; i++) {
        const struct row *w = &c->row[i];

        json_array_append_new(
            all, json_pack(
                     "{so sI s[III] so so so so so so so so so}", "name", text(w->name),
                     "size", (json_int_t)w->size, "shape", (json_int_t)w->shape[0],
                     (json_int_t)w->shape[1], (json_int_t)w->shape[2], "seconds",
                     json_finite(w->seconds), "rate", positive(w->rate), "algbw",
                     positive(w->algbw), "busbw", positive(w->busbw), "blocked_s",
                     json_finite(w->blocked), "hidden", json_finite(w->hidden), "error",
                     json_finite(w->error), "threshold", json_finite(w->threshold),
                     "status", status_json(w->status)));
    }
    return all;
}

/* What timing chose for the run and for this case. */
static json_t *choices_json(const struct result *r, const struct case_result *c)
{
    json_t *all = r->tuned != NULL ? json_deep_copy(r->tuned) : json_object();
    char name[TUNED_TEXT], choice[TUNED_TEXT];

    for (int k = 0; k < CMM_PRODUCTS * CMM_PASSES; k++) {
        if ((c->tuned_products >> k / CMM_PASSES & 1U) == 0)
            continue;
        tuned_choice(name, choice, &c->tuned, (enum cmm_product)(k / CMM_PASSES),
                     (enum cmm_pass)(k % CMM_PASSES));
        json_object_set_new(all, name, json_string(choice));
    }
    return all;
}

static json_t *stages_json(const struct case_result *c)
{
    json_t *all = json_object();

    for (int i = 0; i < STAGES; i++)
        json_object_set_new(all, stage_name[i], json_finite(c->stage_s[i]));
    return all;
}

static json_t *spent_json(const struct case_result *c)
{
    json_t *all = json_object();

    for (int i = 0; i < SPENT_PARTS; i++)
        json_object_set_new(all, spent_name[i], json_finite(c->spent_s[i]));
    return all;
}

static json_t *predicted_json(const struct case_result *c)
{
    if (isnan(c->predicted_step_s))
        return json_null();
    return json_pack("{so so so}", "step_s", json_finite(c->predicted_step_s), "mfu",
                     json_finite(c->predicted_mfu), "exposed_s",
                     json_finite(c->predicted_exposed_s));
}

static json_t *case_json(const struct result *r, const struct case_result *c)
{
    const bool has_run   = c->status != STATUS_SKIP;
    const bool has_steps = has_run && c->steps.n > 0;
    const bool is_whole  = has_steps && strcmp(c->name, "step") == 0; /* no block */
    const bool has_shape = c->spec.C > 0;
    json_t *all;

    all = json_pack("{so so sI sI sI ss so so so so sb so so}", "case", text(c->name),
                    "shape", shape_json(&c->spec), "layers_run", (json_int_t)c->spec.L,
                    "layers_full", (json_int_t)c->spec.L_full, "batch",
                    (json_int_t)c->batch, "dtype", dtype_name(c->dtype), "device",
                    text(c->device), "overlap", text(c->overlap), "progress",
                    text(c->progress), "param_shard", text(c->param_shard), "graph",
                    c->tapes > 0, "status", status_json(c->status), "reason",
                    c->reason[0] != '\0' ? text(c->reason) : json_null());
    json_t *figures = json_pack(
        "{so so so so so so so so}", "steps", steps_json(&c->steps), "tokens_per_s",
        has_steps ? json_finite(c->tokens_per_s) : json_null(), "tokens_per_s_rank",
        has_steps && r->ranks > 0 ? json_finite(c->tokens_per_s / r->ranks)
                                  : json_null(),
        "flops_per_step", positive(c->flops_per_step), "mfu_spec",
        has_steps ? json_finite(c->mfu_spec) : json_null(), "mfu_measured",
        has_steps ? json_finite(c->mfu_measured) : json_null(), "mfu_palm",
        has_steps ? json_finite(c->mfu_palm) : json_null(), "extrapolated",
        has_steps && has_shape ? extrapolated_json(c) : json_null());
    json_t *rest = json_pack(
        "{so so so so so so so so so so}", "comm",
        is_whole ? comm_json(c) : json_null(), "check", checks_json(c), "memory",
        is_whole
            ? json_pack(
                  "{sI so so}", "predicted", (json_int_t)c->memory_predicted, "tuned",
                  c->memory_tuned > 0 ? json_integer(c->memory_tuned) : json_null(),
                  "peak_rss",
                  c->memory_peak > 0 ? json_integer(c->memory_peak) : json_null())
            : json_null(),
        "ranks", ranks_json(c), "tuned", choices_json(r, c), "hfu",
        has_steps ? json_finite(c->hfu) : json_null(), "predicted", predicted_json(c),
        "stages", is_whole ? stages_json(c) : json_null(), "profile", profile_json(c),
        "rows", rows_json(c));

    json_object_update_new(all, figures);
    json_object_update_new(all, rest);
    if (c->tapes > 0)
        json_object_set_new(all, "graphs", json_integer(c->tapes));
    if (c->plain.step_s > 0)
        json_object_set_new(
            all, "against_plain",
            json_pack("{so so so so}", "step_s", json_finite(c->plain.step_s), "speed",
                      json_finite(c->plain.speed), "lo", json_finite(c->plain.speed_lo),
                      "hi", json_finite(c->plain.speed_hi)));
    if (has_steps && c->peak > 0)
        json_object_set_new(all, "peak_measured", json_real(c->peak));
    if (c->spent_s[SPENT_STEPS] > 0)
        json_object_set_new(all, "spent", spent_json(c));
    if (c->has_clocks)
        json_object_set_new(all, "clocks", clocks_json(&c->clocks));
    return all;
}

/* ---- the whole ------------------------------------------------------------------- */

static json_t *rating_json(const struct result *r)
{
    const struct case_result *c = result_rated(r);
    const bool has_run = c != NULL && c->status != STATUS_SKIP && c->steps.n > 0;
    char name[64];

    if (c != NULL)
        snprintf(name, sizeof name, "%s %s", c->name, c->spec.name);
    return json_pack(
        "{so so so so sb}", "case", c != NULL ? text(name) : json_null(), "flops_per_s",
        has_run ? json_finite(c->flops_per_s) : json_null(), "tokens_per_s",
        has_run ? json_finite(c->tokens_per_s) : json_null(), "tokens_per_s_full",
        has_run ? json_finite(isnan(c->full_tokens_per_s) ? c->tokens_per_s
                                                          : c->full_tokens_per_s)
                : json_null(),
        "valid", result_is_valid(r));
}

/* A part that another file made, or an empty object. */
static json_t *part(json_t *object)
{
    return object != NULL ? json_incref(object) : json_object();
}

json_t *report_json(const struct result *r)
{
    json_t *args = json_array(), *cases = json_array(), *warnings = json_array();

    for (int i = 0; i < r->argc; i++)
        json_array_append_new(args, text(r->argv[i]));
    for (int i = 0; i < r->count; i++)
        json_array_append_new(cases, case_json(r, &r->cases[i]));
    for (int i = 0; i < r->warnings; i++)
        json_array_append_new(warnings, text(r->warning[i]));
    if (r->is_incomplete)
        json_array_append_new(
            warnings, json_string("INCOMPLETE: stopped before all cases were done"));
    return json_pack(
        "{si ss ss ss ss ss so so so so so s{si si si} s{so so so} so so sb so si}",
        "schema_version", SCHEMA_VERSION, "tool", "vitbench", "version", version_text(),
        "git", version_git(), "start", r->start, "end", r->end, "args", args, "options",
        part(r->options), "env", part(r->env), "build", part(r->build), "system",
        part(r->system), "mesh", "D", r->D, "M", r->M, "near", r->near, "peak", "spec",
        positive(r->peak_spec), "measured", positive(r->peak_measured), "measured_by",
        text(r->peak_by), "cases", cases, "rating", rating_json(r), "simulated",
        r->is_simulated, "warnings", warnings, "exit_status", r->exit_status);
}

/* ---- files ----------------------------------------------------------------------- */

int report_save(const json_t *json, const char *path)
{
    return draft_json(json, JSON_INDENT(2) | JSON_REAL_PRECISION(15), path);
}

int report_write(const struct result *r, const char *path)
{
    json_t *json = report_json(r);
    int rc;

    if (json == NULL)
        die("the result has a part that is not UTF-8");
    rc = report_save(json, path);
    json_decref(json);
    return rc;
}

/* ---- one line a step ------------------------------------------------------------- */

struct jsonl {
    FILE *file;
    off_t begin;        /* of the case's lines; -1 in a pipe */
    struct draft again; /* its file is NULL but while lines are written anew */
    char path[1024];
};

int report_jsonl_open(struct jsonl **j, const char *path)
{
    FILE *file;

    *j = NULL;
    if (path[0] == '\0')
        return 0;
    file = fopen(path, "w");
    if (file == NULL)
        return err_unwritten(path);
    *j         = mem_new(1, sizeof **j);
    (*j)->file = file;
    snprintf((*j)->path, sizeof(*j)->path, "%s", path);
    return 0;
}

void report_jsonl_begin(struct jsonl *j)
{
    if (j != NULL)
        j->begin = ftello(j->file);
}

/* The lines of the cases before. */
static int copy_lines(FILE *to, const struct jsonl *j)
{
    FILE *from = fopen(j->path, "r");
    int letter = 0;

    for (off_t i = 0; i < j->begin && from != NULL && letter != EOF; i++) {
        letter = getc(from);
        if (letter != EOF)
            putc(letter, to);
    }
    if (from == NULL)
        return err_unread(j->path);
    fclose(from);
    return letter != EOF ? 0 : ERR(ERR_IO, "%s has become shorter", j->path);
}

/* The lines are as they were; why not otherwise is said. */
static bool refuse_again(struct jsonl *j)
{
    draft_drop(&j->again);
    WARN("%s: times stay those of rank 0: %s", j->path, err_sentence());
    err_forget();
    return false;
}

bool report_jsonl_again(struct jsonl *j)
{
    if (j == NULL || j->begin < 0 || ferror(j->file) != 0)
        return false;
    if (draft_open(&j->again, j->path) != 0)
        return refuse_again(j);
    if (!j->again.is_beside) {
        draft_drop(&j->again);
        return false;
    }
    return copy_lines(j->again.file, j) == 0 || refuse_again(j);
}

bool report_jsonl_settle(struct jsonl *j)
{
    if (draft_publish(&j->again) != 0)
        return refuse_again(j);
    fclose(j->file);
    j->file       = j->again.file;
    j->again.file = NULL;
    return true;
}

void report_jsonl_step(struct jsonl *j, const struct jsonl_step *step)
{
    FILE *to;
    json_t *line;

    if (j == NULL || ferror(j->file) != 0)
        return;
    to = j->again.file != NULL ? j->again.file : j->file;
    line =
        json_pack("{so so sI sI so so so so so}", "case", text(step->name), "shape",
                  text(step->shape), "batch", (json_int_t)step->batch, "step",
                  (json_int_t)step->step, "seconds", json_finite(step->seconds), "loss",
                  json_finite(step->loss), "grad_norm", json_finite(step->grad_norm),
                  "tokens_per_s", json_finite(step->tokens_per_s), "mfu_measured",
                  json_finite(step->mfu_measured));
    json_dumpf(line, to, JSON_COMPACT | JSON_REAL_PRECISION(17));
    fputc('\n', to);
    if (fflush(to) != 0 && to == j->file)
        err_say(err_unwritten(j->path));
    json_decref(line);
}

int report_jsonl_close(struct jsonl **j)
{
    bool is_said, is_bad;

    if (*j == NULL)
        return 0;
    is_said = ferror((*j)->file) != 0;
    is_bad  = fclose((*j)->file) != 0;
    if (is_bad && !is_said)
        err_say(err_unwritten((*j)->path));
    mem_free(*j);
    *j = NULL;
    return is_bad || is_said ? ERR_IO : 0;
}
