/* SPDX-License-Identifier: BSD-3-Clause */
/* A disk with a bad place, for the one program that includes this. */
#ifndef TESTS_DISK_H
#define TESTS_DISK_H

#include <errno.h>
#include <stdbool.h>
#include <sys/syscall.h>
#include <unistd.h>

static int disk_reads = -1; /* until the bad place is met; below 0: it has been */
static off_t disk_bad = -1;

/* Let read number 'n' from here on fail, and all of the same place; -1: none. */
static void disk_spoil(int n)
{
    disk_reads = n;
    disk_bad   = -1;
}

/* Whether that read has been tried. */
static bool disk_is_met(void)
{
    return disk_reads < 0;
}

/* In the place of the system's, for HDF5 too. */
ssize_t pread(int fd, void *to, size_t count, off_t at)
{
    if (disk_reads >= 0 && disk_reads-- == 0)
        disk_bad = at;
    if (at == disk_bad) {
        errno = EIO;
        return -1;
    }
    return syscall(SYS_pread64, fd, to, count, at);
}

#endif
