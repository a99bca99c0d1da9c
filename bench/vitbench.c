/* SPDX-License-Identifier: BSD-3-Clause */
/* vitbench on the machine at hand: all cases, those that need HDF5
 * where it is there.
 */
#include "config.h"

#include "bench/bench.h"
#include "bench/files.h"

#define USAGE "mpirun -n RANKS vitbench [--name=value ..]"
#define ABOUT                                                                          \
    "Runs training steps of Vision Transformers on a mesh of data and model ranks, "   \
    "checks what they computed, and says how fast they were.  Without options it "     \
    "runs "                                                                            \
    "ViT-22B, SoViT-400m, SoViT-150m and 608/10/928/16, each as deep as it fits."

/* What a build without HDF5 cannot do. */
#ifdef HAVE_HDF5
static const struct bench_files h5_files = {
    .open_data = data_open_file,
    .open_set  = h5set_open_among,
    .shape     = h5set_shape,
    .read      = h5set_read,
    .close_set = h5set_close,
};
static const struct bench_files *const files = &h5_files;
static case_fn *const ckpt                   = case_ckpt;
#else
static const struct bench_files *const files = NULL;
static case_fn *const ckpt                   = NULL;
#endif

int main(int argc, char **argv)
{
    return bench_main(&(struct bench_program){ .name  = "vitbench",
                                               .usage = USAGE,
                                               .about = ABOUT,
                                               .read  = options_read,
                                               .files = files,
                                               .ckpt  = ckpt },
                      argc, argv);
}
