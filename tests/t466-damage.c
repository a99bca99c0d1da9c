/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1 */
/* Checkpoints that were cut off, whose bits were flipped, or that are none: always a
 * sentence, never numbers that are not those that were written.
 */
#include "config.h"

#include "ckpt/ckpt.h"

#include "ckpt/digest.h"
#include "ckpt/file.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "src/exchange/audit.h"
#include "tests/disk.h"
#include "tests/ranks.h"
#include "tests/scratch.h"
#include "tests/tensors.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

enum { FLIPS = 400, CUTS = 40, PLACE = 4 << 20 }; /* where the numbers begin */

static const char *path;
static char *bytes; /* of the file as it was written */
static int64_t size;

static void write_file(const char *data, int64_t length)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    if (fd < 0 || write(fd, data, (size_t)length) != length)
        die("%s cannot be written", path);
    close(fd);
}

static void make(void)
{
    const struct ckpt_meta meta = { .step = 1 };
    struct mesh *mesh;
    struct dev *dev;
    struct tensors t;
    struct ckpt *c;
    int fd;

    if (mesh_open(&mesh, MPI_COMM_WORLD, 1, 1) != 0 ||
        dev_open(&dev, "cpu:ref", DTYPE_F32, 1) != 0)
        die("no mesh, or no device");
    tensors_open(&t, mesh, dev, TENSORS_WHOLE, 1);
    tensors_fill(&t, 1);
    if (ckpt_open(&c, mesh, dev, &t.list, scratch_open(), 0, NULL) != 0 ||
        ckpt_start(c, &meta) != 0 || ckpt_finish(c) != 0)
        die("no checkpoint");
    fd    = open(ckpt_path(c), O_RDONLY);
    size  = lseek(fd, 0, SEEK_END);
    bytes = mem_new((size_t)size, 1);
    if (pread(fd, bytes, (size_t)size, 0) != size)
        die("no bytes");
    close(fd);
    ckpt_close(&c);
    path = scratch_path("damaged.h5");
    tensors_close(&t);
    dev_close(&dev);
    mesh_close(&mesh);
}

/* True if the file is refused with a sentence, or still has what it had. */
static bool is_seen(void)
{
    struct ckpt_file *f = NULL;
    int rc              = file_open(&f, path);
    float *x            = mem_new((size_t)size, 1);
    const int fd        = open(path, O_RDONLY);
    bool is_right       = true;

    for (int i = 0; rc == 0 && i < f->entries; i++) {
        const struct entry *e = &f->entry[i];

        rc = file_read(x, fd, f, e, 0, e->elements);
        if (rc == 0 && digest_of(x, e->elements, 0) != e->digest)
            rc = ERR(ERR_DATA, "damaged");
        for (int64_t k = 0; rc == 0 && k < e->elements; k++) {
            const float value = tensors_value(e->name, 1, k);

            is_right = is_right && memcmp(&value, &x[k], sizeof value) == 0;
        }
    }
    if (rc == 0)
        is_right = is_right && f->meta.step == 1 && f->entries == 10;
    else
        is_right = rc == ERR_DATA && err_sentence() != NULL;
    if (!is_right)
        tap_note("%s: %s", err_name(rc), rc != 0 ? err_sentence() : "wrong numbers");
    close(fd);
    mem_free(x);
    err_forget();
    file_close(&f);
    return is_right;
}

/* Flip one bit of 'n' bytes drawn from lo .. hi - 1. */
static bool are_flips_seen(int n, int64_t lo, int64_t hi, uint64_t seed)
{
    bool are_seen = true;

    for (int i = 0; i < n; i++) {
        const uint64_t bits = rng_bits(seed, RNG_TEST, (uint64_t)i);
        const int64_t at    = lo + (int64_t)(bits % (uint64_t)(hi - lo));
        const char flip     = (char)(1 << (bits >> 61));

        bytes[at] ^= flip;
        write_file(bytes, size);
        bytes[at] ^= flip;
        if (!is_seen()) {
            tap_note("byte %lld, bit %d", (long long)at, flip);
            are_seen = false;
        }
    }
    return are_seen;
}

