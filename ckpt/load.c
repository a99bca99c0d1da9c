/* SPDX-License-Identifier: BSD-3-Clause */
/* Loading: rank 0 reads what the file holds and tells all; each rank reads its share of
 * whole rows, sums their digests, and passes on to its group what lies in others' boxes,
 * while a thread reads the next.
 */
#include "config.h"

#include "ckpt/boxes.h"
#include "ckpt/digest.h"
#include "ckpt/direct.h"
#include "ckpt/file.h"
#include "ckpt/folder.h"
#include "ckpt/writer.h"
#include "mesh/coll.h"
#include "mesh/guard.h"
#include "src/base/err.h"
#include "src/base/log.h"
#include "src/base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- which file -------------------------------------------------------------------- */

static int find_newest(char *path, const char *dir)
{
    int64_t *steps         = NULL;
    const int n            = folder_steps(&steps, dir);
    struct ckpt_file *file = NULL;

    if (n < 0)
        return n;
    for (int i = 0; i < n && file == NULL; i++) {
        folder_path(path, dir, steps[i]);
        if (file_open(&file, path) != 0) {
            WARN("%s; it is left out", err_sentence());
            err_forget();
        }
    }
    if (file == NULL)
        path[0] = '\0';
    file_close(&file);
    mem_free(steps);
    return 0;
}

int ckpt_newest(char *path, const char *dir, MPI_Comm comm)
{
    char found[CKPT_PATH] = "";
    int rank, rc = 0;

    TRY_MPI(MPI_Comm_rank(comm, &rank));
    if (rank == 0)
        rc = find_newest(found, dir);
    TRY(mesh_agree_comm(comm, rc));
    TRY_MPI(MPI_Bcast(found, sizeof found, MPI_CHAR, 0, comm));
    strcpy(path, found);
    return 0;
}

int ckpt_meta(struct ckpt_meta *meta, const char *path, MPI_Comm comm)
{
    struct ckpt_file *file = NULL;

    TRY(file_open_all(&file, path, comm));
    *meta      = file->meta;
    file->meta = (struct ckpt_meta){ 0 };
    file_close(&file);
    return 0;
}

/* ---- what is in it ----------------------------------------------------------------- */

/* The dataset of tensor 't', which must have its shape. */
static int match(const struct entry **entry, const struct ckpt_file *file,
                 const struct ckpt_tensor *t)
{
    const struct entry *found = file_find(file, t->dataset);
    struct entry wanted;
    char is[FILE_SHAPE], shall[FILE_SHAPE];

    file_entry(&wanted, t);
    if (found == NULL)
        return ERR(ERR_DATA, "%s has no '%s'", file->path, t->dataset);
    if (found->dims != wanted.dims ||
        memcmp(found->size, wanted.size, sizeof wanted.size) != 0)
        return ERR(ERR_DATA, "%s: '%s' is %s, and here %s", file->path, t->dataset,
                   file_shape(is, found->size, found->dims),
                   file_shape(shall, wanted.size, wanted.dims));
    *entry = found;
    return 0;
}

static int match_all(const struct entry **entry, const struct ckpt_file *file,
                     const struct ckpt_list *list)
{
    for (int i = 0; i < list->tensors; i++)
        TRY(match(&entry[i], file, &list->tensor[i]));
    return 0;
}

/* ---- the numbers ------------------------------------------------------------------- */

struct loading {
    const struct ckpt_list *list;
    const struct ckpt_file *file;
    const struct entry **entry; /* of each tensor */
    struct boxes *boxes;
    uint64_t *digest; /* by entry of the file: what this rank has read */
    int fd, straight; /* the second past the cache; -1: not to be had */

    struct writer *reader; /* it reads a share while the one before is dealt out */
    void *block[2];        /* for even and for odd slabs; */
    char *room[2];         /* their first whole sector; */
    const float *share[2]; /* and the share in it */
    int next;              /* the slab that it reads */
};

/* The place of an extent in the file. */
static int64_t offset_of(const struct loading *l, const struct slab *s,
                         const struct extent *extent)
{
    const int64_t first = file_index(&l->list->tensor[s->tensor]);

    return l->entry[s->tensor]->offset +
           (first + extent->start) * (int64_t)sizeof(float);
}

/* Ask the system for a share before it is needed. */
static void expect_share(const struct loading *l, int i)
{
    const struct slab *s;

    if (i >= boxes_count(l->boxes))
        return;
    s = boxes_slab(l->boxes, i);
    for (int k = 0; k < s->extents; k++)
        posix_fadvise(l->fd, offset_of(l, s, &s->extent[k]),
                      s->extent[k].count * (int64_t)sizeof(float), POSIX_FADV_WILLNEED);
}

/* A long stretch can come past the cache. */
static bool is_straight(const struct loading *l, const struct slab *s)
{
    return l->straight >= 0 && s->extents == 1 &&
           s->extent[0].count * (int64_t)sizeof(float) >= DIRECT_LEAST;
}

/* False if it did not come; the other way tells why. */
static bool read_straight(struct loading *l, const struct slab *s)
{
    const struct extent *extent = &s->extent[0];
    void *at;

    if (direct_read(&at, l->room[l->next % 2], l->straight,
                    extent->count * (int64_t)sizeof(float),
                    offset_of(l, s, extent)) != 0)
        return false;
    l->share[l->next % 2] = (const float *)at - extent->at;
    return true;
}

/* Read this rank's share of slab 'next': of another thread. */
static int read_share(void *loading)
{
    struct loading *l     = loading;
    const struct slab *s  = boxes_slab(l->boxes, l->next);
    const struct entry *e = l->entry[s->tensor];
    const int64_t index   = file_index(&l->list->tensor[s->tensor]);
    float *share          = (float *)l->room[l->next % 2];

    if (is_straight(l, s) && read_straight(l, s))
        return 0;
    expect_share(l, l->next + 1);
    l->share[l->next % 2] = share;
    for (int i = 0; i < s->extents; i++)
        TRY(file_read(share + s->extent[i].at, l->fd, l->file, e,
                      index + s->extent[i].start, s->extent[i].count));
    return 0;
}

