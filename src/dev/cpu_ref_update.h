/* SPDX-License-Identifier: BSD-3-Clause */
/* A part of cpu_ref_real.h: SGD and Adafactor, element by element, in double. */

static void ref_sgd(struct dev_stream *s, const struct dev_segment *segment, int count,
                    const struct sgd *a)
{
    (void)s;
    for (int i = 0; i < count; i++) {
        const struct dev_segment *g = &segment[i];

        for (int64_t r = 0; r < g->param.rows; r++) {
            for (int64_t c = 0; c < g->param.cols; c++) {
                const double p = at(g->param, r)[c];
                const double mu =
                    a->momentum * at(g->mu, r)[c] + a->clip * at(g->grad, r)[c];

                at(g->mu, r)[c] = (REAL)mu;
                at(g->param, r)[c] =
                    (REAL)(p - a->schedule * a->lr * (mu + g->decay * p));
            }
        }
    }
}

/* The numbers in 'row' and 'col' that belong to element (r, c) of a segment. */
struct factor_place {
    REAL *row, *col;
};

static struct factor_place factor_place(const struct dev_factors *f, int64_t r,
                                        int64_t c)
{
    int64_t row = 0, col = 0;

    for (int k = f->axes - 1; k >= 0; k--) {
        int64_t *rest   = k < f->fold ? &r : &c;
        const int64_t i = *rest % f->extent[k];

        *rest /= f->extent[k];
        row += i * f->row_step[k];
        col += i * f->col_step[k];
    }
    return (struct factor_place){ at(f->row, 0) + row, at(f->col, 0) + col };
}

static void ref_factor_sums(struct dev_stream *s, const struct dev_segment *segment,
                            int count, const struct adafactor *a)
{
    (void)s;
    for (int i = 0; i < count; i++) {
        const struct dev_segment *g = &segment[i];

        if (g->factors == NULL)
            continue;
        for (int64_t r = 0; r < g->grad.rows; r++) {
            for (int64_t c = 0; c < g->grad.cols; c++) {
                const struct factor_place p = factor_place(g->factors, r, c);
                const double grad           = a->clip * at(g->grad, r)[c];

                *p.row = (REAL)(*p.row + grad * grad);
                *p.col = (REAL)(*p.col + grad * grad);
            }
        }
    }
}

/* v = beta2 v + (1 - beta2) (sum / n + eps) */
static void blend(struct mat v, struct mat sum, double n, const struct adafactor *with)
{
    const double beta2 = with->beta2;

    for (int64_t i = 0; i < v.cols; i++)
        at(v, 0)[i] =
            (REAL)(beta2 * at(v, 0)[i] + (1 - beta2) * (at(sum, 0)[i] / n + with->eps));
}

static void ref_factor_rows(struct dev_stream *s, const struct dev_averages *tensor,
                            int count, const struct adafactor *with)
{
    (void)s;
    for (int t = 0; t < count; t++) {
        const struct dev_averages *a = &tensor[t];

        blend(a->v_row, a->row, a->row_count, with);
        for (int64_t i = 0; i < a->outer * a->inner; i++) {
            const REAL *first =
                at(a->v_row, 0) + i / a->inner * a->along * a->inner + i % a->inner;
            double sum = 0.0;

            for (int64_t k = 0; k < a->along; k++)
                sum += first[k * a->inner];
            at(a->mean, 0)[i] = (REAL)(sum / a->mean_count);
        }
    }
}

static void ref_factor_scales(struct dev_stream *s, const struct dev_averages *tensor,
                              int count, const struct adafactor *with)
{
    (void)s;
    for (int t = 0; t < count; t++) {
        const struct dev_averages *a = &tensor[t];

        blend(a->v_col, a->col, a->col_count, with);
        for (int64_t i = 0; i < a->v_col.cols; i++)
            at(a->col, 0)[i] = (REAL)(1.0 / sqrt(at(a->v_col, 0)[i]));
        for (int64_t i = 0; i < a->v_row.cols; i++) {
            const int64_t outer = i / (a->along * a->inner), inner = i % a->inner;
            const double mean = at(a->mean, 0)[outer * a->inner + inner];

            at(a->row, 0)[i] = (REAL)sqrt(mean / at(a->v_row, 0)[i]);
        }
    }
}

/* Adafactor's u for one element; its second moment is brought up to date. */
static double adafactor_direction(const struct dev_segment *g,
                                  const struct adafactor *a, int64_t r, int64_t c)
{
    const double grad = a->clip * at(g->grad, r)[c];

    if (g->factors == NULL) {
        const double nu =
            a->beta2 * at(g->nu, r)[c] + (1.0 - a->beta2) * (grad * grad + a->eps);

        at(g->nu, r)[c] = (REAL)nu;
        return grad / sqrt(nu);
    }

    const struct factor_place p = factor_place(g->factors, r, c);

    return grad * *p.row * *p.col;
}

static void ref_adafactor(struct dev_stream *s, const struct dev_segment *segment,
                          int count, const struct adafactor *a)
{
    (void)s;
    for (int i = 0; i < count; i++) {
        const struct dev_segment *g = &segment[i];

        for (int64_t r = 0; r < g->param.rows; r++) {
            uint16_t *kept = (uint16_t *)mat_ptr(mat_rows(g->mu, r, r + 1));

            for (int64_t c = 0; c < g->param.cols; c++) {
                const double p  = at(g->param, r)[c];
                const double mu = a->beta1 * dtype_from_bf16(kept[c]) +
                                  (1.0 - a->beta1) * adafactor_direction(g, a, r, c);

                kept[c] = dtype_to_bf16((float)mu);
                at(g->param, r)[c] =
                    (REAL)(p - a->schedule * a->lr * (mu + g->decay * p));
            }
        }
    }
}
