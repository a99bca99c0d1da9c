/* SPDX-License-Identifier: BSD-3-Clause */
/* The norms of cpu:ref: a part of cpu_ref_real.h, which see.  Mean and deviation of a
 * row are those of the numbers themselves, in two passes, not of their squares.
 */
/* The moments of n numbers, as a part of a norm: the sum of squares; or mean and M2. */
static void moments(double part[2], const REAL *x, int64_t n, enum norm_kind k)
{
    part[0] = part[1] = 0.0;
    for (int64_t c = 0; c < n; c++)
        part[0] += k == NORM_RMS ? (double)x[c] * x[c] : x[c] / (double)n;
    for (int64_t c = 0; c < n && k == NORM_LAYER; c++)
        part[1] += (x[c] - part[0]) * (x[c] - part[0]);
}

/* Mean and reciprocal deviation from the moments of all n numbers. */
static void statistics(REAL stat[2], const double part[2], int64_t n, enum norm_kind k)
{
    const double sum = k == NORM_RMS ? part[0] : part[1];

    stat[0] = (REAL)(k == NORM_RMS ? 0.0 : part[0]);
    stat[1] = (REAL)(1.0 / sqrt((n > 0 ? sum / (double)n : 0.0) + CPU_NORM_EPS));
}

static void ref_norm_moments(struct dev_stream *s, struct mat part, struct mat x,
                             enum norm_kind k)
{
    (void)s;
    for (int64_t r = 0; r < x.rows; r++) {
        double m[2];

        moments(m, at(x, r), x.cols, k);
        for (int64_t c = 0; c < part.cols; c++)
            at(part, r)[c] = (REAL)m[c];
    }
}

/* Means and sums of squared deviations of two sets of numbers make those of both. */
static void ref_norm_merge(struct dev_stream *s, struct mat stat, struct mat parts,
                           int M, const int64_t *widths, enum norm_kind k)
{
    const int64_t n = stat.rows;

    (void)s;
    for (int64_t r = 0; r < n; r++) {
        double sum[2] = { 0.0, 0.0 };
        int64_t C     = 0;

        for (int m = 0; m < M; m++) {
            const REAL *part = at(parts, m * n + r);

            if (widths[m] == 0)
                continue;
            if (k == NORM_RMS) {
                sum[0] += part[0];
            } else {
                const double gap   = part[0] - sum[0];
                const double share = (double)widths[m] / (double)(C + widths[m]);

                sum[0] += gap * share;
                sum[1] += part[1] + gap * gap * share * (double)C;
            }
            C += widths[m];
        }
        statistics(at(stat, r), sum, C, k);
    }
}

static void ref_norm_apply(struct dev_stream *s, struct mat y, struct mat x,
                           struct mat stat, struct mat scale, struct mat bias)
{
    (void)s;
    for (int64_t r = 0; r < y.rows; r++) {
        for (int64_t c = 0; c < y.cols; c++) {
            const double xhat = ((double)at(x, r)[c] - at(stat, r)[0]) * at(stat, r)[1];

            at(y, r)[c] = (REAL)(xhat * at(scale, 0)[c] +
                                 (mat_is_none(bias) ? 0.0 : at(bias, 0)[c]));
        }
    }
}

static void ref_norm_backward_moments(struct dev_stream *s, struct mat part,
                                      struct mat dy, struct mat x, struct mat stat,
                                      struct mat scale, enum norm_kind k)
{
    (void)s;
    for (int64_t r = 0; r < x.rows; r++) {
        double of_g = 0.0, of_gx = 0.0;

        for (int64_t c = 0; c < x.cols; c++) {
            const double xhat = ((double)at(x, r)[c] - at(stat, r)[0]) * at(stat, r)[1];
            const double g    = (double)at(dy, r)[c] * at(scale, 0)[c];

            of_g += g;
            of_gx += g * xhat;
        }
        if (k == NORM_LAYER)
            at(part, r)[0] = (REAL)of_g;
        at(part, r)[k == NORM_LAYER] = (REAL)of_gx;
    }
}

