/* SPDX-License-Identifier: BSD-3-Clause */
/* Options, as lines of a --config file: read, made ready for use, and what follows from
 * them before there are ranks, devices and files.  And an earlier result.
 */
#include "config.h"

#include "tests/fuzz.h"

#include "bench/changes.h"
#include "bench/dry.h"
#include "src/base/err.h"
#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/eval/options.h"
#include "src/train/options.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static char path[32];
static FILE *none;

static void bench(int argc, char **argv)
{
    static struct options o;
    struct choices choices;
    struct opts opts;

    if (options_read(&opts, &o, argc, argv) != 0 || options_resolve(&choices, &o) != 0)
        return;
    o.json[0] = '\0';
    dry_run(none, &o, &choices);
}

/* Options of a checkpoint are compared with those of who goes on from it. */
static void train(int argc, char **argv)
{
    static struct train_options o;
    static struct train_plan plan;
    struct opts opts;
    json_t *stored;

    if (train_options_read(&opts, &o, argc, argv) != 0)
        return;
    if (train_plan(&plan, &o) == 0)
        train_plan_steps(&plan, &o, 1000);
    stored = json_load_file(path, 0, NULL);
    train_options_compare(&opts, stored);
    json_decref(stored);
}

static void probe(int argc, char **argv)
{
    static struct probe_options o;
    static struct probe_plan plan;
    struct opts opts;

    if (probe_options_read(&opts, &o, argc, argv) == 0)
        probe_plan(&plan, &o);
}

/* A run that is compared with one of an earlier day. */
static void compare(void)
{
    static struct case_result c = { .name = "step",
                                    .spec = { .C = 608, .L = 4, .F = 928, .H = 16 } };
    json_t *old, *options, *system;

    if (changes_open(&old, path) != 0)
        return;
    options = json_pack("{s:{s:s}, s:{s:i}}", "wiring", "value", "serial", "image",
                        "value", 7);
    system  = json_pack("{s:n, s:{s:s}}", "gpu", "libraries", "BLIS", "1.0");
    changes_print(none, &c, options, system, old);
    json_decref(system);
    json_decref(options);
    json_decref(old);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int fd = -1;
    char *argv[]  = { "fuzz", "--config", path, NULL };

    if (fd < 0) {
        log_set_level(LOG_ERROR);
        fd   = memfd_create("fuzz", 0);
        none = fopen("/dev/null", "w");
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    if (fd < 0 || none == NULL || ftruncate(fd, 0) != 0 ||
        pwrite(fd, data, size, 0) != (ssize_t)size)
        die("%s cannot be written", path);
    bench(3, argv);
    train(3, argv);
    probe(3, argv);
    compare();
    err_forget();
    return 0;
}
