/* SPDX-License-Identifier: BSD-3-Clause */
/* Saving: the order of things, and what happens when one fails.  Of a copy that is
 * taken in several passes (copy.h) all but the last are waited for.
 */
#include "config.h"

#include "ckpt/ckpt.h"

#include "ckpt/copy.h"
#include "ckpt/crew.h"
#include "ckpt/folder.h"
#include "mesh/coll.h"
#include "mesh/guard.h"
#include "src/base/clock.h"
#include "src/base/draft.h"
#include "src/base/err.h"
#include "src/base/log.h"
#include "src/base/mem.h"

#include <stdio.h>
#include <string.h>

/* Where a save is: in WRITING the threads of all ranks work, in PUBLISHING rank 0's. */
enum phase { IDLE, WRITING, PUBLISHING };

struct ckpt {
    struct mesh *mesh;            /* borrowed, as is the next */
    const struct ckpt_list *list; /* */
    char dir[CKPT_PATH];
    struct claim claim; /* of it, on rank 0 */
    int keep;
    struct boxes *boxes;
    struct crew *crew;
    struct writer *writer;
    struct ckpt_file file; /* the datasets; the path when it is complete */
    int *dataset;          /* of each tensor: its number in the file */

    struct copy copy; /* of the tensors, on the host; open from the first save on */
    int64_t memory;   /* for it, 0: half of what is free */
    uint64_t *digest; /* of this rank's elements, by dataset */

    char making[CKPT_PATH + 8]; /* the path until then */
    enum phase phase;
    double start, blocked; /* on clock_monotonic(), as any thread may ask it */
    double named;          /* when it had its name, on rank 0 */
    struct ckpt_cost cost;
    int64_t newest; /* the step of the last file that was finished, -1: none */
};

/* From the last dimension on. */
int64_t ckpt_index(const struct ckpt_tensor *t, const struct ckpt_piece *p, int64_t i)
{
    int64_t index = 0, stride = 1;

    for (int k = t->dims - 1; k >= 0; k--) {
        const int64_t side = p->hi[k] - p->lo[k];

        index += (p->lo[k] + i % side) * stride;
        stride *= t->dim[k];
        i /= side;
    }
    return index;
}

/* ---- open and close -------------------------------------------------------------- */

/* The datasets of the list: each begins where the name changes. */
static void list_datasets(struct ckpt *c)
{
    const struct ckpt_list *list = c->list;
    struct ckpt_file *f          = &c->file;

    f->entry   = mem_new((size_t)list->tensors, sizeof *f->entry);
    c->dataset = mem_new((size_t)list->tensors, sizeof *c->dataset);
    for (int i = 0; i < list->tensors; i++) {
        const struct ckpt_tensor *t = &list->tensor[i];
        struct entry *e             = &f->entry[f->entries];

        if (i == 0 || strcmp(t->dataset, t[-1].dataset) != 0) {
            file_entry(e, t);
            f->bytes += e->elements * (int64_t)sizeof(float);
            f->entries++;
        }
        c->dataset[i] = f->entries - 1;
    }
    c->digest = mem_new((size_t)f->entries, sizeof *c->digest);
}

static int open_local(struct ckpt *c, struct claim *claim)
{
    if (claim != NULL) {
        c->claim = *claim;
        *claim   = (struct claim){ 0 };
    } else if (c->mesh->rank == 0) {
        TRY(folder_open(&c->claim, c->dir));
    }
    TRY(crew_open(&c->crew));
    c->writer = writer_open(c->crew);
    return 0;
}

int ckpt_open(struct ckpt **ckpt, struct mesh *mesh, struct dev *dev,
              const struct ckpt_list *list, const char *dir, int keep,
              struct claim *claim)
{
    struct ckpt *c = mem_new(1, sizeof *c);
    int rc;

    c->mesh   = mesh;
    c->list   = list;
    c->keep   = keep;
    c->newest = -1;
    snprintf(c->dir, sizeof c->dir, "%s", dir);
    list_datasets(c);
    rc = mesh_agree(mesh, open_local(c, claim));
    if (rc == 0)
        rc = boxes_open(&c->boxes, mesh, dev, list, true, BOXES_SHARE);
    if (rc != 0) {
        ckpt_close(&c);
        return rc;
    }
    *ckpt = c;
    return 0;
}

void ckpt_close(struct ckpt **ckpt)
{
    struct ckpt *c = *ckpt;

    if (c == NULL)
        return;
    crew_close(&c->crew);
    writer_close(&c->writer);
    if (c->phase != IDLE) {
        coll_barrier(c->mesh);
        if (c->mesh->rank == 0)
            folder_drop(c->making);
    }
    claim_drop(&c->claim);
    boxes_close(&c->boxes);
    copy_close(&c->copy);
    mem_free(c->file.entry);
    mem_free(c->dataset);
    mem_free(c->digest);
    mem_free(c);
    *ckpt = NULL;
}

/* ---- writing --------------------------------------------------------------------- */

/* Take a pass, and let the threads write it.  They begin when all is taken: training
 * stands still until then, and would for longer if they shared its cores.
 */
static void write_pass(struct ckpt *c, int pass)
{
    copy_take(&c->copy, c->file.entry, pass);
    writer_start(c->writer, c->making, c->copy.part, c->copy.parts, c->digest);
}

/* Wait until all ranks have written.  They ask each other now and then, so that nobody
 * who waits for a slow disk looks dead.
 */
