/* SPDX-License-Identifier: BSD-3-Clause */
/* Writing and reading past the cache of pages: every byte in its place
 * however data and place lie in their blocks, also where the file system can
 * only do it through the cache.
 */
#include "config.h"

#include "ckpt/direct.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "tests/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { MOST = 8 * DIRECT_BLOCK, ROOM = MOST + 4 * DIRECT_BLOCK };

static char path[64];
static unsigned char *data, *wanted, *found; /* [ROOM] */

static void make(int64_t size)
{
    const int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

    if (fd < 0 || ftruncate(fd, size) != 0)
        die("%s cannot be made", path);
    close(fd);
}

static bool is_in_file(int64_t size)
{
    const int fd      = open(path, O_RDONLY);
    const ssize_t got = pread(fd, found, (size_t)size, 0);

    close(fd);
    return got == size && memcmp(found, wanted, (size_t)size) == 0;
}

/* Write 'bytes' from data[shift] on, whose block lies 'skew' bytes off the file's. */
static bool is_written(struct direct *d, int64_t shift, int64_t skew, int64_t bytes)
{
    const uintptr_t place = (uintptr_t)(data + shift);
    const int64_t offset  = (int64_t)((place + (uintptr_t)skew) % DIRECT_BLOCK);

    memcpy(wanted + offset, data + shift, (size_t)bytes);
    return direct_write(d, data + shift, bytes, offset) == 0;
}

static void writes(const char *where)
{
    static const int64_t shift[] = { 0, 4, 4096, 4100, DIRECT_BLOCK - 4 };
    static const int64_t skew[]  = { 0, 4, 512 };
    static const int64_t bytes[] = {
        0, 4, DIRECT_BLOCK, DIRECT_LEAST, MOST - 4096, MOST
    };
    int wrong = 0;
    struct direct d;

    for (int i = 0; i < 5 * 3 * 6; i++) {
        make(ROOM);
        memset(wanted, 0, ROOM);
        if (direct_open(&d, path) != 0)
            die("%s cannot be opened", path);
        wrong += !is_written(&d, shift[i % 5], skew[i / 5 % 3], bytes[i / 15]);
        wrong += direct_close(&d) != 0 || direct_close(&d) != 0;
        wrong += !is_in_file(ROOM);
    }
    ok(wrong == 0, "every byte gets to its place (%s; %d do not)", where, wrong);
}

static void reads(const char *where)
{
    const int64_t size = MOST + 100;
    const int fd       = direct_open_read(path);
    int wrong = 0, beyond = 0;
    void *at;

    if (fd < 0) {
        tap_skip("reading past the cache", where);
        return;
    }
    for (int64_t offset = 0; offset < 3 * DIRECT_SECTOR; offset += 1020) {
        const int64_t bytes = size - offset;

        wrong += direct_read(&at, found, fd, bytes, offset) != 0 ||
                 memcmp(at, wanted + offset, (size_t)bytes) != 0;
        beyond += direct_read(&at, found, fd, bytes + 1, offset) == 0;
    }
    close(fd);
    ok(wrong == 0, "and comes back from there (%s)", where);
    ok(beyond == 0, "a file that ends before is told (%s)", where);
}

static void one_place(const char *folder)
{
    struct direct d;

    snprintf(path, sizeof path, "%s/t463-%ld", folder, (long)getpid());
    ok(direct_open(&d, path) == ENOENT, "there is no file yet (%s)", folder);
    writes(folder);
    make(MOST + 100);
    memcpy(wanted, data, MOST + 100);
    if (direct_open(&d, path) != 0 || direct_write(&d, data, MOST + 100, 0) != 0 ||
        direct_close(&d) != 0)
        die("%s cannot be written", path);
    reads(folder);
    unlink(path);
}

int main(void)
{
    void *room[3];

    for (int i = 0; i < 3; i++)
        if (mem_map(&room[i], ROOM) != 0)
            die("no memory");
    data   = room[0];
    wanted = room[1];
    found  = room[2];
    for (int64_t i = 0; i < ROOM; i++)
        data[i] = (unsigned char)rng_bits(0, RNG_TEST, (uint64_t)i);
    one_place(".");
    if (access("/dev/shm", W_OK) == 0)
        one_place("/dev/shm");
    else
        tap_skip("the same in memory", "there is no /dev/shm");
    for (int i = 0; i < 3; i++)
        mem_unmap(room[i], ROOM);
    return tap_done();
}
