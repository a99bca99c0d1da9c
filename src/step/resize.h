/* SPDX-License-Identifier: BSD-3-Clause */
/* The embedding of a model for images or patches of another size.
 *
 *   positions   bilinear on their grid, corners on corners: what big_vision does, by
 *               scipy.ndimage.zoom with order 1
 *   kernel      FlexiViT's PI-resize: with R the bilinear resize of a patch (pixel
 *               centres at half numbers, no antialiasing), w' = pinv(R^T) w, so that a
 *               patch that R has enlarged is embedded as it was before
 */
#ifndef STEP_RESIZE_H
#define STEP_RESIZE_H

#include <stdint.h>

/* y [to, to, C] from the positions x [from, from, C]. */
void resize_grid(float *y, const float *x, int64_t from, int64_t to, int64_t C);

/* y [to, to, C] from the kernel x [from, from, C], where C counts colours too.  About
 * from^3 + from to (from + to) C operations.
 */
void resize_kernel(float *y, const float *x, int from, int to, int64_t C);

/* r [to, from]: bilinear resize of a line of pixels. */
void resize_matrix(double *r, int from, int to);

#endif
