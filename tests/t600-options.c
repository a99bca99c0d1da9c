/* SPDX-License-Identifier: BSD-3-Clause */
/* The options of vitbench: what is refused first, then what they mean. */
#include "config.h"

#include "bench/options.h"

#include "bench/case.h"
#include "src/base/err.h"
#include "tests/tap.h"

#include <stdarg.h>
#include <string.h>

static struct options o;
static struct opts opts;
static struct choices c;

/* Read and resolve the arguments up to NULL; 0 or a code. */
static int resolve(char *first, ...)
{
    char *argv[16] = { "vitbench", first };
    int argc       = 1, rc;
    va_list args;

    va_start(args, first);
    while (argv[argc] != NULL)
        argv[++argc] = va_arg(args, char *);
    va_end(args);
    err_forget();
    rc = options_read(&opts, &o, argc, argv);
    return rc != 0 ? rc : options_resolve(&c, &o);
}

/* The argument is refused with exit status 2, in one sentence that names it and, where
 * this version does not do it, says so.
 */
static void refused(char *argument, const char *sentence)
{
    const int rc    = resolve(argument, NULL);
    const char *why = err_sentence() != NULL ? err_sentence() : "";

    if (!ok(err_exit_status(rc) == 2 && strstr(why, sentence) != NULL &&
                strchr(why, '\n') == NULL,
            "%s is refused: .. %s ..", argument, sentence))
        tap_note("status %d, %s", err_exit_status(rc), why);
}

static void test_bad_values(void)
{
    refused("--shape=23B", "neither C/L/F/H");
    refused("--shape=B,,L", "neither");
    refused("--shape=1/2/3", "neither C/L/F/H");
    refused("--shape=50/2/70/4", "cannot be divided into 4 heads");
    refused("--shape=-50/2/70/5", "must be at least 1");
    refused("--shape=99999999/1/1/1", "at most");
    refused("--shape=B,B,B,B,B,B,B,B,B,B,B,B,B,B,B,B,B", "more than 16");
    refused("--layers=-1", "from 0");
    refused("--layers=two", "a whole number");
    refused("--mesh=2by2", "expected DxM");
    refused("--mesh=0x1", "expected DxM");
    refused("--mesh=-1x-1", "expected DxM");
    refused("--mesh=2x", "expected DxM");
    refused("--mesh=2x1x1", "expected DxM");
    refused("--mesh= 2x1", "expected DxM");
    refused("--mesh=9999999999999999999x1", "expected DxM");
    refused("--mesh=100000x100000", "expected DxM");
    refused("--batch=0", "from 1");
    refused("--batch=8,-1", "from 1");
    refused("--batch=8,", "a whole number");
    refused("--batch=1e3", "a whole number");
    refused("--batch=99999999999999999999", "a whole number");
    refused("--case=stop", "expected some of step, block");
    refused("--case=", "expected some of");
    refused("--sizes=8:64:2", "is for --case=coll");
    refused("--require-overlap=101", "100");
    refused("--machine-out=machine.json", "is for --case=machine");
    refused("--sizes=8", "START:STOP:FACTOR");
    refused("--sizes=8:64", "START:STOP:FACTOR");
    refused("--sizes=8:64:2:2", "START:STOP:FACTOR");
    refused("--sizes=64:8:2", "stops before it starts");
    refused("--sizes=8:64:1", "expected a number");
    refused("--sizes=8X:64:2", "number of bytes");
    refused("--require-mfu=half", "expected a number");
    refused("--require-mfu=101", "from 0.001 to 100");
    refused("--require-mfu=0", "from 0.001 to 100");
    refused("--require-mfu=spec:0", "from 0.001 to 100");
    refused("--require-overlap=0", "from 0.001 to 100");
    refused("--require-mfu=spec:", "expected a number");
    refused("--seconds=nan", "a number");
    refused("--micro-batches=0", "from 1");
    refused("--param-shard=half", "none");
    refused("--steps=-3", "from 0");
    refused("--classes=0", "from 1");
    refused("--patch=300", "smaller than a patch");
    refused("--official=maybe", "true or false");
    refused("--optimizer=lion", "expected adamw|adafactor|sgd");
    refused("--shap=B", "did you mean --shape?");
    refused("B", "not an option");
}

