/* SPDX-License-Identifier: BSD-3-Clause */
/* Errors keep one sentence, and the log says it once. */
#include "config.h"

#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/base/guess.h"
#include "src/base/log.h"
#include "src/base/split.h"
#include "src/base/version.h"
#include "tests/apart.h"
#include "tests/tap.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int fails(int n)
{
    return n > 0 ? ERR(ERR_SHAPE, "%d is more than %s", n, "none") : 0;
}

static int passes_on(int n)
{
    TRY(fails(n));
    return 1;
}

/* What 'function' writes on stderr, in 'text'; its exit or signal in 'status'. */
static void stderr_of(char *text, size_t size, int *status, void (*function)(void))
{
    int ends[2];
    pid_t child;
    size_t used = 0;
    ssize_t got;

    if (pipe(ends) != 0)
        tap_skip_all("no pipe");
    fflush(stdout);
    child = fork();
    if (child == 0) {
        dup2(ends[1], STDERR_FILENO);
        close(ends[0]);
        function();
        _exit(0);
    }
    close(ends[1]);
    while ((got = read(ends[0], text + used, size - 1 - used)) > 0)
        used += (size_t)got;
    text[used] = '\0';
    close(ends[0]);
    waitpid(child, status, 0);
}

static void say_one(void)
{
    log_open("vittest", -1);
    err_say(fails(1));
    err_say(0);
}

static void say_rank(void)
{
    log_open("vittest", 3);
    err_say(fails(1));
    err_say(ERR_IO);
}

static void say_levels(void)
{
    WARN("but %s", "this");
    log_set_level(LOG_ERROR);
    WARN("not this");
}

static void leave(int status)
{
    _exit(status);
}

static void die_with_hook(void)
{
    err_set_abort(leave);
    die("broken");
}

static void die_without(void)
{
    die("broken");
}

static void end_with_hook(void)
{
    log_open("vittest", 3);
    err_set_abort(leave);
    err_end(fails(1));
}

static void end_without(void)
{
    err_end(ERR(ERR_MEMORY, "no room"));
}

static void test_sentences(void)
{
    char text[1024], wanted[256];
    int status;

    ok(passes_on(0) == 1 && err_sentence() == NULL, "TRY goes on after a success");
    ok(passes_on(7) == ERR_SHAPE, "TRY returns the code of a failure");
    ok(strcmp(err_sentence(), "7 is more than none") == 0, "the sentence is kept");
    (void)ERR(ERR_IO, "after '%s'", err_sentence());
    ok(strcmp(err_sentence(), "after '7 is more than none'") == 0,
       "a sentence may hold the one before");
    err_forget();
    ok(err_sentence() == NULL, "a sentence can be forgotten");

    stderr_of(text, sizeof text, &status, say_one);
    ok(strcmp(text, "vittest: 1 is more than none\n") == 0,
       "one process says it plainly");
    stderr_of(text, sizeof text, &status, say_rank);
    snprintf(wanted, sizeof wanted,
             "vittest: rank 3 on %s: 1 is more than none\n"
             "vittest: rank 3 on %s: a file cannot be read or written\n",
             log_host(), log_host());
    ok(strcmp(text, wanted) == 0,
       "a rank says who and where; a bare code has a meaning");
    stderr_of(text, sizeof text, &status, say_levels);
    ok(strcmp(text, "vitbench: but this\n") == 0, "lines above the level are dropped");
    stderr_of(text, sizeof text, &status, die_with_hook);
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 99 &&
           strstr(text, ": broken") != NULL,
       "die() calls the hook with 99");
    stderr_of(text, sizeof text, &status, die_without);
    ok(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT,
       "die() aborts without a hook");
    stderr_of(text, sizeof text, &status, end_with_hook);
    snprintf(wanted, sizeof wanted, "vittest: rank 3 on %s: 1 is more than none\n",
             log_host());
    ok(WIFEXITED(status) && WEXITSTATUS(status) == err_exit_status(ERR_SHAPE) &&
           strcmp(text, wanted) == 0,
       "err_end() says the sentence, and calls the hook with the code's status");
    stderr_of(text, sizeof text, &status, end_without);
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 3 &&
           strcmp(text, "vitbench: no room\n") == 0,
       "err_end() exits with it without a hook");
}

/* 64 letters, as many as Linux takes, with a domain and without; an address.  The name
 * is asked for once by a process.
 */
