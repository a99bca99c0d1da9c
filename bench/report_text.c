/* SPDX-License-Identifier: BSD-3-Clause */
/* The result as text, in the manner of HPL: a banner, the options, one row a case with
 * its residuals below, a closing line with the rating.  80 columns, but for the command
 * line and the last line, which programs read.
 */
#include "config.h"

#include "bench/report.h"

#include "bench/profile.h"
#include "src/base/err.h"
#include "src/base/field.h"
#include "src/base/version.h"
#include "src/step/step.h"
#include "src/step/tuned.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

enum { COLUMNS = FIELD_COLUMNS, LABEL = 15, NUMBER = 24 };

/* ---- pieces ---------------------------------------------------------------------- */

static void field(FILE *out, const char *label, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void field(FILE *out, const char *label, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    field_vprint(out, LABEL, label, fmt, args);
    va_end(args);
}

/* 'x' with 'digits' significant ones, or "n/a". */
static const char *number(char text[NUMBER], double x, int digits)
{
    if (isnan(x))
        return "n/a";
    snprintf(text, NUMBER, "%.*g", digits, x);
    return text;
}

/* With so many of the digits that a space is left before it in a column of 'width';
 * whole, if it has more, rather than with a power of ten.
 */
static const char *fitting(char text[NUMBER], double x, int digits, size_t width)
{
    const char *shown = number(text, x, digits);

    if (x >= 1 && strchr(shown, 'e') != NULL &&
        snprintf(text, NUMBER, "%.0f", x) < (int)width)
        return text;
    shown = number(text, x, digits);
    while (digits > 1 && strlen(shown) >= width)
        shown = number(text, x, --digits);
    return shown;
}

static const char *percent(char text[NUMBER], double share)
{
    if (isnan(share))
        return "n/a";
    snprintf(text, NUMBER, "%.1f", 100 * share);
    return text;
}

/* The text of 'key', or "". */
static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "";
}

/* The texts of an object or array, "name value, .." */
static void list_of(char *text, size_t size, json_t *values)
{
    const char *name;
    json_t *value;
    size_t used = 0, i;

    text[0] = '\0';
    json_object_foreach(values, name, value)
    {
        if (json_is_string(value) && used < size)
            used +=
                (size_t)snprintf(text + used, size - used, "%s%s %s",
                                 used > 0 ? ", " : "", name, json_string_value(value));
    }
    json_array_foreach(values, i, value)
    {
        if (used < size)
            used += (size_t)snprintf(text + used, size - used, "%s%s",
                                     i > 0 ? ", " : "", json_string_value(value));
    }
}

/* ---- banner ---------------------------------------------------------------------- */

int report_banner(FILE *out, const struct result *r, const struct opts *o)
{
    char spec[NUMBER], hosts[4096], libraries[4096], near[NUMBER + 32] = "";
    char peak[NUMBER + 32] = "n/a";
    const double giga      = 1e-9;
    const long long cores  = json_integer_value(json_object_get(r->system, "cores"));

    list_of(hosts, sizeof hosts, json_object_get(r->system, "hosts"));
    list_of(libraries, sizeof libraries, json_object_get(r->system, "libraries"));

    field_rule(out, '=');
    fprintf(out, "vitbench %s (git %s): %straining steps of Vision Transformers\n",
            version_text(), version_git(), r->is_simulated ? "SIMULATED " : "");
    field_rule(out, '=');
    fprintf(out, "%-*s", LABEL, "command");
    for (int i = 0; i < r->argc; i++)
        fprintf(out, "%s%s", i > 0 ? " " : "", r->argv[i]);
    fprintf(out, "\n");
    field(out, "start", "%s", r->start);
    field(out, "hosts", "%s", hosts);
    if (r->near > 1 && r->near < r->D)
        snprintf(near, sizeof near, ", by %d data ranks of a node", r->near);
    field(out, "mesh", "%d data x %d model = %d %s%s", r->D, r->M, r->ranks,
          r->ranks == 1 ? "rank" : "ranks", near);
    if (json_is_string(json_object_get(r->system, "gpu")))
        field(out, "GPU", "%s", text_of(r->system, "gpu"));
    field(out, "processor", "%s, %lld %s and %.1f GB a node", text_of(r->system, "cpu"),
          cores, cores == 1 ? "core" : "cores",
          json_number_value(json_object_get(r->system, "memory_bytes")) * giga);
    field(out, "MPI", "%s", text_of(r->system, "mpi"));
    field(out, "libraries", "%s", libraries);
    field(out, "build", "%s, %s%s", text_of(r->build, "compiler"),
          text_of(r->build, "flags"),
          json_is_true(json_object_get(r->build, "debug")) ? " (debug)" : "");
    if (r->peak_measured > 0) /* machine files need not have one */
        snprintf(peak, sizeof peak, "%.1f GFLOP/s a rank", r->peak_measured * giga);
    field(out, "peak", "%s, %s %s; data sheet %s%s%s", peak,
          r->is_simulated ? "as in" : "measured by", r->peak_by,
          r->peak_spec > 0 ? number(spec, r->peak_spec * giga, 6) : "n/a",
          r->peak_spec > 0 ? " GFLOP/s, " : "", r->peak_spec > 0 ? r->peak_source : "");
    fprintf(out, "\nOptions; all others are at their defaults (--print-config):\n");
    opts_echo(o, out);
    for (int i = 0; i < r->warnings; i++)
        field(out, "WARNING", "%s", r->warning[i]);
    fprintf(out, "\n");
    return err_unheard(out);
}

