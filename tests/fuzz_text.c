/* SPDX-License-Identifier: BSD-3-Clause */
/* Text: every reader of lines and of JSON gets the same bytes, for there are few that
 * two of them take.
 */
#include "config.h"

#include "tests/fuzz.h"

#include "src/base/err.h"
#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/data/pack.h"
#include "src/fit/command.h"
#include "src/fit/fitfile.h"
#include "src/fit/plot_runs.h"
#include "src/plan/cost.h"
#include "src/plan/record.h"
#include "src/train/journal.h"
#include "tests/scratch.h"

#include <stdio.h>

static const char *path, *made, *script;
static FILE *none;

static void open_folder(void)
{
    log_set_level(LOG_ERROR);
    none = fopen("/dev/null", "w");
    if (none == NULL)
        die("no /dev/null");
    scratch_open();
    path   = scratch_path("file");
    made   = scratch_path("made.h5");
    script = scratch_path("script.gp");
}

/* ---- runs ------------------------------------------------------------------------ */

static void read_runs(void)
{
    static const struct columns columns[] = {
        { .y            = "err_10shot",
          .var          = { "width", "depth", "mlp", "compute" },
          .vars         = 4,
          .skip_missing = true },
        { .y = "loss", .var = { "params", "tokens" }, .vars = 2, .flops = "flops" },
    };
    char *file[] = { (char *)path };
    struct record *records;

    if (record_read(&records, path) >= 0)
        mem_free(records);
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) {
        struct points p;

        if (points_read(&p, file, 1, &columns[i]) == 0)
            points_close(&p);
    }
}

/* The script of a picture is not drawn. */
static void draw(void)
{
    char *file[] = { (char *)path };

    for (int kind = 0; kind < 2; kind++) {
        struct plot p;

        if (plot_open(&p, script, 100, 100) != 0)
            continue;
        if (kind == 0)
            plot_design(&p, file, 1);
        else
            plot_files(&p, file, 1, "step", "loss");
        plot_close(&p);
    }
}

/* What 'vitfit plan' does in a folder that has records. */
static void look_at_plan(void)
{
    struct sweep s = { .training = { .batch   = 1,
                                     .heads   = 1,
                                     .patch   = 1,
                                     .image   = 2,
                                     .classes = 2,
                                     .seeds   = 1,
                                     .more    = "" } };

    if (sweep_add(&s, (int64_t[]){ 608, 10, 928 }, 1000, 0, NULL) == 0)
        sweep_look(&s, path, "err_10shot");
    sweep_close(&s);
}

/* ---- others ---------------------------------------------------------------------- */

static void read_machine(void)
{
    static struct machine m;
    struct cost_rank cost;

    if (machine_load(&m, path) == 0)
        for (int ranks = 1; ranks <= 4096; ranks *= 64)
            cost_make(&cost, &m, DTYPE_F32, ranks);
}

static void go_on(void)
{
    struct journal j = { .out = NULL };

    if (journal_open(&j, path, 5) == 0)
        journal_close(&j);
}

/* Options of vitfit, in its commands that read no runs; nothing is written. */
static void plan(void)
{
    char *argv[] = { "vitfit", "--config", (char *)path, NULL };
    struct options o;
    struct opts opts;

    if (opts_parse(&opts, vitfit_options, vitfit_options_count, &o, 3, argv) != 0)
        return;
    o.out[0] = o.json[0] = '\0';
    command_plan(none, &o, NULL, 0);
    command_shape(none, &o, NULL, 0);
}

static void pack(void)
{
    struct pack_result result;

    pack_csv(&result, made, path, 255);
    pack_files(&result, made, path, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fitfile fit;
    FILE *file;

    if (none == NULL)
        open_folder();
    file = fopen(path, "w");
    if (file == NULL || fwrite(data, 1, size, file) != size || fclose(file) != 0)
        die("%s cannot be written", path);
    read_runs();
    draw();
    look_at_plan();
    read_machine();
    plan();
    fitfile_read(&fit, path);
    pack();
    go_on(); /* last: it writes */
    err_forget();
    return 0;
}
