/* SPDX-License-Identifier: BSD-3-Clause */
/* The predicted step and the best meshes, as a table and as JSON. */
#include "config.h"

#include "bench/dry_mesh.h"

#include "src/base/err.h"
#include "src/base/field.h"
#include "src/base/json.h"
#include "src/base/mem.h"
#include "src/plan/predict.h"

#include <math.h>
#include <string.h>

enum { BEST = 10, STEP = 8 }; /* lines of the table, letters of its seconds */

/* ---- make ------------------------------------------------------------------------ */

int dry_mesh_open(struct dry_mesh *d, const struct spec *s,
                  const struct traffic_job *job, const struct machine *machine,
                  int ranks, int64_t images)
{
    struct cost_rank cost;
    int rc;

    *d = (struct dry_mesh){ .machine = machine,
                            .list    = mem_new(CHOICES, sizeof *d->list) };
    rc = choice_list(d->list, &d->count, s, job, machine, ranks, job->B, images);
    if (rc == 0 && d->count == 0)
        rc = ERR(ERR_SHAPE,
                 "%s with a batch of %lld has no mesh of %d ranks: at most %lld model "
                 "ranks, at least %s for every data rank",
                 s->name, (long long)job->B, ranks, (long long)s->H,
                 job_micros(job) > 1 ? "an image of each micro-batch" : "an image");
    if (rc == 0)
        rc = cost_make(&cost, machine, job->dtype, ranks);
    if (rc != 0) {
        dry_mesh_close(d);
        return rc;
    }
    d->nodes   = cost.nodes;
    d->on_node = cost.on_node;
    d->from    = cost.from;
    d->faster  = cost.faster;
    d->own     = d->list[0];
    if (job->D > 0) {
        struct traffic_job asked = *job;

        asked.B = job->B > 0 ? job->B : images * job->D;
        TRY(traffic_check(s, &asked));
        choice_make(&d->own, s, &asked, &cost);
    }
    return 0;
}

void dry_mesh_close(struct dry_mesh *d)
{
    mem_free(d->list);
    d->list = NULL;
}

/* ---- print ----------------------------------------------------------------------- */

static double percent_waited(const struct forecast *f, enum traffic kind)
{
    return 100 * f->comm[kind].exposed_s / f->step_s;
}

/* In per cent with one digit; without a peak there is no MFU. */
static const char *utilisation(char text[16], double mfu)
{
    if (isnan(mfu))
        return "n/a";
    snprintf(text, 16, "%.1f", 100 * mfu);
    return text;
}

static void print_line(FILE *out, int place, const struct choice *c)
{
    const struct forecast *f = &c->forecast;
    char mesh[24], step[24], mfu[16];

    snprintf(mesh, sizeof mesh, "%dx%d", c->job.D, c->job.M);
    if (snprintf(step, sizeof step, "%.4g", f->step_s) > STEP)
        snprintf(step, sizeof step, "%.3g", f->step_s);
    fprintf(out, "%2d%c%-8s %-5s %7lld %*s %8.3g %5s %6.1f %5.1f %5.1f %5.1f %5.1f\n",
            place, c->fits ? ' ' : '*', mesh, cmm_form_name[c->job.form],
            (long long)c->job.B, STEP, step, f->tokens_per_s, utilisation(mfu, f->mfu),
            percent_waited(f, ACT_GATHER) + percent_waited(f, ACT_SCATTER),
            percent_waited(f, PARAM_GATHER), percent_waited(f, GRAD_SCATTER),
            percent_waited(f, REDUCE), 1e-9 * (double)c->bytes);
}

/* How many nodes, and what in the machine's file makes the prediction doubtful. */
static void print_doubts(FILE *out, const struct dry_mesh *d)
{
    const struct machine *m = d->machine;
    const double over       = machine_over_peak(m);
    const char *own         = dtype_name(d->own.job.dtype);

    fprintf(out, "It takes %d node%s of %d rank%s.\n", d->nodes,
            d->nodes == 1 ? "" : "s", d->on_node, d->on_node == 1 ? "" : "s");
    if (d->on_node > m->ranks_per_node)
        fprintf(out, "%s has only %d node%s of %d: more ranks share a node's %s.\n",
                m->name, m->nodes, m->nodes == 1 ? "" : "s", m->ranks_per_node,
                m->gpus > 0 ? "GPUs" : "cores");
    if (strcmp(d->from, own) != 0)
        fprintf(out, "It has no products in %s: rates of %s are taken, times %.3g.\n",
                own, d->from, d->faster);
    if (over > MACHINE_OVER_PEAK)
        fprintf(out,
                "A product of its file reaches %.0f %% of the peak: one of the two is "
                "wrong.\n",
                100 * over);
}

