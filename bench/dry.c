/* SPDX-License-Identifier: BSD-3-Clause */
/* --dry-run: what a run would compute, hold and send, from the arithmetic of src/plan.
 */
#include "config.h"

#include "bench/dry.h"

#include "bench/agenda.h"
#include "bench/dry_mesh.h"
#include "bench/report.h"
#include "src/base/err.h"
#include "src/base/field.h"
#include "src/base/mem.h"
#include "src/dev/cpu_info.h"
#include "src/dev/dev.h"
#include "src/plan/count.h"
#include "src/plan/predict.h"
#include "src/plan/traffic.h"

#include <string.h>

struct plan {
    struct spec spec;
    struct traffic_job job;
    const char *wires;
    int ranks;
    int64_t images; /* of a data rank where no batch is asked for */
    int terms;
    struct count_term term[COUNT_TERMS];
    struct predict_memory memory; /* of the rank with the most */
    struct traffic_count sent[TRAFFIC_KINDS];
    int64_t least;          /* bytes of that memory, if tuning packs no weights */
    bool is_chosen;         /* the mesh, for nodes like this one */
    bool is_tight;          /* no mesh fits into them */
    struct dry_mesh meshes; /* with --machine; its machine is NULL without */
};

/* ---- make ------------------------------------------------------------------------ */

/* The mesh on a machine: as asked for, or the one with most tokens a second. */
static int choose_on(struct plan *p, const struct machine *machine)
{
    TRY(dry_mesh_open(&p->meshes, &p->spec, &p->job, machine, p->ranks, p->images));
    p->job.D    = p->meshes.own.job.D;
    p->job.M    = p->meshes.own.job.M;
    p->job.near = p->meshes.own.job.near;
    p->is_tight = !p->meshes.own.fits;
    return 0;
}

/* The mesh: as asked for, or the one that a machine of nodes like this one would take.
 */
static int choose_mesh(struct plan *p, const struct options *o, const struct choices *c,
                       const struct machine *machine)
{
    const int cores = cpu_cores_of_machine();
    int fill        = cores < p->ranks ? cores : p->ranks;
    int64_t bytes   = mem_machine();
    int64_t B       = p->job.B > 0 ? p->job.B : p->images * p->ranks;
    struct dev_units units;
    int rc;

    if (c->way.D > 0 && o->ranks > 0 && (int64_t)c->way.D * c->way.M != o->ranks)
        return ERR(ERR_SHAPE, "--mesh=%dx%d is for %lld ranks, not %lld", c->way.D,
                   c->way.M, (long long)c->way.D * c->way.M, (long long)o->ranks);
    p->job.D     = c->way.D;
    p->job.M     = c->way.M;
    p->is_chosen = c->way.D == 0;
    /* too large for as many data ranks as there are is too large for any mesh */
    TRY(spec_check_mesh(&p->spec, B > p->ranks ? B : p->ranks, p->ranks, 1));
    if (machine != NULL)
        return choose_on(p, machine);
    p->job.near = 1; /* nodes are not known */
    if (c->way.D > 0)
        return 0;
    units = dev_units(c->way.device, c->way.dtype, false);
    if (units.count > 0) {
        fill  = units.count < p->ranks ? units.count : p->ranks; /* a rank for each */
        bytes = units.bytes * fill;
    }
    rc = predict_mesh(&p->job.D, &p->job.M, &p->spec, p->ranks, p->job.B, p->images,
                      &p->job, fill, (int64_t)(PREDICT_SHARE * (double)bytes));
    if (rc != 0 && rc != ERR_MEMORY)
        return rc;
    p->is_tight = rc == ERR_MEMORY;
    err_forget();
    return 0;
}

/* The plan of 'shape' with 'B' images, 0: so many as a run would take at most. */
static int plan_make(struct plan *p, const struct options *o, const struct choices *c,
                     const char *shape, int64_t B, const struct machine *machine)
{
    *p        = (struct plan){ .job   = setting_job(&c->way, false, 0, 0, 0),
                               .wires = setting_wires(&c->way) };
    p->ranks  = o->ranks > 0 ? (int)o->ranks : c->way.D > 0 ? c->way.D * c->way.M : 1;
    p->images = agenda_images(&c->way);
    TRY(options_make_spec(&p->spec, o, c, shape));
    if (machine != NULL) {
        p->job.is_apart = machine->gpus > 0;
        p->job.packs    = machine->packs;
    }
    p->job.B = B;
    TRY(choose_mesh(p, o, c, machine));
    if (p->job.B == 0)
        p->job.B = p->images * p->job.D;
    TRY(traffic_check(&p->spec, &p->job));
    p->terms = count_terms(p->term, &p->spec);
    predict_largest(&p->memory, &p->spec, &p->job);
    p->least = p->memory.total;
    if (o->tune && dev_spares_packs(c->way.device, p->job.dtype))
        p->least -= p->memory.packed;
    traffic_most(p->sent, &p->spec, &p->job);
    return 0;
}

/* ---- print ----------------------------------------------------------------------- */

