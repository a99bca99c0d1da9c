/* SPDX-License-Identifier: BSD-3-Clause */
/* Norms and their gradients: a part of cpu_ops_real.h, which see. */

static void ops_norm_moments(struct dev_stream *s, struct mat part, struct mat x,
                             enum norm_kind k)
{
    const int64_t n = x.cols;

    THREADS(s, mat_size(x))
    {
        const struct range mine = my_share(x.rows);
        REAL *room              = cpu_block(s->dev, member(), (size_t)n * sizeof *room);

        for (int64_t r = mine.lo; r < mine.hi; r++)
            loops(s)->moments(at(part, r), row_in(loops(s), x, r, 0, n, room), n, k);
    }
}

static void ops_norm_apply(struct dev_stream *s, struct mat y, struct mat x,
                           struct mat stat, struct mat scale, struct mat bias)
{
    const struct OF(kernels) *f = loops(s);
    const int64_t n             = x.cols;

    THREADS(s, mat_size(x))
    {
        const struct range mine = my_share(x.rows);
        REAL *room  = cpu_block(s->dev, member(), (size_t)(4 * n) * sizeof *room);
        REAL *by    = row_in(f, scale, 0, 0, n, room);
        REAL *above = mat_is_none(bias) ? NULL : row_in(f, bias, 0, 0, n, room + n);

        for (int64_t r = mine.lo; r < mine.hi; r++) {
            REAL *row = row_out(y, r, 0, room + 2 * n);

            f->norm(row, row_in(f, x, r, 0, n, room + 3 * n), at(stat, r), by, above,
                    n);
            row_done(f, y, row, r, 0, n);
        }
    }
}

static void ops_norm_backward_moments(struct dev_stream *s, struct mat part,
                                      struct mat dy, struct mat x, struct mat stat,
                                      struct mat scale, enum norm_kind k)
{
    const struct OF(kernels) *f = loops(s);
    const int64_t n             = x.cols;

    THREADS(s, mat_size(x))
    {
        const struct range mine = my_share(x.rows);
        REAL *room = cpu_block(s->dev, member(), (size_t)(3 * n) * sizeof *room);
        REAL *by   = row_in(f, scale, 0, 0, n, room);

        for (int64_t r = mine.lo; r < mine.hi; r++) {
            REAL sums[2];

            f->norm_back_sums(sums, row_in(f, dy, r, 0, n, room + n),
                              row_in(f, x, r, 0, n, room + 2 * n), at(stat, r), by, n);
            if (k == NORM_LAYER)
                at(part, r)[0] = sums[0];
            at(part, r)[k == NORM_LAYER] = sums[1];
        }
    }
}

/* What 'count' sums of [n] in every thread's block are together: y = or += the blocks'
 * row 'i' in the order of the threads.  Called by all threads after a barrier.
 */
static void gather_sums(struct dev_stream *s, REAL *y, int64_t i, int64_t n,
                        bool is_added)
{
    const struct range c = my_columns(n, LINE);
    const size_t bytes   = (size_t)((i + 1) * n) * sizeof(REAL);

    if (!is_added)
        loops(s)->fill(y + c.lo, 0, range_size(c));
    for (int t = 0; t < team(); t++)
        loops(s)->add(y + c.lo,
                      (const REAL *)cpu_block(s->dev, t, bytes) + i * n + c.lo,
                      range_size(c));
}

/* The sums over columns of backward at row r, divided by the width. */
static void merged_part(REAL part[2], struct mat parts, int64_t rows, int64_t r, int M,
                        int64_t C, enum norm_kind k)
{
    const int R = k == NORM_LAYER ? 2 : 1;

    part[0] = part[1] = 0;
    for (int64_t m = 0; m < M; m++)
        for (int i = 0; i < R; i++)
            part[2 - R + i] += at(parts, m * rows + r)[i];
    part[0] /= (REAL)C;
    part[1] /= (REAL)C;
}

static void ops_norm_backward(struct dev_stream *s, struct mat dx, bool is_dx_added,
                              struct mat dscale, struct mat dbias, bool is_added,
                              struct mat dy, struct mat x, struct mat stat,
                              struct mat scale, struct mat parts, int M, int64_t C,
                              enum norm_kind k)
{
    const struct OF(kernels) *f = loops(s);
    const int64_t n             = x.cols;