static int await(struct ckpt *c)
{
    const double seconds = 0.1;
    double is_done;

    do {
        is_done = crew_wait(c->crew, seconds);
        guard_alive();
    } while (coll_smallest(c->mesh, AXIS_ALL, is_done) == 0);
    return mesh_agree(c->mesh, crew_result(c->crew));
}

/* ---- a save ---------------------------------------------------------------------- */

/* Nothing is left of the save that failed with 'rc', which is returned. */
static int give_up(struct ckpt *c, int rc)
{
    char newest[CKPT_PATH];

    c->phase = IDLE;
    if (c->mesh->rank != 0)
        return rc;
    folder_drop(c->making);
    folder_path(newest, c->dir, c->newest);
    WARN("there is no checkpoint of step %lld; %s%s", (long long)c->file.meta.step,
         c->newest >= 0 ? "the newest one is still " : "the folder is as it was",
         c->newest >= 0 ? newest : "");
    return rc;
}

/* Rank 0 makes the file, and all learn where the datasets lie in it. */
static int make_file(struct ckpt *c)
{
    const int64_t metadata = 1 << 20;
    int rc                 = 0;

    if (c->mesh->rank == 0)
        rc = folder_has_room(c->dir, c->file.bytes + metadata);
    if (c->mesh->rank == 0 && rc == 0)
        rc = file_create(&c->file, c->making);
    TRY(mesh_agree(c->mesh, rc));
    coll_broadcast(c->mesh, AXIS_ALL, 0, c->file.entry,
                   c->file.entries * (int64_t)sizeof *c->file.entry);
    if (c->copy.passes > 0)
        return 0; /* it is kept from save to save */
    return copy_open(&c->copy, c->mesh, c->boxes, c->list, c->dataset, c->memory);
}

int ckpt_start(struct ckpt *c, const struct ckpt_meta *meta)
{
    int rc;

    (void)ckpt_finish(c); /* what went wrong has been said */
    c->phase     = WRITING;
    c->start     = clock_monotonic();
    c->file.meta = *meta;
    folder_path(c->file.path, c->dir, meta->step);
    snprintf(c->making, sizeof c->making, "%s.part", c->file.path);
    memset(c->digest, 0, (size_t)c->file.entries * sizeof *c->digest);
    rc = make_file(c);
    for (int pass = 0; rc == 0 && pass < c->copy.passes; pass++) {
        write_pass(c, pass);
        if (pass < c->copy.passes - 1)
            rc = await(c);
    }
    c->file.meta.options = c->file.meta.tuned = NULL; /* were borrowed */
    c->blocked                                = clock_monotonic() - c->start;
    return rc == 0 ? 0 : give_up(c, rc);
}

void ckpt_set_memory(struct ckpt *c, int64_t bytes)
{
    c->memory = bytes;
}

bool ckpt_is_busy(const struct ckpt *c)
{
    return c->phase != IDLE;
}

bool ckpt_is_written(const struct ckpt *c)
{
    return ckpt_is_busy(c) && crew_wait(c->crew, 0);
}

/* Rank 0's thread gives the file its name, and removes old ones, which takes long. */
static int publish(void *ctx)
{
    struct ckpt *c = ctx;

    TRY(file_complete(&c->file, c->making));
    TRY(draft_rename(c->file.path, c->making));
    c->named = clock_monotonic();
    folder_keep(c->dir, c->keep, c->file.meta.step);
    return 0;
}

/* The sums over all ranks, on rank 0. */
static void add_digests(struct ckpt *c)
{
    const bool is_root = c->mesh->rank == 0;
    uint64_t *sum      = mem_new((size_t)c->file.entries, sizeof *sum);

    TRY_MPI(MPI_Reduce(c->digest, sum, c->file.entries, MPI_UINT64_T, MPI_SUM, 0,
                       c->mesh->comm[AXIS_ALL]));
    for (int i = 0; is_root && i < c->file.entries; i++)
        c->file.entry[i].digest = sum[i];
    mem_free(sum);
}

/* The file has its name, and all know it. */
static void conclude(struct ckpt *c)
{
    double total = c->named - c->start;

    coll_broadcast(c->mesh, AXIS_ALL, 0, &total, sizeof total);
    c->phase  = IDLE;
    c->newest = c->file.meta.step;
    c->cost   = (struct ckpt_cost){
          .bytes     = c->file.bytes,
          .blocked_s = c->blocked,
          .total_s   = total > c->blocked ? total : c->blocked,
    };
}

/* What follows when all threads are done with a phase, which ended with 'rc'; training
 * has stood still since 'start'.
 */
static int next_phase(struct ckpt *c, int rc, double start)
{
    if (rc != 0)
        return give_up(c, rc);
    if (c->phase == WRITING)
        add_digests(c);
    c->blocked += clock_monotonic() - start;
    if (c->phase == PUBLISHING) {
        conclude(c);
        return 0;
    }
    c->phase = PUBLISHING;
    if (c->mesh->rank == 0)
        crew_do(c->crew, publish, c, 1);
    return 0;
}

int ckpt_proceed(struct ckpt *c)
{
    const double start = clock_monotonic();

    return next_phase(c, mesh_agree(c->mesh, crew_result(c->crew)), start);
}

int ckpt_finish(struct ckpt *c)
{
    while (ckpt_is_busy(c)) {
        const double start = clock_monotonic();

        TRY(next_phase(c, await(c), start));
    }
    return 0;
}

struct ckpt_cost ckpt_cost(const struct ckpt *c)
{
    return c->cost;
}

const char *ckpt_path(const struct ckpt *c)
{
    return c->file.path;
}
