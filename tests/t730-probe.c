/* SPDX-License-Identifier: BSD-3-Clause */
/* The options of vitprobe and what follows from them. */
#include "config.h"

#include "src/eval/options.h"

#include "src/base/err.h"
#include "tests/tap.h"

#include <math.h>
#include <string.h>

static struct probe_options o;
static struct probe_plan plan;

static int resolve(char *a, char *b, char *c)
{
    char *argv[] = { "vitprobe", a, b, c, NULL };
    struct opts opts;
    int argc = 0;

    memset(&o, 0x55, sizeof o); /* what no row sets must be set all the same */
    while (argv[argc] != NULL)
        argc++;
    TRY(probe_options_read(&opts, &o, argc, argv));
    return probe_plan(&plan, &o);
}

static void refused(char *a, char *b, const char *words)
{
    const int rc = resolve(a, b, NULL);

    if (!ok(rc != 0 && err_exit_status(rc) == 2 &&
                strstr(err_sentence(), words) != NULL,
            "%s %s is refused: .. %s ..", a, b != NULL ? b : "", words))
        tap_note("%s", rc != 0 ? err_sentence() : "it was taken");
    err_forget();
}

static void bad_options(void)
{
    refused("--shots=1", NULL, "give --checkpoint");
    refused("--checkpoint=a.h5", "--shape=S", "--shape and --checkpoint exclude");
    refused("--checkpoint=a.h5", "--pool=gap", "--pool and --checkpoint exclude");
    refused("--checkpoint=a.h5", "--features=f.h5", "exclude each other");
    refused("--shape=S", "--features=f.h5", "exclude each other");
    refused("--shape=23B", NULL, "nor a named shape");
    refused("--shape=S", "--feature=last", "expected pre_logits or block:N");
    refused("--shape=S", "--feature=block:x", "a whole number");
    refused("--shape=S", "--feature=block:-1", "from 0");
    refused("--shape=S", "--test=0.5", "leave --test away");
    refused("--features=f.h5", "--test=0", "a share above 0, at most 1");
    refused("--features=f.h5", "--test=1.5", "a share above 0, at most 1");
    refused("--features=f.h5", "--test=", "a share or a file");
    refused("--features=f.h5", "--shots=0", "at least 1");
    refused("--features=f.h5", "--shots=1,,2", "a whole number");
    refused("--features=f.h5", "--shots=", "needs a number");
    refused("--features=f.h5", "--seeds=-1", "at least 0");
    refused("--features=f.h5", "--seeds=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17",
            "more than 16");
    refused("--features=f.h5", "--l2=0", "at least 1e-12");
    refused("--features=f.h5", "--l2=much", "a number");
    refused("--features=f.h5", "--method=head", "needs a model");
    refused("--features=f.h5", "--logits-out=l.h5", "needs a model");
    refused("--features=f.h5", "--method=none", "needs --features-out");
    refused("--features=f.h5", "--select=1", "from");
    refused("--features=f.h5", "--optimizer=sgd", "unknown option");
}

static void good_options(void)
{
    const int rc = resolve("--checkpoint=a.h5", "--classes=5", "--data=s.h5");

    ok(rc == ERR_USAGE, "a set has the classes that it has: %s", err_sentence());
    ok(resolve("--checkpoint=a.h5", "--classes=5", NULL) == 0 && o.has_classes,
       "but fractals have as many as are wanted");
    ok(resolve("--features=f.h5", NULL, NULL) == 0 && !plan.has_model &&
           plan.share == 0.1 && plan.few.shot_count == 4 && plan.few.shots[2] == 10 &&
           plan.few.seeds == 3 && plan.few.l2s == 1 && plan.few.l2[0] == 1024,
       "features are probed with the papers' shots, seeds and penalty");
    ok(resolve("--features=f.h5", "--test=g.h5", "--l2=1024,1e-3") == 0 &&
           isnan(plan.share) && plan.few.l2[1] == 1e-3 && plan.logistic.l2s == 2,
       "penalties and another set can be given");
    ok(resolve("--features=f.h5", "--method=lbfgs", "--l2=1,0") == 0 &&
           plan.logistic.l2s == 2 && plan.logistic.l2[1] == 0,
       "logistic regression may do without a penalty");
    ok(plan.descend.lr == 0.001 && plan.descend.epochs == 10 &&
           plan.descend.batch == 512 && plan.descend.decay == 0,
       "gradient descent is that of the papers");
    ok(resolve("--checkpoint=a.h5", "--image=16", "--feature=block:3") == 0 &&
           plan.has_model && o.has_image && !o.has_patch && plan.feature == 3,
       "a checkpoint may be taken to another size");
    ok(resolve("--shape=Ti", "--image=32", "--l2=auto") == 0 && plan.has_model &&
           plan.spec.C == 192 && plan.spec.T == 4 && plan.logistic.l2s == 7 &&
           plan.feature == FEATURE_POOLED,
       "a model may be untrained");
}

int main(void)
{
    bad_options();
    good_options();
    return tap_done();
}
