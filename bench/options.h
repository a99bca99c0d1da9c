/* SPDX-License-Identifier: BSD-3-Clause */
/* The options of vitbench: one row each, in options.c.  A plain struct, so that rank 0
 * parses and sends the bytes to all.
 */
#ifndef BENCH_OPTIONS_H
#define BENCH_OPTIONS_H

#include "src/plan/machine.h"
#include "src/step/setting.h"

enum { OPTIONS_BATCHES = 16, OPTIONS_SHAPES = 16 };

struct options {
    /* what, where, how: 'shape' holds names or C/L/F/H, comma-separated, or nothing for
     * the default run
     */
    union {
        struct setting setting;
        struct {
            SETTING_MEMBERS;
        };
    };
    /* measure */
    char cases[128], batch[128];
    int64_t steps, warmup;
    double seconds;
    bool check;
    char require_mfu[32], require_overlap[32];
    bool profile, official;
    char sizes[64], data[1024], out[512], compare[1024];
    double stall_timeout;
    int64_t seed;
    /* output */
    char json[1024], jsonl[1024], trace[1024], machine_out[1024];
    double progress_report;
    /* plan */
    bool dry_run;
    int64_t ranks;
    char machine[1024];
    /* help */
    bool list_shapes, print_config, schema, help, version;
    char config[1024];
    bool is_simulated; /* no row: set by simulate_read() */
};

extern const struct opt options_table[];
extern const int options_count;

/* Parse into 'o' and let the program set what follows from the rest (a default run
 * takes one warm-up step, an official one 600 seconds).  Returns 0, ERR_USAGE, or the
 * next one's codes; the rows of the command line alone (--help, --dry-run, ..) hold
 * also after a failure.
 */
int options_read(struct opts *opts, struct options *o, int argc, char **argv);

/* What is planned or simulated with --machine is in bf16 where that has GPUs, as it
 * would be there, and nothing else is asked for.  Returns what machine_find() does.
 */
int options_take_machine(struct opts *opts, const struct options *o);

/* The few options that need more than a row: lists, "DxM", combinations that are
 * refused (what this version does not do says so in a sentence).  Returns 0 or
 * ERR_USAGE.
 */
struct choices {
    int shapes;
    char shape[OPTIONS_SHAPES][32];
    bool is_default_run; /* no shape was named */
    int batches;         /* 0: the default rule */
    int64_t batch[OPTIONS_BATCHES];
    struct way way;
    unsigned cases;     /* a bit for every enum case_id */
    double require_mfu; /* per cent, 0: none */
    bool require_mfu_spec;
    double require_overlap;        /* per cent, 0: none */
    int64_t size_first, size_last; /* --sizes, bytes; 0: the case's own */
    double size_factor;            /* above 1 */
    const struct machine
        *machine; /* borrowed: predicts, and chooses the mesh; or NULL */
};
int options_resolve(struct choices *c, const struct options *o);

/* The model of one shape, where --layers of a default run is the most, for the shapes
 * that have so many.
 */
int options_make_spec(struct spec *s, const struct options *o, const struct choices *c,
                      const char *shape);

#endif
