/* SPDX-License-Identifier: BSD-3-Clause */
/* Every dataset is shared out among the ranks by its elements and read block by block.
 */
#include "config.h"

#include "src/exchange/audit.h"

#include "ckpt/digest.h"
#include "ckpt/file.h"
#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/split.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 1 << 20 }; /* elements */

/* A file that all ranks have open. */
struct source {
    struct ckpt_file *file;
    int fd;
    float *block; /* [BLOCK] */
    MPI_Comm comm;
    int rank, ranks;
};

static int open_local(struct source *s)
{
    void *room;

    s->fd = open(s->file->path, O_RDONLY);
    if (s->fd < 0)
        return ERR(ERR_IO, "%s cannot be read: %s", s->file->path, strerror(errno));
    TRY(mem_alloc(&room, BLOCK * sizeof(float)));
    s->block = room;
    return 0;
}

static void source_close(struct source *s)
{
    if (s->fd >= 0)
        close(s->fd);
    mem_free(s->block);
    file_close(&s->file);
}

static int source_open(struct source *s, const char *path, MPI_Comm comm)
{
    int rc;

    *s = (struct source){ .fd = -1, .comm = comm };
    TRY(file_open_all(&s->file, path, comm));
    MPI_Comm_rank(comm, &s->rank);
    MPI_Comm_size(comm, &s->ranks);
    rc = mesh_agree_comm(comm, open_local(s));
    if (rc != 0)
        source_close(s);
    return rc;
}

static struct range share_of(const struct source *s, const struct entry *e)
{
    return split_range(e->elements, s->ranks, s->rank);
}

static int64_t block_size(struct range share, int64_t at)
{
    return share.hi - at < BLOCK ? share.hi - at : BLOCK;
}

/* ---- list ------------------------------------------------------------------------ */

static bool is_digest(const char *name)
{
    return strcmp(name, META_SET) == 0 || strcmp(name, META_HELD_SET) == 0;
}

/* The options of the run: texts by name, but for those that are empty; the classes are
 * those of its classifier, for a set may have had others than its options say.  Between
 * them stand the digests of sets.
 */
static void print_options(FILE *out, const struct ckpt_file *f)
{
    const struct entry *bias = file_find(f, "params/head/bias");
    const char *name;
    json_t *value;

    json_object_foreach(f->meta.options, name, value)
    {
        const char *text = json_string_value(value);

        if (strcmp(name, "classes") == 0 && bias != NULL)
            fprintf(out, "  --classes=%" PRId64 "\n", bias->elements);
        else if (text != NULL && text[0] != '\0')
            fprintf(out, is_digest(name) ? "  %s %s\n" : "  --%s=%s\n", name, text);
    }
}

static void print_list(FILE *out, const struct ckpt_file *f)
{
    int64_t params = 0;
    char shape[FILE_SHAPE];

    for (int i = 0; i < f->entries; i++) {
        if (strncmp(f->entry[i].name, "params/", 7) == 0)
            params += f->entry[i].elements;
    }
    fprintf(out, "%s\n", f->path);
    fprintf(out, "step %" PRId64 ", %" PRId64 " examples, written by vitbench %s\n",
            f->meta.step, f->meta.examples, f->meta.version);
    fprintf(out, "%" PRId64 " parameters, %d datasets, %.3f MB\n", params, f->entries,
            (double)f->bytes / 1e6);
    print_options(out, f);
    for (int i = 0; i < f->entries; i++) {
        const struct entry *e = &f->entry[i];

        fprintf(out, "%016" PRIx64 "  %-20s %s\n", e->digest,
                file_shape(shape, e->size, e->dims), e->name);
    }
}

int audit_list(FILE *out, const char *path, MPI_Comm comm)
{
    struct source s;

    TRY(source_open(&s, path, comm));
    if (s.rank == 0)
        print_list(out, s.file);
    source_close(&s);
    return 0;
}

/* ---- verify ---------------------------------------------------------------------- */

/* This rank's part of the digest. */
static int digest_share(uint64_t *digest, struct source *s, const struct entry *e)
{
    const struct range share = share_of(s, e);

    for (int64_t at = share.lo; at < share.hi; at += BLOCK) {
        const int64_t n = block_size(share, at);

        TRY(file_read(s->block, s->fd, s->file, e, at, n));
        *digest += digest_of(s->block, n, at);
    }
    return 0;
}

static int verify(FILE *out, struct source *s)
{
    const struct ckpt_file *f = s->file;
    const double start        = clock_now();
    int damaged               = 0;

    for (int i = 0; i < f->entries; i++) {
        const struct entry *e = &f->entry[i];
        uint64_t digest       = 0;

        TRY(mesh_agree_comm(s->comm, digest_share(&digest, s, e)));
        TRY_MPI(
            MPI_Allreduce(MPI_IN_PLACE, &digest, 1, MPI_UINT64_T, MPI_SUM, s->comm));
        if (digest == e->digest)
            continue;
        damaged++;
        if (s->rank == 0)
            fprintf(out, "damaged: %s\n", e->name);
    }
    if (damaged > 0)
        return mesh_agree_comm(s->comm,
                               ERR(ERR_DATA, "%s: %d of %d datasets are damaged",
                                   f->path, damaged, f->entries));
    if (s->rank == 0)
        fprintf(out, "%s: %d datasets are as they were written (%.2f GB/s)\n", f->path,
                f->entries, (double)f->bytes / 1e9 / (clock_now() - start));
    return 0;
}