static void start_share(struct loading *l, int i)
{
    l->next = i;
    if (i < boxes_count(l->boxes))
        writer_do(l->reader, read_share, l);
}

static int finish_share(struct loading *l)
{
    while (!writer_wait(l->reader, 1))
        continue;
    return writer_result(l->reader);
}

/* The exchange goes on after an error, since others wait for it. */
static int read_all(struct loading *l)
{
    int rc = 0;

    start_share(l, 0);
    for (int i = 0; i < boxes_count(l->boxes); i++) {
        const struct slab *s        = boxes_slab(l->boxes, i);
        const struct ckpt_tensor *t = &l->list->tensor[s->tensor];
        const float *share          = l->share[i % 2];

        if (rc == 0)
            rc = finish_share(l);
        if (rc == 0) {
            start_share(l, i + 1);
            l->digest[l->entry[s->tensor] - l->file->entry] +=
                boxes_digest(l->boxes, i, share, file_index(t));
        }
        boxes_put(l->boxes, i, share);
        guard_alive();
    }
    return rc;
}

static int check_digests(const struct loading *l, const struct mesh *mesh)
{
    TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, l->digest, l->file->entries, MPI_UINT64_T,
                          MPI_SUM, mesh->comm[AXIS_ALL]));
    for (int i = 0; i < l->list->tensors; i++) {
        const struct entry *e = l->entry[i];

        if (l->digest[e - l->file->entry] != e->digest)
            return ERR(ERR_DATA,
                       "%s: '%s' is damaged: its digest is %016" PRIx64
                       ", and should be %016" PRIx64,
                       l->file->path, e->name, l->digest[e - l->file->entry],
                       e->digest);
    }
    return 0;
}

static int alloc_shares(struct loading *l)
{
    int64_t most = 0;

    for (int i = 0; i < boxes_count(l->boxes); i++) {
        const int64_t share = boxes_slab(l->boxes, i)->share;

        most = share > most ? share : most;
    }
    for (int i = 0; i < 2; i++) {
        const size_t bytes = (size_t)most * sizeof(float) + 3 * DIRECT_SECTOR;
        uintptr_t first;

        TRY(mem_alloc(&l->block[i], bytes));
        memset(l->block[i], 0, bytes);
        first       = ((uintptr_t)l->block[i] + DIRECT_SECTOR - 1) / DIRECT_SECTOR;
        l->room[i]  = (char *)(first * DIRECT_SECTOR);
        l->share[i] = (const float *)l->room[i];
    }
    return 0;
}

static int read_whole(float *x, const struct ckpt_file *file, const struct entry *entry)
{
    const int fd = open(file->path, O_RDONLY);
    int rc;

    if (fd < 0)
        return ERR(ERR_IO, "%s cannot be read: %s", file->path, strerror(errno));
    rc = file_read(x, fd, file, entry, 0, entry->elements);
    close(fd);
    if (rc == 0 && digest_of(x, entry->elements, 0) != entry->digest)
        rc = ERR(ERR_DATA, "%s: '%s' is damaged: it has another digest", file->path,
                 entry->name);
    return rc;
}

int file_read_all(float **x, const struct ckpt_file *file, const struct entry *entry,
                  struct mesh *mesh)
{
    const int64_t bytes = entry->elements * (int64_t)sizeof **x;
    void *room          = NULL;
    int rc              = mem_alloc(&room, (size_t)bytes);

    if (rc == 0 && mesh->rank == 0)
        rc = read_whole(room, file, entry);
    rc = mesh_agree(mesh, rc);
    if (rc != 0) {
        mem_free(room);
        return rc;
    }
    coll_broadcast(mesh, AXIS_ALL, 0, room, bytes);
    *x = room;
    return 0;
}

static int open_numbers(struct loading *l)
{
    l->fd = open(l->file->path, O_RDONLY);
    if (l->fd < 0)
        return ERR(ERR_IO, "%s cannot be read: %s", l->file->path, strerror(errno));
    l->straight = direct_open_read(l->file->path);
    TRY(writer_open(&l->reader));
    return alloc_shares(l);
}

int ckpt_load(const struct ckpt_list *list, struct mesh *mesh, struct dev *dev,
              const char *path)
{
    struct ckpt_file *file = NULL;
    struct loading l       = { .list = list, .fd = -1, .straight = -1 };
    int rc;

    TRY(file_open_all(&file, path, mesh->comm[AXIS_ALL]));
    l.file   = file;
    l.entry  = mem_new((size_t)list->tensors, sizeof *l.entry);
    l.digest = mem_new((size_t)file->entries, sizeof *l.digest);
    rc       = mesh_agree(mesh, match_all(l.entry, file, list));
    if (rc == 0)
        rc = boxes_open(&l.boxes, mesh, dev, list, false, BOXES_SHARE);
    if (rc == 0)
        rc = mesh_agree(mesh, open_numbers(&l));
    if (rc == 0)
        rc = mesh_agree(mesh, read_all(&l));
    if (rc == 0)
        rc = mesh_agree(mesh, check_digests(&l, mesh));
    writer_close(&l.reader);
    if (l.fd >= 0)
        close(l.fd);
    if (l.straight >= 0)
        close(l.straight);
    mem_free(l.block[0]);
    mem_free(l.block[1]);
    boxes_close(&l.boxes);
    mem_free(l.digest);
    mem_free(l.entry);
    file_close(&file);
    return rc;
}
