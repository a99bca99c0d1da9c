/* SPDX-License-Identifier: BSD-3-Clause */
/* Saving: the order of things, and what happens when one fails.
 *
 * This rank's share lies on the host until it is written.  Where memory is short it is
 * taken in several passes, and all but the last are waited for.
 */
#include "config.h"

#include "ckpt/ckpt.h"

#include "ckpt/boxes.h"
#include "ckpt/crew.h"
#include "ckpt/direct.h"
#include "ckpt/file.h"
#include "ckpt/folder.h"
#include "ckpt/writer.h"
#include "mesh/coll.h"
#include "mesh/guard.h"
#include "src/base/clock.h"
#include "src/base/draft.h"
#include "src/base/err.h"
#include "src/base/log.h"
#include "src/base/mem.h"

#include <signal.h>
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

    float *share;             /* of one pass, f32 */
    size_t share_bytes;       /* of its room */
    struct writer_part *part; /* of one pass */
    uint64_t *digest;         /* of this rank's elements, by dataset */
    int64_t memory;           /* for it, 0: half of what is free */
    int passes;               /* 0: not known yet */

    char making[CKPT_PATH + 8]; /* the path until then */
    enum phase phase;
    double start, blocked;
    double named; /* when it had its name, on rank 0 */
    struct ckpt_cost cost;
    int64_t newest; /* the step of the newest complete file, -1: none */
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

static int open_local(struct ckpt *c)
{
    struct sigaction action;
    int64_t *steps = NULL;

    /* Writing past a limit is an error with a sentence, not the end of the process. */
    sigaction(SIGXFSZ, NULL, &action);
    if (action.sa_handler == SIG_DFL)
        signal(SIGXFSZ, SIG_IGN);
    if (c->mesh->rank == 0) {
        TRY(folder_open(&c->claim, c->dir));
        if (folder_steps(&steps, c->dir) > 0)
            c->newest = steps[0];
        mem_free(steps);
    }
    TRY(crew_open(&c->crew));
    c->writer = writer_open(c->crew);
    return 0;
}

int ckpt_open(struct ckpt **ckpt, struct mesh *mesh, struct dev *dev,
              const struct ckpt_list *list, const char *dir, int keep)
{
    struct ckpt *c = mem_new(1, sizeof *c);
    int rc;

    c->mesh   = mesh;
    c->list   = list;
    c->keep   = keep;
    c->newest = -1;
    snprintf(c->dir, sizeof c->dir, "%s", dir);
    list_datasets(c);
    rc = mesh_agree(mesh, open_local(c));
    if (rc == 0)
        rc = boxes_open(&c->boxes, mesh, dev, list, true, BOXES_SHARE);
    if (rc != 0) {
        ckpt_close(&c);
        return rc;
    }
    *ckpt = c;
    return 0;
}

/* The room of a pass, which alloc_share() makes anew. */
static void free_share(struct ckpt *c)
{
    mem_unmap(c->share, c->share_bytes);
    mem_free(c->part);
    c->share  = NULL;
    c->part   = NULL;
    c->passes = 0;
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
    free_share(c);
    mem_free(c->file.entry);
    mem_free(c->dataset);
    mem_free(c->digest);
    mem_free(c);
    *ckpt = NULL;
}

/* ---- the snapshot ---------------------------------------------------------------- */

/* Numbers left free before a share that is worth it, at most, so that its memory lies
 * in blocks as its place in the file does (direct.h).
 */
static int64_t spare_of(const struct slab *s)
{
    const int64_t size = sizeof(float);

    return s->share * size >= DIRECT_LEAST ? DIRECT_BLOCK / size : 0;
}

/* The first place from 'at' on for a share that goes to byte 'offset' of the file. */
static float *place(float *at, const struct slab *s, int64_t offset)
{
    const int64_t size     = sizeof(float);
    const int64_t short_of = offset - (int64_t)((uintptr_t)at % DIRECT_BLOCK);

    if (spare_of(s) == 0)
        return at;
    return at + (short_of % DIRECT_BLOCK + DIRECT_BLOCK) % DIRECT_BLOCK / size;
}

/* What this rank takes in one pass: numbers, and stretches of the file. */
struct load {
    int64_t elements;
    int parts;
};

static struct load load_of(const struct ckpt *c, int passes, int pass)
{
    const struct range slabs = split_range(boxes_count(c->boxes), passes, pass);
    struct load load         = { 0 };

