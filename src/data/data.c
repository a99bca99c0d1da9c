/* SPDX-License-Identifier: BSD-3-Clause */
/* A batch from any source.  Images are independent of each other: threads take them in
 * turn.
 */
#include "config.h"

#include "src/data/data.h"

void data_close(struct data **data)
{
    if (*data == NULL)
        return;
    (*data)->ops->close(*data);
    *data = NULL;
}

void data_batch(struct data *data, float *images, float *targets, int64_t B,
                int64_t step, struct range b, struct range k, int threads)
{
    const int64_t pixels = 3 * (int64_t)data->image * data->image;

    (void)threads; /* the only one without OpenMP */
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic) num_threads(threads)
#endif
    for (int64_t i = 0; i < range_size(b); i++)
        data->ops->get(data, images + i * pixels, targets + i * range_size(k), k,
                       step * B + b.lo + i);
}
