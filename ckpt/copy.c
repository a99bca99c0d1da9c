/* SPDX-License-Identifier: BSD-3-Clause */
/* Passes over the slabs, and where the shares of a pass lie in memory. */
#include "config.h"

#include "ckpt/copy.h"

#include "ckpt/direct.h"
#include "mesh/coll.h"
#include "mesh/guard.h"
#include "src/base/err.h"
#include "src/base/mem.h"

/* ---- sizes ----------------------------------------------------------------------- */

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

static struct load load_of(const struct copy *c, int passes, int pass)
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

static struct load largest_load(const struct copy *c, int passes)
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
static int choose_passes(const struct copy *c, struct mesh *mesh, int64_t memory)
{
    enum { MOST = 64 };
    const double half = 0.5 * (double)mem_available() / mesh->node_size;
    const double room = memory > 0 ? (double)memory : half;
    int passes        = 1;

    while (room > 0 && passes < MOST &&
           (double)largest_load(c, passes).elements * (double)sizeof(float) > room)
        passes++;
    return (int)coll_largest(mesh, AXIS_ALL, passes);
}

/* ---- open and close -------------------------------------------------------------- */

static int alloc(struct copy *c)
{
    const struct load most = largest_load(c, c->passes);
    void *room;

    c->bytes = (size_t)most.elements * sizeof(float);
    TRY(mem_map(&room, c->bytes));
    c->at = room;
    TRY(mem_alloc(&room, (size_t)most.parts * sizeof *c->part));
    c->part = room;
    return 0;
}

int copy_open(struct copy *c, struct mesh *mesh, struct boxes *boxes,
              const struct ckpt_list *list, const int *dataset, int64_t memory)
{
    int rc;

    *c        = (struct copy){ .boxes = boxes, .list = list, .dataset = dataset };
    c->passes = choose_passes(c, mesh, memory);
    rc        = mesh_agree(mesh, alloc(c));
    if (rc != 0)
        copy_close(c); /* another save may find some */
    return rc;
}

void copy_close(struct copy *c)
{
    mem_unmap(c->at, c->bytes);
    mem_free(c->part);
    *c = (struct copy){ 0 };
}

/* ---- a pass ---------------------------------------------------------------------- */

/* The place in the file of an extent of tensor 't'. */
static int64_t part_offset(const struct entry *e, const struct ckpt_tensor *t,
                           const struct extent *extent)
{
    return e->offset + (file_index(t) + extent->start) * (int64_t)sizeof(float);
}

void copy_take(struct copy *c, const struct entry *entry, int pass)
{
    const struct range slabs = split_range(boxes_count(c->boxes), c->passes, pass);
    float *at                = c->at;

    c->parts = 0;
    for (int64_t i = slabs.lo; i < slabs.hi; i++) {
        const struct slab *s        = boxes_slab(c->boxes, (int)i);
        const struct ckpt_tensor *t = &c->list->tensor[s->tensor];
        const int dataset           = c->dataset[s->tensor];

        if (s->extents > 0)
            at = place(at, s, part_offset(&entry[dataset], t, &s->extent[0]));
        boxes_get(c->boxes, (int)i, at);
        for (int k = 0; k < s->extents; k++) {
            const struct extent *extent = &s->extent[k];

            c->part[c->parts++] = (struct writer_part){
                .at      = at + extent->at,
                .count   = extent->count,
                .index   = file_index(t) + extent->start,
                .offset  = part_offset(&entry[dataset], t, extent),
                .dataset = dataset,
            };
        }
        at += s->share;
        guard_alive();
    }
}
