/* SPDX-License-Identifier: BSD-3-Clause */
/* Images from the bytes of pictures.
 *
 * A block makes BAND rows of an image, or a part of their columns; a thread has one
 * column and colour of it, and what that sees across does not change from row to row.
 * What a row sees is found once for the block.  Neighbours read neighbouring bytes, and
 * the few rows of a picture that are read again come from the caches.
 *
 * Weights are whole numbers, of which f32 rounds none: 2 n (or, with antialiasing, 2 m)
 * times what picture.h has is 2 n - |(2 j + 1) n - (2 i + 1) m|.  Only the sums are
 * rounded, and are divided by those of the weights in the end.
 */
#include "config.h"

#include "src/dev/cuda_view.cuh"

namespace {

enum { BAND = 16 };

/* What a place sees of an axis: 'count' pixels from 'first' on; pixel k of them weighs
 * reach - |begin + k step|, and all together 'sum'.
 */
struct taps {
    int first, count, reach, begin, step;
    float sum;
};

/* Place 'i' of 'to', from 'from' pixels, of which it sees one at least: the nearest
 * one's centre is half a pixel away at most, or it is at the border.
 */
static __device__ taps taps_of(int i, int from, int to, bool is_smooth)
{
    const int64_t reach  = 2 * (int64_t)(is_smooth && from > to ? from : to);
    const int64_t middle = (2 * (int64_t)i + 1) * from - to, step = 2 * (int64_t)to;
    const int64_t lo   = middle - reach < 0 ? 0 : (middle - reach) / step + 1;
    const int64_t most = (middle + reach - 1) / step;
    const int64_t hi   = most < from - 1 ? most : from - 1;
    taps t             = { (int)lo,    (int)(hi - lo + 1),
                           (int)reach, (int)(lo * step - middle),
                           (int)step,  0.0F };
    int64_t sum        = 0;

    for (int k = 0; k < t.count; k++)
        sum += reach - llabs((long long)t.begin + k * step);
    t.sum = (float)sum;
    return t;
}

static __device__ __forceinline__ float weight_of(const taps &t, int k)
{
    return (float)(t.reach - abs(t.begin + k * t.step));
}

/* A picture as a thread looks at it. */
struct look {
    const char *at;
    dev_picture p;
    taps across;
};

static __device__ void open_look(look &l, const dev_picture *p, const char *bytes,
                                 int image, int x)
{
    l.p  = *p;
    l.at = bytes + p->first;
    if (!p->is_image)
        l.across = taps_of(p->x + (p->is_flipped ? image - 1 - x : x), p->width,
                           p->to_width, p->is_smooth);
}

static __device__ float value_of(const look &l, const taps &down, int image, int y,
                                 int v)
{
    const int64_t stride = 3 * (int64_t)l.p.width;
    const uint8_t *row;
    float sum = 0.0F;

    if (l.p.is_image)
        return ((const float *)l.at)[(int64_t)y * 3 * image + v];
    row = (const uint8_t *)l.at + down.first * stride + 3 * l.across.first + v % 3;
    for (int i = 0; i < down.count; i++, row += stride) {
        float part = 0.0F;

        for (int j = 0; j < l.across.count; j++)
            part += weight_of(l.across, j) * (float)row[3 * j];
        sum += weight_of(down, i) * part;
    }
    return sum / (down.sum * l.across.sum) * (2 / 255.0F) - 1.0F;
}

/* Image r is of picture r or, with two looks, of r + 1 and the one before it.  Blocks
 * are numbered across an image, then down, then by images.
 */
template <int LOOKS>
static __global__ void view_pictures(view images, const dev_picture *list,
                                     const char *bytes, int image, int across,
                                     int bands, float own, float other)
{
    __shared__ taps down[LOOKS][BAND];
    const int64_t r = blockIdx.x / (unsigned)(across * bands);
    const int from  = (int)(blockIdx.x / (unsigned)across % (unsigned)bands) * BAND;
    const int v     = (int)(blockIdx.x % (unsigned)across * blockDim.x + threadIdx.x);
    const int rows  = image - from < BAND ? image - from : BAND;
    const bool has_value = v < 3 * image;
    const dev_picture *p = list + r + LOOKS - 1;
    look l[LOOKS];

    for (int t = (int)threadIdx.x; t < LOOKS * rows; t += (int)blockDim.x) {
        const dev_picture *q = p - t / rows;

        if (!q->is_image)
            down[t / rows][t % rows] =
                taps_of(q->y + from + t % rows, q->height, q->to_height, q->is_smooth);
    }
#pragma unroll
    for (int k = 0; k < LOOKS; k++)
        if (has_value)
            open_look(l[k], p - k, bytes, image, v / 3);
    __syncthreads();
    for (int y = 0; y < rows && has_value; y++) {
        float x = value_of(l[0], down[0][y], image, from + y, v);

        if constexpr (LOOKS == 2)
            x = own * x + other * value_of(l[1], down[1][y], image, from + y, v);
        put_one(images, r * images.ld + (int64_t)(from + y) * 3 * image + v, x);
    }
}

} /* namespace */

void cuda_view_pictures(struct dev_stream *s, struct mat images, struct mat there,
                        const struct dev_picture *list, int64_t count, int image,
                        double share)
{
    const view to         = view_of(images);
    const char *at        = (const char *)mat_ptr(there);
    const char *bytes     = at + dev_picture_list(count) - list->first;
    const dev_picture *of = (const dev_picture *)at;
    const int64_t across  = blocks_for(3 * (int64_t)image, BLOCK_THREADS);
    const int64_t bands   = blocks_for(image, BAND);

    launch(s, "view_pictures", count == to.rows ? view_pictures<1> : view_pictures<2>,
           (unsigned)(to.rows * bands * across), dim3(BLOCK_THREADS), 0, to, of, bytes,
           image, (int)across, (int)bands, (float)share, (float)(1.0 - share));
}
