/* SPDX-License-Identifier: BSD-3-Clause */
/* Grids through BLACS; block-cyclic arithmetic; the exchange that deals columns out. */
#include "config.h"

#include "src/eval/tiles.h"

#include "src/base/err.h"
#include "src/base/mem.h"

#include <limits.h>
#include <string.h>

/* BLACS, which ScaLAPACK brings along without a header. */
int Csys2blacs_handle(MPI_Comm comm);
void Cfree_blacs_system_handle(int handle);
void Cblacs_gridinit(int *context, const char *order, int rows, int cols);
void Cblacs_gridexit(int context);

/* ---- the grid -------------------------------------------------------------------- */

void grid_open(struct grid *g, struct mesh *mesh)
{
    *g = (struct grid){ .mesh = mesh, .Q = 1 };
    for (int q = 2; (int64_t)q * q <= mesh->size; q++) {
        if (mesh->size % q == 0)
            g->Q = q;
    }
    g->P       = mesh->size / g->Q;
    g->p       = mesh->rank / g->Q;
    g->q       = mesh->rank % g->Q;
    g->system  = Csys2blacs_handle(mesh->comm[AXIS_ALL]);
    g->context = g->system;
    Cblacs_gridinit(&g->context, "Row", g->P, g->Q);
}

void grid_close(struct grid *g)
{
    if (g->mesh == NULL)
        return;
    Cblacs_gridexit(g->context);
    Cfree_blacs_system_handle(g->system);
    *g = (struct grid){ 0 };
}

/* ---- blocks ---------------------------------------------------------------------- */

/* Which row or column of the grid has number 'i', and as which of its own. */
static int owner_of(int64_t i, int ranks)
{
    return (int)(i / TILES_BLOCK % ranks);
}

static int64_t local_of(int64_t i, int ranks)
{
    return i / TILES_BLOCK / ranks * TILES_BLOCK + i % TILES_BLOCK;
}

static int64_t global(int64_t i, int ranks, int rank)
{
    return (i / TILES_BLOCK * ranks + rank) * TILES_BLOCK + i % TILES_BLOCK;
}

int64_t tiles_row(const struct tiles *t, int64_t i)
{
    return global(i, t->grid->P, t->grid->p);
}

int64_t tiles_col(const struct tiles *t, int64_t i)
{
    return global(i, t->grid->Q, t->grid->q);
}

/* How many of 'n' numbers rank 'rank' of 'ranks' has. */
static int64_t share(int64_t n, int ranks, int rank)
{
    const int64_t round = (int64_t)TILES_BLOCK * ranks;
    const int64_t rest  = n % round - (int64_t)rank * TILES_BLOCK;

    return n / round * TILES_BLOCK + (rest < 0             ? 0
                                      : rest < TILES_BLOCK ? rest
                                                           : TILES_BLOCK);
}

int tiles_open(struct tiles *t, const struct grid *g, int64_t rows, int64_t cols)
{
    enum { DENSE = 1 };
    void *room;

    *t = (struct tiles){ .grid   = g,
                         .rows   = rows,
                         .cols   = cols,
                         .rows_l = share(rows, g->P, g->p),
                         .cols_l = share(cols, g->Q, g->q) };
    if (rows > INT_MAX / 4 || cols > INT_MAX / 4 || t->rows_l * t->cols_l > INT_MAX / 4)
        return ERR(ERR_SHAPE,
                   "%lld x %lld numbers are too many for ScaLAPACK on %d ranks",
                   (long long)rows, (long long)cols, g->P * g->Q);

    const int desc[TILES_DESC] = {
        DENSE,     g->context,  (int)rows,
        (int)cols, TILES_BLOCK, TILES_BLOCK,
        0,         0,           t->rows_l > 0 ? (int)t->rows_l : 1
    };

    memcpy(t->desc, desc, sizeof desc);
    TRY(mem_alloc(&room, (size_t)(t->rows_l * t->cols_l) * sizeof(double)));
    memset(room, 0, (size_t)(t->rows_l * t->cols_l) * sizeof(double));
    t->at = room;
    return 0;
}

void tiles_close(struct tiles *t)
{
    mem_free(t->at);
    *t = (struct tiles){ 0 };
}

/* ---- dealing --------------------------------------------------------------------- */

/* Numbers of a column that grid row 'p' has; they are sent together. */
static int64_t part(const struct tiles *t, int p)
{
    return share(t->rows, t->grid->P, p);
}

/* What goes to and comes from each rank, and where it begins. */
struct deal {
    int *sends, *send_at, *gets, *get_at; /* [ranks] numbers */
    int64_t send, get;                    /* their sums */
    double *out, *in;
};