/* ---- a case ---------------------------------------------------------------------- */

static const char *status_word(enum status s)
{
    static const char *const word[] = {
        [STATUS_PASS]       = "PASSED",
        [STATUS_FAIL]       = "FAILED",
        [STATUS_SKIP]       = "SKIPPED",
        [STATUS_INCOMPLETE] = "INCOMPLETE",
    };

    return word[s];
}

/* The row that programs read; '!' marks the rated case. */
static void case_row(FILE *out, const struct result *r, const struct case_result *c)
{
    char name[24], layers[48] = "-", batch[24] = "-", mesh[32], step[NUMBER],
                   tokens[NUMBER], spec[NUMBER], measured[NUMBER], rate[NUMBER];
    const bool has_shape = c->spec.C > 0;

    snprintf(name, sizeof name, "%s%s", c->is_rated ? "!" : " ", c->name);
    snprintf(mesh, sizeof mesh, "%dx%d", r->D, r->M);
    if (has_shape) {
        snprintf(layers, sizeof layers, "%lld/%lld", (long long)c->spec.L,
                 (long long)c->spec.L_full);
        snprintf(batch, sizeof batch, "%lld", (long long)c->batch);
    }
    field_rule(out, '-');
    fprintf(out, "%-9s%-13s%6s%7s%8s%8s%9s%6s%6s%8s\n", " case", "shape", "layers",
            "batch", "mesh", "s/step", "tokens/s", "spec%", "meas%", "GFLOP/s");
    field_rule(out, '-');
    fprintf(out, "%-9.9s%-13.13s %5s %6s %7s", name, has_shape ? c->spec.name : "-",
            layers, batch, mesh);
    if (c->status == STATUS_SKIP || c->steps.n < 1)
        fprintf(out, "%8s%9s%6s%6s%8s\n", "-", "-", "-", "-", "-");
    else
        fprintf(out, "%8s%9s%6s%6s%8s\n", fitting(step, c->steps.median, 4, 8),
                fitting(tokens, c->tokens_per_s, 5, 9), percent(spec, c->mfu_spec),
                percent(measured, c->mfu_measured),
                fitting(rate, c->flops_per_s * 1e-9, 5, 8));
}

/* What timing chose, product by product. */
static void case_tuned(FILE *out, const struct case_result *c)
{
    char name[TUNED_TEXT], choice[TUNED_TEXT], all[512];
    size_t used = 0;

    for (int k = 0; k < CMM_PRODUCTS * CMM_PASSES; k++) {
        if ((c->tuned_products >> k / CMM_PASSES & 1U) == 0)
            continue;
        tuned_choice(name, choice, &c->tuned, (enum cmm_product)(k / CMM_PASSES),
                     (enum cmm_pass)(k % CMM_PASSES));
        used += (size_t)snprintf(all + used, sizeof all - used, "%s%s %s",
                                 used > 0 ? ", " : "", name, choice);
    }
    if (used > 0)
        field(out, "  tuned", "%s", all);
}

/* How the steps were played: on several ranks there are graphs between messages, else
 * one for each micro-batch.
 */
static void name_graphs(char *text, size_t size, const struct case_result *c)
{
    if (c->tapes == 0)
        text[0] = '\0';
    else if (c->tapes == 1)
        snprintf(text, size, ", steps as a graph");
    else if (c->tapes == c->micros)
        snprintf(text, size, ", a graph each");
    else
        snprintf(text, size, ", steps as %d graphs between messages", c->tapes);
}

