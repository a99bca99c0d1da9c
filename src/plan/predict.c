/* SPDX-License-Identifier: BSD-3-Clause */
/* Memory of a rank, and what fits into a node: the same tables and formulas by which
 * the programs allocate.
 */
#include "config.h"

#include "src/plan/predict.h"

#include "src/base/err.h"
#include "src/plan/act.h"
#include "src/plan/factor.h"
#include "src/plan/param.h"

enum { BF16_BYTES = 2 };

/* ---- one rank -------------------------------------------------------------------- */

/* Elements of this rank's groups: their sum, and the most of one that the all-reduce of
 * its gradients, of 'sum' bytes each, adds at a time.
 */
static void group_sums(int64_t *all, int64_t *part, const struct spec *s, int D, int M,
                       int m, int64_t sum)
{
    const int group[]     = { GROUP_EMBED, group_block(0), group_head(s),
                              group_replicated(s) };
    const int64_t times[] = { 1, s->L, 1, 1 }; /* blocks are all alike */
    struct params params;

    params_make(&params, s, HEAD_INIT_NORMAL);
    *all = *part = 0;
    for (int i = 0; i < 4; i++) {
        const int64_t size = param_group_elements(&params, s, group[i], M, m);
        const int axes[]   = { D, group[i] == group_replicated(s) ? M : 1 };

        *all += size * times[i];
        for (int k = 0; k < 2; k++) {
            const int64_t room = traffic_allreduce_room(size, (size_t)sum, axes[k]);

            *part = room > *part ? room : *part;
        }
    }
    params_free(&params);
}

/* Bytes of Adafactor: momentum in bf16; averages, and room to sum them; the second
 * moments of what is not factored; work for the all-reduce.
 */
static int64_t adafactor_bytes(const struct spec *s, int64_t elements, int64_t sum,
                               int M, int m)
{
    struct factor_sizes n;
    struct params params;
    int64_t whole = 0;

    params_make(&params, s, HEAD_INIT_NORMAL);
    factor_sizes(&n, &params, M, m);
    for (int i = 0; i < params.count; i++) {
        struct factor f;

        factor_make(&f, &params.param[i], M, m);
        if (!f.is_factored)
            whole += param_size_local(&params.param[i], M, m);
    }
    params_free(&params);
    return elements * BF16_BYTES +
           sum *
               (2 * (n.own + n.joint) + n.joint_means + n.means + whole +
                (M > 1 ? traffic_allreduce_room(n.joint + n.joint_means, (size_t)sum, M)
                       : 0));
}

/* Bytes of the optimizer's state: moments in the format that adds gradients, two of
 * AdamW, one of SGD.
 */
static int64_t moment_bytes(const struct spec *s, const struct traffic_job *job,
                            int64_t elements, int64_t sum, int m)
{
    switch (job->optimizer) {
    case OPTIMIZER_ADAFACTOR:
        return adafactor_bytes(s, elements, sum, job->M, m);
    case OPTIMIZER_SGD:
        return elements * sum;
    default:
        return elements * sum * 2;
    }
}

void predict_memory(struct predict_memory *p, const struct spec *s,
                    const struct traffic_job *job, int d, int m)
{
    const int64_t sum = job->dtype == DTYPE_F64 ? 8 : 4; /* bytes of a sum */
    int64_t elements, part;
    struct local l;

    spec_local(&l, s, job->B, job->D, job->M, d, m);
    group_sums(&elements, &part, s, job->D, job->M, m, sum);
    /* bf16 is a copy beside the f32 masters. */
    p->params  = elements * (sum + (job->dtype == DTYPE_BF16 ? 2 : 0));
    p->grads   = (elements + part) * sum;
    p->moments = moment_bytes(s, job, elements, sum, m);
    act_bytes(&p->kept, &p->work, &p->batch, s, &l, job->dtype, job->form, job->M);
    p->packed = job->packs * elements * (int64_t)dtype_size(job->dtype);
    p->total =
        p->params + p->grads + p->moments + p->packed + p->kept + p->work + p->batch;
}

int64_t predict_most(const struct spec *s, const struct traffic_job *job)
{
    struct predict_memory p;

    predict_memory(&p, s, job, 0, 0);
    return p.total;
}

/* ---- what fits ------------------------------------------------------------------- */

int predict_mesh(int *D, int *M, const struct spec *s, int ranks,
                 int64_t B_per_data_rank, enum dtype dtype, enum cmm_form form,
                 int ranks_per_node, int64_t node_bytes)
{
    int64_t least = INT64_MAX;

    for (int m = 1; m <= ranks && m <= s->H && m <= s->F; m++) {
        const struct traffic_job job = { .B     = B_per_data_rank * (ranks / m),
                                         .D     = ranks / m,
                                         .M     = m,
                                         .dtype = dtype,
                                         .form  = form };

        if (ranks % m != 0)
            continue;

        const int64_t bytes = predict_most(s, &job) * ranks_per_node;

        if (bytes < least) {
            least = bytes;
            *D    = ranks / m;
            *M    = m;
        }
        if (bytes < node_bytes) {
            *D = ranks / m;
            *M = m;
            return 0;
        }
    }
    return ERR(
        ERR_MEMORY,
        "%s with %lld blocks does not fit: of all meshes of %d ranks, %dx%d needs "
        "the least, %.1f GB on a node of %.1f GB",
        s->name, (long long)s->L, ranks, *D, *M, (double)least * 1e-9,
        (double)node_bytes * 1e-9);
}

static bool fits(const struct spec *s, int64_t layers, const struct traffic_job *job,
                 int ranks_per_node, int64_t node_bytes)
{
    struct spec slice = *s;

    slice.L = layers;
    return predict_most(&slice, job) * ranks_per_node < node_bytes;
}

int64_t predict_layers(const struct spec *s, const struct traffic_job *job,
                       int ranks_per_node, int64_t node_bytes)
{
    int64_t lo = 0, hi = s->L + 1; /* 'lo' fits or is 0, 'hi' does not or is too many */

    while (hi - lo > 1) {
        const int64_t mid = lo + (hi - lo) / 2;

        if (fits(s, mid, job, ranks_per_node, node_bytes))
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}
