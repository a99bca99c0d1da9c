/* SPDX-License-Identifier: BSD-3-Clause */
/* Checkpoints through ckpt/ and the list of tensors of step/state.h. */
#include "config.h"

#include "src/train/save.h"

#include "ckpt/folder.h"
#include "src/base/err.h"
#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/step/place.h"
#include "src/step/state.h"
#include "src/step/stored.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct save {
    struct ckpt *ckpt; /* NULL: nothing is saved */
    struct ckpt_list list;
    const struct opts *opts;     /* borrowed */
    const struct source *source; /* borrowed */
    json_t *tuned;               /* where it is, and what timing chose, an object */
    int64_t step, started; /* of the last save that was finished, that was begun */
};

/* ---- going on -------------------------------------------------------------------- */

/* Say under 'name' which images there are. */
static void name_set(json_t *options, const char *name, const struct data *images)
{
    char text[24];

    if (images == NULL || images->identity == 0)
        return;
    snprintf(text, sizeof text, "%016llx", (unsigned long long)images->identity);
    json_object_set_new(options, name, json_string(text));
}

/* The same sets, each with the same images in the same order, as far as both are known.
 */
static int compare_sets(const json_t *options, const struct source *source,
                        const struct train_options *o)
{
    const struct {
        const char *name, *option, *path;
    } set[]     = { { META_SET, "data", o->data },
                    { META_HELD_SET, "holdout", o->holdout } };
    json_t *now = json_object();
    int rc      = 0;

    name_set(now, META_SET, source->train);
    name_set(now, META_HELD_SET, source->held);
    for (size_t i = 0; i < sizeof set / sizeof set[0] && rc == 0; i++) {
        const json_t *was = json_object_get(options, set[i].name);
        const json_t *is  = json_object_get(now, set[i].name);

        if (was != NULL && is != NULL && !json_equal(was, is))
            rc = ERR(ERR_USAGE,
                     "--%s=%s holds other images than in the run that is to go on "
                     "(digest %s, not %s): give the same, or another --out",
                     set[i].option, set[i].path, json_string_value(is),
                     json_string_value(was));
    }
    json_decref(now);
    return rc;
}

/* The same options, and the time that was taken so far. */
static int compare(struct saved *saved, const struct ckpt_meta *meta,
                   const struct source *source, const struct opts *opts,
                   const struct train_options *o)
{
    const json_t *seconds = json_object_get(meta->tuned, "seconds");
    const json_t *devices = json_object_get(meta->tuned, "device_seconds");

    saved->step                 = meta->step;
    saved->spent.seconds        = json_number_value(seconds);
    saved->spent.device_seconds = json_number_value(devices);
    saved->spent.save_seconds =
        json_number_value(json_object_get(meta->tuned, "save_seconds"));
    saved->tuned = json_incref(meta->tuned);
    TRY(train_options_compare(opts, meta->options));
    return compare_sets(meta->options, source, o);
}

/* A run that starts before a checkpoint of its folder would go on from that one when it
 * is started again.
 */
static int refuse_later(const struct saved *saved, const char *dir, struct mesh *mesh)
{
    struct ckpt_meta meta = { 0 };
    char path[CKPT_PATH];
    int rc = 0;

    TRY(ckpt_newest(path, dir, mesh->comm[AXIS_ALL]));
    if (path[0] != '\0')
        TRY(ckpt_meta(&meta, path, mesh->comm[AXIS_ALL]));
    if (meta.step > saved->step)
        rc = ERR(ERR_USAGE,
                 "%s is of step %lld, later than step %lld from which this run starts: "
                 "started again it would go on from there; give another --out",
                 path, (long long)meta.step, (long long)saved->step);
    meta_free(&meta);
    return mesh_agree(mesh, rc);
}

/* A run whose checkpoints are all damaged would begin anew, and cut its log off. */
static int refuse_damaged(const char *dir, struct mesh *mesh)
{
    int64_t *steps = NULL;
    int rc         = 0;

    if (mesh->rank == 0)
        rc = folder_steps(&steps, dir);
    if (rc > 0)
        rc = ERR(ERR_DATA,
                 "none of the checkpoints in %s is whole: --resume=never begins anew",
                 dir);
    mem_free(steps);
    return mesh_agree(mesh, rc);
}

int saved_find(struct saved *saved, struct mesh *mesh, const struct source *source,
               const struct opts *opts, const struct train_options *o)
{
    struct ckpt_meta meta;
    int rc;

    *saved = (struct saved){ 0 };
    if (strcmp(o->resume, "never") == 0 || o->resume[0] == '\0')
        return o->out[0] != '\0' ? refuse_later(saved, o->out, mesh) : 0;
    if (strcmp(o->resume, "auto") != 0)
        TRY(ckpt_find(saved->path, o->resume, mesh->comm[AXIS_ALL]));
    else if (o->out[0] != '\0')
        TRY(ckpt_newest(saved->path, o->out, mesh->comm[AXIS_ALL]));
    saved->is_of_run = strcmp(o->resume, "auto") == 0;
    if (saved->path[0] == '\0')
        return o->out[0] != '\0' ? refuse_damaged(o->out, mesh) : 0;
    TRY(ckpt_meta(&meta, saved->path, mesh->comm[AXIS_ALL]));
    rc = mesh_agree(mesh, compare(saved, &meta, source, opts, o));
    meta_free(&meta);
    if (rc == 0 && !saved->is_of_run && o->out[0] != '\0')
        rc = refuse_later(saved, o->out, mesh);
    return rc;
}