void dry_mesh_print(FILE *out, const struct dry_mesh *d)
{
    const struct forecast *f = &d->own.forecast;
    const int lines          = d->count < BEST ? d->count : BEST;
    const int near           = d->own.job.near;
    bool is_all              = true;
    char mfu[16], stages[160];
    int used = 0;

    fprintf(out, "On %s a step of mesh %dx%d takes %.4g s:\n%.4g tokens/s, MFU %s%s.\n",
            d->machine->name, d->own.job.D, d->own.job.M, f->step_s, f->tokens_per_s,
            utilisation(mfu, f->mfu), isnan(f->mfu) ? "" : " %");
    print_doubts(out, d);
    if (near > 1 && near < d->own.job.D)
        fprintf(out,
                "On the data axis %d ranks of a node exchange first, then %d such "
                "groups.\n",
                near, d->own.job.D / near);
    for (int i = 0; i < FORECAST_STAGES; i++)
        used += snprintf(stages + used, sizeof stages - (size_t)used, "%s%s %.2g",
                         i > 0 ? ", " : "", forecast_stage_name[i], f->stage_s[i]);
    field_print(out, 0, "", "Stages: %s s.", stages);
    fprintf(out, "Of all of it %.3g s are waiting for messages.\n\n", f->exposed_s);
    fprintf(out, "%-3s%-9s%-6s%7s%9s%9s%6s%7s%6s%6s%6s%6s\n", "", "", "", "", "", "",
            "", "wait%:", "", "", "", "");
    fprintf(out, "%-3s%-9s%-6s%7s%9s%9s%6s%7s%6s%6s%6s%6s\n", "", "mesh", "form",
            "batch", "step s", "tokens/s", "MFU%", "act", "param", "grad", "sums",
            "GB");
    field_rule(out, '-');
    for (int i = 0; i < lines; i++) {
        print_line(out, i + 1, &d->list[i]);
        is_all &= d->list[i].fits;
    }
    if (d->count > lines)
        fprintf(out, "    and %d slower or larger ones\n", d->count - lines);
    if (!is_all)
        fprintf(out, "  * needs more than %.0f %% of a node's %.4g GB\n",
                100 * PREDICT_SHARE, 1e-9 * (double)d->machine->memory_bytes);
    fprintf(out, "wait%%: of the step, for activations, parameters, gradients, small "
                 "sums.\nGB: of a rank\n\n");
}

/* ---- JSON ------------------------------------------------------------------------ */

static json_t *choice_json(const struct choice *c)
{
    const struct forecast *f = &c->forecast;
    json_t *waits            = json_object();

    for (int k = 0; k < TRAFFIC_KINDS; k++)
        json_object_set_new(waits, traffic_name[k], json_finite(f->comm[k].exposed_s));
    return json_pack("{si si sI ss so so so so sI sb so}", "D", c->job.D, "M", c->job.M,
                     "batch", (json_int_t)c->job.B, "overlap",
                     cmm_form_name[c->job.form], "step_s", json_finite(f->step_s),
                     "mfu", json_finite(f->mfu), "exposed_s", json_finite(f->exposed_s),
                     "tokens_per_s", json_finite(f->tokens_per_s), "bytes_per_rank",
                     (json_int_t)c->bytes, "fits", c->fits, "exposed", waits);
}

void dry_mesh_json(json_t *plan, const struct dry_mesh *d)
{
    const struct forecast *f = &d->own.forecast;
    json_t *all              = json_array();

    for (int i = 0; i < d->count; i++)
        json_array_append_new(all, choice_json(&d->list[i]));
    json_object_set_new(plan, "machine", json_string(d->machine->name));
    json_object_set_new(plan, "nodes", json_integer(d->nodes));
    json_object_set_new(plan, "ranks_per_node", json_integer(d->on_node));
    json_object_set_new(plan, "kernels_dtype", json_string(d->from));
    json_object_set_new(plan, "step_s", json_finite(f->step_s));
    json_object_set_new(plan, "mfu", json_finite(f->mfu));
    json_object_set_new(plan, "exposed_s", json_finite(f->exposed_s));
    json_object_set_new(plan, "tokens_per_s", json_finite(f->tokens_per_s));
    json_object_set_new(plan, "meshes", all);
}
