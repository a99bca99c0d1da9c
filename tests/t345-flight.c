/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,3,4,6 */
/* Collectives that go on by themselves: right on any parts, several at once, beside
 * other messages, also where the ranks wait for each other; moved on by polling alone;
 * with the messages of the plan.  The arena that they fill: two groups, and no third.
 */
#include "config.h"

#include "mesh/arena.h"
#include "mesh/coll.h"
#include "mesh/flight.h"

#include "src/base/err.h"
#include "tests/lazy.h"
#include "tests/ranks.h"

#include <math.h>
#include <string.h>

enum { MOST = 64, PART = 40 };

static int ring_most, near = 1;

static struct mesh *mesh;
static struct dev *dev;
static struct dev_event *ready; /* NULL: the host waits for what is put on the stream */

/* A buffer of parts, some of them empty. */
struct parts_held {
    struct buf x, work;
    int64_t cut[MOST + 1], room;
    int ranks, i; /* i: this rank's part */
};

static void parts_open(struct parts_held *p, enum axis axis, int seed)
{
    p->ranks  = mesh_axis_size(mesh, axis);
    p->i      = hops_part(mesh_axis_rank(mesh, axis), p->ranks, near);
    p->cut[0] = 0;
    for (int j = 0; j < p->ranks; j++)
        p->cut[j + 1] = p->cut[j] + (j * 7 + seed) % 5 * (PART / 4);
    p->room = hops_room(p->cut, p->ranks, near, ring_most);
    if (dev_alloc(&p->x, dev, (size_t)(p->cut[p->ranks] + 1) * sizeof(double)) != 0 ||
        dev_alloc(&p->work, dev, (size_t)p->room * sizeof(double)) != 0)
        die("%s", err_sentence());
}

static void parts_close(struct parts_held *p)
{
    dev_free(&p->x);
    dev_free(&p->work);
}

static double number(int seed, int rank, int64_t k)
{
    return (double)((k * 13 + 5 * rank + seed) % 23 - 11);
}

static double *values(struct parts_held *p)
{
    return (double *)(void *)p->x.at;
}

static void start(struct flight *f, struct parts_held *p, enum hops_form form,
                  enum axis axis, enum traffic kind, int seed)
{
    const struct flight_plan plan = {
        .mesh      = mesh,
        .axis      = axis,
        .kind      = kind,
        .group     = 5,
        .stream    = dev_stream(dev, LANE_COMPUTE),
        .ready     = ready,
        .x         = mat_of(&p->x, DTYPE_F64, 1, p->cut[p->ranks]),
        .cut       = p->cut,
        .work      = mat_of(&p->work, DTYPE_F64, 1, p->room),
        .near      = near,
        .ring_most = ring_most,
    };

    for (int64_t k = 0; k < p->cut[p->ranks]; k++)
        values(p)[k] =
            form == HOPS_GATHER && (k < p->cut[p->i] || k >= p->cut[p->i + 1])
                ? NAN
                : number(seed, p->i, k);
    flight_start(f, form, &plan);
}

/* Whether the result of a flight is right. */
static bool is_right(struct parts_held *p, enum hops_form form, int seed)
{
    bool is = true;

    for (int j = 0; j < p->ranks; j++) {
        for (int64_t k = p->cut[j]; k < p->cut[j + 1]; k++) {
            double want = form == HOPS_GATHER ? number(seed, j, k) : 0;

            for (int r = 0; r < p->ranks && form != HOPS_GATHER; r++)
                want += number(seed, r, k);
            is &= (form == HOPS_SCATTER && j != p->i) || values(p)[k] == want;
        }
    }
    return is;
}

static struct traffic_count planned(const struct parts_held *p, enum hops_form form)
{
    struct traffic_count t = { 0 };

    traffic_hops(&t, p->cut, sizeof(double), form, p->ranks,
                 mesh_axis_rank(mesh, AXIS_DATA), near, ring_most);
    return t;
}