/* False if the sums do not fit. */
static bool count(struct deal *d, const struct tiles *t, const int32_t *owner)
{
    const struct grid *g = t->grid;
    const int ranks = g->P * g->Q, rank = g->mesh->rank;
    int64_t *sends = mem_new(2 * (size_t)ranks, sizeof *sends), *gets = sends + ranks;

    for (int64_t j = 0; j < t->cols; j++) {
        const int q = owner_of(j, g->Q);

        for (int p = 0; p < g->P && owner[j] == rank; p++)
            sends[p * g->Q + q] += part(t, p);
        if (q == g->q)
            gets[owner[j]] += t->rows_l;
    }
    for (int r = 0; r < ranks; r++) {
        d->send_at[r] = (int)d->send;
        d->get_at[r]  = (int)d->get;
        d->sends[r]   = (int)sends[r];
        d->gets[r]    = (int)gets[r];
        d->send += sends[r];
        d->get += gets[r];
    }
    mem_free(sends);
    return d->send <= INT_MAX && d->get <= INT_MAX;
}

/* Columns of 'own' cut into the parts of the grid's rows, for each rank in order. */
static void pack(struct deal *d, const struct tiles *t, const int32_t *owner,
                 const double *own)
{
    const struct grid *g = t->grid;
    int64_t *next        = mem_new((size_t)(g->P * g->Q), sizeof *next);

    for (int64_t j = 0; j < t->cols; j++) {
        const int q = owner_of(j, g->Q);

        if (owner[j] != g->mesh->rank)
            continue;
        for (int64_t i = 0; i < t->rows; i++) {
            const int to = owner_of(i, g->P) * g->Q + q;

            d->out[d->send_at[to] + next[to]++] = *own++;
        }
    }
    mem_free(next);
}

static void unpack(struct tiles *t, const struct deal *d, const int32_t *owner)
{
    const struct grid *g = t->grid;
    int64_t *next        = mem_new((size_t)(g->P * g->Q), sizeof *next);

    for (int64_t j = 0; j < t->cols; j++) {
        if (owner_of(j, g->Q) != g->q)
            continue;
        memcpy(t->at + local_of(j, g->Q) * t->rows_l,
               d->in + d->get_at[owner[j]] + next[owner[j]],
               (size_t)t->rows_l * sizeof *t->at);
        next[owner[j]] += t->rows_l;
    }
    mem_free(next);
}

static int prepare(struct deal *d, const struct tiles *t, const int32_t *owner)
{
    void *room;

    if (!count(d, t, owner))
        return ERR(ERR_SHAPE, "a rank has too many rows for one message: more ranks");
    TRY(mem_alloc(&room, (size_t)(d->send + d->get) * sizeof(double)));
    d->out = room;
    d->in  = d->out + d->send;
    return 0;
}

int tiles_deal(struct tiles *t, const int32_t *owner, const double *own)
{
    struct mesh *mesh = t->grid->mesh;
    int *numbers      = mem_new(4 * (size_t)mesh->size, sizeof *numbers);
    struct deal d     = { .sends   = numbers,
                          .send_at = numbers + mesh->size,
                          .gets    = numbers + 2 * mesh->size,
                          .get_at  = numbers + 3 * mesh->size };
    const int rc      = mesh_agree(mesh, prepare(&d, t, owner));

    if (rc == 0) {
        pack(&d, t, owner, own);
        TRY_MPI(MPI_Alltoallv(d.out, d.sends, d.send_at, MPI_DOUBLE, d.in, d.gets,
                              d.get_at, MPI_DOUBLE, mesh->comm[AXIS_ALL]));
        unpack(t, &d, owner);
    }
    mem_free(d.out);
    mem_free(numbers);
    return rc;
}

void tiles_put(double *all, const struct tiles *t)
{
    for (int64_t j = 0; j < t->cols_l; j++) {
        for (int64_t i = 0; i < t->rows_l; i++)
            all[tiles_col(t, j) * t->rows + tiles_row(t, i)] = t->at[j * t->rows_l + i];
    }
}

void tiles_take(struct tiles *t, const double *from, int64_t row, int64_t col,
                int64_t cols)
{
    const int64_t rows = t->rows - row;

    for (int64_t j = 0; j < t->cols_l; j++) {
        const int64_t J = tiles_col(t, j) - col;

        for (int64_t i = 0; i < t->rows_l && J >= 0 && J < cols; i++) {
            const int64_t I = tiles_row(t, i) - row;

            if (I >= 0)
                t->at[j * t->rows_l + i] = from[J * rows + I];
        }
    }
}
