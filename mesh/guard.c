/* SPDX-License-Identifier: BSD-3-Clause */
/* The hang guard.  Signs of life are counted.  The thread looks at the counter a few
 * times in the given seconds and adds up the time in which it stood still.  A look
 * counts for no more than twice its interval, for a process that was stopped and
 * continued was not hanging.  At each look it also looks at the connections to other
 * hosts (lost.h).
 *
 * Several ranks miss a lost host within moments, but one line about it is enough.  So
 * each rank may speak in its own turn of the time of day, which hosts have in common.
 * The first to speak ends; its kernel tells that to those that it was connected with,
 * and the launcher, seconds later, to all.  A rank that knows that others have ended
 * says nothing.
 */
#include "config.h"

#include "mesh/guard.h"

#include "mesh/await.h"
#include "mesh/lost.h"
#include "mesh/mesh.h"
#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/base/log.h"
#include "src/base/told.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A process has one guard; whoever gives a sign of life need not know it. */
static struct {
    atomic_uint lives;
    _Atomic double told; /* when, to end */
    _Atomic(const char *) phase;
    struct mesh *mesh;
    double seconds;
    bool is_running, is_stopping;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t stop;
} the_guard = { .told = -INFINITY, .lock = PTHREAD_MUTEX_INITIALIZER };

enum { STATUS_HANG = 3, LAST_WORDS = 2 /* seconds */, TURNS = 32 };
static const double a_turn = 0.5, a_look = 0.1, lately = 30; /* seconds */

/* In how many seconds all ranks, or so many that few have a turn in
 * common, have theirs.
 */
static double all_turns(void)
{
    const int size = the_guard.mesh != NULL ? the_guard.mesh->size : 1;

    return a_turn * (size < TURNS ? size : TURNS);
}

/* Seconds until it is this rank's. */
static double until_turn(void)
{
    const double all = all_turns();
    const int rank   = the_guard.mesh != NULL ? the_guard.mesh->rank : 0;
    struct timespec day;

    clock_gettime(CLOCK_REALTIME, &day);
    return fmod(rank * a_turn + all -
                    fmod((double)day.tv_sec + 1e-9 * (double)day.tv_nsec, all),
                all);
}

/* Say 'why', where that is, and what is waited for. */
static void say(const char *why)
{
    const char *phase = atomic_load(&the_guard.phase);
    char awaited[96]  = "";

    if (the_guard.mesh != NULL)
        await_text(awaited, sizeof awaited, the_guard.mesh);
    log_line(LOG_ERROR, "%s, in phase %s, waiting for %s", why,
             phase != NULL ? phase : "start",
             awaited[0] != '\0' ? awaited : "nothing from other ranks");
}

_Noreturn static void give_up(void)
{
    char why[64];

    snprintf(why, sizeof why, "nothing has moved for %g seconds", the_guard.seconds);
    say(why);
    sleep(LAST_WORDS);
    _exit(STATUS_HANG);
}

/* Wait up to 'seconds'; true if the guard is to stop. */
static bool is_stopped_within(double seconds)
{
    const double until      = clock_monotonic() + seconds;
    const struct timespec t = { (time_t)until, (long)(1e9 * (until - (time_t)until)) };
    bool is_stopping;

    pthread_mutex_lock(&the_guard.lock);
    if (!the_guard.is_stopping)
        pthread_cond_timedwait(&the_guard.stop, &the_guard.lock, &t);
    is_stopping = the_guard.is_stopping;
    pthread_mutex_unlock(&the_guard.lock);
    return is_stopping;
}

/* The launcher ends the others. */
_Noreturn static void give_up_host(const char *host, double seconds)
{
    char why[128];

    snprintf(why, sizeof why,
             "the host at %s is lost: it has not answered for %.0f seconds", host,
             seconds);
    say(why);
    _exit(STATUS_HANG);
}

/* Wait for this rank's turn, until which there may be others that end: then this one
 * does the same, and says nothing.  False if the guard is to stop.
 */
static bool await_turn(struct lost *lost)
{
    const double turn = clock_monotonic() + until_turn();
    double silent;

    do {
        if (is_stopped_within(a_look))
            return false;
        lost_look(&silent, lost, clock_monotonic());
        if (clock_monotonic() - atomic_load(&the_guard.told) < lately ||
            lost_has_ended(lost, clock_monotonic()))
            _exit(STATUS_HANG);
    } while (clock_monotonic() < turn);
    return true;
}

static void *watch(void *unused)
{
    const double interval = the_guard.seconds < 10 ? the_guard.seconds / 10 : 1;
    unsigned lives        = atomic_load(&the_guard.lives);
    double still = 0, last = clock_monotonic(), silent = 0;
    struct lost *lost;

    (void)unused;
    lost_open(&lost, all_turns());
    while (!is_stopped_within(interval)) {
        const double passed = clock_monotonic() - last;
        const unsigned seen = atomic_load(&the_guard.lives);
        const char *host    = lost_look(&silent, lost, last + passed);

        if (host != NULL && await_turn(lost))
            give_up_host(host, silent);
        last += passed;
        still += passed < 2 * interval ? passed : 2 * interval;
        if (seen != lives)
            still = 0;
        lives = seen;
        if (still >= the_guard.seconds)
            give_up();
    }
    lost_close(&lost);
    return NULL;
}

int guard_start(struct mesh *mesh, double seconds)
{
    pthread_condattr_t attr;
    int error;

    guard_stop(the_guard.mesh);
    if (!(seconds > 0))
        return 0;
    the_guard.mesh        = mesh;
    the_guard.seconds     = seconds;
    the_guard.is_stopping = false;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&the_guard.stop, &attr);
    pthread_condattr_destroy(&attr);
    error = pthread_create(&the_guard.thread, NULL, watch, NULL);
    if (error != 0)
        return ERR(ERR_ENV, "no thread for the hang guard: %s", strerror(error));
    the_guard.is_running = true;
    return 0;
}

void guard_stop(struct mesh *mesh)
{
    if (!the_guard.is_running || the_guard.mesh != mesh)
        return;
    pthread_mutex_lock(&the_guard.lock);
    the_guard.is_stopping = true;
    pthread_cond_signal(&the_guard.stop);
    pthread_mutex_unlock(&the_guard.lock);
    pthread_join(the_guard.thread, NULL);
    pthread_cond_destroy(&the_guard.stop);
    the_guard.is_running = false;
}

/* Another thread takes the signal: it is waited for. */
static void plant_signal(const char *phase)
{
    const char *asked = getenv("VITBENCH_FAULT");
    const int rank    = the_guard.mesh != NULL ? the_guard.mesh->rank : 0;
    char fault[64];

    snprintf(fault, sizeof fault, "told:%s:%d", phase, rank);
    if (asked == NULL || strcmp(asked, fault) != 0)
        return;
    kill(getpid(), SIGTERM);
    while (!told_to_end())
        usleep(1000);
}

void guard_phase(const char *phase)
{
    atomic_store(&the_guard.phase, phase);
    guard_alive();
    plant_signal(phase);
}

void guard_alive(void)
{
    atomic_fetch_add_explicit(&the_guard.lives, 1, memory_order_relaxed);
}

static void note_signal(int number)
{
    (void)number;
    atomic_store(&the_guard.told, clock_monotonic());
}

int guard_catch_signals(void)
{
    return told_by_signals(note_signal);
}
