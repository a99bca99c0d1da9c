/* SPDX-License-Identifier: BSD-3-Clause */
/* cpu:blis: products through BLIS, and everything else through the vectorised loops of
 * cpu_ops.
 */
#include "config.h"

#include "src/base/err.h"
#include "src/dev/blis_arch.h"
#include "src/dev/cpu.h"

static int blis_open(struct dev *dev)
{
    TRY(cpu_ops_open(dev));
    blis_arch_start(dev->about, sizeof dev->about);
    return 0;
}

const struct dev_ops dev_cpu_blis = {
    .name     = "cpu:blis",
    .fallback = &dev_cpu_ops,
    .real     = { &cpu_blis_f64, &cpu_blis_f32 },
    .is_host  = true,
    .instead  = { [DTYPE_BF16] = CPU_FOR_BF16 },
    .open     = blis_open,
};
