/* SPDX-License-Identifier: BSD-3-Clause */
/* The hang guard ends a process in which nothing moves, and no other.  No MPI: children
 * are forked, and looked at.
 */
#include "config.h"

#include "mesh/guard.h"

#include "mesh/await.h"

#include "src/base/clock.h"
#include "tests/tap.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void nap(double seconds)
{
    const struct timespec t = { (time_t)seconds,
                                (long)(1e9 * (seconds - (double)(time_t)seconds)) };

    nanosleep(&t, NULL);
}

/* Run 'child' in a process of its own; its stderr in 'text'.  Returns its exit status.
 */
static int run(char *text, size_t room, int (*child)(void))
{
    int end[2], status = 0;
    size_t used = 0;
    ssize_t n;
    pid_t pid;

    fflush(stdout);
    if (pipe(end) != 0)
        return -1;
    pid = fork();
    if (pid == 0) {
        dup2(end[1], STDERR_FILENO);
        _exit(child());
    }
    close(end[1]);
    while (used < room - 1 && (n = read(end[0], text + used, room - 1 - used)) > 0)
        used += (size_t)n;
    text[used] = '\0';
    close(end[0]);
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int hangs(void)
{
    struct mesh other;

    /* The second guard replaces the first, and only who has started it stops it. */
    if (guard_start(&other, 20) != 0 || guard_start(NULL, 0.3) != 0)
        return 9;
    guard_stop(&other);
    guard_phase("the long sleep");
    nap(30);
    return 0;
}

static int lives(void)
{
    if (guard_start(NULL, 0.5) != 0)
        return 9;
    for (int i = 0; i < 20; i++) {
        nap(0.05);
        guard_alive();
    }
    guard_stop(NULL);
    return 11;
}

/* Waits that end, each after less than the guard's seconds. */
static int waits(void)
{
    struct mesh mesh = { 0 };

    await_open(&mesh);
    if (guard_start(NULL, 0.5) != 0)
        return 9;
    for (int i = 0; i < 20; i++) {
        await_peer(&mesh, REDUCE, 1, false);
        nap(0.05);
        await_end(&mesh);
    }
    guard_stop(NULL);
    await_close(&mesh);
    return 15;
}

/* Stop, until another process lets it go on after more than the guard's seconds. */
static int paused(void)
{
    const pid_t self = getpid();

    if (guard_start(NULL, 1.2) != 0)
        return 9;
    nap(0.1); /* the guard is on its way */
    if (fork() == 0) {
        nap(1.5);
        kill(self, SIGCONT);
        _exit(0);
    }
    raise(SIGSTOP);
    nap(0.15);
    guard_stop(NULL);
    wait(NULL);
    return 14;
}

static int stopped(void)
{
    if (guard_start(NULL, 0.2) != 0 || guard_start(NULL, 0.3) != 0)
        return 9;
    guard_stop(NULL);
    guard_stop(NULL);
    nap(0.6);
    return 12;
}

static int switched_off(void)
{
    if (guard_start(NULL, 0) != 0)
        return 9;
    nap(0.5);
    guard_stop(NULL);
    return 13;
}

int main(void)
{
    const double start = clock_now();
    char text[1024];
    double seconds;

    ok(run(text, sizeof text, hangs) == 3, "a hanging process ends with 3");
    seconds = clock_now() - start;
    ok(seconds > 2.2 && seconds < 15, "after its time and two seconds (%.1f s)",
       seconds);
    ok(strstr(text, "the long sleep") != NULL && strstr(text, "0.3 seconds") != NULL,
       "it says in which phase");
    ok(run(text, sizeof text, lives) == 11 && text[0] == '\0',
       "signs of life keep it going");
    ok(run(text, sizeof text, waits) == 15 && text[0] == '\0', "as do waits that end");
    ok(run(text, sizeof text, paused) == 14 && text[0] == '\0',
       "the time that a process was stopped does not count");
    ok(run(text, sizeof text, stopped) == 12 && text[0] == '\0',
       "a guard that was stopped, twice even, is quiet");
    ok(run(text, sizeof text, switched_off) == 13 && text[0] == '\0',
       "as is one of 0 seconds");
    return tap_done();
}