    for (int64_t i = slabs.lo; i < slabs.hi; i++) {
        const struct slab *s = boxes_slab(c->boxes, (int)i);

        load.elements += s->share + spare_of(s);
        load.parts += s->extents;
    }
    return load;
}

static struct load largest_load(const struct ckpt *c, int passes)
{
    struct load most = { 0 };

    for (int pass = 0; pass < passes; pass++) {
        const struct load load = load_of(c, passes, pass);

        most.elements = load.elements > most.elements ? load.elements : most.elements;
        most.parts    = load.parts > most.parts ? load.parts : most.parts;
    }
    return most;
}

/* How many passes it takes on the rank that has the least room for its share. */
static int choose_passes(const struct ckpt *c)
{
    enum { MOST = 64 };
    const double half = 0.5 * (double)mem_available() / c->mesh->node_size;
    const double room = c->memory > 0 ? (double)c->memory : half;
    int passes        = 1;

    while (room > 0 && passes < MOST &&
           (double)largest_load(c, passes).elements * (double)sizeof(float) > room)
        passes++;
    return (int)coll_largest(c->mesh, AXIS_ALL, passes);
}

/* Room for a pass; it is kept from save to save. */
static int alloc_share(struct ckpt *c)
{
    const struct load most = largest_load(c, c->passes);
    void *room;

    c->share_bytes = (size_t)most.elements * sizeof(float);
    TRY(mem_map(&room, c->share_bytes));
    c->share = room;
    TRY(mem_alloc(&room, (size_t)most.parts * sizeof *c->part));
    c->part = room;
    return 0;
}

/* The place in the file of an extent of tensor 't'. */
static int64_t part_offset(const struct entry *e, const struct ckpt_tensor *t,
                           const struct extent *extent)
{
    return e->offset + (file_index(t) + extent->start) * (int64_t)sizeof(float);
}

/* Take a pass from the device and let the threads write it.  They begin
 * when all is taken: training stands still until then, and would for longer
 * if they shared its cores.
 */
static void take(struct ckpt *c, int pass)
{
    const struct range slabs = split_range(boxes_count(c->boxes), c->passes, pass);
    float *at                = c->share;
    int parts                = 0;

    for (int64_t i = slabs.lo; i < slabs.hi; i++) {
        const struct slab *s        = boxes_slab(c->boxes, (int)i);
        const struct ckpt_tensor *t = &c->list->tensor[s->tensor];
        const struct entry *e       = &c->file.entry[c->dataset[s->tensor]];

        if (s->extents > 0)
            at = place(at, s, part_offset(e, t, &s->extent[0]));
        boxes_get(c->boxes, (int)i, at);
        for (int k = 0; k < s->extents; k++) {
            const int64_t index = file_index(t) + s->extent[k].start;

            c->part[parts++] = (struct writer_part){
                .at      = at + s->extent[k].at,
                .count   = s->extent[k].count,
                .index   = index,
                .offset  = part_offset(e, t, &s->extent[k]),
                .dataset = c->dataset[s->tensor],
            };
        }
        at += s->share;
        guard_alive();
    }
    writer_start(c->writer, c->making, c->part, parts, c->digest);
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
    if (c->passes > 0)
        return 0;
    c->passes = choose_passes(c);
    rc        = mesh_agree(c->mesh, alloc_share(c));
    if (rc != 0)
        free_share(c); /* another save may find some */
    return rc;
}

int ckpt_start(struct ckpt *c, const struct ckpt_meta *meta)
{
    int rc;

    (void)ckpt_finish(c); /* what went wrong has been said */
    c->phase     = WRITING;
    c->start     = clock_now();
    c->file.meta = *meta;
    folder_path(c->file.path, c->dir, meta->step);
    snprintf(c->making, sizeof c->making, "%s.part", c->file.path);
    memset(c->digest, 0, (size_t)c->file.entries * sizeof *c->digest);
    rc = make_file(c);
    for (int pass = 0; rc == 0 && pass < c->passes; pass++) {
        take(c, pass);
        if (pass < c->passes - 1)
            rc = await(c);
    }
    c->file.meta.options = c->file.meta.tuned = NULL; /* were borrowed */
    c->blocked                                = clock_now() - c->start;
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
    c->named = clock_now();
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
    c->blocked += clock_now() - start;
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
    const double start = clock_now();

    return next_phase(c, mesh_agree(c->mesh, crew_result(c->crew)), start);
}

int ckpt_finish(struct ckpt *c)
{
    while (ckpt_is_busy(c)) {
        const double start = clock_now();

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