static void one_by_one(enum axis axis)
{
    static const char *const name[] = { "gather", "scatter", "sum" };

    for (int form = HOPS_GATHER; form <= HOPS_SUM; form++) {
        bool is = true, is_planned = true;

        for (int seed = 0; seed < 5; seed++) {
            struct traffic_count want;
            struct parts_held p;
            struct flight f;

            parts_open(&p, axis, seed);
            want = planned(&p, form);
            mesh_count_reset(mesh);
            start(&f, &p, form, axis, GRAD_SCATTER, seed);
            flight_finish(&f);
            flight_finish(&f); /* nothing is under way any more */
            dev_sync(dev_stream(dev, LANE_COMPUTE));
            is &= is_right(&p, form, seed);
            is_planned &= memcmp(&mesh->sent[GRAD_SCATTER], &want, sizeof want) == 0;
            parts_close(&p);
        }
        ok(is, "%s %s over %d ranks, by %d", ring_most > 1 ? "ring" : "recursive",
           name[form], mesh_axis_size(mesh, axis), near);
        ok(is_planned, "with the messages of the plan");
    }
}

/* Polling alone brings it to its end: nobody waits. */
static void by_polling(enum progress_form form)
{
    struct parts_held p;
    struct flight f;
    int busy;

    progress_set(mesh, form);
    parts_open(&p, AXIS_ALL, 3);
    start(&f, &p, HOPS_SUM, AXIS_ALL, GRAD_SCATTER, 3);
    do {
        progress_poll(mesh);
        busy = f.is_active;
        /* All leave together: whoever is done still passes on nothing, but polls. */
        TRY_MPI(MPI_Allreduce(MPI_IN_PLACE, &busy, 1, MPI_INT, MPI_MAX,
                              mesh->comm[AXIS_ALL]));
    } while (busy);
    ok(is_right(&p, HOPS_SUM, 3), "polling alone brings a flight home, with %s",
       progress_name[form]);
    flight_finish(&f);
    parts_close(&p);
    progress_set(mesh, PROGRESS_POLL);
}

/* A gather and a sum, or a scatter, under way, and other messages between; the ranks of
 * a row wait for each other while those of their columns, which have begun them in
 * another order, need them to pass parts on.  What is not theirs keeps its group.
 */
static void together(void)
{
    bool is = true;

    for (int round = 0; round < 20; round++) {
        const enum hops_form form = round % 2 == 0 ? HOPS_SUM : HOPS_SCATTER;
        struct parts_held p, q;
        struct flight gather, sum;
        double x[3];
        struct buf b;
        int64_t one[MOST];

        for (int j = 0; j < mesh->M; j++)
            one[j] = 1;
        if (dev_alloc(&b, dev, (size_t)mesh->M * sizeof(double)) != 0)
            die("%s", err_sentence());
        parts_open(&p, AXIS_DATA, round);
        parts_open(&q, AXIS_DATA, round + 1);
        mesh->group = 3;
        if (mesh->d % 2 == 0)
            start(&gather, &p, HOPS_GATHER, AXIS_DATA, PARAM_GATHER, round);
        start(&sum, &q, form, AXIS_DATA, GRAD_SCATTER, round);
        if (mesh->d % 2 != 0)
            start(&gather, &p, HOPS_GATHER, AXIS_DATA, PARAM_GATHER, round);
        is &= mesh->group == 3;
        mesh->group = 0;
        x[0]        = mesh->rank;
        if ((mesh->m + round) % 3 == 0)
            flight_finish(&gather);
        ((double *)(void *)b.at)[mesh->m] = x[0];
        coll_allgather(mesh, AXIS_MODEL, ACT_GATHER, dev_stream(dev, LANE_COMPUTE),
                       mat_of(&b, DTYPE_F64, 1, mesh->M),
                       mat_at(&b, DTYPE_F64, mesh->m, 1, 1), 1, one);
        for (int j = 0; j < mesh->M; j++)
            is &= ((double *)(void *)b.at)[j] == mesh->d * mesh->M + j;
        if ((mesh->m + round) % 3 == 1)
            flight_finish(&sum);
        flight_finish(&gather);
        flight_finish(&sum);
        is &= is_right(&p, HOPS_GATHER, round) && is_right(&q, form, round) &&
              mesh->group == 0;
        parts_close(&p);
        parts_close(&q);
        dev_free(&b);
    }
    ok(is, "%dx%d: two flights at once, beside other messages", mesh->D, mesh->M);
}

