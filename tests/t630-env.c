/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,3 */
/* What a run says of its surroundings: nodes, threads, warnings. */
#include "config.h"

#include "bench/env.h"

#include "tests/ranks.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

static int size, rank;

static bool is_warned(const struct result *r, const char *words)
{
    for (int i = 0; r != NULL && i < r->warnings; i++) {
        if (strstr(r->warning[i], words) != NULL)
            return true;
    }
    return r == NULL;
}

static int core(void)
{
    cpu_set_t mask;
    int cpu = 0;

    sched_getaffinity(0, sizeof mask, &mask);
    while (!CPU_ISSET(cpu, &mask))
        cpu++;
    return cpu;
}

/* Before OpenMP's first thread: LLVM's lets its threads run where it found itself, and
 * says so, even if the process is bound later.
 */
static void test_bound(void)
{
    cpu_set_t all, one;
    struct node n;

    sched_getaffinity(0, sizeof all, &all);
    CPU_ZERO(&one);
    CPU_SET(core(), &one);
    sched_setaffinity(0, sizeof one, &one);
    node_find(&n, MPI_COMM_WORLD);
    ok(n.cores == 1 && n.sharers == size && n.cores_all == 1 &&
           n.is_doubled == (size > 1),
       "bound to one core, all ranks are there");
    ok(node_threads(&n) == 1, "with one thread");
    if (CPU_COUNT(&all) > 1 && rank > 0) { /* all but the first on another */
        int other = core() + 1;

        while (!CPU_ISSET(other, &all))
            other++;
        CPU_ZERO(&one);
        CPU_SET(other, &one);
        sched_setaffinity(0, sizeof one, &one);
    }
    node_find(&n, MPI_COMM_WORLD);
    ok(CPU_COUNT(&all) == 1 || (n.cores_all == (size > 1 ? 2 : 1) &&
                                n.sharers == (rank > 0 ? size - 1 : 1)),
       "or to two, of which each rank has one");
    sched_setaffinity(0, sizeof all, &all);
}

static void test_node(void)
{
    struct node n;

    node_find(&n, MPI_COMM_WORLD);
    ok(n.ranks == size && n.ranks_most == size, "all ranks are on one node");
    ok(n.bytes > 0, "which has memory left");
    ok(n.cores >= 1 && n.cores <= n.cores_all && n.sharers >= 1 && n.sharers <= size,
       "and cores: %d, shared by %d", n.cores, n.sharers);
    ok(node_threads(&n) >= 1 && node_threads(&n) * n.sharers <= n.cores + n.sharers - 1,
       "threads fit on them");
}

static void test_units(void)
{
    char unit[16];

    snprintf(unit, sizeof unit, "gpu%d", rank / 2);
    ok(node_units(MPI_COMM_WORLD, unit) == (size + 1) / 2, "two ranks share a GPU");
    ok(node_units(MPI_COMM_WORLD, "gpu0") == 1, "or all do");
    ok(node_units(MPI_COMM_WORLD, "") == size, "and none the cores");
}

static void test_threads(void)
{
    const struct node alone  = { .cores = 8, .sharers = 1 };
    const struct node shared = { .cores = 8, .sharers = 3 };
    const struct node crowd  = { .cores = 2, .sharers = 5 };

    ok(node_threads(&alone) == 8 && node_threads(&shared) == 2 &&
           node_threads(&crowd) == 1,
       "a rank gets its share of the cores");
}

