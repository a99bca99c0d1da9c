/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,4 */
/* Checkpoints: what one mesh saves any other loads, bit for bit; the file holds whole
 * tensors with the same digests from every mesh; saves that fail leave what was there.
 */
#include "config.h"

#include "ckpt/ckpt.h"

#include "ckpt/digest.h"
#include "ckpt/file.h"
#include "ckpt/folder.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "tests/asan.h"
#include "tests/ranks.h"
#include "tests/scratch.h"
#include "tests/tensors.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

/* LARGE: shares that go past the cache of pages (ckpt/direct.h), from places in the
 * file that are no multiples of a sector.
 */
enum { SCALE = 3, LARGE = 240 };

static int rank, size;
static struct dev *dev;

static bool is_folder_bad;
static atomic_int syncs; /* of this rank */

/* In place of the system's. */
struct dirent *readdir(DIR *folder)
{
    struct dirent *(*next)(DIR *) =
        (struct dirent * (*)(DIR *)) dlsym(RTLD_NEXT, "readdir");

    if (!is_folder_bad)
        return next(folder);
    errno = EIO;
    return NULL;
}

int fsync(int file)
{
    int (*sync)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    struct stat state;

    syncs++;
    if (!is_folder_bad || fstat(file, &state) != 0 || !S_ISDIR(state.st_mode))
        return sync(file);
    errno = EIO;
    return -1;
}

static struct mesh *open_mesh(MPI_Comm comm, int D, int M)
{
    struct mesh *mesh;

    if (mesh_open(&mesh, comm, D, M) != 0)
        die("no mesh");
    return mesh;
}

static bool is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

/* Save what 'seed' says as step 'step', while the tensors change. */
static int save(struct ckpt *c, struct tensors *t, int64_t seed, int64_t step)
{
    struct ckpt_meta meta = { .step = step, .examples = 10 * step, .position = 7 };

    tensors_fill(t, seed);
    TRY(ckpt_start(c, &meta));
    tensors_spoil(t);
    return ckpt_finish(c);
}

/* ---- from mesh to mesh ----------------------------------------------------------- */

/* True if the first D * M ranks load 'path' as they should. */
static bool loads_scaled(const char *path, int D, int M, enum tensors_way way,
                         int64_t seed, int scale)
{
    const bool is_in = rank < D * M;
    bool is_right    = true;
    MPI_Comm comm;

    MPI_Comm_split(MPI_COMM_WORLD, is_in, rank, &comm);
    if (is_in) {
        struct mesh *mesh = open_mesh(comm, D, M);
        struct tensors t;

        tensors_open(&t, mesh, dev, way, scale);
        tensors_spoil(&t);
        is_right =
            ckpt_load(&t.list, mesh, dev, path) == 0 && tensors_wrong(&t, seed) == 0;
        tensors_close(&t);
        mesh_close(&mesh);
    }
    MPI_Comm_free(&comm);
    return is_right;
}

static bool loads(const char *path, int D, int M, enum tensors_way way, int64_t seed)
{
    return loads_scaled(path, D, M, way, seed, SCALE);
}

/* The whole dataset as HDF5 reads it, and at its offset, is what it should be. */
static bool is_dataset_right(const struct ckpt_file *f, const struct entry *e,
                             const struct h5 *h5, int fd, int64_t seed)
{
    float *read     = mem_new((size_t)e->elements, sizeof *read);
    float *at       = mem_new((size_t)e->elements, sizeof *at);
    uint64_t digest = 0;
    bool is_right;
    const int64_t start[H5_DIMS_MOST] = { 0 };

    is_right = h5_read(read, H5_TYPE_F32, h5, e->name, start, e->size) == 0 &&
               file_read(at, fd, f, e, 0, e->elements) == 0;
    for (int64_t i = 0; is_right && i < e->elements; i++) {
        const float value = tensors_value(e->name, seed, i);

        is_right = memcmp(&value, &at[i], sizeof value) == 0 &&
                   memcmp(&value, &read[i], sizeof value) == 0;
        digest += digest_of(&value, 1, i);
    }
    mem_free(read);
    mem_free(at);
    return is_right && digest == e->digest;
}

