/* SPDX-License-Identifier: BSD-3-Clause */
/* A whole model for tests. */
#include "config.h"

#include "tests/model.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "src/dev/dev_model.h"
#include "tests/tap.h"

#include <math.h>
#include <string.h>

#define MUST(call)                                                                     \
    do {                                                                               \
        if ((call) != 0)                                                               \
            die("%s: %s", #call, err_sentence() != NULL ? err_sentence() : "");        \
    } while (0)

struct model_options model_odd(enum wiring wiring, enum pool pool, enum loss_kind loss)
{
    struct model_options o = {
        .spec   = { .shape   = "50/2/70/5",
                    .wiring  = wiring,
                    .qk_norm = wiring == WIRING_PARALLEL,
                    .pool    = (int)pool,
                    .loss    = (int)loss,
                    .image   = 10,
                    .patch   = 3,
                    .classes = 7 },
        .device = "cpu:ref",
        .D      = 1,
        .M      = 1,
        .B      = 7,
        .dtype  = DTYPE_F64,
        .form   = CMM_PLAIN,
        .optim  = optim_defaults(),
    };

    o.optim.clip       = 0.5;
    o.optim.head_decay = 100;
    return o;
}

void model_open(struct model *m, const struct model_options *o, MPI_Comm comm)
{
    const struct vit_options with = { .B           = o->B,
                                      .micros      = o->micros,
                                      .form        = o->form,
                                      .shard       = o->shard,
                                      .remat       = o->remat,
                                      .seed        = 1,
                                      .head        = HEAD_INIT_NORMAL,
                                      .is_poisoned = true };

    *m = (struct model){ 0 };
    MUST(spec_make(&m->spec, &o->spec));
    MUST(mesh_open(&m->mesh, comm, o->D, o->M));
    m->mesh->near = o->near > 0 ? o->near : m->mesh->near;
    mesh_wires(m->mesh, o->has_wide_sums, o->has_narrow_grads);
    MUST(o->costs != NULL ? dev_model_open(&m->dev, o->costs, NULL)
                          : dev_open(&m->dev, o->device, o->dtype, 1));
    MUST(vit_open(&m->vit, &m->spec, m->mesh, m->dev, &with));
    MUST(optim_open(&m->optim, vit_shard(m->vit), &o->optim));
    MUST(data_open_noise(&m->data, m->spec.image, m->spec.K, 1));
    MUST(step_open(&m->step, m->vit, m->optim, m->data));
}

void model_close(struct model *m)
{
    step_close(&m->step);
    data_close(&m->data);
    optim_close(&m->optim);
    vit_close(&m->vit);
    dev_close(&m->dev);
    mesh_close(&m->mesh);
}

void model_get(struct model *m, double *to, struct mat from)
{
    void *raw;

    MUST(mem_alloc(&raw, (size_t)mat_bytes(from)));
    dev_get(dev_stream(m->dev, LANE_COMPUTE), raw, from);
    for (int64_t i = 0; i < mat_size(from); i++)
        to[i] = dtype_load(from.dtype, raw, i);
    mem_free(raw);
}

void model_put(struct model *m, struct mat to, const double *from)
{
    void *raw;

    MUST(mem_alloc(&raw, (size_t)mat_bytes(to)));
    for (int64_t i = 0; i < mat_size(to); i++)
        dtype_store(to.dtype, raw, i, from[i]);
    dev_put(dev_stream(m->dev, LANE_COMPUTE), to, raw);
    mem_free(raw);
}

double model_stir_by(const struct param *p, int64_t i)
{
    return 0.1 * rng_normal(3, RNG_TEST + p->stream, (uint64_t)i);
}

static void stir_piece(struct model *m, const struct item *it, const struct piece *p)
{
    const struct mat param = shard_piece_param(vit_shard(m->vit), it, p);
    double *value          = mem_new((size_t)mat_size(param), sizeof *value);

    model_get(m, value, param);
    for (int64_t r = 0; r < p->rows; r++) {
        for (int64_t c = 0; c < p->cols; c++)
            value[r * p->cols + c] +=
                model_stir_by(it->param, item_index(it, p->row + r, c));
    }
    model_put(m, param, value);
    mem_free(value);
}

void model_stir(struct model *m)
{
    const struct layout *l = vit_layout(m->vit);

    for (int i = 0; i < l->params.count; i++) {
        struct piece piece[LAYOUT_PIECES];
        const int pieces = layout_pieces(piece, l, &l->item[i], l->d, l->m);

        for (int k = 0; k < pieces; k++)
            stir_piece(m, &l->item[i], &piece[k]);
    }
    vit_changed(m->vit);
}

void model_batch(struct model *m, double *images, double *targets, int64_t B, int64_t s)
{
    const int64_t pixels = 3 * (int64_t)m->spec.image * m->spec.image, K = m->spec.K;
    float *of_images  = mem_new((size_t)(B * pixels), sizeof *of_images);
    float *of_targets = mem_new((size_t)(B * K), sizeof *of_targets);

    data_batch(m->data, of_images, of_targets, B, s, (struct range){ 0, B },
               (struct range){ 0, K }, 1);
    for (int64_t i = 0; i < B * pixels; i++)
        images[i] = of_images[i];
    for (int64_t i = 0; i < B * K; i++)
        targets[i] = of_targets[i];
    mem_free(of_images);
    mem_free(of_targets);
}

struct step_result model_gradients(struct model *m)
{
    struct step_result result;

    step_gradients(m->step, &result);
    return result;
}

static void compare_piece(struct model_gap *gap, struct model *m, struct mat part,
                          const struct item *it, const struct piece *p,
                          const double *all)
{
    double *own = mem_new((size_t)mat_size(part), sizeof *own);

    model_get(m, own, part);
    for (int64_t r = 0; r < p->rows; r++) {
        for (int64_t c = 0; c < p->cols; c++) {
            const double want = all[item_index(it, p->row + r, c)];
            const double off  = fabs(own[r * p->cols + c] - want);

            gap->difference += off * off;
            gap->size += want * want;
            gap->largest = tap_worse(gap->largest, off);
        }
    }
    mem_free(own);
}

/* The piece that begins where 'p' does of a tensor's state. */
static struct mat moment(struct model *m, const char *kind, const struct item *it,
                         const struct piece *p)
{
    struct optim_state *state;
    const int count = optim_states(&state, m->optim);
    struct mat at   = mat_none();

    for (int i = 0; i < count; i++) {
        if (state[i].param != it->param || strcmp(state[i].kind, kind) != 0)
            continue;
        for (int k = 0; k < state[i].pieces; k++) {
            if (memcmp(state[i].piece[k].lo, p->lo, sizeof p->lo) == 0)
                at = state[i].piece[k].at;
        }
    }
    mem_free(state);
    return at;
}

struct mat model_piece(struct model *m, const struct item *it, const struct piece *p,
                       enum model_of of)
{
    switch (of) {
    case MODEL_PARAM:
        return shard_piece_param(vit_shard(m->vit), it, p);
    case MODEL_GRAD:
        return shard_piece_grad(vit_shard(m->vit), it, p);
    case MODEL_MU:
        return moment(m, "mu", it, p);
    default:
        return moment(m, "nu", it, p);
    }
}

struct model_gap model_compare(struct model *m, const struct item *it, enum model_of of,
                               const double *all)
{
    const struct layout *l = vit_layout(m->vit);
    struct model_gap gap   = { 0 };
    struct piece piece[LAYOUT_PIECES];
    const int pieces = layout_pieces(piece, l, it, l->d, l->m);

    for (int k = 0; k < pieces; k++)
        compare_piece(&gap, m, model_piece(m, it, &piece[k], of), it, &piece[k], all);
    return gap;
}
