/* SPDX-License-Identifier: BSD-3-Clause */
/* Parameters are read as doubles, some rows at a time, nudged, and written back in
 * their format.
 */
#include "config.h"

#include "bench/nudge.h"

#include "mesh/guard.h"
#include "src/base/mem.h"
#include "src/base/rng.h"

static void nudge_piece(struct mat a, const struct item *it, const struct piece *p,
                        struct reader *reader, double eps, uint64_t seed)
{
    const uint64_t stream = RNG_CHECK + it->param->stream;
    const int64_t step    = reader_rows(reader, a);
    const int threads     = reader_threads(reader);
    void *raw             = mem_new((size_t)(step * a.cols), dtype_size(a.dtype));

    (void)threads; /* the only one without OpenMP */
    for (int64_t lo = 0; lo < a.rows; lo += step) {
        const int64_t hi = lo + step < a.rows ? lo + step : a.rows;
        const double *x  = reader_get(reader, a, lo, hi);

#ifdef _OPENMP
#pragma omp parallel for schedule(static) num_threads(threads)
#endif
        for (int64_t r = 0; r < hi - lo; r++) {
            /* Rows are whole runs. */
            const int64_t first = item_index(it, p->row + lo + r, 0);

            for (int64_t c = 0; c < a.cols; c++) {
                const uint64_t index = (uint64_t)(first + c);
                const double u       = 2 * rng_uniform(seed, stream, index) - 1;
                const int64_t i      = r * a.cols + c;

                dtype_store(a.dtype, raw, i, x[i] * (1 + eps * u));
            }
        }
        dev_put(dev_stream(reader->dev, LANE_COMPUTE), mat_rows(a, lo, hi), raw);
        guard_alive();
    }
    mem_free(raw);
}

void nudge_parameters(struct vit *vit, struct reader *reader, double eps, uint64_t seed)
{
    const struct layout *l = vit_layout(vit);

    for (int i = 0; i < l->params.count; i++) {
        const struct item *it = &l->item[i];
        struct piece piece[LAYOUT_PIECES];
        const int pieces = layout_pieces(piece, l, it, l->d, l->m);

        for (int k = 0; k < pieces; k++)
            nudge_piece(shard_piece_param(vit_shard(vit), it, &piece[k]), it, &piece[k],
                        reader, eps, seed);
    }
    vit_changed(vit);
}
