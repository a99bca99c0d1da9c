/* SPDX-License-Identifier: BSD-3-Clause */
/* A thread that waits for signals, which all others block that start after it. */
#include "config.h"

#include "src/base/told.h"

#include "src/base/err.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static void find_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGUSR1);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
}

static volatile sig_atomic_t is_told;
static void (*also)(int number);

static void take_note(int number)
{
    is_told = 1;
    also(number);
}

static void *take(void *unused)
{
    sigset_t ours;

    (void)unused;
    find_signals(&ours);
    pthread_sigmask(SIG_UNBLOCK, &ours, NULL);
    for (;;)
        pause();
    return NULL;
}

/* Unless it is ignored: as SIGINT is by what a shell starts in the background, SIGHUP
 * by what nohup starts.
 */
static void take_unless_ignored(int number, struct sigaction action)
{
    struct sigaction before;

    if (sigaction(number, NULL, &before) == 0 && before.sa_handler != SIG_IGN)
        sigaction(number, &action, NULL);
}

int told_by_signals(void (*note)(int number))
{
    struct sigaction action = { .sa_handler = take_note, .sa_flags = SA_RESTART };
    pthread_t thread;
    sigset_t ours;
    int error;

    also = note;
    sigemptyset(&action.sa_mask);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGUSR1, &action, NULL);
    take_unless_ignored(SIGHUP, action);
    action.sa_flags |= (int)SA_RESETHAND; /* the second SIGINT ends the process */
    take_unless_ignored(SIGINT, action);
    find_signals(&ours);
    pthread_sigmask(SIG_BLOCK, &ours, NULL);
    error = pthread_create(&thread, NULL, take, NULL);
    if (error != 0)
        return ERR(ERR_ENV, "no thread for signals: %s", strerror(error));
    pthread_detach(thread);
    return 0;
}

bool told_to_end(void)
{
    return is_told != 0;
}
