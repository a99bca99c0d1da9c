/* SPDX-License-Identifier: BSD-3-Clause */
/* Routes are shortest ones, by the number of links: the way out of a node has one link
 * more than the way within it, so that messages within take that one, whatever joins
 * ranks and their node besides.
 */
#include "config.h"

#include "src/plan/platform.h"

#include "src/base/err.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

/* Of a link that never is the narrow place, bytes/s. */
#define WIDE 1e15

struct writer {
    FILE *out;
    bool is_routes; /* the pass that writes routes, after the one for what they join */
    const struct cost_rank *c;
    int packages, groups; /* of a node; of the machine */
    bool is_narrow;       /* a node's way out, when all its ranks send at full speed */
    int64_t on_package, nodes_of_group;
    struct machine_link level[MACHINE_LEVELS];
};

/* ---- pieces ---------------------------------------------------------------------- */

static void put_element(const struct writer *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void put_element(const struct writer *w, const char *fmt, ...)
{
    va_list args;

    if (w->is_routes)
        return;
    va_start(args, fmt);
    vfprintf(w->out, fmt, args);
    va_end(args);
}

static void put_router(const struct writer *w, const char *name, int64_t i)
{
    put_element(w, "<router id=\"%s%lld\"/>\n", name, (long long)i);
}

/* Each of its directions carries 'bandwidth'. */
static void put_link(const struct writer *w, const char *name, int64_t i,
                     double bandwidth, double latency)
{
    put_element(w,
                "<link id=\"%s%lld\" bandwidth=\"%.9gBps\" latency=\"%.9gs\" "
                "sharing_policy=\"SPLITDUPLEX\"/>\n",
                name, (long long)i, bandwidth, latency);
}

/* Every message has the whole bandwidth of it. */
static void put_cap(const struct writer *w, const char *name, int64_t i,
                    double bandwidth, double latency)
{
    put_element(w,
                "<link id=\"%s%lld\" bandwidth=\"%.9gBps\" latency=\"%.9gs\" "
                "sharing_policy=\"FATPIPE\"/>\n",
                name, (long long)i, bandwidth, latency);
}

/* From a thing to the one above it, by what has the number of the lower one: 'link', if
 * it is not NULL, and 'caps' of the caps, which have no direction.
 */
static void put_route(const struct writer *w, const char *from, int64_t i,
                      const char *to, int64_t j, const char *link,
                      const char *const *cap, int caps)
{
    if (!w->is_routes)
        return;
    fprintf(w->out, "<route src=\"%s%lld\" dst=\"%s%lld\">", from, (long long)i, to,
            (long long)j);
    if (link != NULL)
        fprintf(w->out, "<link_ctn id=\"%s%lld\" direction=\"UP\"/>", link,
                (long long)i);
    for (int k = 0; k < caps; k++)
        fprintf(w->out, "<link_ctn id=\"%s%lld\"/>", cap[k], (long long)i);
    fprintf(w->out, "</route>\n");
}

/* ---- the tree -------------------------------------------------------------------- */

/* Half of what a message needs more on 'level' than on the one below: it passes two. */
static double half_step(const struct writer *w, enum machine_level level,
                        enum machine_level below)
{
    return fmax(w->level[level].alpha_s - w->level[below].alpha_s, 0) / 2;
}

static double rate_of(const struct writer *w, enum machine_level level)
{
    const double beta = w->level[level].beta_s_per_byte;

    return beta > 0 ? 1 / beta : WIDE;
}

/* A rank, its link into the node and the one out of it.  The latter has as many caps
 * that cap nothing as make it the longer way to ranks of the same node.
 */
static void put_rank(const struct writer *w, int64_t rank)
{
    static const char *const incap = "incap", *const outcap[] = { "outcap", "far",
                                                                  "farther" };
    const enum machine_level out = LEVEL_NETWORK, in = LEVEL_CORE;
    const int64_t node    = rank / w->c->on_node;
    const int64_t package = node * w->packages + rank % w->c->on_node / w->on_package;
    const int incaps      = w->level[in].lanes > 1;
    const int outcaps     = 1 + incaps + (w->packages > 1);

    put_element(w, "<host id=\"r%lld\" speed=\"1Gf\"/>\n", (long long)rank);
    put_link(w, "in", rank, w->level[in].lanes * rate_of(w, in),
             w->level[in].alpha_s / 2);
    if (incaps > 0)
        put_cap(w, incap, rank, rate_of(w, in), 0);
    put_route(w, "r", rank, "package", package, "in", &incap, incaps);
    if (w->c->nodes == 1)
        return;
    put_link(w, "out", rank, w->level[out].lanes * rate_of(w, out),
             w->level[out].alpha_s / 2);
    for (int k = 0; k < outcaps; k++)
        put_cap(w, outcap[k], rank, k == 0 ? rate_of(w, out) : WIDE, 0);
    if (w->is_narrow)
        put_route(w, "r", rank, "net", node, "out", outcap, outcaps);
    else
        put_route(w, "r", rank, "group", node / w->nodes_of_group, "out", outcap,
                  outcaps);
}

static double node_bandwidth(const struct writer *w)
{
    return machine_parameter(w->c->machine, "node_bw", WIDE);
}

/* Its packages, and its way to the group if ranks have to share one: a link that many
 * messages pass ties their speeds together, which takes long to solve.
 */
static void put_node(const struct writer *w, int64_t node)
{
    static const char *const across = "across";

    for (int64_t p = node * w->packages; p < (node + 1) * w->packages; p++)
        put_router(w, "package", p);
    if (w->packages > 1) {
        put_router(w, "node", node);
        for (int64_t p = node * w->packages; p < (node + 1) * w->packages; p++) {
            put_cap(w, across, p, rate_of(w, LEVEL_NODE),
                    half_step(w, LEVEL_NODE, LEVEL_CORE));
            put_route(w, "package", p, "node", node, NULL, &across, 1);
        }
    }
    if (w->c->nodes == 1 || !w->is_narrow)
        return;
    put_router(w, "net", node);
    put_link(w, "nic", node, node_bandwidth(w), 0);
    put_route(w, "net", node, "group", node / w->nodes_of_group, "nic", NULL, 0);
}

static void put_group(const struct writer *w, int64_t group)
{
    static const char *const cap = "globalcap";
    const double group_bw        = machine_parameter(w->c->machine, "group_bw", WIDE);

    put_router(w, "group", group);
    if (w->groups == 1)
        return;
    put_link(w, "global", group, group_bw, half_step(w, LEVEL_GLOBAL, LEVEL_NETWORK));
    put_cap(w, cap, group, rate_of(w, LEVEL_GLOBAL), 0);
    put_route(w, "group", group, "top", 0, "global", &cap, 1);
}

static void put_all(const struct writer *w)
{
    if (w->groups > 1)
        put_router(w, "top", 0);
    for (int64_t g = 0; g < w->groups && w->c->nodes > 1; g++)
        put_group(w, g);
    for (int64_t n = 0; n < w->c->nodes; n++)
        put_node(w, n);
    for (int64_t r = 0; r < w->c->ranks; r++)
        put_rank(w, r);
}

/* ---- files ----------------------------------------------------------------------- */

static int close_file(FILE *file, const char *path)
{
    const bool is_bad = ferror(file) != 0;

    if ((fclose(file) != 0) | is_bad)
        return err_unwritten(path);
    return 0;
}

static FILE *open_file(const char *path)
{
    FILE *file = fopen(path, "w");

    if (file == NULL)
        err_unwritten(path);
    return file;
}

static void take_level(struct machine_link *l, const struct machine *m,
                       enum machine_level level)
{
    const struct machine_link *found = machine_link_at(m, level);

    *l       = found != NULL ? *found : (struct machine_link){ .lanes = 1 };
    l->lanes = l->lanes > 1 ? l->lanes : 1;
}

static void make_writer(struct writer *w, const struct cost_rank *c, FILE *out)
{
    const struct machine *m = c->machine;
    const double in_group   = machine_parameter(m, "nodes_per_group", 0);

    *w            = (struct writer){ .out = out, .c = c };
    w->on_package = machine_package(m, c->on_node);
    if (w->on_package < 1 || w->on_package > c->on_node)
        w->on_package = c->on_node;
    w->packages = (int)((c->on_node + w->on_package - 1) / w->on_package);
    w->nodes_of_group =
        in_group >= 1 && in_group < c->nodes ? (int64_t)in_group : c->nodes;
    w->groups = (int)((c->nodes + w->nodes_of_group - 1) / w->nodes_of_group);
    for (int l = 0; l < MACHINE_LEVELS; l++)
        take_level(&w->level[l], m, (enum machine_level)l);
    w->is_narrow = node_bandwidth(w) < c->on_node * w->level[LEVEL_NETWORK].lanes *
                                           rate_of(w, LEVEL_NETWORK);
}

int platform_write(const struct cost_rank *c, const char *path, const char *hosts)
{
    FILE *out = open_file(path);
    struct writer w;

    if (out == NULL)
        return ERR_IO;
    make_writer(&w, c, out);
    fprintf(out, "<?xml version='1.0'?>\n"
                 "<!DOCTYPE platform SYSTEM \"https://simgrid.org/simgrid.dtd\">\n"
                 "<platform version=\"4.1\">\n"
                 "<zone id=\"machine\" routing=\"DijkstraCache\">\n");
    put_all(&w);
    w.is_routes = true;
    put_all(&w);
    fprintf(out, "</zone>\n</platform>\n");
    TRY(close_file(out, path));

    out = open_file(hosts);
    if (out == NULL)
        return ERR_IO;
    for (int64_t r = 0; r < c->ranks; r++)
        fprintf(out, "r%lld\n", (long long)r);
    return close_file(out, hosts);
}
