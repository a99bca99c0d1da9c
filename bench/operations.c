/* SPDX-License-Identifier: BSD-3-Clause */
/* Operations are timed where they belong, in a step: caches are as they will be.  Ranks
 * may have done them first in orders of their own, so they are told apart by name.
 */
#include "config.h"

#include "bench/operations.h"

#include "bench/case.h"
#include "bench/setup.h"

#include "src/base/err.h"
#include "src/base/mem.h"

#include <stdio.h>
#include <string.h>

static double work_of(const struct dev_cost *cost)
{
    return cost->flops > 0 ? cost->flops : cost->bytes;
}

/* The first rank's operations, the same on all ranks, with the seconds that its work
 * takes at the pace of the slowest one.
 */
struct operations {
    int count;
    struct dev_cost cost[DEV_COSTS];
    char name[DEV_COSTS][32];
};

static void agree(struct operations *all, struct bench *b)
{
    int count;
    const struct dev_cost *own = dev_costs(b->dev, &count);
    double pace[DEV_COSTS]     = { 0 }; /* seconds for a FLOP or byte */

    all->count = count;
    for (int i = 0; i < count; i++) {
        all->cost[i] = own[i];
        snprintf(all->name[i], sizeof all->name[i], "%s", own[i].name);
    }
    coll_broadcast(b->mesh, AXIS_ALL, 0, all, sizeof *all);
    for (int i = 0; i < all->count; i++) {
        all->cost[i].name = all->name[i];
        for (int k = 0; k < count; k++) {
            if (strcmp(own[k].name, all->name[i]) == 0 && work_of(&own[k]) > 0)
                pace[i] = own[k].seconds / work_of(&own[k]);
        }
    }
    coll_largest_of(b->mesh, AXIS_ALL, pace, all->count);
    for (int i = 0; i < all->count; i++)
        all->cost[i].seconds = pace[i] * work_of(&all->cost[i]);
}

/* Of one block with all operations that blocks have, and a few images of a rank. */
static int spec_of_step(struct spec *s)
{
    return spec_make(s, &(struct spec_options){ .shape   = "1152/1/4304/16",
                                                .wiring  = WIRING_SEQUENTIAL,
                                                .qk_norm = 1,
                                                .classes = 1000 });
}

/* What 'cost' says of an operation, if it is not a product, and large enough that its
 * time is not that of calling it.
 */
static void add_operation(struct machine *m, struct case_result *c,
                          const struct dev_cost *cost, const struct spec *s,
                          const struct local *l)
{
    const double least       = 1 << 16; /* bytes or FLOPs of a call */
    const double work        = work_of(cost);
    struct machine_kernel *k = &m->kernel[m->kernels];
    struct row *row;

    if (strcmp(cost->name, "max") == 0 && cost->calls > 0)
        m->op_s = cost->seconds / (double)cost->calls;
    if (strncmp(cost->name, "gemm", 4) == 0 || m->kernels == MACHINE_KERNELS ||
        !(cost->seconds > 0) || work < least * (double)cost->calls)
        return;
    *k = (struct machine_kernel){ .rate  = work / cost->seconds,
                                  .shape = { l->rows, l->C_l, s->E } };
    if (cost->flops > 0) {
        k->shape[0] = l->B_l * l->H_l;
        k->shape[1] = s->N;
    }
    snprintf(k->op, sizeof k->op, "%s", cost->name);
    snprintf(k->dtype, sizeof k->dtype, "%s", dtype_name(c->dtype));
    m->kernels++;
    row = case_add_row(c);
    snprintf(row->name, sizeof row->name, "%s", cost->name);
    memcpy(row->shape, k->shape, sizeof row->shape);
    row->rate    = cost->flops > 0 ? k->rate : 0;
    row->algbw   = cost->flops > 0 ? 0 : k->rate;
    row->seconds = cost->seconds / (double)cost->calls;
    row->status  = STATUS_SKIP;
}

static bool has_room(struct bench *b, const struct spec *s, int64_t B)
{
    const struct traffic_job job =
        setting_job(&b->choices->way, false, B, b->mesh->D, b->mesh->M);
    const double on_a_node = coll_largest(b->mesh, AXIS_ALL, b->mesh->node_size);

    return b->node_memory == 0 ||
           (double)predict_most(s, &job) * on_a_node <= (double)b->node_memory;
}

int operations_measure(struct machine *m, struct bench *b, struct case_result *c)
{
    enum { IMAGES = 4, STEPS = 2 };
    const int64_t B = (int64_t)IMAGES * b->mesh->D;
    struct setup setup;
    struct step_result result;
    struct operations *all;
    struct spec s;
    int rc = spec_of_step(&s);

    if (rc == 0)
        rc = spec_check_mesh(&s, B, b->mesh->D, b->mesh->M);
    if (rc != 0 || !has_room(b, &s, B)) { /* they go at the pace of memory then */
        err_forget();
        return 0;
    }
    TRY(bench_go_on(b));
    TRY(setup_open(&setup, b, &s, B, 1));
    step_run(setup.step, 1.0, &result);
    dev_costs_start(b->dev);
    for (int i = 0; i < STEPS; i++)
        step_run(setup.step, 1.0, &result);
    all = mem_new(1, sizeof *all);
    agree(all, b);
    for (int i = 0; i < all->count; i++)
        add_operation(m, c, &all->cost[i], &s, vit_local(setup.vit));
    mem_free(all);
    setup_close(&setup);
    return 0;
}