static void test_not_in_this_version(void)
{
    refused("--grad-wire=bf16", "--grad-wire=bf16: in a run in f32");
    refused("--ring-wire=bf16", "--ring-wire=bf16: in a run in f32");
    refused("--ring-wire=half", "auto|bf16|f32");
    ok(resolve("--dtype=f64", "--ring-wire=f32", NULL) == ERR_USAGE &&
           strstr(err_sentence(), "f64, too") != NULL,
       "in f64 everything travels in f64");
    refused("--device=gpu", "gpu");
    ok(resolve("--compare=old.json", "--case=gemm", NULL) == ERR_USAGE,
       "--compare is for steps");
    for (int i = 0; i < 6; i++) {
        static const char *const idle[] = { "--trace=x",       "--jsonl=x",
                                            "--compare=x",     "--profile",
                                            "--require-mfu=1", "--require-overlap=1" };

        ok(resolve("--dry-run", idle[i], NULL) == ERR_USAGE &&
               strstr(err_sentence(), "--dry-run plans them") != NULL,
           "%s is of no use to a plan", idle[i]);
    }
    ok(resolve("--dry-run", "--case=coll", NULL) == ERR_USAGE &&
           strstr(err_sentence(), "plans steps alone") != NULL,
       "nor is a case that is no step");
    refused("--data=x.h5", "is for --case=data");
    ok(resolve("--case=coll,gemm", "--steps=5", NULL) == ERR_USAGE &&
           strstr(err_sentence(), "is for --case=step, block or ckpt") != NULL,
       "nor are steps of cases that have none: %s", err_sentence());
    ok(resolve("--case=block,coll", "--dtype=bf16", "--grad-wire=bf16", NULL) ==
               ERR_USAGE &&
           strstr(err_sentence(), "is for --case=step") != NULL,
       "nor gradients where none are sent: %s", err_sentence());
    ok(resolve("--case=gemm,coll", "--dtype=bf16", "--ring-wire=f32", NULL) ==
               ERR_USAGE &&
           strstr(err_sentence(), "is for --case=step, block or cmm") != NULL,
       "nor partial sums: %s", err_sentence());
    ok(resolve("--dry-run", "--dtype=bf16", "--grad-wire=bf16", "--ring-wire=f32",
               "--steps=5", NULL) == 0,
       "a plan takes all of these");
    refused("--out=here", "is for --case=ckpt");
    ok(resolve("--case=machine", "--machine=here.json", "--machine-out=./here.json",
               NULL) == ERR_USAGE &&
           strstr(err_sentence(), "is read, and would be written over") != NULL,
       "a machine that is read is not written over");
    ok(resolve("--dry-run", "--machine=here.json", "--json=here.json", NULL) ==
           ERR_USAGE,
       "nor by what is planned for it");
    ok(resolve("--compare=old.json", "--json=old.json", NULL) == ERR_USAGE,
       "nor is a result that is compared with");
    refused("--ranks=8", "is for --dry-run");
}

static void test_defaults(void)
{
    ok(resolve(NULL) == 0, "no option is fine");
    ok(c.is_default_run && c.shapes == 4 && strcmp(c.shape[0], "22B") == 0 &&
           strcmp(c.shape[3], "608/10/928/16") == 0,
       "and is the default run of four shapes");
    ok(c.way.D == 0 && c.way.M == 0 && c.batches == 0, "mesh and batch are open");
    ok(c.way.shard == SHARD_FULL && c.way.remat == REMAT_NONE && c.way.micros == 1,
       "parameters are sharded, blocks kept, one batch");
    ok(c.way.dtype == DTYPE_F32 && c.way.form == CMM_AUTO &&
           strcmp(c.way.device, "auto") == 0,
       "f32, forms by timing, the best device");
    ok(c.cases == 1U << CASE_STEP && o.check && o.tune && o.seconds == 10,
       "steps for ten seconds, checked");
    ok(o.warmup == 1, "the default run takes one warm-up step");
    ok(resolve("--warmup=5", NULL) == 0 && o.warmup == 5,
       "unless another number is given");
    ok(resolve("--shape=mu", NULL) == 0 && o.warmup == 2 && !c.is_default_run,
       "a named shape takes two");
    ok(resolve("--official", NULL) == 0 && o.seconds == 600,
       "--official takes 600 seconds");
    ok(resolve("--official", "--seconds=5", NULL) == ERR_USAGE, "and refuses fewer");
    ok(resolve("--official", "--steps=5", NULL) == ERR_USAGE, "or a number of steps");
    ok(resolve("--official", "--case=gemm", NULL) == ERR_USAGE &&
           strstr(err_sentence(), "is for --case=step or block") != NULL,
       "and cases that last as long as they like: %s", err_sentence());
}