/* What was run, in words. */
static void case_model(FILE *out, const struct case_result *c)
{
    const struct spec *s = &c->spec;
    char micros[40], graphs[60];

    if (s->C > 0)
        field(out, "  model",
              "width %lld, depth %lld, MLP %lld, %lld heads of %lld, %s%s, "
              "image %d, patch %d, %lld tokens, %s pooling, %lld classes",
              (long long)s->C, (long long)s->L, (long long)s->F, (long long)s->H,
              (long long)s->E, wiring_name(s->wiring), s->qk_norm ? ", QK-norm" : "",
              s->image, s->patch, (long long)s->T, pool_name(s->pool), (long long)s->K);
    snprintf(micros, sizeof micros, ", %d micro-batches", c->micros);
    name_graphs(graphs, sizeof graphs, c);
    field(out, "  run", "%s on %s, overlap %s, progress %s, param-shard %s%s%s%s%s",
          dtype_name(c->dtype), c->device, c->overlap, c->progress, c->param_shard,
          c->remat == REMAT_BLOCK ? ", remat block" : "", c->micros > 1 ? micros : "",
          c->wires != NULL ? c->wires : "", graphs);
    case_tuned(out, c);
}

static void case_steps(FILE *out, const struct case_result *c, bool is_simulated)
{
    const struct stat *s = &c->steps;
    char spread[NUMBER];

    if (s->n < 1)
        return;
    if (isnan(s->p5))
        field(out, "  steps",
              "%d after %d warm-up: min %.4g, median %.4g, max %.4g s, "
              "spread %s%s",
              s->n, s->warmup, s->min, s->median, s->max, percent(spread, s->cv),
              isnan(s->cv) ? "" : " %");
    else
        field(out, "  steps",
              "%d after %d warm-up: min %.4g, p5 %.4g, median %.4g, "
              "p95 %.4g, max %.4g s, spread %.1f %%",
              s->n, s->warmup, s->min, s->p5, s->median, s->p95, s->max, 100 * s->cv);
    if (!isnan(c->predicted_step_s))
        field(out, "  predicted", "%.4g s a step (%+.1f %%), %.4g s of it waiting",
              c->predicted_step_s, 100 * (c->predicted_step_s / s->median - 1),
              c->predicted_exposed_s);
    if (c->flops_per_step > 0 && !isnan(c->mfu_palm))
        field(out, "  work",
              "%.4g model FLOP a step; peak %.1f GFLOP/s a rank, %s; MFU by PaLM's "
              "formula %.1f %%",
              c->flops_per_step, c->peak * 1e-9,
              is_simulated ? "the machine's"
                           : "the larger of before and after the steps",
              100 * c->mfu_palm);
    if (!isnan(c->hfu))
        field(out, "  recomputed",
              "HFU %.1f %% of the measured peak, beside MFU %.1f %%", 100 * c->hfu,
              100 * c->mfu_measured);
    if (c->spec.L < c->spec.L_full)
        field(out, "  slice", "slice %lld of %lld blocks", (long long)c->spec.L,
              (long long)c->spec.L_full);
    if (c->spec.L < c->spec.L_full && !isnan(c->full_step_s))
        field(out, "  full depth", "%.4g s a step, %.5g tokens/s, extrapolated",
              c->full_step_s, c->full_tokens_per_s);
    if (!isnan(c->loss))
        field(out, "  values",
              "loss %.6g, gradient norm %.4g, largest attention logit %.4g", c->loss,
              c->grad_norm, c->peak_logit);
}

static void case_comm(FILE *out, const struct case_result *c)
{
    char hidden[64], alone[NUMBER], exposed[NUMBER];

    fprintf(out, "  %-13s%12s%9s%9s%10s %s\n", "communication", "bytes", "messages",
            "alone s", "exposed s", "hidden");
    for (int k = 0; k < TRAFFIC_KINDS; k++) {
        const struct comm *t = &c->comm[k];

        result_hidden(hidden, sizeof hidden, t);
        if (t->kind == HIDDEN_WAITS)
            snprintf(hidden, sizeof hidden, "exposed %.1f %% of the step",
                     100 * t->exposed_s / c->steps.median);
        fprintf(out, "  %-13s%12lld%9lld%9s%10s %s\n", traffic_name[k],
                (long long)t->bytes, (long long)t->messages,
                t->kind == HIDDEN_NONE ? "-" : number(alone, t->alone_s, 3),
                t->kind == HIDDEN_NONE ? "-" : number(exposed, t->exposed_s, 3),
                hidden);
    }
    if (c->plain.step_s > 0)
        field(
            out, "  plain",
            "%.4g s a step with plain collectives, by turns: %s is %.3f times as fast "
            "(%.3f to %.3f)",
            c->plain.step_s, c->overlap, c->plain.speed, c->plain.speed_lo,
            c->plain.speed_hi);
}

