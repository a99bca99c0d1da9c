/* SPDX-License-Identifier: BSD-3-Clause */
/* Cuts of groups over the data axis, against a list of all places where a row begins:
 * every part starts at the first of them that is not before its share.
 */
#include "config.h"

#include "src/plan/cut.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "tests/tap.h"

#include <string.h>

/* Mark the elements of a group where a row of a slot starts that may stay whole, from
 * the shapes in the table alone.
 */
static void mark_rows(char *is_start, const struct params *p, int group, int M, int m)
{
    int64_t offset = 0;

    for (int i = 0, n; i < p->count; i += n) {
        const struct param *first = &p->param[i];
        int64_t elements = 0, row = 0;

        for (n = 0; i + n < p->count; n++) {
            const struct param *t = first + n;
            const int64_t size    = param_size_local(t, M, m);
            int64_t cols          = 1;

            if (t->group != first->group || t->slot != first->slot ||
                t->block != first->block)
                break;
            for (int k = t->fold; k < t->dims; k++)
                cols *= k == t->split ? range_size(param_range(t, M, m)) : t->dim[k];
            row = first->slot == SLOT_OUT ? cols : row + cols;
            elements += size;
        }
        if (first->group != group)
            continue;
        if (strcmp(first->name, "embedding/kernel") == 0)
            row *= 3; /* the colours of a pixel */
        for (int64_t at = 0; at < elements; at += row)
            is_start[offset + at] = 1;
        offset += param_round(elements);
    }
    is_start[offset] = 1;
}

static void check_group(const struct params *p, const struct spec *s, int group, int M,
                        int m, int *wrong, int *uneven)
{
    const int64_t size = param_group_elements(p, s, group, M, m);
    char *is_start     = mem_new((size_t)size + 1, 1);
    struct cut cut;

    cut_make(&cut, p, group, M, m);
    mark_rows(is_start, p, group, M, m);
    *wrong += cut.size != size;
    for (int D = 1; D <= 12; D++) {
        int64_t most = 0;

        for (int d = 0; d <= D; d++) {
            int64_t at = size * d / D;

            while (!is_start[at])
                at++;
            *wrong += cut_at(&cut, D, d) != at;
            if (d > 0 && at - cut_at(&cut, D, d - 1) > most)
                most = at - cut_at(&cut, D, d - 1);
        }
        *uneven += most > size / D + 320; /* a row more */
    }
    mem_free(is_start);
}

static void check(const char *shape, enum wiring wiring, enum pool pool)
{
    const struct spec_options o = { .shape   = shape,
                                    .wiring  = (int)wiring,
                                    .qk_norm = 1,
                                    .pool    = (int)pool,
                                    .image   = 20,
                                    .patch   = 4,
                                    .classes = 3 };
    int wrong = 0, uneven = 0;
    struct params p;
    struct spec s;

    if (spec_make(&s, &o) != 0)
        die("%s", err_sentence());
    params_make(&p, &s, HEAD_INIT_NORMAL);
    for (int M = 1; M <= 5; M++) {
        for (int m = 0; m < M; m++) {
            for (int g = 0; g < group_replicated(&s); g++)
                check_group(&p, &s, g, M, m, &wrong, &uneven);
        }
    }
    params_free(&p);
    ok(wrong == 0, "%s %s %s: every part starts at the first row after its share",
       shape, wiring_name(wiring), pool_name(pool));
    ok(uneven == 0, "and is at most a row larger than that");
}

/* Very many data ranks: where there are more than rows, some own nothing, and
 * the last cut is the end.
 */
static void many(const char *shape)
{
    const struct spec_options o = { .shape = shape, .wiring = -1, .qk_norm = -1 };
    const int D                 = 1 << 22;
    struct params p;
    struct cut cut;
    struct spec s;
    int64_t sum = 0, back = 0;

    if (spec_make(&s, &o) != 0)
        die("%s", err_sentence());
    params_make(&p, &s, HEAD_INIT_NORMAL);
    cut_make(&cut, &p, group_block(0), 1, 0);
    for (int d = 0; d < D; d++) {
        const int64_t part = cut_at(&cut, D, d + 1) - cut_at(&cut, D, d);

        sum += part;
        back += part < 0;
    }
    ok(sum == cut.size && back == 0 && cut_at(&cut, D, 0) == 0,
       "four million parts are all of %s, in order", shape);
    params_free(&p);
}

int main(void)
{
    for (int wiring = 0; wiring < 2; wiring++) {
        for (int pool = POOL_MAP; pool <= POOL_CLS; pool++) {
            check("50/2/70/5", wiring, pool);
            check("40/1/9/5", wiring, pool);
            check("40/1/3/5", wiring, pool); /* some ranks have nothing of the MLP */
        }
    }
    many("mu");
    many("1000000/1/1000000/1");
    return tap_done();
}
