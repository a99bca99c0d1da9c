/* SPDX-License-Identifier: BSD-3-Clause */
/* Signals that come while products are computed, thousands of them, are noted and harm
 * neither results nor the heap.
 */
#include "config.h"

#include "tests/tap.h"
#include "tests/twin.h"

#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/base/told.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ENOUGH = 100 };

static const double patience = 20; /* seconds, where others have the cores */

static atomic_int noted;
static atomic_bool is_over;

static void note(int number)
{
    (void)number;
    noted++;
}

static void *send_signals(void *unused)
{
    while (!is_over) {
        kill(getpid(), SIGUSR1);
        usleep(30);
    }
    return unused;
}

static void multiply(struct dev_stream *s, struct mat y, struct mat x, struct mat w)
{
    struct dev_weight *weight;

    if (dev_weight_open(&weight, w.buf->dev, w) != 0)
        die("%s", err_sentence());
    dev_gemm(s, y, x, weight, (struct range){ 0, w.rows }, (struct range){ 0, w.cols },
             false, NULL);
    dev_weight_close(&weight);
}

/* The same product beside signals for a while, until there were enough, and what is at
 * hand of the heap.
 */
static void multiply_on(struct twins *two, struct twin y, struct twin x, struct twin w)
{
    const double start = clock_now();
    const int before   = noted;
    pthread_t sender;

    is_over = false;
    pthread_create(&sender, NULL, send_signals, NULL);
    do {
        void *beside = malloc(1 + (size_t)(rand() % 100000));

        multiply(twin_stream(two, 1), y.got, x.got, w.got);
        free(beside);
    } while (clock_now() < start + 0.3 ||
             (noted - before <= ENOUGH && clock_now() < start + patience));
    is_over = true;
    pthread_join(sender, NULL);
    ok(noted - before > ENOUGH, "signals are noted meanwhile");
    ok(twin_agrees(two, y, 768, 0, "the product"), "and the product is right");
}

/* In all ways in which the device can do it, which are 'least' or more. */
static void one_device(const char *name, enum dtype dtype, int least)
{
    struct dev_choice *choice;
    struct twins two;
    struct twin x, w, y;
    int count, ways = 1;

    if (!twins_can(name, dtype)) {
        tap_skip(name, "it is not here");
        return;
    }
    twins_open(&two, name, dtype, 2);
    x = twin_random(&two, 1568, 768, 1.0);
    w = twin_random(&two, 768, 32, 1.0);
    y = twin_blank(&two, 1568, 32);
    multiply(twin_stream(&two, 0), y.ref, x.ref, w.ref);
    dev_tune(two.got, true);
    multiply(twin_stream(&two, 1), y.got, x.got, w.got);
    dev_tune(two.got, false);
    choice = dev_choices(two.got, &count);
    if (count > 0)
        ways = choice->ways;
    for (int way = 0; way < ways; way++) {
        if (count > 0)
            choice->way = way;
        multiply_on(&two, y, x, w);
    }
    ok(ways >= least, "%s in %s, in %d ways of at least %d", name, dtype_name(dtype),
       ways, least);
    twins_close(&two);
}

/* In a process of its own: whether the signal stays ignored where it was. */
static bool stays_ignored(int number)
{
    const pid_t child = fork();
    struct sigaction now;
    int status;

    if (child == 0) {
        signal(number, SIG_IGN);
        _exit(told_by_signals(note) != 0 || sigaction(number, NULL, &now) != 0 ||
              now.sa_handler != SIG_IGN);
    }
    return waitpid(child, &status, 0) == child && status == 0;
}

/* And whether it is noted, twice, where a terminal and a shell both send it. */
static bool is_noted(int number)
{
    const pid_t child = fork();
    int status;

    if (child == 0) {
        signal(number, SIG_DFL);
        if (told_by_signals(note) != 0)
            _exit(1);
        kill(getpid(), number);
        while (noted < 1)
            usleep(1000);
        kill(getpid(), number);
        while (noted < 2)
            usleep(1000);
        _exit(!told_to_end());
    }
    return waitpid(child, &status, 0) == child && status == 0;
}

/* And whether the second SIGINT ends it, not the first. */
static bool ends_by_second(void)
{
    const pid_t child = fork();
    int status;

    if (child == 0) {
        signal(SIGINT, SIG_DFL);
        if (told_by_signals(note) != 0)
            _exit(1);
        kill(getpid(), SIGINT);
        while (!told_to_end())
            usleep(1000);
        kill(getpid(), SIGINT);
        sleep((unsigned)patience);
        _exit(1);
    }
    return waitpid(child, &status, 0) == child && WIFSIGNALED(status) &&
           WTERMSIG(status) == SIGINT;
}

int main(void)
{
    ok(stays_ignored(SIGINT), "an interrupt that is ignored stays so");
    ok(ends_by_second(), "the first is noted, the second ends the process");
    ok(stays_ignored(SIGHUP), "a hangup that is ignored stays so");
    ok(is_noted(SIGHUP) && is_noted(SIGTERM), "others are noted, more than once");
    if (told_by_signals(note) != 0)
        die("%s", err_sentence());
    one_device("cpu:onednn", DTYPE_F32, 2); /* its plain product, too */
    one_device("cpu:onednn", DTYPE_BF16, 1);
    one_device("cpu:blis", DTYPE_F32, 1);
    return tap_done();
}
