/* SPDX-License-Identifier: BSD-3-Clause */
/* Seconds from a machine's description.
 *
 * Rates lie between measured ones: the logarithm of a rate is the mean of those of the
 * measured shapes, weighted by 1 / distance^4, where the distance of two shapes is that
 * of the logarithms of their three sizes.  At a measured shape that is what was
 * measured; far from all of them it is a mean of all, never more than the fastest.
 */
#include "config.h"

#include "src/plan/cost.h"

#include "src/base/err.h"
#include "src/base/split.h"

#include <math.h>
#include <string.h>

enum { LOOKED_AT = 64 /* nodes, one by one */ };

const char *const cost_product_name[COST_PRODUCTS] = {
    [COST_GEMM] = "gemm", [COST_GEMM_T] = "gemm_t", [COST_GEMM_DW] = "gemm_dw"
};

/* ---- a rank ---------------------------------------------------------------------- */

/* By how much products in 't' are faster than those in the format called 'name'. */
static double ratio_of_peaks(const struct machine *m, enum dtype t, const char *name)
{
    enum dtype other;

    if (dtype_parse(&other, name) != 0) {
        err_forget();
        return 1;
    }
    return m->peak[t] > 0 && m->peak[other] > 0 ? m->peak[t] / m->peak[other] : 1;
}

static bool has_gemm(const struct machine *m, const char *dtype)
{
    for (int i = 0; i < m->kernels; i++) {
        if (strcmp(m->kernel[i].op, "gemm") == 0 &&
            (dtype == NULL || strcmp(m->kernel[i].dtype, dtype) == 0))
            return true;
    }
    return false;
}

static bool is_flops(const char *op)
{
    return strncmp(op, "gemm", 4) == 0 || strncmp(op, "attn", 4) == 0;
}

/* The kernels of the run's format; if there are no products in it, those of another
 * one, products as much faster as the peaks are.
 */
static void add_points(struct cost_rank *c)
{
    const struct machine *m = c->machine;

    c->from = dtype_name(c->dtype);
    for (int i = 0; i < m->kernels && !has_gemm(m, dtype_name(c->dtype)); i++) {
        if (strcmp(m->kernel[i].op, "gemm") == 0)
            c->from = m->kernel[i].dtype; /* the last: the fastest formats come last */
    }
    c->faster = ratio_of_peaks(m, c->dtype, c->from);
    for (int i = 0; i < m->kernels; i++) {
        const struct machine_kernel *k = &m->kernel[i];
        struct cost_point *p           = &c->point[c->points];
        const double faster            = is_flops(k->op) ? c->faster : 1;

        if (strcmp(k->dtype, c->from) != 0 || !(k->rate > 0))
            continue;
        p->op       = k->op;
        p->log_rate = log2(k->rate * faster * c->share);
        for (int j = 0; j < 3; j++)
            p->log_shape[j] = log2((double)k->shape[j]);
        c->points++;
    }
}

/* What products reach that were not measured. */
static double bound_of(const struct machine *m, enum dtype t)
{
    for (int other = t; other >= 0; other--) { /* a wider format is no faster */
        if (m->peak[other] > 0)
            return m->peak[other];
    }
    return 0;
}

/* As many as the file has, more if there are not enough nodes. */
static int ranks_on_node(const struct machine *m, int64_t ranks)
{
    const int64_t places = (int64_t)m->nodes * m->ranks_per_node;

    if (ranks > places)
        return (int)((ranks + m->nodes - 1) / m->nodes);
    return ranks < m->ranks_per_node ? (int)ranks : m->ranks_per_node;
}

/* What a rank has of the cores or GPUs, as a multiple of what it had in the file. */
static double share_of(const struct cost_rank *c, int threads)
{
    const struct machine *m = c->machine;
    const double all        = (double)m->ranks_per_node / c->on_node;

    if (m->gpus > 0)
        return fmin(all, 1);
    if (threads > 0 && m->cores > 0)
        return fmin(all, (double)threads * m->ranks_per_node / m->cores);
    return all;
}

int cost_make(struct cost_rank *c, const struct machine *m, enum dtype dtype,
              int64_t ranks)
{
    return cost_make_on(c, m, dtype, ranks, 0, 0);
}

