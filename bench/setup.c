/* SPDX-License-Identifier: BSD-3-Clause */
/* Model, optimizer and images are opened in this order, as each borrows from those
 * before, and closed in reverse.
 */
#include "config.h"

#include "bench/setup.h"

#include "src/base/err.h"

static int open_all(struct setup *setup, struct bench *b, const struct spec *spec,
                    int64_t B, uint64_t seed)
{
    const int64_t most = B / b->mesh->D; /* images of a rank */
    const int micros   = b->choices->way.micros;

    const struct vit_options option = { .B      = B,
                                        .micros = micros < most ? micros : (int)most,
                                        .form   = b->choices->way.form,
                                        .tuned  = b->tuned,
                                        .shard  = b->choices->way.shard,
                                        .remat  = b->choices->way.remat,
                                        .seed   = seed,
                                        .head   = HEAD_INIT_NORMAL };
    struct optim_options update     = optim_defaults();

    update.lr     = 1e-6;
    update.method = b->choices->way.optimizer;
    TRY(vit_open(&setup->vit, spec, b->mesh, b->dev, &option));
    TRY(mesh_agree(b->mesh, optim_open(&setup->optim, vit_shard(setup->vit), &update)));
    TRY(mesh_agree(b->mesh,
                   dev_is_hollow(b->dev)
                       ? data_open_nothing(&setup->data, spec->image, spec->K)
                       : data_open_noise(&setup->data, spec->image, spec->K, seed)));
    return step_open(&setup->step, setup->vit, setup->optim, setup->data);
}

int setup_open(struct setup *setup, struct bench *b, const struct spec *spec, int64_t B,
               uint64_t seed)
{
    int rc;

    *setup = (struct setup){ 0 };
    rc     = open_all(setup, b, spec, B, seed);
    if (rc != 0)
        setup_close(setup);
    return rc;
}

void setup_close(struct setup *setup)
{
    step_close(&setup->step);
    data_close(&setup->data);
    optim_close(&setup->optim);
    vit_close(&setup->vit);
}
