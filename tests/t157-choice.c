/* SPDX-License-Identifier: BSD-3-Clause */
/* Which mesh: all there are, those that fit first, the fastest of them first; and the
 * machines that are shipped.
 */
#include "config.h"

#include "src/plan/choice.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/plan/predict.h"
#include "tests/tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static struct choice *list;
static int count;

static struct spec spec_of(const char *shape)
{
    const struct spec_options o = {
        .shape = shape, .wiring = -1, .qk_norm = -1, .classes = 1000
    };
    struct spec s;

    if (spec_make(&s, &o) != 0)
        ok(false, "%s", err_sentence());
    return s;
}

static const struct traffic_job like = { .dtype = DTYPE_BF16,
                                         .form  = CMM_AUTO,
                                         .shard = SHARD_FULL };

static void order(const struct machine *m)
{
    const struct spec s = spec_of("22B");
    unsigned seen       = 0;
    int wrong           = 0, rc;

    rc = choice_list(list, &count, &s, &like, m, 96, 192, 0);
    ok(rc == 0 && count == 11, "96 ranks have eleven meshes for 48 heads: %d", count);
    for (int i = 0; i < count; i++) {
        const struct choice *c = &list[i];
        const bool fits        = c->bytes * 8.0 < 0.8 * (double)m->memory_bytes;

        wrong += c->job.D * c->job.M != 96 || c->job.B != 192;
        wrong += c->fits != fits || c->bytes != predict_most(&s, &c->job);
        wrong += c->job.form == CMM_AUTO;
        wrong += i > 0 && c->fits && !list[i - 1].fits;
        wrong += i > 0 && c->fits == list[i - 1].fits &&
                 c->forecast.tokens_per_s > list[i - 1].forecast.tokens_per_s;
        seen |= 1u << (c->job.M > 31 ? 31 : c->job.M);
    }
    ok(wrong == 0, "with their memory and the batch, the best ones first");
    ok(seen == (0x80000000u | 1u << 24 | 1u << 16 | 0x115eu), "each of them once");

    rc = choice_list(list, &count, &s, &like, m, 96, 24, 0);
    ok(rc == 0 && count == 8, "24 images leave those with at most 24 data ranks: %d",
       count);
    ok(choice_list(list, &count, &s, &like, m, 96, 0, 8) == 0 && count == 11 &&
           list[0].job.B == 8 * list[0].job.D,
       "without a batch it follows the data ranks");
    ok(choice_list(list, &count, &s, &like, m, 7919, 1, 0) == 0 && count == 0,
       "a prime number of ranks and one image have none");
}

static void micro_batches(const struct machine *m)
{
    const struct spec s     = spec_of("22B");
    struct traffic_job four = like;
    int wrong               = 0;

    four.micros = 4;
    ok(choice_list(list, &count, &s, &four, m, 96, 192, 0) == 0 && count == 10,
       "four micro-batches of 192 images leave those with at most 48 data ranks");
    for (int i = 0; i < count; i++)
        wrong += list[i].job.B / list[i].job.D < 4 || list[i].job.micros != 4;
    ok(wrong == 0, "where each has an image in all of them");
}

/* More memory never leaves fewer meshes, and never a slower best one. */
static void memory(const struct machine *from)
{
    const struct spec s = spec_of("22B");
    struct machine m    = *from;
    int before = 0, fewer = 0, slower = 0;
    double best = 0;

    for (int gb = 1; gb < 4096; gb *= 2) {
        int fit = 0;

        m.memory_bytes = (int64_t)gb << 30;
        if (choice_list(list, &count, &s, &like, &m, 64, 512, 0) != 0)
            break;
        for (int i = 0; i < count; i++)
            fit += list[i].fits;
        fewer += fit < before;
        slower += before > 0 && list[0].forecast.tokens_per_s < best;
        before = fit;
        best   = list[0].forecast.tokens_per_s;
    }
    ok(fewer == 0 && slower == 0 && before == count,
       "more memory leaves as many meshes or more, and none slower");
}

static void many(const struct machine *m)
{
    const struct spec s = spec_of("22B");

    ok(choice_list(list, &count, &s, &like, m, 4096, 32768, 0) == 0 && count == 6,
       "4096 ranks have six meshes");
}

/* ---- shipped --------------------------------------------------------------------- */

static void shipped(struct machine *m, const char *name)
{
    const struct spec s    = spec_of("22B");
    const enum dtype t     = strcmp(name, "cpu-cluster") == 0 ? DTYPE_F32 : DTYPE_BF16;
    struct traffic_job job = like;
    int above              = 0, rc;

    if (!ok(machine_find(m, name) == 0, "%s is found by its name", name)) {
        tap_note("%s", err_sentence());
        return;
    }
    ok(strcmp(m->name, name) == 0 && strlen(m->source) > 100,
       "says what it is, and where its figures are from");
    for (int i = 0; i < m->kernels; i++) {
        enum dtype of;

        if (strncmp(m->kernel[i].op, "gemm", 4) == 0 &&
            dtype_parse(&of, m->kernel[i].dtype) == 0)
            above += m->kernel[i].rate > m->peak[of];
    }
    ok(above == 0, "no product is above the peak");
    job.dtype = t;
    rc = choice_list(list, &count, &s, &job, m, 1024, m->gpus > 0 ? 8192 : 256, 0);
    ok(rc == 0 && count > 0 && list[0].fits && list[0].forecast.mfu > 0.05 &&
           list[0].forecast.mfu < 0.9,
       "on it 22B finds a mesh for 1024 ranks: %dx%d, MFU %.0f %%", list[0].job.D,
       list[0].job.M, 100 * list[0].forecast.mfu);
}

static void unknown(struct machine *m)
{
    const int rc = machine_find(m, "no-such-machine");

    ok(rc == ERR_USAGE &&
           strstr(err_sentence(), "cpu-cluster, frontier, h200, workstation") != NULL,
       "an unknown name is answered with those there are: %s", err_sentence());
    ok(machine_find(m, "./no-such-file.json") == ERR_DATA, "a path is a file's");
    err_forget();
    mkdir("h200", 0777);
    ok(machine_find(m, "h200") == 0, "a folder is no machine file");
    rmdir("h200");
    err_forget();
}

int main(void)
{
    static struct machine m;
    const char *source = getenv("srcdir");
    char folder[512];

    snprintf(folder, sizeof folder, "%s/src/plan/machines",
             source != NULL ? source : ".");
    setenv("VIT_MACHINES", folder, 1);
    list = mem_new(CHOICES, sizeof *list);
    shipped(&m, "cpu-cluster");
    shipped(&m, "frontier");
    shipped(&m, "h200");
    unknown(&m);
    order(&m);
    micro_batches(&m);
    memory(&m);
    many(&m);
    mem_free(list);
    return tap_done();
}
