/* SPDX-License-Identifier: BSD-3-Clause */
/* Kill a program that saves checkpoints, at moments drawn over the duration of a save:
 * what it had published is there, whole, every time.  It goes on until 20 kills fell
 * inside a save, 200 in check-long.
 */
#include "config.h"

#include "ckpt/file.h"
#include "ckpt/folder.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "tests/ckpt_make.h"
#include "tests/scratch.h"
#include "tests/tap.h"
#include "tests/tensors.h"

#include <fcntl.h>
#include <inttypes.h>
#include <libgen.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { FEW = 20, MANY = 200, SCALE = 100, WAIT_MS = 30000 };

static const char *dir;
static char maker[CKPT_PATH];
static struct make_state *state;

/* ---- the program that is killed -------------------------------------------------- */

static void open_state(void)
{
    const int fd = open(scratch_path("state"), O_RDWR | O_CREAT, 0600);

    if (fd < 0 || ftruncate(fd, sizeof *state) != 0)
        die("no file for the state");
    state = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (state == MAP_FAILED)
        die("no memory for the state");
    close(fd);
    state->published = -1;
}

static pid_t start(int64_t first, int ranks)
{
    const char *launcher = getenv("MPIEXEC");
    char from[32], scale[16], count[16];
    pid_t pid;

    snprintf(from, sizeof from, "%" PRId64, first);
    snprintf(scale, sizeof scale, "%d", SCALE);
    snprintf(count, sizeof count, "%d", ranks);
    state->is_saving = 0;
    for (int i = 0; i < MAKE_RANKS; i++)
        state->pid[i] = 0;
    fflush(stdout);
    pid = fork();
    if (pid == 0) {
        const int null = open("/dev/null", O_RDWR);

        dup2(null, 1);
        dup2(null, 2);
        if (ranks == 1)
            execl(maker, maker, dir, from, "1000000000", scale, (char *)NULL);
        else
            execlp(launcher != NULL ? launcher : "mpiexec", "mpiexec", "-n", count,
                   maker, dir, from, "1000000000", scale, (char *)NULL);
        _exit(99);
    }
    return pid;
}

/* Wait for the first save, then a part of the time that a save and a little takes,
 * longer the more starts there were 'since' one has ended, and kill a rank.  Returns 1
 * if it was inside a save, 0 if not, -1 if there was none.
 */
static int kill_once(int number, int since, int64_t first, int ranks)
{
    const double drawn  = rng_uniform(9, RNG_TEST, (uint64_t)number);
    const double length = state->seconds > 0 ? state->seconds : 0.05 * (number + 1);
    const pid_t pid     = start(first, ranks);
    int waited = 0, was_inside = -1;

    while (!state->is_saving && waited++ < WAIT_MS && waitpid(pid, NULL, WNOHANG) == 0)
        usleep(1000);
    if (state->is_saving) {
        usleep((useconds_t)(1e6 * (1.1 + 0.1 * since) * length * drawn));
        was_inside = state->is_saving != 0;
        kill(state->pid[number % ranks], SIGKILL);
    }
    if (was_inside < 0)
        kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    for (int i = 0; i < ranks; i++) {
        if (state->pid[i] != 0)
            kill(state->pid[i], SIGKILL);
    }
    return was_inside;
}

/* ---- what is left ---------------------------------------------------------------- */

static bool is_right(const struct ckpt_file *f, int64_t seed)
{
    const int fd  = open(f->path, O_RDONLY);
    bool is_right = fd >= 0 && f->entries > 0;

    for (int i = 0; is_right && i < f->entries; i++) {
        const struct entry *e = &f->entry[i];
        float *x              = mem_new((size_t)e->elements, sizeof *x);

        is_right = file_read(x, fd, f, e, 0, e->elements) == 0;
        for (int64_t k = 0; is_right && k < e->elements; k++) {
            const float value = tensors_value(e->name, seed, k);

            is_right = memcmp(&x[k], &value, sizeof value) == 0;
        }
        mem_free(x);
    }
    close(fd);
    return is_right;
}

/* Every file that has its name is a whole checkpoint; the newest is no older than what
 * was published.  Returns its step, or -1 (none), or -2 (something is wrong).
 */
static int64_t newest_step(void)
{
    int64_t *steps    = NULL;
    const int n       = folder_steps(&steps, dir);
    int64_t newest    = n > 0 ? steps[0] : -1;
    const bool is_old = newest < state->published;

    for (int i = 0; i < n && newest != -2; i++) {
        struct ckpt_file *f = NULL;
        char path[CKPT_PATH];

        folder_path(path, dir, steps[i]);
        if (file_open(&f, path) != 0) {
            tap_note("%s", err_sentence());
            newest = -2;
        } else if (f->meta.step != steps[i] || (i == 0 && !is_right(f, steps[i]))) {
            tap_note("%s does not hold what it should", path);
            newest = -2;
        }
        file_close(&f);
    }
    mem_free(steps);
    return is_old ? -2 : newest;
}

int main(int argc, char **argv)
{
    const int kills = tap_is_long() ? MANY : FEW;
    int inside = 0, lost = 0, failed = 0, since = 0;
    int64_t newest = -1;

    (void)argc;
    snprintf(maker, sizeof maker, "%s/ckpt_make", dirname(argv[0]));
    dir = scratch_open();
    open_state();
    for (int i = 0; i < 3 * kills && (inside < kills || newest < 1); i++) {
        const int64_t before = newest;
        const int was_inside = kill_once(i, since, newest + 1, i % 8 == 7 ? 2 : 1);

        failed += was_inside < 0;
        inside += was_inside > 0;
        newest = newest_step();
        since  = newest > before ? 0 : since + 1;
        lost += newest == -2;
        if (lost + failed > 0)
            break;
    }
    tap_note("a save takes %.3f s", state->seconds);
    ok(failed == 0, "every start came to a save");
    ok(inside >= kills, "%d saves were killed inside", inside);
    ok(lost == 0, "no checkpoint was lost or half written");
    ok(newest > 0, "and saving went on each time, to step %" PRId64, newest);
    return tap_done();
}
