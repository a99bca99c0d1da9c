/* SPDX-License-Identifier: BSD-3-Clause */
/* The products of a shape's block, at the sizes that this mesh gives the first rank (of
 * the first micro-batch), each forward, for the data and for the weights.
 */
#include "config.h"

#include "bench/case.h"
#include "bench/product.h"

#include "src/base/err.h"

int case_gemm(struct bench *b, struct case_result *c, const struct spec *spec,
              int64_t batch)
{
    const double seconds = 0.3;
    struct local l;

    spec_local(&l, spec, batch, b->mesh->D, b->mesh->M, 0, 0);
    spec_micro(&l, spec, b->choices->way.micros, 0);

    const int64_t n = l.rows, C = spec->C, A = l.A_l, F = l.F_l;
    const struct product parallel[]   = { { "in", n, C, 3 * A + F },
                                          { "out", n, A + F, C } };
    const struct product sequential[] = { { "in", n, C, 3 * A },
                                          { "out", n, A, C },
                                          { "up", n, C, F },
                                          { "down", n, F, C } };
    const bool is_parallel            = spec->wiring == WIRING_PARALLEL;
    const struct product *product     = is_parallel ? parallel : sequential;

    guard_phase("products");
    for (int i = 0; i < (is_parallel ? 2 : 4); i++) {
        const int rc = product_measure(c, b, &product[i], seconds);

        if (rc == ERR_MEMORY) {
            case_skip(c, "not enough memory for the product '%s'", product[i].name);
            return 0;
        }
        TRY(rc);
    }
    result_judge(c);
    return 0;
}
