/* SPDX-License-Identifier: BSD-3-Clause */
/* Which axes Adafactor averages over, by the rule of the reference, and where the
 * averages of a model rank's part lie.
 */
#include "config.h"

#include "src/plan/factor.h"
#include "tests/tap.h"

static struct param tensor(int split, int dims, int64_t d0, int64_t d1, int64_t d2,
                           int64_t d3)
{
    return (struct param){ .dims = dims, .dim = { d0, d1, d2, d3 }, .split = split };
}

/* "row over axis r, col over axis c", or neither (-1). */
static void check_axes(struct param p, int row, int col, const char *what)
{
    struct factor f;

    factor_make(&f, &p, 1, 0);
    ok(f.is_factored == (row >= 0) &&
           (row < 0 || (f.over[FACTOR_ROW] == row && f.over[FACTOR_COL] == col)),
       "%s", what);
}

static void axes(void)
{
    check_axes(tensor(0, 1, 4096, 0, 0, 0), -1, -1, "a vector is not factored");
    check_axes(tensor(1, 2, 64, 31, 0, 0), -1, -1, "nor is a matrix of 31 columns");
    check_axes(tensor(1, 2, 64, 32, 0, 0), 0, 1, "one of 32 columns is");
    check_axes(tensor(1, 2, 64, 64, 0, 0), 1, 0, "of equal axes the last is larger");
    check_axes(tensor(1, 3, 1152, 16, 72, 0), 0, 2, "query: width, then head size");
    check_axes(tensor(1, 3, 6144, 48, 128, 0), 0, 2, "query of 22B");
    check_axes(tensor(0, 3, 16, 72, 1152, 0), 2, 1, "out: width, then head size");
    check_axes(tensor(3, 4, 14, 14, 3, 1152), -1, -1, "patches of 14 are not factored");
    check_axes(tensor(3, 4, 32, 32, 3, 768), 3, 1, "patches of 32 are, over one side");
    check_axes(tensor(2, 3, 1, 256, 384, 0), 2, 1, "positions: width, then tokens");
    check_axes(tensor(2, 3, 1, 1, 384, 0), -1, -1, "a probe is not");
}

/* Every element of a part has a place in row and in col, that of the elements which
 * differ from it along one axis alone; places are used up.
 */
static int wrong_places(const struct param *p, int M, int m)
{
    struct factor f;
    int64_t extent[PARAM_DIMS] = { 1, 1, 1, 1 }, top[2] = { -1, -1 };
    int wrong = 0;

    factor_make(&f, p, M, m);
    for (int i = 0; i < p->dims; i++)
        extent[i] = i == p->split ? range_size(param_range(p, M, m)) : p->dim[i];
    for (int which = FACTOR_ROW; which <= FACTOR_COL; which++) {
        int64_t expected = 0;

        for (int64_t k = 0; k < extent[0] * extent[1] * extent[2] * extent[3]; k++) {
            int64_t rest = k, place = 0;
            bool is_first = true;

            for (int i = PARAM_DIMS - 1; i >= 0; i--) {
                place += rest % extent[i] * f.step[which][i];
                is_first &= i != f.over[which] || rest % extent[i] == 0;
                rest /= extent[i];
            }
            if (is_first)
                wrong += place != expected++;
            top[which] = place > top[which] ? place : top[which];
        }
        wrong += top[which] != f.size[which] - 1 || expected != f.size[which];
    }
    return wrong + (f.outer * f.along * f.inner != f.size[FACTOR_ROW]);
}

static void places(void)
{
    const struct param p[] = { tensor(1, 2, 40, 50, 0, 0), tensor(0, 2, 40, 50, 0, 0),
                               tensor(1, 3, 70, 5, 33, 0), tensor(0, 3, 5, 33, 70, 0),
                               tensor(2, 3, 1, 36, 50, 0), tensor(3, 4, 32, 32, 3, 50),
                               tensor(-1, 2, 40, 50, 0, 0) };
    int wrong              = 0;

    for (unsigned i = 0; i < sizeof p / sizeof p[0]; i++) {
        for (int M = 1; M <= 3; M++) {
            for (int m = 0; m < M; m++)
                wrong += wrong_places(&p[i], M, m);
        }
    }
    ok(wrong == 0, "averages lie in the order of the axes that are left");
}

static void joint(void)
{
    struct param up = tensor(1, 2, 50, 70, 0, 0), down = tensor(0, 2, 70, 50, 0, 0);
    struct param embed = tensor(2, 3, 1, 36, 36, 0);
    struct factor f;

    factor_make(&f, &up, 2, 0);
    ok(f.is_joint[FACTOR_ROW] && !f.is_joint[FACTOR_COL], "a mean over the cut axis");
    factor_make(&f, &down, 2, 1);
    ok(f.is_joint[FACTOR_ROW] && !f.is_joint[FACTOR_COL], "the same of rows");
    embed.dim[1] = 40;
    factor_make(&f, &embed, 2, 1);
    ok(!f.is_joint[FACTOR_ROW] && f.is_joint[FACTOR_COL], "the other mean");
    factor_make(&f, &embed, 1, 0);
    ok(!f.is_joint[FACTOR_ROW] && !f.is_joint[FACTOR_COL], "one rank shares nothing");
}

int main(void)
{
    axes();
    places();
    joint();
    return tap_done();
}