void saved_free(struct saved *saved)
{
    json_decref(saved->tuned);
    saved->tuned = NULL;
}

int saved_load(const struct saved *saved, struct vit *vit, struct optim *optim)
{
    TRY(state_load(vit, optim, saved->path));
    optim_set_steps(optim, saved->step);
    return 0;
}

int saved_init(struct saved *saved, const char *path, struct vit *vit,
               const struct source *source, double share)
{
    const struct mesh *mesh = vit_mesh(vit);
    struct ckpt_meta meta;
    char file[CKPT_PATH];

    TRY(ckpt_find(file, path, mesh->comm[AXIS_ALL]));
    TRY(adopt_load(&saved->adopted, vit, file, true));
    TRY(ckpt_meta(&meta, file, mesh->comm[AXIS_ALL]));
    if (mesh->rank == 0 && source->held != NULL &&
        stored_has_seen(meta.options, source->held->identity, isnan(share) ? 1 : share))
        WARN("--init=%s was trained on images that are held out here: what is said of "
             "these is too good",
             path);
    meta_free(&meta);
    return 0;
}

/* Whether a record of the checkpoint would be its own: that of its leg is to come. */
static bool has_own_record(const struct ckpt_meta *meta)
{
    const char *id = json_string_value(json_object_get(meta->options, "id"));
    const char *at = id != NULL ? strrchr(id, '@') : NULL;
    char own[24];

    snprintf(own, sizeof own, "@%lld", (long long)meta->step);
    return at != NULL && strcmp(at, own) == 0;
}

int saved_fork(struct saved *saved, const char *dir, struct mesh *mesh,
               const struct source *source, const struct opts *opts,
               const struct train_options *o)
{
    struct ckpt_meta meta;
    int rc;

    *saved = (struct saved){ 0 };
    TRY(ckpt_newest(saved->path, dir, mesh->comm[AXIS_ALL]));
    if (saved->path[0] == '\0')
        return 0;
    TRY(ckpt_meta(&meta, saved->path, mesh->comm[AXIS_ALL]));
    rc = compare(saved, &meta, source, opts, o);
    if (rc != 0)
        rc = ERR(rc, "%s: %s", saved->path, err_sentence());
    saved->newest        = meta.step;
    saved->is_on_the_way = has_own_record(&meta);
    if (saved->is_on_the_way && !train_options_same_length(opts, meta.options)) {
        saved->is_on_the_way = false;
        saved->step          = 0;
    }
    meta_free(&meta);
    return mesh_agree(mesh, rc);
}

/* ---- saving ---------------------------------------------------------------------- */

int save_open(struct save **save, const char *dir, int keep, struct vit *vit,
              struct optim *optim, const struct source *source, const struct opts *opts,
              const struct tuned *tuned, struct claim *claim)
{
    struct save *s = mem_new(1, sizeof *s);
    int rc         = 0;

    s->opts   = opts;
    s->source = source;
    s->tuned  = tuned != NULL ? tuned_json(tuned, vit_mesh(vit), vit_dev(vit))
                              : place_json(vit_mesh(vit), vit_dev(vit));
    s->step   = -1;
    if (dir[0] != '\0') {
        state_list(&s->list, vit, optim);
        rc = ckpt_open(&s->ckpt, vit_mesh(vit), vit_dev(vit), &s->list, dir, keep,
                       claim);
    }
    if (rc != 0)
        save_close(&s);
    else
        *save = s;
    return rc;
}

void save_close(struct save **save)
{
    struct save *s = *save;

    if (s == NULL)
        return;
    ckpt_close(&s->ckpt);
    state_free(&s->list);
    json_decref(s->tuned);
    mem_free(s);
    *save = NULL;
}

int save_start(struct save *s, int64_t step, int64_t examples, const char *id,
               struct spent spent)
{
    struct ckpt_meta meta = { .step     = step,
                              .examples = examples,
                              .position = examples };
    int rc;

    if (s->ckpt == NULL)
        return 0;
    meta.options = train_options_json(s->opts, false);
    meta.tuned   = json_deep_copy(s->tuned);
    json_object_set_new(meta.options, "id", json_string(id));
    name_set(meta.options, META_SET, s->source->train);
    name_set(meta.options, META_HELD_SET, s->source->held);
    json_object_set_new(meta.tuned, "seconds", json_real(spent.seconds));
    json_object_set_new(meta.tuned, "device_seconds", json_real(spent.device_seconds));
    json_object_set_new(meta.tuned, "save_seconds", json_real(spent.save_seconds));
    s->started = step;
    rc         = ckpt_start(s->ckpt, &meta);
    json_decref(meta.options);
    json_decref(meta.tuned);
    return rc;
}

int save_proceed(struct save *s)
{
    TRY(ckpt_proceed(s->ckpt));
    if (!save_is_busy(s))
        s->step = s->started;
    return 0;
}

int save_finish(struct save *s)
{
    if (!save_is_busy(s))
        return 0;
    TRY(ckpt_finish(s->ckpt));
    s->step = s->started;
    return 0;
}

bool save_is_busy(const struct save *s)
{
    return s->ckpt != NULL && ckpt_is_busy(s->ckpt);
}

bool save_is_written(const struct save *s)
{
    return s->ckpt == NULL || ckpt_is_written(s->ckpt);
}

int64_t save_step(const struct save *s)
{
    return s->step;
}

double save_seconds(const struct save *s)
{
    return s->step >= 0 ? ckpt_cost(s->ckpt).total_s : 0;
}

const char *save_path(const struct save *s)
{
    return s->step >= 0 ? ckpt_path(s->ckpt) : "";
}