    THREADS(s, mat_size(x))
    {
        const struct range mine = my_share(x.rows);
        REAL *sums = cpu_block(s->dev, member(), (size_t)(6 * n) * sizeof *sums);
        REAL *room = sums + 2 * n;
        REAL *by   = row_in(f, scale, 0, 0, n, room);

        f->fill(sums, 0, 2 * n);
        for (int64_t r = mine.lo; r < mine.hi; r++) {
            REAL part[2];
            REAL *row = is_dx_added ? row_in(f, dx, r, 0, n, room + n)
                                    : row_out(dx, r, 0, room + n);

            merged_part(part, parts, x.rows, r, M, C, k);
            f->norm_back(row, is_dx_added, sums, sums + n,
                         row_in(f, dy, r, 0, n, room + 2 * n),
                         row_in(f, x, r, 0, n, room + 3 * n), at(stat, r), by, part, n);
            row_done(f, dx, row, r, 0, n);
        }
#pragma omp barrier
        gather_sums(s, at(dscale, 0), 0, n, is_added);
        if (!mat_is_none(dbias))
            gather_sums(s, at(dbias, 0), 1, n, is_added);
    }
}

static void ops_head_norm(struct dev_stream *s, struct mat y, struct mat stat,
                          struct mat x, struct mat scale, int64_t E, enum norm_kind k)
{
    const struct OF(kernels) *f = loops(s);
    const int64_t n             = x.cols;

    THREADS(s, mat_size(x))
    {
        const struct range mine = my_share(x.rows);
        REAL *room = cpu_block(s->dev, member(), (size_t)(2 * n + E) * sizeof *room);
        REAL *by   = row_in(f, scale, 0, 0, E, room + 2 * n);

        for (int64_t r = mine.lo; r < mine.hi; r++) {
            const REAL *from = row_in(f, x, r, 0, n, room);
            REAL *to = row_out(y, r, 0, room + n), *st = at(stat, r);

            for (int64_t h = 0; h < n / E; h++, st += 2) {
                REAL part[2] = { 0, 0 };

                f->moments(part, from + h * E, E, k);
                st[0] = k == NORM_LAYER ? part[0] : 0;
                st[1] = (REAL)(1.0 / sqrt((double)part[k == NORM_LAYER] / (double)E +
                                          CPU_NORM_EPS));
                f->norm(to + h * E, from + h * E, st, by, NULL, E);
            }
            row_done(f, y, to, r, 0, n);
        }
    }
}

static void ops_head_norm_backward(struct dev_stream *s, struct mat dx,
                                   struct mat dscale, bool is_added, struct mat dy,
                                   struct mat x, struct mat stat, struct mat scale,
                                   int64_t E, enum norm_kind k)
{
    const struct OF(kernels) *f = loops(s);
    const int64_t n             = x.cols;

    THREADS(s, mat_size(x))
    {
        const struct range mine = my_share(x.rows);
        REAL *sums =
            cpu_block(s->dev, member(), (size_t)(3 * n + 3 * E) * sizeof *sums);
        REAL *room = sums + 2 * E;
        REAL *by   = row_in(f, scale, 0, 0, E, room + 3 * n);

        f->fill(sums, 0, 2 * E);
        for (int64_t r = mine.lo; r < mine.hi; r++) {
            const REAL *d = row_in(f, dy, r, 0, n, room), *st = at(stat, r);
            const REAL *from = row_in(f, x, r, 0, n, room + n);
            REAL *to         = row_out(dx, r, 0, room + 2 * n);

            for (int64_t i = 0; i < n / E * E; i += E, st += 2) {
                REAL part[2];

                f->norm_back_sums(part, d + i, from + i, st, by, E);
                part[0] = k == NORM_LAYER ? part[0] / (REAL)E : 0;
                part[1] /= (REAL)E;
                f->norm_back(to + i, false, sums, sums + E, d + i, from + i, st, by,
                             part, E);
            }
            row_done(f, dx, to, r, 0, n);
        }
#pragma omp barrier
        gather_sums(s, at(dscale, 0), 0, E, is_added);
    }
}
