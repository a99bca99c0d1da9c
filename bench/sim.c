/* SPDX-License-Identifier: BSD-3-Clause */
/* vitbench-sim: makes a platform of the machine's file, starts SimGrid's smpirun on
 * simulated ranks in a folder of its own, and waits for it.
 */
#include "config.h"

#include "bench/bench.h"
#include "bench/simulate.h"
#include "src/base/err.h"
#include "src/base/log.h"
#include "src/plan/platform.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* The simulated ranks' program: beside this one in a build tree, else installed. */
#define RANKS "vitbench-ranks"

/* The folder of a simulation and the files in it. */
struct folder {
    char path[PATH_MAX];
    char platform[PATH_MAX + 16], hosts[PATH_MAX + 16], words[PATH_MAX + 16];
};

/* ---- what is started ------------------------------------------------------------- */

static int find_ranks(char path[PATH_MAX])
{
    static const char *const place[] = { "/" RANKS, "/../libexec/vitbench/" RANKS };
    char own[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", own, sizeof own - 1);
    char *slash;

    own[length > 0 ? length : 0] = '\0';
    slash                        = strrchr(own, '/');
    for (size_t i = 0; slash != NULL && i < sizeof place / sizeof place[0]; i++) {
        *slash = '\0';
        if (snprintf(path, PATH_MAX, "%s%s", own, place[i]) < PATH_MAX &&
            access(path, R_OK) == 0)
            return 0;
    }
    snprintf(path, PATH_MAX, "%s/%s", PKGLIBEXECDIR, RANKS);
    if (access(path, R_OK) == 0)
        return 0;
    return ERR(ERR_ENV, "%s is missing: vitbench-sim is not installed in full", path);
}

/* Of one core; memory limits them, too: each has a stack and its books. */
enum { RANKS_MOST = 1 << 15 };

/* Millions of messages are small blocks of memory, taken and given back by turns. */
#define TUNABLES                                                                       \
    "glibc.malloc.tcache_count=60000:glibc.malloc.trim_threshold=1073741824:"          \
    "glibc.malloc.top_pad=67108864"

/* Replace this process by smpirun.  Costs are the machine's, so the simulator's own are
 * taken out: factors on bandwidths and latencies, windows of TCP, the time of a call,
 * and of this machine's computing.  Short messages leave at once, others when they are
 * asked for.  SMPI's choosers of collectives are slow on many ranks.
 */
_Noreturn static void start(const struct folder *f, const char *ranks,
                            const char *count)
{
    static const char *const setting[] = {
        "--cfg=smpi/simulate-computation:no",
        "--cfg=smpi/privatization:no",
        "--cfg=smpi/bw-factor:0:1",
        "--cfg=smpi/lat-factor:0:1",
        "--cfg=smpi/wtime:0",
        "--cfg=smpi/test:0",
        "--cfg=smpi/allgather:bruck",
        "--cfg=smpi/allreduce:rdb",
        "--cfg=smpi/bcast:binomial_tree",
        "--cfg=smpi/shared-malloc:local",
        "--cfg=smpi/send-is-detached-thresh:0",
        "--cfg=smpi/async-small-thresh:0",
        "--cfg=network/TCP-gamma:0",
        "--cfg=network/crosstraffic:no",
        "--cfg=network/weight-S:0",
        "--cfg=contexts/stack-size:256",
        "--log=root.thres:error",
    };
    enum { SETTINGS = sizeof setting / sizeof setting[0] };
    const char *argv[16 + SETTINGS] = {
        SMPIRUN, "-quiet", "-np", count, "-platform", f->platform, "-hostfile", f->hosts
    };
    int n = 8;

    for (size_t i = 0; i < sizeof setting / sizeof setting[0]; i++)
        argv[n++] = setting[i];
    argv[n++] = ranks;
    argv[n++] = f->words;
    setenv("GLIBC_TUNABLES", TUNABLES, 0);
    execv(SMPIRUN, (char **)argv);
    fprintf(stderr, "vitbench-sim: %s cannot be started: %s\n", SMPIRUN,
            strerror(errno));
    _exit(err_exit_status(ERR_ENV));
}

/* ---- its folder ------------------------------------------------------------------ */

static int make_folder(struct folder *f)
{
    const char *tmp = getenv("TMPDIR");

    if (tmp != NULL && strpbrk(tmp, " \t\n") != NULL) {
        unsetenv("TMPDIR"); /* smpirun takes a blank for the end of a name */
        tmp = NULL;
    }
    snprintf(f->path, sizeof f->path, "%s/vitbench-sim.XXXXXX",
             tmp != NULL && tmp[0] != '\0' ? tmp : "/tmp");
    if (mkdtemp(f->path) == NULL)
        return ERR(ERR_ENV, "no folder for the simulation's files, %s: %s", f->path,
                   strerror(errno));
    snprintf(f->platform, sizeof f->platform, "%s/platform.xml", f->path);
    snprintf(f->hosts, sizeof f->hosts, "%s/hosts", f->path);
    snprintf(f->words, sizeof f->words, "%s/options", f->path);
    return 0;
}

static void remove_folder(const struct folder *f)
{
    unlink(f->platform);
    unlink(f->hosts);
    unlink(f->words);
    rmdir(f->path);
}

static int fill_folder(const struct folder *f, const struct options *o,
                       const struct choices *c, int argc, char **argv)
{
    struct machine machine;
    struct cost_rank rank;

    TRY(machine_find(&machine, o->machine));
    TRY(cost_make(&rank, &machine, c->way.dtype, o->ranks));
    TRY(platform_write(&rank, f->platform, f->hosts));
    return simulate_write_words(f->words, argc, argv);
}

/* ---- the run --------------------------------------------------------------------- */

static pid_t the_child; /* whom signals are for */

static void pass_on(int number)
{
    kill(the_child, number);
}

static int await_child(int *status)
{
    static const int number[] = { SIGHUP, SIGINT, SIGTERM, SIGUSR1 };
    struct sigaction action   = { .sa_handler = pass_on }, old;
    int how;

    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof number / sizeof number[0]; i++) {
        sigaction(number[i], NULL, &old);
        if (old.sa_handler != SIG_IGN) /* as by nohup */
            sigaction(number[i], &action, NULL);
    }
    while (waitpid(the_child, &how, 0) < 0) {
        if (errno != EINTR)
            return ERR(ERR_ENV, "smpirun was lost: %s", strerror(errno));
    }
    if (!WIFEXITED(how))
        return ERR(ERR_ENV, "smpirun ended by signal %d", WTERMSIG(how));
    *status = WEXITSTATUS(how);
    return 0;
}