static void test_describe(struct mesh *mesh, struct dev *dev)
{
    struct result *r = rank == 0 ? result_open() : NULL;
    json_t *hosts;

    env_describe(r, mesh, dev);
    hosts = r != NULL ? json_object_get(r->system, "hosts") : NULL;
    ok(r == NULL || json_array_size(hosts) == 1,
       "one host, whatever the number of ranks");
    ok(r == NULL || (r->D == 1 && r->M == size && r->ranks == size), "the mesh");
    ok(r == NULL || (json_object_get(r->env, "OMP_TEST_OF_ENV") != NULL &&
                     json_object_get(r->env, "I_MPI_TEST_OF_ENV") != NULL &&
                     json_object_get(r->env, "ONEDNN_TEST_OF_ENV") != NULL),
       "variables of the list are told");
    ok(r == NULL || json_object_get(r->env, "HOME") == NULL, "others are not");
    ok(r == NULL || json_object_get(r->env, "SLURM_JWT") == NULL, "nor secrets");
    ok(r == NULL || strlen(json_string_value(json_object_get(r->system, "mpi"))) > 3,
       "the MPI library");
    ok(r == NULL || json_object_get(r->build, "compiler") != NULL, "and the compiler");
    result_close(&r);
}

static void test_warn(struct mesh *mesh, struct dev *dev)
{
    struct node fine    = { .ranks = size, .cores = 4, .sharers = 1, .cores_all = 64 };
    struct node doubled = {
        .ranks = size, .cores = 1, .sharers = size, .cores_all = 1, .is_doubled = true
    };
    struct node crowded = { .ranks = 70, .cores = 64, .sharers = 70, .cores_all = 64 };
    struct node bound   = { .ranks = size, .cores = 1, .sharers = 1, .cores_all = 64 };
    struct node thin    = { .ranks = size, .cores = 1, .sharers = 2, .cores_all = 64 };
    struct result *r    = rank == 0 ? result_open() : NULL;

    ok(!env_warn(r, mesh, dev, &fine), "a machine of one's own is not crowded");
#ifdef __OPTIMIZE__
    ok(r == NULL || r->warnings == 0, "nothing is wrong, nothing is said");
#endif
    ok(env_warn(r, mesh, dev, rank == size - 1 ? &doubled : &fine),
       "a core for two is, and all know");
    ok(is_warned(r, "same single core"), "two ranks on one core are");
    env_warn(r, mesh, dev, &crowded);
    ok(is_warned(r, "70 ranks share 64 cores"), "more ranks than cores");
    if (dev_threads(dev) > 1) { /* not without OpenMP */
        env_warn(r, mesh, dev, &bound);
        ok(is_warned(r, "has 2 threads but is bound to one core"),
           "threads without cores");
        ok(env_warn(r, mesh, dev, &thin), "crowds of threads, too");
        ok(is_warned(r, "more threads than cores"), "and more threads than cores");
    }
    result_close(&r);
}

static void test_displaced(struct mesh *mesh)
{
    struct result *r = rank == 0 ? result_open() : NULL;

    env_warn_displaced(r, mesh, 0.01);
    ok(r == NULL || r->warnings == 0, "a hundredth of the time is nothing to say");
    env_warn_displaced(r, mesh, rank == size - 1 ? 0.5 : 0);
    ok(is_warned(r, "50 % of the timed steps the core of rank "), "half of it is");
    ok(r == NULL || r->warnings == 1, "once");
    result_close(&r);
}

int main(int argc, char **argv)
{
    struct mesh *mesh;
    struct dev *dev;

    setenv("OMP_TEST_OF_ENV", "1", 1);
    setenv("I_MPI_TEST_OF_ENV", "1", 1);
    setenv("ONEDNN_TEST_OF_ENV", "1", 1);
    setenv("SLURM_JWT", "a token", 1);
    size = ranks_open(&argc, &argv, "t630-env");
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    log_set_level(LOG_ERROR);
    test_bound();
    test_node();
    test_units();
    test_threads();
    if (mesh_open(&mesh, MPI_COMM_WORLD, 1, size) == 0 &&
        dev_open(&dev, "auto", DTYPE_F32, 2) == 0) {
        test_describe(mesh, dev);
        test_warn(mesh, dev);
        test_displaced(mesh);
        dev_close(&dev);
        mesh_close(&mesh);
    }
    return ranks_done();
}