/* 'n' with commas between its thousands. */
static const char *grouped(char text[32], int64_t n)
{
    char plain[24];
    const int length = snprintf(plain, sizeof plain, "%lld", (long long)n);
    int used         = 0;

    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            text[used++] = ',';
        text[used++] = plain[i];
    }
    text[used] = '\0';
    return text;
}

static void print_head(FILE *out, const struct plan *p)
{
    const struct spec *s = &p->spec;

    field_rule(out, '=');
    fprintf(out, "%s: width %lld, %lld of %lld blocks, MLP %lld, %lld heads, %s%s\n",
            s->name, (long long)s->C, (long long)s->L, (long long)s->L_full,
            (long long)s->F, (long long)s->H, wiring_name(s->wiring),
            s->qk_norm ? ", QK-norm" : "");
    fprintf(out,
            "%lld tokens an image (%d pixels, patch %d), %s pooling, %lld classes\n",
            (long long)s->T, s->image, s->patch, pool_name(s->pool), (long long)s->K);
    fprintf(out, "%d %s, mesh %dx%d (data x model)%s, batch %lld, %s, %s\n", p->ranks,
            p->ranks == 1 ? "rank" : "ranks", p->job.D, p->job.M,
            p->is_chosen ? " chosen" : "", (long long)p->job.B,
            dtype_name(p->job.dtype), cmm_form_name[p->job.form]);
    field_print(out, 0, "", "param-shard %s, remat %s, %d micro-batch%s%s",
                param_shard_name(p->job.shard, p->job.D), remat_name(p->job.remat),
                job_micros(&p->job), job_micros(&p->job) == 1 ? "" : "es", p->wires);
    if (p->is_tight)
        fprintf(
            out, "%s",
            p->meshes.machine != NULL
                ? "It does not fit into the memory of a node.\n"
                : "No mesh of so many ranks fits into nodes like this one; this one "
                  "needs least.\n");
    field_rule(out, '=');
}

static void print_terms(FILE *out, const struct plan *p)
{
    const double all    = count_flops_train(&p->spec);
    const bool is_small = all < 1e9; /* whose terms would be 0.000 GFLOP */
    const double unit   = is_small ? 1e-6 : 1e-9;
    char params[32];

    fprintf(out, "%-16s%20s%17s%18s%9s\n", "term", "parameters",
            is_small ? "forward MFLOP" : "forward GFLOP",
            is_small ? "training MFLOP" : "training GFLOP", "share");
    fprintf(out, "%-16s%20s%17s%18s%9s\n", "", "", "an image", "an image", "");
    field_rule(out, '-');
    for (int i = 0; i < p->terms; i++) {
        const struct count_term *t = &p->term[i];

        fprintf(out, "%-16s %19s %16.3f %17.3f%8.2f%%\n", t->name,
                grouped(params, t->params), 2 * unit * t->macs, unit * t->train_flops,
                100 * t->train_flops / all);
    }
    fprintf(out, "%-16s %19s %16.3f %17.3f%8.2f%%\n", "all",
            grouped(params, count_params(&p->spec)),
            unit * count_flops_forward(&p->spec), unit * all, 100.0);
    fprintf(out, "%-16s%20s\n\n", "block kernels",
            grouped(params, count_params_matmul(&p->spec)));
    fprintf(out, "Training costs %.4g FLOP a token, %.4g FLOP a step.\n\n",
            all / (double)p->spec.T, all * (double)p->job.B);
}

enum { FAMILIES = 7 };
struct family {
    const char *title, *name; /* in the text, in JSON */
    int64_t bytes;
};

/* What the memory of a rank is for. */
static void families_of(struct family family[FAMILIES], const struct predict_memory *m)
{
    const struct family all[FAMILIES] = {
        { "parameters", "params", m->params },
        { "gradients", "grads", m->grads },
        { "moments", "moments", m->moments },
        { "packed weights", "packed", m->packed },
        { "kept activations", "kept", m->kept },
        { "working memory", "work", m->work },
        { "batch", "batch", m->batch },
    };

    memcpy(family, all, sizeof all);
}

static void print_bytes(FILE *out, const char *title, int64_t n)
{
    char bytes[32];

    fprintf(out, "%-16s %19s %16.3f\n", title, grouped(bytes, n), 1e-9 * (double)n);
}

static void print_memory(FILE *out, const struct plan *p)
{
    const struct predict_memory *m = &p->memory;
    struct family family[FAMILIES];

    fprintf(out, "%-16s%20s%17s\n", "memory", "bytes", "GB");
    field_rule(out, '-');
    families_of(family, m);
    for (int i = 0; i < FAMILIES; i++)
        print_bytes(out, family[i].title, family[i].bytes);
    print_bytes(out, "all", m->total);
    if (p->least < m->total)
        fprintf(out,
                "The most it takes: tuning may leave weights unpacked, down to %.3f GB "
                "in all.\n",
                1e-9 * (double)p->least);
    fprintf(out, "\n");
}

