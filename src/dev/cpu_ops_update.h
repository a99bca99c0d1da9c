/* SPDX-License-Identifier: BSD-3-Clause */
/* A part of cpu_ops_real.h: SGD and Adafactor, dealt out to the threads. */

static void ops_sgd(struct dev_stream *s, const struct dev_segment *segment, int count,
                    const struct sgd *a)
{
    THREADS(s, params_in(segment, count))
    for (int i = 0; i < count; i++) {
        const struct dev_segment *g = &segment[i];
        const struct box b          = my_box(g->param.rows, g->param.cols);

        for (int64_t r = b.r.lo; r < b.r.hi; r++)
            loops(s)->sgd(at(g->param, r) + b.c.lo, at(g->mu, r) + b.c.lo,
                          at(g->grad, r) + b.c.lo, range_size(b.c), a, g->decay);
    }
}

/* ---- Adafactor ------------------------------------------------------------------- */

/* Elements of a row that are neighbours along the last axis, from (r, c) on. */
struct stretch {
    int64_t c, n;    /* their first column, and how many there are */
    REAL *row, *col; /* the numbers of the first one; NULL without factors */
    int row_step, col_step;
};

/* The stretch that begins at (r, c) and ends with the last axis or at column 'end'. */
static struct stretch stretch_at(const struct dev_factors *f, int64_t r, int64_t c,
                                 int64_t end)
{
    struct stretch x = { .c = c, .n = end - c };
    int64_t row = 0, col = 0;

    if (f == NULL)
        return x;

    const int last     = f->axes - 1;
    const int64_t rest = f->extent[last] - c % f->extent[last];

    for (int k = last; k >= 0; k--) {
        int64_t *of     = k < f->fold ? &r : &c;
        const int64_t i = *of % f->extent[k];

        *of /= f->extent[k];
        row += i * f->row_step[k];
        col += i * f->col_step[k];
    }
    x.n        = rest < x.n ? rest : x.n;
    x.row      = at(f->row, 0) + row;
    x.col      = at(f->col, 0) + col;
    x.row_step = (int)f->row_step[last];
    x.col_step = (int)f->col_step[last];
    return x;
}

/* Whole tensors are dealt out: their averages have one writer each. */
static void ops_factor_sums(struct dev_stream *s, const struct dev_segment *segment,
                            int count, const struct adafactor *a)
{
    THREADS(s, params_in(segment, count))
    for (int i = 0; i < count; i++) {
        const struct dev_segment *g = &segment[i];
        const struct dev_factors *f = g->factors;

        if (f == NULL || f->tensor % team() != member())
            continue;
        for (int64_t r = 0; r < g->grad.rows; r++) {
            struct stretch x;

            for (int64_t c = 0; c < g->grad.cols; c += x.n) {
                x = stretch_at(f, r, c, g->grad.cols);
                loops(s)->factor_sums(x.row, x.row_step, x.col, x.col_step,
                                      at(g->grad, r) + c, (REAL)a->clip, x.n);
            }
        }
    }
}

static void ops_adafactor(struct dev_stream *s, const struct dev_segment *segment,
                          int count, const struct adafactor *a)
{
    THREADS(s, params_in(segment, count))
    for (int i = 0; i < count; i++) {
        const struct dev_segment *g = &segment[i];
        const struct box b          = my_box(g->param.rows, g->param.cols);

        for (int64_t r = b.r.lo; r < b.r.hi; r++) {
            uint16_t *mu = (uint16_t *)mat_ptr(mat_rows(g->mu, r, r + 1));
            struct stretch x;

            for (int64_t c = b.c.lo; c < b.c.hi; c += x.n) {
                x = stretch_at(g->factors, r, c, b.c.hi);
                loops(s)->adafactor(at(g->param, r) + c, mu + c,
                                    g->factors != NULL ? NULL : at(g->nu, r) + c, x.row,
                                    x.row_step, x.col, x.col_step, at(g->grad, r) + c,
                                    x.n, a, g->decay);
            }
        }
    }
}