static void ref_norm_backward(struct dev_stream *s, struct mat dx, bool is_dx_added,
                              struct mat dscale, struct mat dbias, bool is_added,
                              struct mat dy, struct mat x, struct mat stat,
                              struct mat scale, struct mat parts, int M, int64_t C,
                              enum norm_kind k)
{
    const int64_t n = x.rows;

    (void)s;
    for (int64_t r = 0; r < n; r++) {
        const double rstd = at(stat, r)[1];
        double of_g = 0.0, of_gx = 0.0;

        for (int m = 0; m < M; m++) {
            if (k == NORM_LAYER)
                of_g += at(parts, m * n + r)[0];
            of_gx += at(parts, m * n + r)[k == NORM_LAYER];
        }
        for (int64_t c = 0; c < x.cols; c++) {
            const double xhat = ((double)at(x, r)[c] - at(stat, r)[0]) * rstd;
            const double g    = (double)at(dy, r)[c] * at(scale, 0)[c];

            leave(at(dx, r) + c, rstd * (g - (of_g + xhat * of_gx) / (double)C),
                  is_dx_added);
        }
    }
    for (int64_t c = 0; c < x.cols; c++) {
        double of_dyx = 0.0, of_dy = 0.0;

        for (int64_t r = 0; r < n; r++) {
            of_dyx += (double)at(dy, r)[c] * ((double)at(x, r)[c] - at(stat, r)[0]) *
                      at(stat, r)[1];
            of_dy += at(dy, r)[c];
        }
        leave(at(dscale, 0) + c, of_dyx, is_added);
        if (!mat_is_none(dbias))
            leave(at(dbias, 0) + c, of_dy, is_added);
    }
}

/* Column 'e' of every head's E columns is scaled by scale[e]. */
static void ref_head_norm(struct dev_stream *s, struct mat y, struct mat stat,
                          struct mat x, struct mat scale, int64_t E, enum norm_kind k)
{
    (void)s;
    for (int64_t r = 0; r < x.rows; r++) {
        for (int64_t h = 0; h < x.cols / E; h++) {
            const REAL *from = at(x, r) + h * E;
            REAL *to         = at(y, r) + h * E;
            REAL *st         = at(stat, r) + 2 * h;
            double m[2];

            moments(m, from, E, k);
            statistics(st, m, E, k);
            for (int64_t e = 0; e < E; e++)
                to[e] = (REAL)(((double)from[e] - st[0]) * st[1] * at(scale, 0)[e]);
        }
    }
}

static void ref_head_norm_backward(struct dev_stream *s, struct mat dx,
                                   struct mat dscale, bool is_added, struct mat dy,
                                   struct mat x, struct mat stat, struct mat scale,
                                   int64_t E, enum norm_kind k)
{
    const REAL *w = at(scale, 0);

    (void)s;
    for (int64_t r = 0; r < x.rows; r++) {
        for (int64_t h = 0; h < x.cols / E; h++) {
            const REAL *from = at(x, r) + h * E, *d = at(dy, r) + h * E;
            const REAL *st = at(stat, r) + 2 * h;
            double of_g = 0.0, of_gx = 0.0;

            for (int64_t e = 0; e < E; e++) {
                of_g += k == NORM_LAYER ? (double)d[e] * w[e] : 0.0;
                of_gx += (double)d[e] * w[e] * (((double)from[e] - st[0]) * st[1]);
            }
            for (int64_t e = 0; e < E; e++) {
                const double xhat = ((double)from[e] - st[0]) * st[1];

                (at(dx, r) + h * E)[e] =
                    (REAL)(st[1] *
                           ((double)d[e] * w[e] - (of_g + xhat * of_gx) / (double)E));
            }
        }
    }
    for (int64_t e = 0; e < E; e++) {
        double sum = 0.0;

        for (int64_t r = 0; r < x.rows; r++)
            for (int64_t h = 0; h < x.cols / E; h++)
                sum += (double)at(dy, r)[h * E + e] *
                       ((double)at(x, r)[h * E + e] - at(stat, r)[2 * h]) *
                       at(stat, r)[2 * h + 1];
        leave(at(dscale, 0) + e, sum, is_added);
    }
}