int cost_make_on(struct cost_rank *c, const struct machine *m, enum dtype dtype,
                 int64_t ranks, int on_node, int threads)
{
    *c         = (struct cost_rank){ .machine = m, .dtype = dtype, .ranks = ranks };
    c->on_node = on_node > 0 ? on_node : ranks_on_node(m, ranks);
    c->nodes   = (int)((ranks + c->on_node - 1) / c->on_node);
    c->share   = share_of(c, threads);
    c->peak    = c->share * m->peak[dtype];
    c->bound   = c->share * bound_of(m, dtype);
    add_points(c);
    if (c->bound <= 0 && !has_gemm(m, NULL))
        return ERR(ERR_DATA, "machine %s: neither products nor a peak in %s", m->name,
                   dtype_name(dtype));
    if (m->mem_bw <= 0)
        return ERR(ERR_DATA, "machine %s: 'mem_bw' is zero", m->name);
    if (m->links == 0 && ranks > 1)
        return ERR(ERR_DATA, "machine %s has no links, for %lld ranks", m->name,
                   (long long)ranks);
    return 0;
}

/* ---- operations ------------------------------------------------------------------ */

/* The rate of 'op' for a shape, 0 if it was not measured. */
static double rate_of(const struct cost_rank *c, const char *op, double a, double b,
                      double d)
{
    const double nothing    = 1e-9; /* a shape is as good as measured */
    const double log_size[] = { log2(a), log2(b), log2(d) };
    double sum = 0, weights = 0;

    for (int i = 0; i < c->points; i++) {
        const struct cost_point *p = &c->point[i];
        double far                 = nothing;

        if (strcmp(p->op, op) != 0)
            continue;
        for (int j = 0; j < 3; j++)
            far += (log_size[j] - p->log_shape[j]) * (log_size[j] - p->log_shape[j]);
        sum += p->log_rate / (far * far);
        weights += 1 / (far * far);
    }
    return weights > 0 ? exp2(sum / weights) : 0;
}

static double memory_rate(const struct cost_rank *c)
{
    return c->machine->mem_bw * c->share;
}

/* 'flops' of an operation with 'bytes' in its largest operand. */
static double product_seconds(const struct cost_rank *c, double flops, double rate,
                              double bytes)
{
    return c->machine->op_s + fmax(flops / rate, bytes / memory_rate(c));
}

double cost_gemm(const struct cost_rank *c, enum cost_product product, int64_t n,
                 int64_t cols, int64_t depth)
{
    const double N = (double)n, J = (double)cols, I = (double)depth;
    double rate;

    if (n <= 0 || cols <= 0 || depth <= 0)
        return 0;
    rate = rate_of(c, cost_product_name[product], N, J, I);
    if (rate == 0)
        rate = rate_of(c, cost_product_name[COST_GEMM], N, J, I);
    if (rate == 0)
        rate = c->bound;
    return product_seconds(c, 2 * N * I * J, rate,
                           fmax(fmax(N * I, N * J), I * J) *
                               (double)dtype_size(c->dtype));
}

double cost_attn(const struct cost_rank *c, bool is_backward, int64_t B, int64_t H,
                 int64_t E, int64_t Nq, int64_t Nk)
{
    const double elements = (double)B * (double)H * (double)E;
    const double larger   = (double)(Nq > Nk ? Nq : Nk);
    const double flops    = (is_backward ? 10 : 4) * elements * (double)Nq * (double)Nk;
    const char *name      = is_backward ? "attn_backward" : "attn";
    double rate;

    if (flops <= 0)
        return 0;
    rate = rate_of(c, name, (double)B * (double)H, (double)Nk, (double)E);
    if (rate == 0) /* as a product of one head */
        rate = rate_of(c, "gemm", (double)Nq, (double)Nk, (double)E);
    if (rate == 0)
        rate = c->bound;
    return product_seconds(c, flops, rate,
                           elements * larger * (double)dtype_size(c->dtype));
}

/* The bytes of any other operation at its rate. */
static double move_seconds(const struct cost_rank *c, const char *op, double bytes)
{
    double sum = 0;
    int count  = 0;

    for (int i = 0; i < c->points; i++) {
        if (strcmp(c->point[i].op, op) == 0) {
            sum += c->point[i].log_rate;
            count++;
        }
    }
    return bytes / (count > 0 ? exp2(sum / count) : memory_rate(c));
}

double cost_move(const struct cost_rank *c, const char *op, double bytes)
{
    return bytes <= 0 ? 0 : c->machine->op_s + move_seconds(c, op, bytes);
}

double cost_epilogue(const struct cost_rank *c, double bytes)
{
    const double start = c->machine->gpus > 0 ? 0 : c->machine->op_s;

    return bytes <= 0 ? 0 : start + move_seconds(c, "epilogue", bytes);
}

/* ---- messages -------------------------------------------------------------------- */

static void take_link(struct cost_path *p, const struct cost_rank *c,
                      enum machine_level level)
{
    const struct machine_link *l = machine_link_at(c->machine, level);

