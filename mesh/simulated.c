/* SPDX-License-Identifier: BSD-3-Clause */
/* Places and looks. */
#include "config.h"

#include "mesh/simulated.h"

#include "src/base/clock.h"

/* ---- places ---------------------------------------------------------------------- */

char *simulated_enter(struct wire *w, char *at)
{
    struct mesh *mesh              = w->mesh;
    const struct mesh_model *model = mesh->model;

    w->place = NULL;
    if (model == NULL || model->sign == NULL || w->bytes > WIRE_CHUNK)
        return at;
    if (w->is_send)
        return model->sign;
    for (int k = 0; k < MESH_PLACES; k++) {
        if ((mesh->places_taken >> k & 1) != 0)
            continue;
        mesh->places_taken |= 1u << k;
        w->place    = model->places + k * MESH_PLACE_STEP;
        w->place[0] = 0;
        return model->places + k * MESH_PLACE_STEP;
    }
    return at;
}

void simulated_leave(struct wire *w)
{
    if (w->place == NULL)
        return;
    w->mesh->places_taken &=
        ~(1u << (w->place - w->mesh->model->places) / MESH_PLACE_STEP);
    w->place = NULL;
}

bool simulated_has_come(const struct wire *w)
{
    return w->place != NULL && w->place[0] != 0;
}

/* ---- time ------------------------------------------------------------------------ */

double simulated_due(struct wire *w)
{
    double busy;

    if (w->look_s == 0)
        w->look_s = w->mesh->model->seconds(&busy, w->mesh, w->peer, w->bytes);
    return w->start + w->look_s;
}

void simulated_looked(struct wire *w)
{
    const double late = 1.01;

    w->look_s = late * (clock_now() - w->start) + 1e-9;
}

void simulated_pay(const struct wire *w, double waited)
{
    const struct mesh_model *model = w->mesh->model;
    double seconds, busy;

    if (model == NULL || w->is_send)
        return;
    seconds = model->seconds(&busy, w->mesh, w->peer, w->bytes);
    if (busy * seconds > waited)
        clock_spend(busy * seconds - waited);
}