static bool is_file_right(const char *path, int64_t seed)
{
    struct ckpt_file *f = NULL;
    struct h5 *h5       = NULL;
    bool is_right       = true;
    int fd;

    if (rank != 0)
        return true;
    if (file_open(&f, path) != 0 || h5_open(&h5, path) != 0)
        return false;
    fd = open(path, O_RDONLY);
    for (int i = 0; i < f->entries; i++)
        is_right = is_right && is_dataset_right(f, &f->entry[i], h5, fd, seed);
    is_right = is_right && f->entries == 10 && f->meta.step == 8;
    close(fd);
    h5_close(&h5);
    file_close(&f);
    return is_right;
}

static void test_mesh(int D, int M, enum tensors_way way)
{
    const char *how    = way == TENSORS_CUT ? "cut" : "whole";
    struct mesh *mesh  = open_mesh(MPI_COMM_WORLD, D, M);
    const int64_t seed = 11;
    struct tensors t;
    struct ckpt *c;
    char path[CKPT_PATH];

    tensors_open(&t, mesh, dev, way, SCALE);
    ok(ckpt_open(&c, mesh, dev, &t.list, scratch_path("meshes"), 0, NULL) == 0 &&
           save(c, &t, seed, 8) == 0,
       "%dx%d, %s: tensors are saved while they change", D, M, how);
    snprintf(path, sizeof path, "%s", ckpt_path(c));
    ok(strstr(path, "/ckpt-00000008.h5") != NULL && ckpt_cost(c).bytes > 0 &&
           ckpt_cost(c).total_s >= ckpt_cost(c).blocked_s,
       "%dx%d, %s: the file has its name and its cost", D, M, how);
    ckpt_close(&c);
    tensors_close(&t);
    mesh_close(&mesh);

    ok(is_file_right(path, seed),
       "%dx%d, %s: HDF5 and plain reads find whole tensors with their digests", D, M,
       how);
    ok(loads(path, 1, 1, TENSORS_WHOLE, seed), "1x1 loads them");
    if (size >= 2)
        ok(loads(path, 1, 2, TENSORS_CUT, seed) &&
               loads(path, 2, 1, TENSORS_WHOLE, seed),
           "1x2 and 2x1 do");
    if (size >= 4)
        ok(loads(path, 1, 3, TENSORS_WHOLE, seed) &&
               loads(path, 3, 1, TENSORS_CUT, seed) &&
               loads(path, 4, 1, TENSORS_CUT, seed) &&
               loads(path, 2, 2, TENSORS_WHOLE, seed) &&
               loads(path, 2, 2, TENSORS_CUT, seed),
           "1x3, 3x1, 4x1 and 2x2 do, sharded or not");
}

/* One rank has little memory: it takes several passes, and so do the others. */
static void test_passes(struct mesh *mesh, struct tensors *t)
{
    struct ckpt *c;

    if (ckpt_open(&c, mesh, dev, &t->list, scratch_path("passes"), 0, NULL) != 0)
        die("no checkpoint");
    if (rank == size - 1)
        ckpt_set_memory(c, 30000 / size);
    ok(save(c, t, 2, 8) == 0 && save(c, t, 3, 9) == 0,
       "what does not fit into memory at once is saved in passes");
    ok(is_file_right(scratch_path("passes/ckpt-00000008.h5"), 2) &&
           loads(scratch_path("passes/ckpt-00000009.h5"), 1, 1, TENSORS_WHOLE, 3),
       "and is as good");
    ckpt_close(&c);
}

#ifndef HAS_ASAN
/* Let this process have so many bytes of memory more; negative: as many as it likes.
 * (Sanitizers take some of their own.)
 */