    *p = (struct cost_path){ .level = level, .lanes = 1 };
    if (l == NULL)
        return;
    p->alpha_s         = l->alpha_s;
    p->beta_s_per_byte = l->beta_s_per_byte;
    p->busy            = l->busy;
    p->lanes           = l->lanes > 1 ? l->lanes : 1;
}

void cost_pair(struct cost_path *p, const struct cost_rank *c, int64_t a, int64_t b)
{
    take_link(p, c, machine_distance(c->machine, c->on_node, a, b));
}

/* Of the ranks [lo, hi) of a block, those in [from, to) of it send 'by' ranks on: how
 * many to one outside?
 */
static int64_t leaving_part(int64_t lo, int64_t hi, int64_t from, int64_t to,
                            int64_t by)
{
    const int64_t first = from > lo ? from : lo, last = to < hi ? to : hi;
    const int64_t in  = first + by > lo ? first + by : lo;
    const int64_t out = last + by < hi ? last + by : hi;

    if (first >= last)
        return 0;
    return last - first - (out > in ? out - in : 0);
}

/* Of the block [lo, hi), which has the end of a ring of 'ring' ranks, or the start of
 * one, or both, how many speak to one outside?  In a ring those near its end speak to
 * those at its start.
 */
static int64_t leaving_block(int64_t lo, int64_t hi, int64_t ring, int64_t reach)
{
    const int64_t start[2] = { lo / ring * ring, (hi - 1) / ring * ring };
    int64_t out            = 0;

    for (int i = start[0] == start[1]; i < 2; i++) {
        const int64_t turn = start[i] + ring - reach;

        out += leaving_part(lo, hi, start[i], turn, reach) +
               leaving_part(lo, hi, turn, start[i] + ring, reach - ring);
    }
    return out;
}

/* Of 'block' ranks in a row (a node, a group of nodes) how many speak to one outside,
 * at most.  The rings are stride * size ranks long; in each, those that go forward are
 * as far from the end as those that go back, round the circle, are from the start.
 */
static int64_t leaving(const struct cost_rank *c, int64_t block, int64_t stride,
                       int size, int64_t distance)
{
    const int64_t ring = stride * size, reach = stride * (distance % size);
    const int64_t fewer = reach < ring - reach ? reach : ring - reach;
    int64_t most        = 0;

    if (block <= 0 || block >= c->ranks || block % ring == 0)
        return 0;
    if (ring % block == 0)
        return fewer < block ? fewer : block;
    if (c->ranks > LOOKED_AT * block) /* a block with parts of two rings */
        return 2 * fewer < block ? 2 * fewer : block;
    for (int64_t lo = 0; lo < c->ranks; lo += block) {
        const int64_t hi  = lo + block < c->ranks ? lo + block : c->ranks;
        const int64_t out = leaving_block(lo, hi, ring, reach);

        most = out > most ? out : most;
    }
    return most;
}

/* Seconds a byte where 'flows' messages share 'bandwidth' (0: it does not count). */
static double shared(double flows, double bandwidth)
{
    return bandwidth > 0 ? flows / bandwidth : 0;
}

/* The slower of two ways: what either adds counts. */
static void take_slower(struct cost_path *p, const struct cost_path *q)
{
    p->level           = q->level > p->level ? q->level : p->level;
    p->alpha_s         = fmax(p->alpha_s, q->alpha_s);
    p->beta_s_per_byte = fmax(p->beta_s_per_byte, q->beta_s_per_byte);
    p->busy            = fmax(p->busy, q->busy);
    p->lanes           = q->lanes < p->lanes ? q->lanes : p->lanes;
}

void cost_axis(struct cost_path *p, const struct cost_rank *c, int64_t stride, int size,
               int64_t distance)
{
    const struct machine *m = c->machine;
    const int64_t package   = machine_package(m, c->on_node);
    const int64_t group =
        (int64_t)machine_parameter(m, "nodes_per_group", 0) * c->on_node;
    const int64_t off_node  = leaving(c, c->on_node, stride, size, distance);
    const int64_t off_group = leaving(c, group, stride, size, distance);
    const int64_t off_package =
        off_node < c->on_node ? leaving(c, package, stride, size, distance) : 0;
    struct cost_path further;

    take_link(p, c, off_node >= c->on_node ? LEVEL_NETWORK : LEVEL_CORE);
    if (off_package > 0) {
        take_link(&further, c, LEVEL_NODE);
        take_slower(p, &further);
    }
    if (off_node > 0) {
        take_link(&further, c, LEVEL_NETWORK);
        further.beta_s_per_byte =
            fmax(further.beta_s_per_byte,
                 shared((double)off_node, machine_parameter(m, "node_bw", 0)));
        take_slower(p, &further);
    }
    if (off_group > 0) {
        take_link(&further, c, LEVEL_GLOBAL);
        further.beta_s_per_byte =
            fmax(further.beta_s_per_byte,
                 shared((double)off_group, machine_parameter(m, "group_bw", 0)));
        take_slower(p, &further);
    }
}

