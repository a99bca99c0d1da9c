/* SPDX-License-Identifier: BSD-3-Clause */
/* Sets made of fractals. */
#ifndef DATA_SYNTH_H
#define DATA_SYNTH_H

#include <stdint.h>

/* Write 'n' fractals of 'image' pixels a side as the set 'path': as data_open_fractal()
 * draws them with 'seed', but none that a run on fractals trains on or holds out; as
 * pixels, or as JPEG files of 'quality' if that is above 0.  Returns 0, ERR_IO, or
 * ERR_ENV in a build without JPEG.
 */
int synth_set(const char *path, int64_t n, int64_t classes, int image, int quality,
              uint64_t seed);

#endif
