/* SPDX-License-Identifier: BSD-3-Clause */
/* Packing of a bf16 factor the way oneDNN's products want it on processors with
 * AVX512-BF16: panels of columns, of which each holds pairs of rows zipped, from top to
 * bottom; zeros fill the last panel and the last rows.  The library does the same, but
 * several times as slowly.
 *
 * Moves twice the bytes of the factor.
 */
#include "config.h"

#include "src/dev/cpu_team.h"

#include <string.h>

enum { PANEL = CPU_PANEL, STRETCH = 32, APART = STRETCH + 16 }; /* words */

/* A panel of the transpose: 'cols' rows of 'from', their words turned. */
static void turn_panel(const struct cpu_state *state, uint32_t *to,
                       const uint16_t *from, int64_t ld, int64_t rows, int64_t cols)
{
    float words[PANEL * APART] __attribute__((aligned(CPU_LINE)));

    for (int64_t k = 0; k < rows; k += 2 * STRETCH) {
        const int64_t n    = rows - k < 2 * STRETCH ? rows - k : 2 * STRETCH;
        const size_t bytes = (size_t)n * sizeof *from;

        if (n < 2 * STRETCH || cols < PANEL)
            memset(words, 0, sizeof words);
        for (int64_t c = 0; c < cols; c++)
            memcpy(words + c * APART, from + c * ld + k, bytes);
        state->k_f32->transpose((float *)(to + k / 2 * PANEL), PANEL, words, APART,
                                PANEL, (n + 1) / 2, 1);
    }
}

void cpu_panels_bf16(const struct dev *dev, uint32_t *to, const uint16_t *from,
                     int64_t ld, bool is_turned, int64_t rows, int64_t cols,
                     int64_t tall)
{
    const struct cpu_state *state = dev->state;
    const int64_t panels = (cols + PANEL - 1) / PANEL, pairs = (rows + 1) / 2;

#pragma omp parallel for num_threads(dev->threads) schedule(static)
    for (int64_t p = 0; p < panels; p++) {
        const int64_t n = cols - p * PANEL < PANEL ? cols - p * PANEL : PANEL;
        uint32_t *panel = to + p * PANEL * (tall / 2);

        if (is_turned) {
            turn_panel(state, panel, from + p * PANEL * ld, ld, rows, n);
        } else {
            if (n < PANEL)
                memset(panel, 0, (size_t)(pairs * PANEL) * sizeof *panel);
            state->k_bf16->zip(panel, PANEL, from + p * PANEL, ld, rows, n);
        }
        memset(panel + pairs * PANEL, 0,
               (size_t)((tall / 2 - pairs) * PANEL) * sizeof *panel);
    }
}
