/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,4 */
/* The benchmark of checkpoints: it measures all four, the state that comes back is the
 * one that was saved, a disk that cannot be written ends it, and nothing is left over.
 */
#include "config.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "tests/bed.h"
#include "tests/scratch.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

static bool is_measured(const struct case_result *c)
{
    static const char *const name[] = { "plain write", "save", "plain read", "load" };
    bool is_right                   = c->rows == 4 && c->status == STATUS_PASS;

    for (int i = 0; is_right && i < 4; i++) {
        const struct row *w = &c->row[i];

        is_right = strcmp(w->name, name[i]) == 0 && w->seconds > 0 &&
                   w->size == c->row[0].size &&
                   fabs(w->algbw * w->seconds / (double)w->size - 1) < 1e-12 &&
                   isnan(w->blocked) == (i != 1) &&
                   w->status == (i == 3 ? STATUS_PASS : STATUS_SKIP);
    }
    return is_right && c->row[1].blocked > 0 &&
           c->row[1].blocked <= c->row[1].seconds && c->row[3].error == 0 &&
           c->row[3].threshold == 0;
}

static void check_case(struct bed *bed, const struct spec *s)
{
    struct bench *b      = &bed->bench;
    struct case_result c = { 0 };
    const char *out      = scratch_path("out");
    struct params params;
    int64_t elements = 0;

    snprintf(bed->options.out, sizeof bed->options.out, "%s", out);
    ok(case_ckpt(b, &c, s, 4) == 0, "%dx%d: it runs", b->mesh->D, b->mesh->M);
    ok(is_measured(&c), "%dx%d: and times writing, saving, reading, loading",
       b->mesh->D, b->mesh->M);
    params_make(&params, s, HEAD_INIT_NORMAL);
    for (int i = 0; i < params.count; i++)
        elements += param_size(&params.param[i]);
    params_free(&params);
    ok(c.rows > 0 && c.row[0].size == 3 * 4 * elements, "of three numbers a parameter");
    mem_free(c.row);
    coll_barrier(b->mesh);
    if (b->mesh->rank == 0)
        ok(rmdir(out) == 0, "nothing is left over");
    else
        ok(true, "nothing is left over");

    c = (struct case_result){ 0 };
    snprintf(bed->options.out, sizeof bed->options.out, "/dev/null/none");
    ok(case_ckpt(b, &c, s, 4) == ERR_IO, "a folder that cannot be is an error");
    mem_free(c.row);
}

int main(int argc, char **argv)
{
    const struct spec s = bed_spec("24/2/40/4", WIRING_PARALLEL, POOL_MAP);
    const int size      = ranks_open(&argc, &argv, "t660-case-ckpt");
    struct bed bed;

    scratch_open();
    for (int M = 1; M <= size; M *= 2) {
        for (int shard = SHARD_NONE; shard <= (M < size ? SHARD_FULL : 0); shard++) {
            bed_open_auto(&bed, size / M, M, DTYPE_F32, CMM_RING);
            bed.choices.way.shard = (enum param_shard)shard;
            check_case(&bed, &s);
            bed_close(&bed);
        }
    }
    return ranks_done();
}
