/* SPDX-License-Identifier: BSD-3-Clause */
/* The reproduction header, and what is wrong with how a run was started. */
#include "config.h"

#include "bench/env.h"

#include "bench/hosts.h"
#include "src/base/err.h"
#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/base/version.h"
#include "src/dev/cpu_info.h"

#include <ctype.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef __OPTIMIZE__
enum { IS_DEBUG = 0 };
#else
enum { IS_DEBUG = 1 };
#endif

extern char **environ;

/* ---- describe -------------------------------------------------------------------- */

static void set_text(json_t *object, const char *name, const char *text)
{
    json_t *string = json_string(text); /* NULL unless UTF-8 */

    json_object_set_new(object, name, string != NULL ? string : json_string("?"));
}

/* The first line of a file of the system, without its end; nothing where there is none.
 */
static void set_line(json_t *object, const char *name, const char *path)
{
    FILE *file = fopen(path, "r");
    char line[256];

    if (file == NULL)
        return;
    if (fgets(line, sizeof line, file) != NULL) {
        line[strcspn(line, "\n")] = '\0';
        set_text(object, name, line);
    }
    fclose(file);
}

/* Names of what may be a secret. */
static bool is_secret(const char *name)
{
    static const char *const parts[] = { "JWT", "TOKEN", "KEY", "SECRET", "PASSW" };

    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (strstr(name, parts[i]) != NULL)
            return true;
    }
    return false;
}

static json_t *environment(void)
{
    static const char *const allowed[] = {
        "SLURM_",      "OMPI_",          "PRTE_", "PMI",    "MPICH_",
        "MPIR_CVAR_",  "I_MPI_",         "MVP_",  "UCX_",   "FI_",
        "OMP_",        "GOMP_",          "KMP_",  "BLIS_",  "DNNL_",
        "ONEDNN_",     "VITBENCH_",      "CUDA_", "CUBLAS", "NVIDIA_TF32_OVERRIDE=",
        "LD_PRELOAD=", "GLIBC_TUNABLES="
    };
    json_t *all = json_object();

    for (char **env = environ; *env != NULL; env++) {
        const char *equals = strchr(*env, '=');
        char name[128];

        if (equals == NULL || equals - *env >= (long)sizeof name)
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(equals - *env), *env);
        for (size_t i = 0; i < sizeof allowed / sizeof allowed[0]; i++) {
            if (!is_secret(name) && strncmp(*env, allowed[i], strlen(allowed[i])) == 0)
                set_text(all, name, equals + 1);
        }
    }
    set_line(all, "governor", "/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor");
    set_line(all, "huge pages", "/sys/kernel/mm/transparent_hugepage/enabled");
    return all;
}

static json_t *build(void)
{
    json_t *all = json_object();
    char compiler[128];

#ifdef __clang__
    snprintf(compiler, sizeof compiler, "%s", __VERSION__);
#else
    snprintf(compiler, sizeof compiler, "gcc %s", __VERSION__);
#endif
    set_text(all, "compiler", compiler);
    set_text(all, "flags", BUILD_CFLAGS);
    set_text(all, "version", version_text());
    set_text(all, "git", version_git());
    json_object_set_new(all, "debug", json_boolean(IS_DEBUG));
#ifdef _OPENMP
    json_object_set_new(all, "openmp", json_true());
#else
    json_object_set_new(all, "openmp", json_false());
#endif
    return all;
}

/* "Open MPI v4.1.4" from the paragraph that the library has to say. */
static json_t *mpi_version(void)
{
    char text[MPI_MAX_LIBRARY_VERSION_STRING];
    int length, used = 0;

    TRY_MPI(MPI_Get_library_version(text, &length));
    text[strcspn(text, ",\n")] = '\0';
    for (const char *c = text; *c != '\0'; c++) {
        if (!isspace((unsigned char)*c))
            text[used++] = *c;
        else if (used > 0 && text[used - 1] != ' ')
            text[used++] = ' ';
    }
    text[used] = '\0';
    return json_string(text);
}

static json_t *libraries(const struct dev *dev)
{
    json_t *all = json_object();

    set_text(all, dev_name(dev), dev_about(dev));
    set_text(all, "Jansson", JANSSON_VERSION);
    return all;
}

/* The names of all ranks' hosts, compressed, on rank 0; NULL on the others. */
static json_t *hosts(struct mesh *mesh)
{
    char own[HOST_NAME]   = "";
    char(*all)[HOST_NAME] = NULL;
    json_t *names;

    snprintf(own, sizeof own, "%s", log_host());
    if (mesh->rank == 0)
        all = mem_new((size_t)mesh->size, HOST_NAME);
    TRY_MPI(MPI_Gather(own, HOST_NAME, MPI_CHAR, all, HOST_NAME, MPI_CHAR, 0,
                       mesh->comm[AXIS_ALL]));
    if (mesh->rank != 0)
        return NULL;
    names = hosts_compress(all, mesh->size);
    mem_free(all);
    return names;
}

