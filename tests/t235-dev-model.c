/* SPDX-License-Identifier: BSD-3-Clause */
/* The model device: operations take the time of the machine's description on a clock
 * that nobody waits for; buffers are addresses and nothing more.
 */
#include "config.h"

#include "src/dev/dev_model.h"

#include "src/base/clock.h"
#include "src/base/mem.h"
#include "tests/tap.h"

static const struct machine machine = {
    .name           = "paper",
    .cores          = 4,
    .memory_bytes   = 1 << 30,
    .peak           = { 1e9, 2e9, 4e9 },
    .mem_bw         = 1e9,
    .op_s           = 1e-3,
    .packs          = 3,
    .nodes          = 1,
    .ranks_per_node = 1,
    .links          = 1,
    .link           = { { .level = "core", .alpha_s = 1e-6 } },
};

static double now(void)
{
    return 0; /* real time stands still */
}

static double passed;

static void pass(double seconds)
{
    passed += seconds;
}

int main(void)
{
    enum { N = 64, I = 32, J = 48 };
    struct cost_rank cost;
    struct dev_stream *s;
    struct dev_weight *w;
    struct dev *dev;
    struct buf a, b;
    struct mat x, y;
    double before, value = 7, number[2];
    const int64_t bytes = mem_peak();

    clock_set(now);
    if (!ok(cost_make(&cost, &machine, DTYPE_F32, 1) == 0 &&
                dev_model_open(&dev, &cost, NULL) == 0,
            "the device opens"))
        return tap_done();
    s = dev_stream(dev, LANE_COMPUTE);
    ok(dev_is_hollow(dev) && dev_alloc(&a, dev, (size_t)1 << 38) == 0 &&
           dev_alloc(&b, dev, (size_t)1 << 38) == 0 && a.at == b.at,
       "buffers of any size lie over each other");
    ok(mem_peak() - bytes < 1 << 17, "and take no memory");

    x = mat_of(&a, DTYPE_F32, N, I);
    y = mat_of(&b, DTYPE_F32, N, J);
    ok(dev_weight_open(&w, dev, mat_of(&a, DTYPE_F32, I, J)) == 0, "so do weights");
    for (int again = 0; again < 2; again++) {
        before = clock_now();
        dev_gemm(s, y, x, w, (struct range){ 0, I }, (struct range){ 0, J }, false,
                 NULL);
        close_to(clock_now() - before, cost_gemm(&cost, COST_GEMM, N, J, I), 1e-12,
                 "a product takes its cost");
    }
    before = clock_now();
    dev_add(s, y, y);
    close_to(clock_now() - before, cost_move(&cost, "add", 3.0 * 4 * N * J), 1e-12,
             "an addition that of the bytes it moves");
    before = clock_now();
    dev_gemm_dw(s, mat_of(&a, DTYPE_F32, I, J), x, y, false);
    close_to(clock_now() - before, cost_gemm(&cost, COST_GEMM_DW, N, J, I), 1e-12,
             "a gradient its own");
    dev_mute(dev, true);
    before = clock_now();
    dev_add(s, y, y);
    ok(clock_now() == before, "a muted one takes none");
    dev_mute(dev, false);
    dev_get(s, &value, mat_of(&a, DTYPE_F64, 1, 1));
    ok(value == 0, "what is read is zero");
    dev_model_invent(dev, 9);
    dev_get(s, number, mat_of(&a, DTYPE_F64, 1, 2));
    ok(number[0] > 0 && number[1] > 0 && number[0] != number[1],
       "or, where a test asks for that, anything: %g, %g", number[0], number[1]);
    before = clock_now();
    dev_weight_changed(s, w);
    close_to(clock_now() - before,
             cost_move(&cost, "weight_changed", 2.0 * 3 * 4 * I * J), 1e-12,
             "packed copies of a weight are made anew, as many as the machine says");

    before = clock_now();
    clock_settle();
    ok(clock_now() == before, "without a simulator the clock keeps its seconds");
    clock_set_pass(pass);
    clock_settle();
    ok(passed == before && clock_now() == 0, "else it hands them over, once");

    dev_weight_close(&w);
    dev_free(&a);
    dev_free(&b);
    dev_close(&dev);
    return tap_done();
}