static void limit_memory(int64_t more)
{
    struct rlimit limit;
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");

    if (file == NULL || fscanf(file, "%ld", &pages) != 1)
        die("no size of this process");
    fclose(file);
    getrlimit(RLIMIT_AS, &limit);
    limit.rlim_cur = limit.rlim_max;
    if (more >= 0)
        limit.rlim_cur = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + (rlim_t)more;
    setrlimit(RLIMIT_AS, &limit);
}
#endif

static void test_large(struct mesh *mesh)
{
    const struct ckpt_meta meta = { .step = 7 };
    struct tensors t;
    struct ckpt *c;
    char path[CKPT_PATH];

    (void)meta;
    tensors_open(&t, mesh, dev, TENSORS_CUT, LARGE);
    if (ckpt_open(&c, mesh, dev, &t.list, scratch_path("large"), 0, NULL) != 0)
        die("no checkpoint");
#ifndef HAS_ASAN
    tensors_fill(&t, 4);
    if (rank == size - 1)
        limit_memory(1 << 20);
    ok(ckpt_start(c, &meta) == ERR_MEMORY && !ckpt_is_busy(c),
       "a save that one rank has no memory for fails");
    limit_memory(-1);
#endif
    ok(save(c, &t, 5, 8) == 0 && is_file_right(ckpt_path(c), 5),
       "large tensors are written whole");
    snprintf(path, sizeof path, "%s", ckpt_path(c));
    ckpt_close(&c);
    tensors_close(&t);
    ok(loads_scaled(path, 1, 1, TENSORS_WHOLE, 5, LARGE), "1x1 loads large tensors");
    ok(loads_scaled(path, mesh->D, mesh->M, TENSORS_CUT, 5, LARGE),
       "so does the mesh that saved them");
}

/* ---- what is said about itself --------------------------------------------------- */

static void test_meta(struct mesh *mesh, struct tensors *t)
{
    struct ckpt_meta meta = { .step     = 1000000000000,
                              .examples = 8000000000000,
                              .position = -3,
                              .options  = json_pack("{s:{s:f,s:s}}", "lr", "value", 0.1,
                                                    "source", "default"),
                              .tuned    = json_pack("{s:i}", "panels", 4) };
    struct ckpt_meta read = { 0 };
    struct ckpt *c;

    tensors_fill(t, 1);
    ok(ckpt_open(&c, mesh, dev, &t->list, scratch_path("meta"), 1, NULL) == 0 &&
           !ckpt_is_busy(c) && !ckpt_is_written(c) && ckpt_finish(c) == 0,
       "nothing is under way at first");
    ok(ckpt_start(c, &meta) == 0 && ckpt_is_busy(c), "a save is under way");
    while (!ckpt_is_written(c))
        usleep(1000);
    ok(ckpt_is_busy(c) && ckpt_finish(c) == 0 && !ckpt_is_busy(c) &&
           !ckpt_is_written(c),
       "until it is written, and finished");
    ok(ckpt_meta(&read, ckpt_path(c), MPI_COMM_WORLD) == 0 && read.step == meta.step &&
           read.examples == meta.examples && read.position == meta.position &&
           json_equal(read.options, meta.options) &&
           json_equal(read.tuned, meta.tuned) && read.version[0] != '\0',
       "all ranks read what the file says about itself");
    meta_free(&read);
    meta_free(&meta);
    ckpt_close(&c);
}

/* ---- which there are ------------------------------------------------------------- */

static bool is_newest(const char *dir, const char *name)
{
    char path[CKPT_PATH] = "?";
    const int rc         = ckpt_newest(path, dir, MPI_COMM_WORLD);
    const char *found    = strrchr(path, '/');

    return rc == 0 && (name == NULL ? path[0] == '\0'
                                    : found != NULL && strcmp(found + 1, name) == 0);
}

static void set_format(const char *path, int64_t format)
{
    struct h5 *h5 = NULL;

    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0 &&
        (h5_change(&h5, path) != 0 || h5_set_int(h5, "meta", "format", format) != 0))
        die("%s cannot be changed", path);
    h5_close(&h5);
    MPI_Barrier(MPI_COMM_WORLD);
}