static void case_where(FILE *out, const struct case_result *c)
{
    char text[1024];
    size_t used = 0;

    if (c->has_clocks)
        field(out, "  clocks", "%.0f of %.0f MHz, memory %.0f MHz, %.0f C, %.0f W%s%s",
              c->clocks.mhz, c->clocks.most_mhz, c->clocks.memory_mhz,
              c->clocks.celsius, c->clocks.watts,
              c->clocks.held_by[0] != '\0' ? ", held back by " : "", c->clocks.held_by);
    if (c->memory_peak > 0 &&
        (double)c->memory_tuned < 0.99 * (double)c->memory_predicted)
        field(out, "  memory",
              "%.2f GB of the largest rank, predicted %.2f GB (%.2f if nothing is "
              "tuned)",
              (double)c->memory_peak * 1e-9, (double)c->memory_tuned * 1e-9,
              (double)c->memory_predicted * 1e-9);
    else if (c->memory_peak > 0)
        field(out, "  memory", "%.2f GB of the largest rank, predicted %.2f GB",
              (double)c->memory_peak * 1e-9, (double)c->memory_predicted * 1e-9);
    else
        field(out, "  memory", "predicted %.2f GB of the largest rank",
              (double)c->memory_predicted * 1e-9);
    for (int i = 0; i < STAGES; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s %.3g",
                                 i > 0 ? ", " : "", stage_name[i], c->stage_s[i]);
    field(out, "  stages", "%s s", text);
    used = 0;
    for (int i = 0; i < SPENT_PARTS; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s %.3g",
                                 i > 0 ? ", " : "", spent_name[i], c->spent_s[i]);
    if (c->spent_s[SPENT_STEPS] > 0)
        field(out, "  spent", "%s s in all", text);
    used = 0;
    for (int i = 0; i < c->slow_ranks; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%d on %s %.3g",
                                 i > 0 ? ", " : "", c->slowest[i].rank,
                                 c->slowest[i].host, c->slowest[i].seconds);
    if (c->slow_ranks > 0)
        field(out, "  ranks",
              "mean compute of a step: min %.3g, median %.3g, max %.3g s; slowest: %s "
              "s",
              c->compute_min, c->compute_median, c->compute_max, text);
    if (c->straggler[0] != '\0')
        field(out, "  STRAGGLER", "%s", c->straggler);
}

/* "  label  text ...... PASSED" */
static void residual_line(FILE *out, const struct check *k)
{
    char text[COLUMNS + 1];
    const char *word = status_word(k->status);
    int used = snprintf(text, sizeof text, "  %-11s residual %10.4g, threshold %g ",
                        k->name, k->residual, k->threshold);

    while (used < COLUMNS - 1 - (int)strlen(word))
        text[used++] = '.';
    text[used] = '\0';
    fprintf(out, "%s %s\n", text, word);
    if (k->note[0] != '\0')
        field(out, "", "%s", k->note);
}

/* Columns without a value have a dash. */
static const char *cell(char text[NUMBER], double x, int digits, size_t width)
{
    return isnan(x) || x == 0 ? "-" : fitting(text, x, digits, width);
}

static const char *whole(char text[NUMBER], double x)
{
    snprintf(text, NUMBER, "%.*f", x < 1000, x);
    return text;
}

/* The rows of coll and ckpt have bandwidths, those of data images a second, the others
 * FLOP/s; these two are of a rank.
 */