static void print_traffic(FILE *out, const struct plan *p)
{
    char bytes[32], messages[32];

    fprintf(out, "%-16s%20s%17s\n", "sent in a step", "bytes", "messages");
    field_rule(out, '-');
    for (int k = 0; k < TRAFFIC_KINDS; k++)
        fprintf(out, "%-16s %19s %16s\n", traffic_name[k],
                grouped(bytes, p->sent[k].bytes),
                grouped(messages, p->sent[k].messages));
    fprintf(out,
            "\nMemory and messages are those of the rank that has most of each.\n");
    if (p->meshes.machine == NULL && p->job.D > 3) /* fewer are not parted */
        fprintf(out, "Without --machine a node is taken to hold one data rank, or all "
                     "of them.\n");
    if (p->job.form == CMM_AUTO && p->job.M > 1)
        fprintf(out,
                "A run chooses forms by timing; messages are counted as of rings.\n");
    fprintf(out, "\n");
}

/* ---- JSON ------------------------------------------------------------------------ */

static json_t *terms_json(const struct plan *p)
{
    json_t *all = json_object();

    for (int i = 0; i < p->terms; i++) {
        const struct count_term *t = &p->term[i];
        const double bytes = (double)t->params * (double)dtype_size(p->job.dtype);

        json_object_set_new(all, t->name,
                            json_pack("{sI sf sI}", "params", (json_int_t)t->params,
                                      "flops", t->train_flops * (double)p->job.B,
                                      "bytes", (json_int_t)bytes));
    }
    return all;
}

static json_t *memory_json(const struct plan *p)
{
    json_t *all = json_object();
    struct family family[FAMILIES];

    families_of(family, &p->memory);
    for (int i = 0; i < FAMILIES; i++)
        json_object_set_new(all, family[i].name, json_integer(family[i].bytes));
    return all;
}

static json_t *traffic_json(const struct plan *p)
{
    json_t *all = json_object();

    for (int k = 0; k < TRAFFIC_KINDS; k++)
        json_object_set_new(all, traffic_name[k],
                            json_pack("{sI sI}", "bytes", (json_int_t)p->sent[k].bytes,
                                      "messages", (json_int_t)p->sent[k].messages));
    return all;
}

/* Parameters and FLOPs are of the whole job, the rest of the rank that has most; of
 * messages each kind has its own.  A term's FLOPs are those of a training step, its
 * bytes those of its parameters.
 */
static json_t *plan_json(const struct plan *p)
{
    int64_t messages = 0, bytes = 0;
    json_t *plan;

    for (int k = 0; k < TRAFFIC_KINDS; k++) {
        messages += p->sent[k].messages;
        bytes += p->sent[k].bytes;
    }
    plan = json_pack(
        "{ss sI ss si s{si si si} sI sI sf sf sI sI so sI sI so so}", "shape",
        p->spec.name, "batch", (json_int_t)p->job.B, "dtype", dtype_name(p->job.dtype),
        "ranks", p->ranks, "mesh", "D", p->job.D, "M", p->job.M, "near", p->job.near,
        "params", (json_int_t)count_params(&p->spec), "params_matmul",
        (json_int_t)count_params_matmul(&p->spec), "flops_per_image_forward",
        count_flops_forward(&p->spec), "flops_per_token_train",
        count_flops_train(&p->spec) / (double)p->spec.T, "bytes_per_rank",
        (json_int_t)p->memory.total, "bytes_per_rank_least", (json_int_t)p->least,
        "memory", memory_json(p), "messages_per_step", (json_int_t)messages,
        "bytes_per_step", (json_int_t)bytes, "comm", traffic_json(p), "terms",
        terms_json(p));
    if (p->meshes.machine != NULL)
        dry_mesh_json(plan, &p->meshes);
    return plan;
}

/* One plan: printed, and put behind those in 'all'. */
static int plan_one(FILE *out, json_t *all, const struct options *o,
                    const struct choices *c, const char *shape, int64_t B,
                    const struct machine *machine)
{
    struct plan p;
    int rc = plan_make(&p, o, c, shape, B, machine);

    if (rc == 0) {
        print_head(out, &p);
        print_terms(out, &p);
        print_memory(out, &p);
        print_traffic(out, &p);
        if (machine != NULL)
            dry_mesh_print(out, &p.meshes);
        json_array_append_new(all, plan_json(&p));
    }
    dry_mesh_close(&p.meshes);
    return rc;
}

int dry_run(FILE *out, const struct options *o, const struct choices *c)
{
    const int batches       = c->batches > 0 ? c->batches : 1;
    struct machine *machine = NULL;
    json_t *all             = json_array();
    int rc                  = 0;

    if (o->machine[0] != '\0') {
        machine = mem_new(1, sizeof *machine);
        rc      = machine_find(machine, o->machine);
    }
    for (int i = 0; i < c->shapes * batches && rc == 0; i++)
        rc = plan_one(out, all, o, c, c->shape[i / batches],
                      c->batches > 0 ? c->batch[i % batches] : 0, machine);
    if (rc == 0 && o->json[0] != '\0')
        rc = report_save(json_array_size(all) == 1 ? json_array_get(all, 0) : all,
                         o->json);
    json_decref(all);
    mem_free(machine);
    return rc;
}
