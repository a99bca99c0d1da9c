/* SPDX-License-Identifier: BSD-3-Clause */
/* Loading: rank 0 reads what the file holds and tells all; each rank reads its share of
 * whole rows, sums their digests, and passes on to its group what lies in others'
 * boxes, while threads read the next.
 */
#include "config.h"

#include "ckpt/ahead.h"
#include "ckpt/boxes.h"
#include "ckpt/digest.h"
#include "ckpt/direct.h"
#include "ckpt/file.h"
#include "ckpt/folder.h"
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
#include <sys/stat.h>
#include <unistd.h>

/* ---- which file ------------------------------------------------------------------ */

/* What is damaged is left out, but not what cannot be read here, or now: a run would go
 * on from before it, and over it.
 */
static int find_newest(char *path, const char *dir)
{
    int64_t *steps         = NULL;
    const int n            = folder_steps(&steps, dir);
    struct ckpt_file *file = NULL;
    int rc                 = 0;

    if (n < 0)
        return n;
    for (int i = 0; i < n && file == NULL && rc == 0; i++) {
        folder_path(path, dir, steps[i]);
        rc = file_open(&file, path);
        if (rc == ERR_DATA) {
            WARN("%s; it is left out", err_sentence());
            err_forget();
            rc = 0;
        }
    }
    if (file == NULL)
        path[0] = '\0';
    file_close(&file);
    mem_free(steps);
    return rc;
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

int ckpt_find(char *path, const char *given, MPI_Comm comm)
{
    struct stat state;
    int rank, is_folder;

    TRY_MPI(MPI_Comm_rank(comm, &rank));
    is_folder = rank == 0 && stat(given, &state) == 0 && S_ISDIR(state.st_mode);
    TRY_MPI(MPI_Bcast(&is_folder, 1, MPI_INT, 0, comm));
    if (!is_folder) {
        snprintf(path, CKPT_PATH, "%s", given);
        return 0;
    }
    TRY(ckpt_newest(path, given, comm));
    return path[0] != '\0'
               ? 0
               : mesh_agree_comm(
                     comm, ERR(ERR_DATA, "%s holds no complete checkpoint", given));
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

/* ---- what is in it --------------------------------------------------------------- */

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

/* ---- the numbers ----------------------------------------------------------------- */

/* Where a share is read to. */
struct room {
    char *first;        /* its first sector; */
    const float *share; /* the share, at or behind that, as it was read; */
    uint64_t digest;    /* and what it adds to that of its entry */
};

struct loading {
    const struct ckpt_list *list;
    const struct ckpt_file *file;
    const struct entry **entry; /* of each tensor */
    struct boxes *boxes;
    uint64_t *digest;              /* by entry of the file: what this rank has read */
    int fd, straight;              /* the second past the cache; -1: not to be had */
    struct room room[AHEAD_ROOMS]; /* one behind the other */
    int64_t room_bytes;            /* of each */
    struct ahead *ahead; /* it reads shares while those before are dealt out */
};

/* The place of an extent in the file. */
static int64_t offset_of(const struct loading *l, const struct slab *s,
                         const struct extent *extent)
{
    const int64_t first = file_index(&l->list->tensor[s->tensor]);

    return l->entry[s->tensor]->offset +
           (first + extent->start) * (int64_t)sizeof(float);
}

/* A long stretch can come past the cache. */
static bool is_straight(const struct loading *l, const struct slab *s)
{
    return l->straight >= 0 && s->extents == 1 &&
           s->extent[0].count * (int64_t)sizeof(float) >= DIRECT_LEAST;
}

/* False if it did not come; the other way tells why. */
static bool read_straight(const struct loading *l, const struct slab *s,
                          struct room *room)
{
    const struct extent *extent = &s->extent[0];
    void *at;

    if (direct_read(&at, room->first, l->straight,
                    extent->count * (int64_t)sizeof(float),
                    offset_of(l, s, extent)) != 0)
        return false;
    room->share = (const float *)at - extent->at;
    return true;
}

static int read_cached(const struct loading *l, const struct slab *s, struct room *room)
{
    const int64_t index = file_index(&l->list->tensor[s->tensor]);
    float *share        = (float *)room->first;

    for (int i = 0; i < s->extents; i++)
        TRY(file_read(share + s->extent[i].at, l->fd, l->file, l->entry[s->tensor],
                      index + s->extent[i].start, s->extent[i].count));
    room->share = share;
    return 0;
}

/* Read this rank's share of a slab, of another thread. */
static int read_share(void *loading, int slab, int number)
{
    struct loading *l    = loading;
    struct room *room    = &l->room[number];
    const struct slab *s = boxes_slab(l->boxes, slab);

    if (!is_straight(l, s) || !read_straight(l, s, room))
        TRY(read_cached(l, s, room));
    room->digest = boxes_digest(l->boxes, slab, room->share,
                                file_index(&l->list->tensor[s->tensor]));
    return 0;
}

/* The exchange goes on after an error, since others wait for it. */
static int read_all(struct loading *l)
{
    int rc = ahead_open(&l->ahead, boxes_count(l->boxes), read_share, l);

    for (int i = 0; i < boxes_count(l->boxes); i++) {
        const struct room *room = &l->room[i % AHEAD_ROOMS];
        const int tensor        = boxes_slab(l->boxes, i)->tensor;

        if (rc == 0)
            rc = ahead_next(l->ahead);
        if (rc == 0)
            l->digest[l->entry[tensor] - l->file->entry] += room->digest;
        boxes_put(l->boxes, i, rc == 0 ? room->share : (const float *)room->first);
        guard_alive();
    }
    ahead_close(&l->ahead);
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

static int alloc_rooms(struct loading *l)
{
    int64_t most = 0, bytes;
    void *pages;

    for (int i = 0; i < boxes_count(l->boxes); i++) {
        const int64_t share = boxes_slab(l->boxes, i)->share;

        most = share > most ? share : most;
    }
    bytes = direct_room(most * (int64_t)sizeof(float));
    TRY(mem_map(&pages, (size_t)(AHEAD_ROOMS * bytes)));
    for (int i = 0; i < AHEAD_ROOMS; i++) {
        l->room[i].first = (char *)pages + i * bytes;
        l->room[i].share = (const float *)l->room[i].first;
    }
    l->room_bytes = bytes;
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
    return alloc_rooms(l);
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
    if (l.fd >= 0)
        close(l.fd);
    if (l.straight >= 0)
        close(l.straight);
    mem_unmap(l.room[0].first, (size_t)(AHEAD_ROOMS * l.room_bytes));
    boxes_close(&l.boxes);
    mem_free(l.digest);
    mem_free(l.entry);
    file_close(&file);
    return rc;
}