#define LETTERS_32 "login-node-of-the-large-machine-"
static int probe_long_host(void)
{
    const char *name[] = { LETTERS_32 "0.of-a-partition.of-the-site.org",
                           LETTERS_32 LETTERS_32, "10.0.0.12" };
    const char *host[] = { LETTERS_32 "0", LETTERS_32 LETTERS_32, "10.0.0.12" };
    bool is_right      = true;

    if (!apart_enter(CLONE_NEWUTS))
        return APART_CANNOT;
    for (int i = 0; i < 3; i++) {
        int status;

        if (sethostname(name[i], strlen(name[i])) != 0)
            return APART_CANNOT;
        if (fork() == 0)
            _exit(strcmp(log_host(), host[i]) != 0);
        wait(&status);
        is_right = is_right && status == 0;
    }
    return !is_right;
}

static void test_codes(void)
{
    ok(ERR_CHECK == -1 && ERR_STOPPED < ERR_ENV, "codes are negative and different");
    ok(err_exit_status(0) == 0 && err_exit_status(ERR_CHECK) == 1 &&
           err_exit_status(ERR_DATA) == 2 && err_exit_status(ERR_ENV) == 3 &&
           err_exit_status(ERR_STOPPED) == 75,
       "codes have the exit statuses that are promised");
    ok(strcmp(err_name(ERR_DEVICE), "ERR_DEVICE") == 0, "codes have names");
    ok(err_exit_status(-1000) == 99 && strcmp(err_name(5), "ERR_?") == 0,
       "what is no code is a hard error");
}

static double noon(void)
{
    return 12.0;
}

static void test_clock(void)
{
    const double before = clock_now();
    char date[24], earlier[24], later[24];
    time_t seconds;

    usleep(2000);
    ok(clock_now() - before >= 0.002 && clock_now() - before < 10, "the clock goes on");
    clock_set(noon);
    ok(clock_now() == 12.0, "the clock can be another");
    clock_set(NULL);
    ok(clock_now() >= before, "and the first again");
    setenv("TZ", "ELSEWHERE-5", 1);
    seconds = time(NULL);
    strftime(earlier, sizeof earlier, "%Y-%m-%dT%H:%M:%SZ", gmtime(&seconds));
    clock_date(date);
    seconds = time(NULL);
    strftime(later, sizeof later, "%Y-%m-%dT%H:%M:%SZ", gmtime(&seconds));
    unsetenv("TZ");
    ok(strcmp(earlier, date) <= 0 && strcmp(date, later) <= 0,
       "the date is that of Greenwich");
    ok(strlen(date) == 20 && date[10] == 'T' && date[19] == 'Z', "in ISO 8601");
}

static void test_split(void)
{
    bool are_tiled = true, are_owned = true, are_even = true;

    for (int n = 0; n < 40; n++) {
        for (int p = 1; p < 12; p++) {
            int64_t next = 0;

            for (int i = 0; i < p; i++) {
                const struct range r = split_range(n, p, i);

                are_tiled = are_tiled && r.lo == next && range_size(r) >= 0 &&
                            range_size(r) == split_size(n, p, i);
                are_even = are_even && split_most(n, p) - range_size(r) <= 1 &&
                           split_most(n, p) >= range_size(r);
                for (int64_t j = r.lo; j < r.hi; j++)
                    are_owned = are_owned && split_owner(n, p, j) == i;
                next = r.hi;
            }
            are_tiled = are_tiled && next == n;
        }
    }
    ok(are_tiled, "shares tile what is split");
    ok(are_even, "shares differ by one at most");
    ok(are_owned, "the owner of a thing is the one whose share holds it");
}

static const char *nearest(const char *typed)
{
    struct guess g = { .typed = typed };

    guess_try(&g, "shape");
    guess_try(&g, "steps");
    guess_try(&g, "warmup");
    return g.name != NULL ? g.name : "";
}

static void test_guess(void)
{
    ok(strcmp(nearest("shpae"), "shape") == 0, "swapped letters are seen through");
    ok(strcmp(nearest("step"), "steps") == 0, "so is a missing one");
    ok(strcmp(nearest("warm"), "warmup") == 0, "and a missing end");
    ok(strcmp(nearest("frobnicate"), "") == 0, "what is far from all has no guess");
    ok(strcmp(nearest(""), "") == 0, "nothing has no guess");
}

int main(void)
{
    apart_ok("hosts keep long names and addresses", probe_long_host,
             "no name can be given here");
    test_sentences();
    test_codes();
    test_clock();
    test_split();
    test_guess();
    ok(strlen(version_text()) > 0 && strlen(version_git()) > 0, "the version is known");
    return tap_done();
}
