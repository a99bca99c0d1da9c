/* SPDX-License-Identifier: BSD-3-Clause */
/* The options of vitbench, one row each: parsing, help, the startup echo, the JSON dump
 * and a config file all come from here.  A value that this version refuses says so in
 * its row; choices.c refuses it.
 */
#include "config.h"

#include "bench/options.h"

#include "src/base/err.h"
#include "src/base/opts_table.h"

#define OPTS_VALUES struct options

const struct opt options_table[] = {
    TITLE("What is run"),
    { "shape", OPT_TEXT, NULL, "NAME[,..]|C/L/F/H",
      "shapes by name (--list-shapes) or as width/depth/mlp/heads; without it the "
      "default "
      "run: 22B, So400m, So150m, 608/10/928/16",
      TEXT(shape) },
#define ROWS_TUNE "true"
#include "src/step/rows.h"

    TITLE("What is measured"),
    { "case", OPT_TEXT, "step", "step,block,gemm,coll,cmm,data,ckpt,machine",
      "what to time: training steps, single blocks, products, collectives, collective "
      "products, input, checkpoints, the machine itself",
      TEXT(cases) },
    { "batch", OPT_TEXT, NULL, "N[,..]",
      "images in the global batch; default 8 for every data rank, fewer if they do not "
      "fit, or in the default run take too long",
      TEXT(batch) },
    { "steps", OPT_INT, NULL, "N", "timed steps, exactly; 0: as --seconds says",
      AT(steps), .max = 1 << 20 },
    { "seconds", OPT_REAL, "10", "S",
      "time steps for this long, at least 3, in the default run 7.5 at most; the peak "
      "is measured for a quarter of it, but at most of a second",
      AT(seconds), .max = 1e7 },
    { "warmup", OPT_INT, "2", "N",
      "steps before the timed ones; the default run takes 1", AT(warmup), .max = 1e6 },
    { "check", OPT_FLAG, "true", NULL,
      "verify what was computed; steps and checkpoints without it are never VALID",
      AT(check) },
    { "require-mfu", OPT_TEXT, NULL, "PCT|spec:PCT",
      "fail below this MFU in per cent of the measured (or the data sheet's) peak",
      TEXT(require_mfu) },
    { "require-overlap", OPT_TEXT, NULL, "PCT",
      "fail if a kind of messages that takes 5 % of a step is hidden by less than "
      "this, "
      "or if none can be told",
      TEXT(require_overlap) },
    { "profile", OPT_FLAG, NULL, NULL, "time and share of every operation of a step",
      AT(profile) },
    { "official", OPT_FLAG, NULL, NULL,
      "a run to publish: 600 seconds and a quarter of the memory", AT(official) },
    { "sizes", OPT_TEXT, NULL, "START:STOP:FACTOR",
      "bytes of the collectives of --case=coll; K, M, G allowed", TEXT(sizes) },
    { "data", OPT_TEXT, NULL, "FILE",
      "the set of images of --case=data; without it pictures are made", TEXT(data) },
    { "out", OPT_TEXT, NULL, "DIR",
      "the folder that --case=ckpt writes to, on the disk to measure; default: here",
      TEXT(out) },
    { "compare", OPT_TEXT, NULL, "OLD.json",
      "say which part of a step a change against an earlier run's --json comes from",
      TEXT(compare) },
    { "stall-timeout", OPT_REAL, "300", "S",
      "end the run when no message moves for this long; 0: never", AT(stall_timeout),
      .max = 1e7 },
    { "seed", OPT_INT, "0", "N", "of all random numbers", AT(seed), .max = 1e15 },

    TITLE("What is written"),
    { "json", OPT_TEXT, NULL, "FILE", "write the whole result as one JSON object",
      TEXT(json) },
    { "jsonl", OPT_TEXT, NULL, "FILE", "write one line of JSON a step", TEXT(jsonl) },
    { "trace", OPT_TEXT, NULL, "FILE",
      "write a step of the marked case as a time line that Perfetto opens",
      TEXT(trace) },
    { "machine-out", OPT_TEXT, NULL, "FILE", "write what --case=machine measured",
      TEXT(machine_out) },
    { "progress-report", OPT_REAL, NULL, "SECONDS",
      "say on stderr how far timed steps are, this often; 0: never",
      AT(progress_report), .max = 1e6 },

    TITLE("Planning"),
    { "dry-run", OPT_ACTION, NULL, NULL,
      "print parameters, FLOPs, memory, messages and bytes; run nothing", AT(dry_run) },
    { "ranks", OPT_INT, NULL, "N",
      "plan (--dry-run) or simulate (vitbench-sim) N ranks", AT(ranks), .max = 1e7 },
    { "machine", OPT_TEXT, NULL, "FILE|NAME",
      "predict times, and choose the mesh, with a machine file or a shipped one: "
      "cpu-cluster, frontier, h200, workstation",
      TEXT(machine) },

#include "src/step/rows_help.h"
    { "schema", OPT_ACTION, NULL, NULL, "print the JSON schema of --json", AT(schema) },
};

const int options_count = sizeof options_table / sizeof options_table[0];

int options_take_machine(struct opts *opts, const struct options *o)
{
    struct machine machine;

    if (o->dtype != DTYPE_CHOICE_AUTO || o->machine[0] == '\0')
        return 0;
    TRY(machine_find(&machine, o->machine));
    return machine.gpus > 0 ? opts_set(opts, "dtype", "bf16", FROM_PROGRAM) : 0;
}

int options_read(struct opts *opts, struct options *o, int argc, char **argv)
{
    int rc = opts_parse(opts, options_table, options_count, o, argc, argv);

    if (rc == 0 && o->official && !opts_is_given(opts, "seconds"))
        rc = opts_set(opts, "seconds", "600", FROM_PROGRAM);
    if (rc == 0 && o->shape[0] == '\0' && !o->official &&
        !opts_is_given(opts, "warmup"))
        rc = opts_set(opts, "warmup", "1", FROM_PROGRAM);
    if (rc == 0 && o->deterministic && !opts_is_given(opts, "tune"))
        rc = opts_set(opts, "tune", "false", FROM_PROGRAM);
    if (rc == 0 && o->dry_run)
        rc = options_take_machine(opts, o);
    return rc;
}