static void limit_files(rlim_t bytes)
{
    const struct rlimit limit = { bytes, RLIM_INFINITY };

    setrlimit(RLIMIT_FSIZE, &limit);
}

/* What rank 0 says when a save fails. */
static const char *said_of_failure(struct ckpt *c, struct tensors *t)
{
    static char text[4096];
    const int before = dup(STDERR_FILENO);
    FILE *said       = tmpfile();

    if (before < 0 || said == NULL || dup2(fileno(said), STDERR_FILENO) < 0)
        die("nothing to write to");
    if (rank == size - 1)
        limit_files(4096);
    if (save(c, t, 13, 13) != ERR_IO)
        die("a save that was to fail");
    limit_files(RLIM_INFINITY);
    dup2(before, STDERR_FILENO);
    close(before);
    rewind(said);
    text[fread(text, 1, sizeof text - 1, said)] = '\0';
    fclose(said);
    return text;
}

static void test_keep(struct mesh *mesh, struct tensors *t)
{
    char dir[128], path[CKPT_PATH];
    bool are_saved = true;
    const char *said;
    struct ckpt *c;

    snprintf(dir, sizeof dir, "%s", scratch_path("some/where/keep"));
    ok(is_newest(dir, NULL), "a folder that is not there has no checkpoint");
    ok(ckpt_open(&c, mesh, dev, &t->list, dir, 2, NULL) == 0, "folders are made");
    ok(is_newest(dir, NULL), "an empty one has none");
    for (int64_t step = 9; step <= 12; step++)
        are_saved = are_saved && save(c, t, step, step) == 0;
    ok(are_saved && is_newest(dir, "ckpt-00000012.h5"), "the newest one is found");
    folder_path(path, dir, 11);
    ok(is_there(path) && loads(path, 1, 1, TENSORS_WHOLE, 11), "and the one before");
    folder_path(path, dir, 10);
    ok(!is_there(path), "those before are gone");
    folder_path(path, dir, 5);
    ok(save(c, t, 5, 5) == 0 && is_there(path),
       "what was just written stays, however old its step");
    ckpt_close(&c);

    folder_path(path, dir, 12);
    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0 && truncate(path, 3000) != 0)
        die("no file to cut");
    MPI_Barrier(MPI_COMM_WORLD);
    ok(is_newest(dir, "ckpt-00000011.h5"), "a file that is cut off is left out");
    folder_path(path, dir, 11);
    set_format(path, 2);
    ok(ckpt_newest(path, dir, MPI_COMM_WORLD) == ERR_ENV,
       "one that another vitbench has written is not");
    folder_path(path, dir, 11);
    set_format(path, 1);
    snprintf(path, sizeof path, "%s/ckpt-00000020.h5.part", dir);
    if (rank == 0)
        close(creat(path, 0666));
    MPI_Barrier(MPI_COMM_WORLD);
    ok(is_newest(dir, "ckpt-00000011.h5"), "so is what was never finished");
    is_folder_bad = true;
    ok(ckpt_newest(path, dir, MPI_COMM_WORLD) == ERR_IO,
       "a folder that cannot be read to its end is not without checkpoints");
    is_folder_bad = false;
    MPI_Barrier(MPI_COMM_WORLD);
    ok(ckpt_open(&c, mesh, dev, &t->list, dir, 2, NULL) == 0 && !is_there(path),
       "and is removed by the next run");
    said = said_of_failure(c, t);
    ok(strstr(said, "newest") == NULL,
       "a save that fails calls none the newest that may be damaged");
    folder_path(path, dir, 6);
    ok(save(c, t, 6, 6) == 0 && save(c, t, 7, 7) == 0 && is_there(path),
       "later ones, damaged or not, take no place of those that are kept");
    said = said_of_failure(c, t);
    ok(rank > 0 || strstr(said, "ckpt-00000007.h5") != NULL,
       "only the one that was saved before");
    folder_path(path, dir, 5);
    ok(!is_there(path), "and older ones are gone");
    ckpt_close(&c);
}

