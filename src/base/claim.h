/* SPDX-License-Identifier: BSD-3-Clause */
/* One program at a time writes a file, or into a folder, that takes it long to write.
 *
 * An empty file FILE.lock, or FOLDER/.lock, is there and locked as long.  The lock goes
 * with the process, however that ends; a file that a killed one has left claims
 * nothing.  A process of another host is waited for, for two minutes: a server of files
 * may hold the lock of a lost host for so long, while its run begins again elsewhere.
 * File systems without locks let everybody write.
 */
#ifndef BASE_CLAIM_H
#define BASE_CLAIM_H

#include <stdbool.h>

enum { CLAIM_PATH = 4096 };

struct claim {
    bool is_held; /* false in a struct of zeros */
    int fd;
    char path[CLAIM_PATH];
};

/* Claim 'path', a file to be or a folder that is there, until claim_drop().  Returns 0,
 * or ERR_IO: another process has it, the lock's file cannot be made, or the file that
 * is there may not be written or replaced.  Local; a process must not claim one path
 * twice.
 */
int claim_take(struct claim *c, const char *path);
void claim_drop(struct claim *c);

#endif