int audit_verify(FILE *out, const char *path, MPI_Comm comm)
{
    struct source s;
    int rc;

    TRY(source_open(&s, path, comm));
    rc = verify(out, &s);
    source_close(&s);
    return rc;
}

/* ---- diff ------------------------------------------------------------------------ */

struct difference {
    double sum[3]; /* over elements: how many differ; squares */
    double largest;
};
enum { DIFFERENT, SQUARES, SQUARES_A };

static void compare(struct difference *d, const float *a, const float *b, int64_t n)
{
    for (int64_t i = 0; i < n; i++) {
        const double apart = fabs((double)a[i] - (double)b[i]);

        d->sum[SQUARES_A] += (double)a[i] * a[i];
        if (memcmp(&a[i], &b[i], sizeof a[i]) == 0)
            continue;
        d->sum[DIFFERENT]++;
        d->sum[SQUARES] += apart * apart;
        d->largest = apart > d->largest ? apart : d->largest;
    }
}

static int compare_share(struct difference *d, struct source *a, const struct entry *ea,
                         struct source *b, const struct entry *eb)
{
    const struct range share = share_of(a, ea);

    for (int64_t at = share.lo; at < share.hi; at += BLOCK) {
        const int64_t n = block_size(share, at);

        TRY(file_read(a->block, a->fd, a->file, ea, at, n));
        TRY(file_read(b->block, b->fd, b->file, eb, at, n));
        compare(d, a->block, b->block, n);
    }
    return 0;
}

static void add_up(struct difference *d, MPI_Comm comm)
{
    TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, d->sum, 3, MPI_DOUBLE, MPI_SUM, comm));
    TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, &d->largest, 1, MPI_DOUBLE, MPI_MAX, comm));
    if (isnan(d->sum[SQUARES])) /* a sum keeps a NaN, which the most of some may not */
        d->largest = NAN;
}

/* The norm of the difference in that of what was there: 0 between 0 and -0, and nan,
 * not -nan, where a number is none.
 */
static double of_norm(const struct difference *d)
{
    return d->sum[SQUARES] == 0 ? 0 : fabs(sqrt(d->sum[SQUARES] / d->sum[SQUARES_A]));
}

/* Print how the dataset differs; '*differs' if it does. */
static int diff_entry(FILE *out, bool *differs, struct source *a,
                      const struct entry *ea, struct source *b, const struct entry *eb)
{
    struct difference d = { 0 };
    char shape_a[FILE_SHAPE], shape_b[FILE_SHAPE];

    *differs = true;
    if (ea->dims != eb->dims || memcmp(ea->size, eb->size, sizeof ea->size) != 0) {
        if (a->rank == 0)
            fprintf(out, "%s: %s and %s\n", ea->name,
                    file_shape(shape_a, ea->size, ea->dims),
                    file_shape(shape_b, eb->size, eb->dims));
        return 0;
    }
    TRY(mesh_agree_comm(a->comm, compare_share(&d, a, ea, b, eb)));
    add_up(&d, a->comm);
    *differs = d.sum[DIFFERENT] > 0;
    if (*differs && a->rank == 0)
        fprintf(out, "%s: %.0f of %" PRId64 " differ, by %.3g at most, %.3g of norm\n",
                ea->name, d.sum[DIFFERENT], ea->elements, d.largest, of_norm(&d));
    return 0;
}

/* The datasets of 'a' that 'b' lacks; returns how many. */
static int diff_names(FILE *out, const struct source *a, const struct source *b)
{
    int missing = 0;

    for (int i = 0; i < a->file->entries; i++) {
        const char *name = a->file->entry[i].name;

        if (file_find(b->file, name) != NULL)
            continue;
        missing++;
        if (a->rank == 0)
            fprintf(out, "%s: only in %s\n", name, a->file->path);
    }
    return missing;
}

static int diff(FILE *out, struct source *a, struct source *b)
{
    int different = diff_names(out, a, b) + diff_names(out, b, a);

    for (int i = 0; i < a->file->entries; i++) {
        const struct entry *ea = &a->file->entry[i];
        const struct entry *eb = file_find(b->file, ea->name);
        bool differs           = false;

        if (eb != NULL)
            TRY(diff_entry(out, &differs, a, ea, b, eb));
        different += differs;
    }
    if (different > 0)
        return mesh_agree_comm(a->comm,
                               ERR(ERR_CHECK, "%s and %s differ in %d datasets",
                                   a->file->path, b->file->path, different));
    if (a->rank == 0)
        fprintf(out, "%d datasets are the same\n", a->file->entries);
    return 0;
}

int audit_diff(FILE *out, const char *path_a, const char *path_b, MPI_Comm comm)
{
    struct source a, b;
    int rc;

    TRY(source_open(&a, path_a, comm));
    rc = source_open(&b, path_b, comm);
    if (rc == 0) {
        rc = diff(out, &a, &b);
        source_close(&b);
    }
    source_close(&a);
    return rc;
}
