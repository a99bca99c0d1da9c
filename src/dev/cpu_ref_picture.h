/* SPDX-License-Identifier: BSD-3-Clause */
/* Pictures, as picture.h defines their images: a part of cpu_ref_real.h. */

/* How much place 'i' of 'to' sees of pixel 'j' of 'from'. */
static double ref_weight(int i, int j, int from, int to, bool is_smooth)
{
    const double scale = (double)from / to;
    const double r     = is_smooth && scale > 1.0 ? scale : 1.0;
    const double w     = 1.0 - fabs(j + 0.5 - (i + 0.5) * scale) / r;

    return w > 0.0 ? w : 0.0;
}

/* Colour 'c' in row 'y' and column 'x' of the image. */
static double ref_view(const struct dev_picture *p, const void *bytes, int image, int y,
                       int x, int c)
{
    const uint8_t *rgb  = bytes;
    const float *number = bytes;
    const int across    = p->is_flipped ? image - 1 - x : x;
    double sum = 0.0, weights = 0.0;

    if (p->is_image)
        return number[((int64_t)y * image + x) * 3 + c];
    for (int i = 0; i < p->height; i++) {
        const double down =
            ref_weight(p->y + y, i, p->height, p->to_height, p->is_smooth);

        for (int j = 0; down > 0.0 && j < p->width; j++) {
            const double w = down * ref_weight(p->x + across, j, p->width, p->to_width,
                                               p->is_smooth);

            sum += w * rgb[((int64_t)i * p->width + j) * 3 + c];
            weights += w;
        }
    }
    return sum / weights / 127.5 - 1.0;
}

static void ref_view_pictures(struct dev_stream *s, struct mat images, struct mat there,
                              const struct dev_picture *list, int64_t count, int image,
                              double share)
{
    const int64_t mixed         = count - images.rows;
    const struct dev_picture *p = (const struct dev_picture *)mat_ptr(there) + mixed;
    const char *bytes =
        (const char *)mat_ptr(there) + dev_picture_list(count) - list->first;

    (void)s;
    for (int64_t r = 0; r < images.rows; r++, p++) {
        for (int64_t v = 0; v < images.cols; v++) {
            const int y = (int)(v / 3 / image), x = (int)(v / 3 % image);
            const int c = (int)(v % 3);
            double z    = ref_view(p, bytes + p->first, image, y, x, c);

            if (mixed == 1)
                z = share * z + (1.0 - share) * ref_view(p - 1, bytes + p[-1].first,
                                                         image, y, x, c);
            at(images, r)[v] = (REAL)z;
        }
    }
}