/* What the machine is that 'names' are the hosts of. */
static void fill(struct result *r, struct mesh *mesh, struct dev *dev, json_t *names,
                 int64_t cores, int64_t bytes)
{
    const bool is_gpu = !dev_is_host(dev) && !dev_is_hollow(dev);
    char cpu[64];

    cpu_model(cpu, sizeof cpu);
    r->D      = mesh->D;
    r->M      = mesh->M;
    r->near   = mesh->near;
    r->ranks  = mesh->size;
    r->env    = environment();
    r->build  = build();
    r->system = json_pack("{so ss sI sI ss? so so}", "hosts", names, "cpu",
                          is_gpu ? cpu : dev_hardware(dev), "cores", (json_int_t)cores,
                          "memory_bytes", (json_int_t)bytes, "gpu",
                          is_gpu ? dev_hardware(dev) : NULL, "mpi", mpi_version(),
                          "libraries", libraries(dev));
    if (r->system == NULL)
        die("the system's names are not UTF-8");
}

void env_describe(struct result *r, struct mesh *mesh, struct dev *dev)
{
    json_t *names = hosts(mesh);

    if (r != NULL)
        fill(r, mesh, dev, names, cpu_cores_of_machine(), mem_machine());
}

void env_describe_model(struct result *r, struct mesh *mesh, struct dev *dev,
                        const struct cost_rank *model)
{
    const struct machine *m = model->machine;
    char text[128];

    if (r == NULL)
        return;
    snprintf(text, sizeof text, "%d simulated %s of %s, %d %s each", model->nodes,
             model->nodes == 1 ? "node" : "nodes", m->name, model->on_node,
             model->on_node == 1 ? "rank" : "ranks");
    fill(r, mesh, dev, json_pack("[s]", text), m->cores, m->memory_bytes);
    r->is_simulated = true;
    if (model->nodes > m->nodes || model->on_node > m->ranks_per_node)
        result_warn(r, "machine %s has %d %s of %d ranks; %d of %d are simulated",
                    m->name, m->nodes, m->nodes == 1 ? "node" : "nodes",
                    m->ranks_per_node, model->nodes, model->on_node);
}

/* ---- warn ------------------------------------------------------------------------ */

/* What a warning says of the first rank that it is true of. */
struct culprit {
    char host[HOST_NAME];
    int rank, threads;
    struct node node;
    double displaced; /* share of the timed steps */
};

/* The first rank where 'is_true', to all; false if there is none. */
static bool find_first(struct culprit *c, struct mesh *mesh, bool is_true)
{
    int first, rank = is_true ? mesh->rank : INT_MAX;

    TRY_MPI(MPI_Allreduce(&rank, &first, 1, MPI_INT, MPI_MIN, mesh->comm[AXIS_ALL]));
    if (first == INT_MAX)
        return false;
    TRY_MPI(MPI_Bcast(c, sizeof *c, MPI_BYTE, first, mesh->comm[AXIS_ALL]));
    return true;
}

bool env_warn(struct result *r, struct mesh *mesh, struct dev *dev,
              const struct node *n)
{
    struct culprit own = { .rank    = mesh->rank,
                           .threads = dev_threads(dev),
                           .node    = *n };
    struct culprit c;
    bool is_said, is_crowded;

    snprintf(own.host, sizeof own.host, "%s", log_host());

    c       = own;
    is_said = find_first(&c, mesh, n->is_doubled || n->ranks > n->cores_all);
    if (is_said && r != NULL && c.node.is_doubled)
        result_warn(r,
                    "rank %d on %s is bound to the same single core as another rank: "
                    "start with --bind-to core, or none",
                    c.rank, c.host);
    else if (is_said && r != NULL)
        result_warn(r, "%d ranks share %d %s on %s: times mean little", c.node.ranks,
                    c.node.cores_all, c.node.cores_all == 1 ? "core" : "cores", c.host);

    c = own;
    if (find_first(&c, mesh, n->cores == 1 && own.threads > 1) && r != NULL)
        result_warn(r,
                    "rank %d on %s has %d threads but is bound to one core: start with "
                    "--bind-to none, or with more cores a rank",
                    c.rank, c.host, c.threads);

    c          = own;
    is_crowded = is_said || find_first(&c, mesh, own.threads * n->sharers > n->cores);
    if (is_crowded && !is_said && r != NULL)
        result_warn(r,
                    "%d %s with %d %s each share %d %s on %s: more threads than cores",
                    c.node.sharers, c.node.sharers == 1 ? "rank" : "ranks", c.threads,
                    c.threads == 1 ? "thread" : "threads", c.node.cores,
                    c.node.cores == 1 ? "core" : "cores", c.host);

    if (IS_DEBUG && r != NULL)
        result_warn(r, "built without optimisation: times mean nothing");
    return is_crowded;
}

void env_warn_displaced(struct result *r, struct mesh *mesh, double share)
{
    const double noise = 0.05;
    struct culprit c   = { .rank = mesh->rank, .displaced = share };

    snprintf(c.host, sizeof c.host, "%s", log_host());
    if (find_first(&c, mesh, share > noise) && r != NULL)
        result_warn(
            r,
            "for %.0f %% of the timed steps the core of rank %d on %s ran other "
            "work: times mean little",
            100 * c.displaced, c.rank, c.host);
}