/* A turn on the links of 'level' that join blocks of 'block' ranks, of which
 * 'out' speak to a neighbour outside and share 'bandwidth' on the way.  Where the
 * ranks of a ring lie two or more together in a block, none speaks to both
 * neighbours on such a link.
 */
static double turn_between(const struct cost_rank *c, enum machine_level level,
                           int64_t block, int64_t out, double bandwidth, int size,
                           double up, double down)
{
    struct cost_path p;
    bool is_apart;

    if (out <= 0)
        return 0;
    take_link(&p, c, level);
    is_apart = size > 2 && (p.lanes > 1 || split_divisor(size, block) > 1);
    return p.alpha_s + fmax((is_apart ? fmax(up, down) : up + down) * p.beta_s_per_byte,
                            (up + down) * shared((double)out, bandwidth));
}

double cost_turn(const struct cost_rank *c, int size, double up, double down)
{
    const struct machine *m = c->machine;
    const int64_t node      = c->on_node;
    const int64_t package   = machine_package(m, c->on_node);
    const int64_t group    = (int64_t)machine_parameter(m, "nodes_per_group", 0) * node;
    const int64_t off_node = leaving(c, node, 1, size, 1);
    const int64_t off_group = leaving(c, group, 1, size, 1);
    double within           = 0;

    if (off_node < node) {
        within = turn_between(c, LEVEL_CORE, 1, 1, 0, size, up, down);
        within = fmax(within,
                      turn_between(c, LEVEL_NODE, package,
                                   leaving(c, package, 1, size, 1), 0, size, up, down));
    }
    return fmax(
        within,
        fmax(turn_between(c, LEVEL_NETWORK, node, off_node,
                          machine_parameter(m, "node_bw", 0), size, up, down),
             turn_between(c, LEVEL_GLOBAL, group, off_group,
                          machine_parameter(m, "group_bw", 0), size, up, down)));
}

/* Of 'size' ranks in a row how many are outside of one's block, at most. */
static double outside(const struct cost_rank *c, int64_t block, int size)
{
    if (block <= 0 || block >= c->ranks || block % size == 0)
        return 0;
    return (double)(size - (size % block == 0 ? block : split_divisor(size, block)));
}

/* 'most' messages of a rank together, on the links of 'level', on the way out of a
 * block of 'block' ranks that all those of the rounds share.
 */
static double rounds_on(const struct cost_rank *c, enum machine_level level,
                        double most, int64_t block, double bandwidth,
                        const struct cost_rounds *r)
{
    int64_t flows = 0;
    struct cost_path p;

    if (most <= 0)
        return 0;
    take_link(&p, c, level);
    for (int d = r->first; d <= r->last && bandwidth > 0; d++)
        flows += leaving(c, block, 1, r->size, d);
    return p.alpha_s + r->bytes * fmax(most / fmin(most, p.lanes) * p.beta_s_per_byte,
                                       shared((double)flows, bandwidth));
}

double cost_exchange(const struct cost_rank *c, const struct cost_rounds *r)
{
    const struct machine *m = c->machine;
    const int64_t node      = c->on_node;
    const int64_t package   = machine_package(m, c->on_node);
    const int64_t group = (int64_t)machine_parameter(m, "nodes_per_group", 0) * node;
    const double rounds = r->last - r->first + 1;
    const double near   = fmin(rounds, fmin(r->size, (double)node) - 1);

    return fmax(
        fmax(rounds_on(c, LEVEL_CORE, near, 1, 0, r),
             rounds_on(c, LEVEL_NODE, fmin(near, outside(c, package, r->size)), package,
                       0, r)),
        fmax(rounds_on(c, LEVEL_NETWORK, fmin(rounds, outside(c, node, r->size)), node,
                       machine_parameter(m, "node_bw", 0), r),
             rounds_on(c, LEVEL_GLOBAL, fmin(rounds, outside(c, group, r->size)), group,
                       machine_parameter(m, "group_bw", 0), r)));
}

double cost_message(const struct cost_path *p, double bytes)
{
    return p->alpha_s + bytes * p->beta_s_per_byte;
}