/* ---- what goes wrong ------------------------------------------------------------- */

/* No trace of step 'step' in 'dir', and the save before is still the newest. */
static bool is_untouched(const char *dir, int64_t step)
{
    char path[CKPT_PATH], making[CKPT_PATH + 8];

    MPI_Barrier(MPI_COMM_WORLD);
    folder_path(path, dir, step);
    snprintf(making, sizeof making, "%s.part", path);
    return !is_there(path) && !is_there(making) && is_newest(dir, "ckpt-00000001.h5") &&
           loads(scratch_path("bad/ckpt-00000001.h5"), 1, 1, TENSORS_WHOLE, 1);
}

/* A save by small steps, of which none waits; in the last one rank 0 can write only so
 * much of a file.
 */
static int save_by_steps(struct ckpt *c, struct tensors *t, int64_t step, rlim_t bytes)
{
    struct ckpt_meta meta = { .step = step };
    int rc, steps = 0;

    tensors_fill(t, step);
    rc = ckpt_start(c, &meta);
    while (rc == 0 && ckpt_is_busy(c)) {
        while (!ranks_all(ckpt_is_written(c)))
            usleep(1000);
        if (rank == 0 && steps == 0)
            limit_files(bytes);
        rc = ckpt_proceed(c);
        steps++;
    }
    limit_files(RLIM_INFINITY);
    return steps == 2 ? rc : -1000;
}

static void test_failures(struct mesh *mesh, struct tensors *t)
{
    struct ckpt_meta meta = { .step = 3 };
    struct ckpt_tensor *huge;
    char dir[128];
    struct ckpt *c;

    snprintf(dir, sizeof dir, "%s", scratch_path("bad"));
    if (ckpt_open(&c, mesh, dev, &t->list, dir, 1, NULL) != 0 || save(c, t, 1, 1) != 0)
        die("no first checkpoint");

    if (rank == size - 1)
        limit_files(4096);
    ok(save(c, t, 2, 2) == ERR_IO, "a disk that is full for one rank fails the save");
    limit_files(RLIM_INFINITY);
    ok(!ckpt_is_busy(c) && is_untouched(dir, 2), "and leaves the one before");
    ok(save(c, t, 4, 4) == 0 && save(c, t, 1, 1) == 0 &&
           loads(scratch_path("bad/ckpt-00000001.h5"), 1, 1, TENSORS_WHOLE, 1),
       "the next one succeeds");
    syncs = 0;
    save(c, t, 1, 1);
    ok(rank > 0 || syncs >= 4,
       "numbers, what makes it whole, and its name reach the disk: %d", (int)syncs);
    if (rank == 0)
        unlink(scratch_path("bad/ckpt-00000004.h5"));
    ok(save_by_steps(c, t, 2, 0) == ERR_IO,
       "so does one that is full when all numbers are written");
    ok(!ckpt_is_busy(c) && is_untouched(dir, 2), "and leaves the one before, too");
    is_folder_bad = true;
    ok(save(c, t, 2, 2) == ERR_IO, "so does one whose name might get lost");
    is_folder_bad = false;
    ok(!ckpt_is_busy(c) && is_untouched(dir, 2), "and leaves the one before as well");
    is_folder_bad = true;
    ok(save(c, t, 5, 1) == ERR_IO, "and so does one in the place of another");
    is_folder_bad = false;
    ok(loads(scratch_path("bad/ckpt-00000001.h5"), 1, 1, TENSORS_WHOLE, 5),
       "which is gone, so that the new one stays");
    ok(save_by_steps(c, t, 1, RLIM_INFINITY) == 0 &&
           loads(scratch_path("bad/ckpt-00000001.h5"), 1, 1, TENSORS_WHOLE, 1),
       "a save needs two steps, and no waiting");

    tensors_fill(t, 3);
    ok(ckpt_start(c, &meta) == 0, "a save is started");
    ckpt_close(&c);
    ok(is_untouched(dir, 3), "and dropped with its owner");

    huge = &t->list.tensor[0];
    huge->dim[0] += (int64_t)1 << 50;
    if (ckpt_open(&c, mesh, dev, &t->list, dir, 1, NULL) != 0)
        die("no second opening");
    ok(ckpt_start(c, &meta) == ERR_IO && !ckpt_is_busy(c), "room is asked for before");
    ok(is_untouched(dir, 3), "and nothing is written where there is none");
    ckpt_close(&c);
    huge->dim[0] -= (int64_t)1 << 50;
    ok(ckpt_open(&c, mesh, dev, &t->list, scratch_path("bad/ckpt-00000001.h5"), 1,
                 NULL) == ERR_IO,
       "a file is no folder");
}