/* The end of what HDF5 has written at the start. */
static int64_t described(void)
{
    int64_t end = size < PLACE ? size : PLACE;

    while (end > 0 && bytes[end - 1] == 0)
        end--;
    return end;
}

static int64_t end_of_numbers(void)
{
    struct ckpt_file *f = NULL;
    int64_t end         = 0;

    write_file(bytes, size);
    if (file_open(&f, path) != 0)
        die("no file");
    for (int i = 0; i < f->entries; i++) {
        const struct entry *e = &f->entry[i];
        const int64_t after   = e->offset + e->elements * (int64_t)sizeof(float);

        end = after > end ? after : end;
    }
    file_close(&f);
    return end;
}

/* What stands in the way of reading a whole one is no damage: ckpt_newest() would pass
 * it over.
 */
static bool is_readable_later(void)
{
    struct rlimit limit, none;
    struct ckpt_file *f = NULL;
    int rc;

    write_file(bytes, size);
    getrlimit(RLIMIT_NOFILE, &limit);
    none          = limit;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_NOFILE, &none);
    rc = file_open(&f, path);
    setrlimit(RLIMIT_NOFILE, &limit);
    err_forget();
    if (rc != ERR_IO || file_open(&f, path) != 0)
        return false;
    file_close(&f);
    return true;
}

/* Whichever part of a whole one the disk does not give is no damage either. */
static bool is_whole_on_bad_disk(void)
{
    struct ckpt_file *f = NULL;
    int n = 0, wrong = 0, rc;

    write_file(bytes, size);
    do {
        disk_spoil(n++);
        rc = file_open(&f, path);
        if (disk_is_met() ? rc != ERR_IO : rc != 0) {
            tap_note("read %d: %s", n, rc != 0 ? err_sentence() : "not missed");
            wrong++;
        }
        err_forget();
        file_close(&f);
    } while (disk_is_met());
    disk_spoil(-1);
    tap_note("%d reads", n - 1);
    return wrong == 0 && n > 4;
}

/* Some file systems have no locks, and others here look at files with HDF5's. */
static bool is_readable_locked(void)
{
    const int fd        = open(path, O_RDWR);
    struct ckpt_file *f = NULL;
    const bool is       = flock(fd, LOCK_EX) == 0 && file_open(&f, path) == 0;

    file_close(&f);
    close(fd);
    err_forget();
    return is;
}

int main(int argc, char **argv)
{
    bool are_seen  = true;
    const int none = open("/dev/null", O_WRONLY);
    FILE *out;

    ranks_open(&argc, &argv, "t466-damage");
    make();
    out = fdopen(none, "w");

    write_file(bytes, size);
    ok(is_seen() && audit_verify(out, path, MPI_COMM_WORLD) == 0 &&
           audit_list(out, path, MPI_COMM_WORLD) == 0 &&
           audit_diff(out, path, path, MPI_COMM_WORLD) == 0,
       "a whole checkpoint is whole");
    ok(are_flips_seen(FLIPS, 0, described(), 1), "flipped bits of its description");
    ok(are_flips_seen(64, 0, 64, 2), "of its first bytes");
    ok(are_flips_seen(60, PLACE, size, 3), "and of its numbers are seen");
    for (int i = 0; i < CUTS; i++) {
        write_file(bytes,
                   i < CUTS / 2 ? described() * i / (CUTS / 2) : size * i / CUTS);
        are_seen = is_seen() && are_seen;
    }
    ok(are_seen, "files that are cut off are seen");
    write_file(bytes, end_of_numbers() - 1);
    ok(file_open(&(struct ckpt_file *){ NULL }, path) == ERR_DATA,
       "also those that lack one byte");
    err_forget();
    write_file("the quick brown fox", 19);
    ok(is_seen(), "a text is none");
    write_file(bytes, 0);
    ok(is_seen(), "nor is an empty file");
    ok(is_readable_later(),
       "a whole one without a descriptor to read it is not damaged");
    ok(is_whole_on_bad_disk(), "nor is one that a disk does not give");
    ok(file_open(&(struct ckpt_file *){ NULL }, "/proc/self/mem") == ERR_IO,
       "or of which it gives nothing");
    err_forget();
    ok(is_readable_locked(), "one that another program has locked is read");

    fclose(out);
    mem_free(bytes);
    return ranks_done();
}
