/* SPDX-License-Identifier: BSD-3-Clause */
/* Sets made of fractals. */
#ifndef DATA_SYNTH_H
#define DATA_SYNTH_H

#include <stdint.h>

/* Write 'n' fractals of 'image' pixels a side as the set 'path': those of indices 0 to
 * n - 1 of data_open_fractal() with 'seed'; as pixels, or as JPEG files of 'quality' if
 * that is above 0.  Returns 0, ERR_IO, or ERR_ENV in a build without JPEG.
 */
int synth_set(const char *path, int64_t n, int64_t classes, int image, int quality,
              uint64_t seed);

#endif