/* HDF5 fails by itself, as where it has no memory: two datasets of one name. */
static void test_not_made(void)
{
    struct entry twice[2] = { { .name = "params/a", .elements = 1 },
                              { .name = "params/a", .elements = 1 } };
    struct ckpt_file file = { .entry = twice, .entries = 2 };
    const char *path      = scratch_path("not-made.h5");

    ok(rank != 0 || (tap_says(file_create(&file, path), ERR_IO, "H5") &&
                     access(path, F_OK) != 0),
       "what HDF5 cannot make is no input that is wrong");
}

static void test_refusals(struct mesh *mesh, struct tensors *t)
{
    char path[128];
    struct tensors other;
    struct ckpt_meta meta;
    int fd;

    snprintf(path, sizeof path, "%s", scratch_path("bad/ckpt-00000001.h5"));
    tensors_open(&other, mesh, dev, TENSORS_WHOLE, SCALE + 1);
    ok(ckpt_load(&other.list, mesh, dev, path) == ERR_DATA,
       "tensors of another shape are refused");
    tensors_close(&other);
    strcpy(t->list.tensor[0].dataset, "params/none");
    ok(ckpt_load(&t->list, mesh, dev, path) == ERR_DATA,
       "a tensor that is not in the file is missed");
    strcpy(t->list.tensor[0].dataset, "params/a/matrix");
    ok(ckpt_load(&t->list, mesh, dev, scratch_path("none.h5")) == ERR_DATA,
       "a file that is not there is refused");
    ok(ckpt_meta(&meta, scratch_path("bad"), MPI_COMM_WORLD) == ERR_DATA,
       "so is a folder");

    MPI_Barrier(MPI_COMM_WORLD);
    if (rank == 0) {
        struct ckpt_file *f = NULL;
        const char byte     = 99;

        if (file_open(&f, path) != 0)
            die("no file to damage");
        fd = open(path, O_WRONLY);
        if (pwrite(fd, &byte, 1, (off_t)file_find(f, "params/b/out")->offset + 5) != 1)
            die("no damage");
        close(fd);
        file_close(&f);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    ok(ckpt_load(&t->list, mesh, dev, path) == ERR_DATA,
       "one byte that is not as it was written is seen");
}

/* ---- all ------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    struct mesh *mesh;
    struct tensors t;

    size = ranks_open(&argc, &argv, "t464-ckpt");
    rank = log_rank();
    scratch_open();
    if (dev_open(&dev, "cpu:ref", DTYPE_F32, 1) != 0)
        die("no device");

    for (int M = 1; M <= size; M *= 2) {
        test_mesh(size / M, M, TENSORS_WHOLE);
        test_mesh(size / M, M, TENSORS_CUT);
    }
    mesh = open_mesh(MPI_COMM_WORLD, size > 2 ? 2 : 1, size > 2 ? size / 2 : size);
    tensors_open(&t, mesh, dev, TENSORS_CUT, SCALE);
    test_passes(mesh, &t);
    test_large(mesh);
    test_meta(mesh, &t);
    test_keep(mesh, &t);
    test_failures(mesh, &t);
    test_not_made();
    test_refusals(mesh, &t);
    tensors_close(&t);
    mesh_close(&mesh);
    dev_close(&dev);
    return ranks_done();
}
