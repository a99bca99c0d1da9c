/* SPDX-License-Identifier: BSD-3-Clause */
/* Namespaces of a process. */
#include "config.h"

#include "tests/apart.h"

#include "tests/tap.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

/* In a namespace of its own a user has no number, and may make no file, until told. */
static bool tell(const char *file, const char *text)
{
    const int fd = open(file, O_WRONLY | O_CLOEXEC);
    bool is_told = write(fd, text, strlen(text)) > 0;

    close(fd);
    return is_told;
}

bool apart_enter(int kinds)
{
    char user[64], group[64];

    if (geteuid() == 0)
        return unshare(kinds) == 0;
    snprintf(user, sizeof user, "%u %u 1", geteuid(), geteuid());
    snprintf(group, sizeof group, "%u %u 1", getegid(), getegid());
    return unshare(kinds | CLONE_NEWUSER) == 0 && tell("/proc/self/uid_map", user) &&
           tell("/proc/self/setgroups", "deny") && tell("/proc/self/gid_map", group);
}

bool apart_mounts(void)
{
    return apart_enter(CLONE_NEWNS) &&
           mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

void apart_ok(const char *says, int (*probe)(void), const char *why)
{
    pid_t child;
    int status;

    fflush(stdout);
    child = fork();
    if (child == 0)
        _exit(probe());
    waitpid(child, &status, 0);
    if (WIFEXITED(status) && WEXITSTATUS(status) == APART_CANNOT)
        tap_skip(says, why);
    else
        ok(status == 0, "%s", says);
}