static void muted(void)
{
    struct parts_held p;
    struct flight f;

    parts_open(&p, AXIS_ALL, 1);
    mesh_mute(mesh, PARAM_GATHER, true);
    mesh_count_reset(mesh);
    start(&f, &p, HOPS_GATHER, AXIS_ALL, PARAM_GATHER, 1);
    flight_finish(&f);
    mesh_mute(mesh, PARAM_GATHER, false);
    ok(mesh->sent[PARAM_GATHER].messages == 0, "a muted flight sends nothing");
    parts_close(&p);
}

/* ---- the arena ------------------------------------------------------------------- */

static double first_of(struct arena *a, int group)
{
    return ((double *)(void *)arena_room(a, group)->at)[0];
}

static void arena(void)
{
    static const int64_t size[] = { 5, 9, 9, 9, 2 };
    struct arena a;

    ok(arena_open(&a, dev, DTYPE_F64, size, 5, true) == 0 &&
           a.room[0].bytes == 9 * sizeof(double) &&
           a.room[1].bytes == 9 * sizeof(double),
       "an arena has two rooms, for the largest of its groups");
    ok(arena_take(&a, 0) && isnan(first_of(&a, 0)), "a room is empty when it is taken");
    ok(!arena_take(&a, 0) && a.held == 1, "and taken once");
    ((double *)(void *)arena_room(&a, 0)->at)[0] = 1;
    ok(arena_take(&a, 1) && arena_room(&a, 1) != arena_room(&a, 0) && a.most == 2,
       "the neighbour has the other one");
    arena_drop(&a, 2);
    ok(arena_has(&a, 0) && first_of(&a, 0) == 1, "only its owner gives it back");
    arena_drop(&a, 0);
    ok(!arena_has(&a, 0) && isnan(first_of(&a, 0)), "and leaves nothing behind");
    ok(arena_take(&a, 2) && a.held == 2 && a.most == 2, "then the next one comes in");
    arena_drop_all(&a);
    ok(a.held == 0 && a.most == 2, "two at once were the most");
    arena_close(&a);
}

int main(int argc, char **argv)
{
    const int size = ranks_open(&argc, &argv, "t345-flight");

    for (int D = 1; D <= size; D++) {
        if (size % D != 0)
            continue;
        if (mesh_open(&mesh, MPI_COMM_WORLD, D, size / D) != 0 ||
            dev_open(&dev, "cpu:ref", DTYPE_F64, 1) != 0)
            die("%s", err_sentence());
        for (near = D; near > 0; near--) {
            if (D % near != 0)
                continue;
            for (ring_most = 1; ring_most <= HOPS_RING; ring_most += HOPS_RING - 1) {
                one_by_one(AXIS_DATA);
                together();
            }
        }
        near      = 1;
        ring_most = HOPS_RING;
        if (D == size) {
            tap_note("the same on a device that does nothing until it is waited for");
            lazy_make(dev);
            one_by_one(AXIS_DATA);
            if (dev_event_open(&ready, dev) != 0)
                die("%s", err_sentence());
            one_by_one(AXIS_DATA);
            mesh->reaches_gpus = true;
            one_by_one(AXIS_DATA);
            dev_event_close(&ready);
            dev_close(&dev);
            if (dev_open(&dev, "cpu:ref", DTYPE_F64, 1) != 0)
                die("%s", err_sentence());
        }
        if (D == size) {
            by_polling(PROGRESS_POLL);
            by_polling(PROGRESS_NONE);
            muted();
            arena();
        }
        dev_close(&dev);
        mesh_close(&mesh);
    }
    return ranks_done();
}