static int simulate(int *status, const struct options *o, int argc, char **argv)
{
    char ranks[PATH_MAX], count[24];
    struct choices choices;
    struct folder folder;
    int rc;

    TRY(options_resolve(&choices, o));
    if (o->ranks < 1 || o->ranks > RANKS_MOST)
        return ERR(ERR_USAGE, "--ranks=%lld: from 1 to %d can be simulated",
                   (long long)o->ranks, RANKS_MOST);
    TRY(find_ranks(ranks));
    TRY(make_folder(&folder));
    snprintf(count, sizeof count, "%lld", (long long)o->ranks);
    rc = fill_folder(&folder, o, &choices, argc, argv);
    if (rc == 0) {
        fflush(NULL);
        the_child = fork();
        if (the_child == 0)
            start(&folder, ranks, count);
        rc = the_child > 0 ? await_child(status)
                           : ERR(ERR_ENV, "no process: %s", strerror(errno));
    }
    remove_folder(&folder);
    return rc;
}

int main(int argc, char **argv)
{
    struct options options;
    struct opts opts;
    int rc = simulate_read(&opts, &options, argc, argv), status = 0;

    if (program_runs_nothing(&opts))
        return bench_main(&(struct bench_program){ .name  = "vitbench-sim",
                                                   .usage = SIMULATE_USAGE,
                                                   .about = SIMULATE_ABOUT,
                                                   .read  = simulate_read },
                          argc, argv);
    log_open("vitbench-sim", -1);
    if (rc == 0)
        rc = simulate(&status, &options, argc, argv);
    err_say(rc);
    return rc != 0 ? err_exit_status(rc) : status;
}
