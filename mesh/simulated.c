/* SPDX-License-Identifier: BSD-3-Clause */
/* Places and looks. */
#include "config.h"

#include "mesh/simulated.h"

#include "src/base/clock.h"

#include <math.h>

/* ---- places ---------------------------------------------------------------------- */

char *simulated_enter(struct wire *w, char *at)
{
    struct mesh *mesh              = w->mesh;
    const struct mesh_model *model = mesh->model;

    w->place = NULL;
    w->idle  = mesh->idle;
    w->moved = mesh->moved;
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

/* One second of waiting moves no more than one second of messages: what others have
 * taken of it since then is not there for this one.
 */
void simulated_pay(const struct wire *w, double waited)
{
    struct mesh *mesh = w->mesh;
    const double now  = clock_now();
    double busy, need, spare;

    if (mesh->model == NULL)
        return;
    mesh->idle += fmax(0, now - fmax(now - waited, mesh->idle_until));
    mesh->idle_until = now;
    if (w->is_send)
        return;
    need = mesh->model->seconds(&busy, mesh, w->peer, w->bytes);
    need *= busy;
    spare = fmax(0, mesh->idle - w->idle - (mesh->moved - w->moved));
    mesh->moved += fmin(need, spare);
    if (need > spare)
        clock_spend(need - spare);
    mesh->idle_until = clock_now();
}
