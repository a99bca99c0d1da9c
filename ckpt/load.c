/* SPDX-License-Identifier: BSD-3-Clause */
/* Loading: rank 0 reads what the file holds and tells all; each rank reads its share of
 * whole rows, sums their digests, and passes on to its group what lies in others' boxes.
 */
#include "config.h"

#include "ckpt/boxes.h"
#include "ckpt/digest.h"
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
    float *share;
    int fd;
};

static int read_share(struct loading *l, const struct slab *s)
{
    const struct entry *e = l->entry[s->tensor];
    const int64_t index   = file_index(&l->list->tensor[s->tensor]);

    for (int i = 0; i < s->extents; i++)
        TRY(file_read(l->share + s->extent[i].at, l->fd, l->file, e,
                      index + s->extent[i].start, s->extent[i].count));
    return 0;
}

/* Ask the system for a share before it is needed. */
static void expect_share(const struct loading *l, int i)
{
    const struct slab *s;

    if (i >= boxes_count(l->boxes))
        return;
    s = boxes_slab(l->boxes, i);
    for (int k = 0; k < s->extents; k++)
        posix_fadvise(
            l->fd,
            l->entry[s->tensor]->offset +
                (file_index(&l->list->tensor[s->tensor]) + s->extent[k].start) *
                    (int64_t)sizeof(float),
            s->extent[k].count * (int64_t)sizeof(float), POSIX_FADV_WILLNEED);
}

/* The exchange goes on after an error, since others wait for it. */
static int read_all(struct loading *l)
{
    int rc = 0;

    for (int i = 0; i < boxes_count(l->boxes); i++) {
        const struct slab *s        = boxes_slab(l->boxes, i);
        const struct ckpt_tensor *t = &l->list->tensor[s->tensor];

        expect_share(l, i + 1);
        if (rc == 0)
            rc = read_share(l, s);
        if (rc == 0)
            l->digest[l->entry[s->tensor] - l->file->entry] +=
                boxes_digest(l->boxes, i, l->share, file_index(t));
        boxes_put(l->boxes, i, l->share);
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

static int alloc_share(struct loading *l)
{
    int64_t most = 0;
    void *room;

    for (int i = 0; i < boxes_count(l->boxes); i++) {
        const int64_t share = boxes_slab(l->boxes, i)->share;

        most = share > most ? share : most;
    }
    TRY(mem_alloc(&room, (size_t)most * sizeof(float)));
    memset(room, 0, (size_t)most * sizeof(float));
    l->share = room;
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
    return alloc_share(l);
}

int ckpt_load(const struct ckpt_list *list, struct mesh *mesh, struct dev *dev,
              const char *path)
{
    struct ckpt_file *file = NULL;
    struct loading l       = { .list = list, .fd = -1 };
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
    mem_free(l.share);
    boxes_close(&l.boxes);
    mem_free(l.digest);
    mem_free(l.entry);
    file_close(&file);
    return rc;
}