static void case_rows(FILE *out, const struct result *r, const struct case_result *c)
{
    enum { NAMES = 36 }; /* columns of a name and a shape, or bytes */
    const bool is_coll  = strcmp(c->name, "coll") == 0;
    const bool is_bytes = is_coll || strcmp(c->name, "ckpt") == 0;
    const bool is_data  = strcmp(c->name, "data") == 0;
    char shape[64], ms[NUMBER], rate[NUMBER], hidden[NUMBER], error[NUMBER];
    int room;

    fprintf(out, "  %-18s%18s%10s%9s%9s%9s%5s\n", "name", is_bytes ? "bytes" : "shape",
            "ms",
            is_coll    ? "algGB/s"
            : is_bytes ? "GB/s"
            : is_data  ? "images/s"
                       : "GFLOP/s",
            is_coll    ? "busGB/s"
            : is_bytes ? "blocked%"
                       : "hidden%",
            "error", "");
    for (int i = 0; i < c->rows; i++) {
        const struct row *w = &c->row[i];
        const double value  = is_bytes ? w->algbw : w->rate;

        if (w->shape[0] > 0)
            snprintf(shape, sizeof shape, "%lldx%lldx%lld", (long long)w->shape[0],
                     (long long)w->shape[1], (long long)w->shape[2]);
        else
            snprintf(shape, sizeof shape, "%lld", (long long)w->size);
        if (w->shape[0] <= 0 && w->size <= 0)
            strcpy(shape, "-");
        room = NAMES - 1 - (int)strlen(shape);
        fprintf(out, "  %-*.*s %s%10s%9s%9s%9s%5s\n", room, room, w->name, shape,
                cell(ms, 1e3 * w->seconds, 4, 10),
                is_data ? whole(rate, value) : cell(rate, 1e-9 * value, 4, 9),
                is_coll            ? cell(hidden, 1e-9 * w->busbw, 4, 9)
                : is_bytes         ? cell(hidden, 100 * w->blocked / w->seconds, 3, 9)
                : isnan(w->hidden) ? "-"
                                   : number(hidden, 100 * w->hidden, 3),
                isnan(w->error) ? "-" : number(error, w->error, 3),
                w->status == STATUS_FAIL   ? "BAD"
                : w->status == STATUS_SKIP ? "-"
                                           : "ok");
    }
    if (!is_bytes && r->D * r->M > 1)
        fprintf(out, "  %s are of one rank, the slowest\n",
                is_data ? "images/s" : "GFLOP/s");
}

void report_case(FILE *out, const struct result *r, const struct case_result *c)
{
    const bool is_step = c->flops_per_step > 0 && c->steps.n > 0;

    case_row(out, r, c);
    if (c->status == STATUS_SKIP) {
        field(out, "  SKIPPED", "%s", c->reason);
        fprintf(out, "\n");
        fflush(out);
        return;
    }
    case_model(out, c);
    case_steps(out, c, r->is_simulated);
    if (is_step && strcmp(c->name, "step") == 0) {
        case_comm(out, c);
        case_where(out, c);
        profile_text(out, c);
    }
    if (c->rows > 0)
        case_rows(out, r, c);
    for (int i = 0; i < c->checks; i++)
        residual_line(out, &c->check[i]);
    if (c->status != STATUS_PASS)
        field(out, c->status == STATUS_FAIL ? "  FAILED" : "  INCOMPLETE", "%s",
              c->reason);
    fprintf(out, "\n");
    fflush(out);
}

/* ---- the end --------------------------------------------------------------------- */

static const char *verdict(const struct result *r)
{
    if (r->is_simulated && result_has_passed(r))
        return "SIMULATED";
    if (result_is_valid(r))
        return "VALID";
    if (result_has_passed(r))
        return "NOT CHECKED";
    return r->is_incomplete ? "INVALID, INCOMPLETE," : "INVALID";
}

static void final_summary(FILE *out, const struct result *r)
{
    const struct case_result *c = result_rated(r);
    const bool is_rated = c != NULL && c->status != STATUS_SKIP && c->steps.n > 0;

    fprintf(out, "Final Summary::vitbench result is %s", verdict(r));
    if (is_rated)
        fprintf(out, " with a rating of=%.6g model FLOP/s (%.6g tokens/s, %s %s, %s)\n",
                c->flops_per_s, c->tokens_per_s, c->name, c->spec.name,
                dtype_name(c->dtype));
    else if (c != NULL)
        fprintf(out, " with no rating: %s %s did not run\n", c->name, c->spec.name);
    else
        fprintf(out, " with no rating: no case of this run is rated\n");
}

int report_end(FILE *out, const struct result *r)
{
    const struct case_result *c = result_rated(r);

    field_rule(out, '=');
    field(out, "end", "%s", r->end);
    if (c != NULL && c->status != STATUS_SKIP && !isnan(c->full_tokens_per_s))
        field(out, "full model", "%.6g tokens/s of all %lld blocks of %s, extrapolated",
              c->full_tokens_per_s, (long long)c->spec.L_full, c->spec.name);
    for (int i = 0; i < r->warnings; i++)
        field(out, "WARNING", "%s", r->warning[i]);
    if (r->is_incomplete)
        fprintf(out, "INCOMPLETE: stopped before all cases were done\n");
    fprintf(out, "Finished %d cases: %d passed, %d failed, %d skipped\n", r->count,
            result_count(r, STATUS_PASS),
            result_count(r, STATUS_FAIL) + result_count(r, STATUS_INCOMPLETE),
            result_count(r, STATUS_SKIP));
    final_summary(out, r);
    return err_unheard(out);
}