static void test_meaning(void)
{
    struct spec s;

    ok(resolve("--shape=mu,64/2/128/8", "--mesh=3x2", "--batch=8,2K",
               "--case=block,coll", "--sizes=1K:4M:2", "--require-mfu=spec:40",
               "--overlap=plain", "--dtype=f64", "--device=cpu:ref", NULL) == 0,
       "lists are taken apart");
    ok(c.shapes == 2 && strcmp(c.shape[1], "64/2/128/8") == 0, "shapes");
    ok(c.way.D == 3 && c.way.M == 2, "a mesh");
    ok(c.batches == 2 && c.batch[0] == 8 && c.batch[1] == 2000, "batches, with K");
    ok(c.cases == (1U << CASE_BLOCK | 1U << CASE_COLL), "cases");
    ok(c.size_first == 1024 && c.size_last == 4 << 20 && c.size_factor == 2, "sizes");
    ok(c.require_mfu == 40 && c.require_mfu_spec, "a bar");
    ok(resolve("--case=gemm", "--trace=t.json", NULL) == ERR_USAGE &&
           resolve("--case=gemm", "--require-overlap=50", NULL) == ERR_USAGE &&
           resolve("--case=block", "--jsonl=l.jsonl", NULL) == ERR_USAGE &&
           resolve("--case=coll", "--profile", NULL) == ERR_USAGE,
       "a trace, a bar of overlap, lines and a profile need steps");
    ok(resolve("--case=coll,gemm", "--require-mfu=50", NULL) == ERR_USAGE &&
           strstr(err_sentence(), "is for --case=step or block") != NULL,
       "a bar that no case would be held to is refused: %s", err_sentence());
    ok(resolve("--require-overlap=70.5", "--no-tune", NULL) == 0 &&
           c.require_overlap == 70.5 && c.way.form == CMM_RING,
       "another bar; without timing auto is the ring");
    ok(resolve("--deterministic", NULL) == 0 && !o.tune && c.way.form == CMM_RING,
       "--deterministic leaves nothing to timing");
    ok(resolve("--deterministic", "--tune", NULL) == ERR_USAGE &&
           strstr(err_sentence(), "no two runs share") != NULL,
       "and refuses --tune");
    ok(resolve("--overlap=bidir", "--progress=thread", "--trace=t.json", NULL) == 0 &&
           c.way.form == CMM_BIDIR,
       "both ways, a thread, a trace");
    ok(resolve("--overlap=plain", "--dtype=f64", "--device=cpu:ref", NULL) == 0,
       "plain again");
    ok(c.way.form == CMM_PLAIN && c.way.dtype == DTYPE_F64 &&
           strcmp(c.way.device, "cpu:ref") == 0,
       "and the rest");

    ok(resolve("--shape=mu", "--dtype=bf16", NULL) == 0 && c.way.dtype == DTYPE_BF16 &&
           strcmp(c.way.device, "auto") == 0,
       "bf16 on the best device");
    ok(resolve("--shape=mu", "--dtype=bf16:emulate", NULL) == 0 &&
           c.way.dtype == DTYPE_BF16 && strcmp(c.way.device, "cpu:emulate") == 0,
       "or on one that emulates it");
    ok(resolve("--dtype=bf16:emulate", "--device=cpu:blis", NULL) == ERR_USAGE,
       "which is a device of its own");
    ok(resolve("--dry-run", "--dtype=bf16", "--device=cpu:ref", NULL) == ERR_USAGE,
       "a plan, too, refuses a format that its device has no products of");
#ifdef HAVE_BLIS
    ok(resolve("--dry-run", "--dtype=bf16", "--device=cpu:blis", NULL) == ERR_USAGE,
       "bf16 of cpu:blis");
#endif
#ifdef HAVE_ONEDNN
    ok(resolve("--dry-run", "--dtype=f64", "--device=cpu:onednn", NULL) == ERR_USAGE,
       "f64 of cpu:onednn");
#endif
#ifdef HAVE_CUDA
    ok(resolve("--dry-run", "--dtype=f64", "--device=cuda", NULL) == ERR_USAGE,
       "f64 of cuda");
    ok(resolve("--dry-run", "--tf32", "--dtype=bf16", "--device=cuda", NULL) ==
               ERR_USAGE &&
           resolve("--dry-run", "--tf32", "--dtype=f32", "--device=cuda", NULL) == 0,
       "TF32 of bf16 on cuda, though not of f32");
#endif
    ok(resolve("--dry-run", "--tf32", "--device=cpu:ref", NULL) == ERR_USAGE,
       "and TF32 of a processor");

    ok(resolve("--shape=22B", NULL) == 0 && options_make_spec(&s, &o, &c, "22B") == 0 &&
           s.wiring == WIRING_PARALLEL && s.qk_norm && s.patch == 14,
       "a shape has its own wiring and QK-norm");
    ok(resolve("--shape=22B", "--wiring=sequential", "--qk-norm=off", "--pool=gap",
               "--loss=softmax", "--gelu=exact", "--layers=3", NULL) == 0 &&
           options_make_spec(&s, &o, &c, "22B") == 0 && s.wiring == WIRING_SEQUENTIAL &&
           !s.qk_norm && s.pool == POOL_GAP && s.loss == LOSS_SOFTMAX &&
           s.gelu == GELU_EXACT && s.L == 3 && s.L_full == 48,
       "unless told otherwise");
    ok(resolve("--shape=B", "--qk-norm=on", NULL) == 0 &&
           options_make_spec(&s, &o, &c, "B") == 0 && s.qk_norm && s.patch == 16,
       "also the other way");
    ok(resolve("--shape=B", "--qk-norm", NULL) == 0 && o.qk_norm == 1,
       "--qk-norm is on");
    ok(resolve("--no-qk-norm", "--shape=22B", NULL) == 0 && o.qk_norm == 2,
       "--no-qk-norm off");
    ok(resolve("--shape=B", "--qk-norm", "auto", NULL) == 0 && o.qk_norm == 0,
       "and a value may follow");
    ok(resolve("--shape=B", "--layers=13", NULL) == ERR_SHAPE,
       "13 blocks of 12 are refused");
    ok(resolve("--layers=20", NULL) == 0 &&
           options_make_spec(&s, &o, &c, "608/10/928/16") == 0 && s.L == 10 &&
           options_make_spec(&s, &o, &c, "22B") == 0 && s.L == 20,
       "but in the default run --layers is the most");
}

/* Every row can be dumped and read back: presets and ranges fit together. */
static void test_rows(void)
{
    char text[2048];
    bool is_same = true, has_about = true;

    resolve(NULL);
    for (int i = 0; i < options_count; i++) {
        const struct opt *row = &options_table[i];

        if (row->type == OPT_TITLE || row->type == OPT_ACTION)
            continue;
        opts_text(&opts, row, text, sizeof text);
        is_same   = is_same && opts_set(&opts, row->name, text, FROM_COMMAND_LINE) == 0;
        has_about = has_about && row->about != NULL && row->about[0] != '\0';
    }
    ok(is_same, "every default can be typed");
    ok(has_about, "every option has a sentence");
}

int main(void)
{
    test_bad_values();
    test_not_in_this_version();
    test_defaults();
    test_meaning();
    test_rows();
    return tap_done();
}
