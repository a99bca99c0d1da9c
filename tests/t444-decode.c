/* SPDX-License-Identifier: BSD-3-Clause */
/* JPEG and PNG: what is decoded is what was encoded; what is damaged, cut off or of
 * another kind is refused with a sentence.
 */
#include "config.h"

#include "src/data/decode.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "tests/asan.h"
#include "tests/tap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { HEIGHT = 37, WIDTH = 53, BYTES = 3 * HEIGHT * WIDTH };

static uint8_t rgb[BYTES];

/* Smooth, so that JPEG keeps it. */
static void paint(void)
{
    for (int y = 0; y < HEIGHT; y++) {
        for (int x = 0; x < WIDTH; x++) {
            uint8_t *at = rgb + 3 * (y * WIDTH + x);

            at[0] = (uint8_t)(4 * x);
            at[1] = (uint8_t)(6 * y);
            at[2] = (uint8_t)(255 - 2 * x - 3 * y);
        }
    }
}

static int largest_difference(struct pixels p, int first)
{
    int most = 0;

    for (int i = 0; i < 3 * p.height * p.width; i++) {
        const int off = abs((int)p.rgb[i] - (int)rgb[3 * first * WIDTH + i]);

        most = off > most ? off : most;
    }
    return most;
}

/* ---- memory ---------------------------------------------------------------------- */

static int64_t left = -1; /* blocks until one is not to be had; -1: all are */

#if defined(__GLIBC__) && !defined(HAS_ASAN)
enum { CAN_FAIL = 1 };

void *__libc_malloc(size_t size);
void *__libc_memalign(size_t align, size_t size);

static bool is_short(void)
{
    if (left < 0)
        return false;
    return left-- == 0;
}

void *malloc(size_t size)
{
    return is_short() ? NULL : __libc_malloc(size);
}

void *aligned_alloc(size_t align, size_t size)
{
    return is_short() ? NULL : __libc_memalign(align, size);
}
#else
enum { CAN_FAIL = 0 };
#endif

/* Whichever block is not to be had, the file is not taken for a damaged one. */
static void test_memory(const char *name, const void *file, size_t size)
{
    int64_t n = 0, wrong = 0;
    bool is_met;

    if (!CAN_FAIL)
        return;
    do {
        struct decode_room room = { 0 };
        struct pixels p;
        int h, w, rc;

        left = n++;
        rc   = decode_size(&h, &w, file, size);
        if (rc == 0)
            rc = decode_rows(&p, &room, file, size, 0, HEIGHT);
        is_met = left < 0;
        left   = -1;
        decode_free(&room);
        if (rc == ERR_DATA) {
            tap_note("block %lld: %s", (long long)n, err_sentence());
            wrong++;
        }
        err_forget();
    } while (is_met);
    ok(wrong == 0 && n > 4, "%s without memory is not taken for damaged", name);
}

/* ---- one format ------------------------------------------------------------------ */

struct format {
    const char *name, *damaged;
    enum decode_kind kind;
    int tolerance;
    size_t tail; /* bytes after the picture's own: they may be missing */
};

static int encode(struct decode_room *room, size_t *size, const struct format *f)
{
    const struct pixels p = { rgb, HEIGHT, WIDTH };

    return f->kind == DECODE_JPEG ? encode_jpeg(room, size, p, 95)
                                  : encode_png(room, size, p);
}

static void test_whole(const struct format *f, const struct decode_room *file,
                       size_t size)
{
    struct decode_room room = { 0 };
    struct pixels p         = { 0 };
    int h = 0, w = 0, worst = 0;

    ok(decode_kind(file->bytes, size) == f->kind, "%s is known by its first bytes",
       f->name);
    ok(decode_size(&h, &w, file->bytes, size) == 0 && h == HEIGHT && w == WIDTH,
       "%s: its sides are read from its head", f->name);
    ok(decode_rows(&p, &room, file->bytes, size, 0, HEIGHT) == 0 &&
           p.height == HEIGHT && p.width == WIDTH &&
           largest_difference(p, 0) <= f->tolerance,
       "%s: its pixels come back", f->name);
    for (int first = 0; first < HEIGHT; first += 5) {
        for (int last = first + 1; last <= HEIGHT; last += 7) {
            if (decode_rows(&p, &room, file->bytes, size, first, last) != 0 ||
                p.height != last - first || largest_difference(p, first) > f->tolerance)
                worst++;
        }
    }
    ok(worst == 0, "%s: and so does any range of rows", f->name);
    ok(tap_says(decode_rows(&p, &room, file->bytes, size, 3, 3), ERR_DATA, "no rows") &&
           tap_says(decode_rows(&p, &room, file->bytes, size, 0, HEIGHT + 1), ERR_DATA,
                    "no rows"),
       "%s: rows that are not there are refused", f->name);
    decode_free(&room);
}

/* Every shorter file is refused, and none makes trouble. */
static void test_cut(const struct format *f, const struct decode_room *file,
                     size_t size)
{
    struct decode_room room = { 0 };
    struct pixels p;
    int decoded = 0;
    void *copy;

    for (size_t n = 0; n + f->tail < size; n++) {
        if (mem_alloc(&copy, n) != 0)
            abort();
        memcpy(copy, file->bytes, n); /* so that reading on would be seen */
        decoded += decode_rows(&p, &room, copy, n, 0, HEIGHT) == 0;
        mem_free(copy);
    }
    ok(decoded == 0, "%s: all %zu files cut short are refused", f->name,
       size - f->tail);
    err_forget();
    decode_free(&room);
}

static void test_damaged(const struct format *f, const struct decode_room *file,
                         size_t size)
{
    struct decode_room room = { 0 };
    struct pixels p;
    unsigned char *copy = mem_new(size, 1);
    int refused         = 0;

    memcpy(copy, file->bytes, size);
    memset(copy + size / 2, 0xff, size / 4);
    ok(tap_says(decode_rows(&p, &room, copy, size, 0, HEIGHT), ERR_DATA, f->damaged),
       "%s: a damaged one is refused", f->name);
    for (uint64_t i = 0; i < 2000; i++) {
        const uint64_t r = rng_bits(1, RNG_TEST, i);
        const size_t at  = r % size;
        const int bit    = r >> 60;

        memcpy(copy, file->bytes, size);
        copy[at] ^= (unsigned char)(1 << (bit % 8));
        refused += decode_rows(&p, &room, copy, size, 0, HEIGHT) != 0;
    }
    ok(refused > 0, "%s: of 2000 with one bit wrong %d are refused, all end", f->name,
       refused);
    err_forget();
    mem_free(copy);
    decode_free(&room);
}

static void test_format(const struct format *f)
{
    struct decode_room file = { 0 };
    size_t size             = 0;
    const int rc            = encode(&file, &size, f);

    if (rc == ERR_ENV) {
        tap_skip(f->name, err_sentence());
        err_forget();
        return;
    }
    ok(rc == 0 && size > 100, "%s: a picture is encoded", f->name);
    test_whole(f, &file, size);
    test_cut(f, &file, size);
    test_damaged(f, &file, size);
    test_memory(f->name, file.bytes, size);
    decode_free(&file);
}

/* ---- files ----------------------------------------------------------------------- */

/* Read tests/data/NAME and decode it; false, with the sentence kept, if it cannot be.
 * 'rows' tells whether some of its rows alone are those of the whole.
 */
static bool open_sample(struct pixels *p, struct decode_room *room, bool *rows,
                        const char *name)
{
    char path[1024];
    unsigned char *bytes    = mem_new(1 << 16, 1);
    const char *folder      = getenv("srcdir");
    struct decode_room some = { 0 };
    struct pixels part;
    FILE *file;
    size_t size = 0;
    int h, w, rc;

    snprintf(path, sizeof path, "%s/tests/data/%s", folder != NULL ? folder : ".",
             name);
    file = fopen(path, "rb");
    if (file != NULL) {
        size = fread(bytes, 1, 1 << 16, file);
        fclose(file);
    }
    rc = decode_size(&h, &w, bytes, size);
    if (rc == 0)
        rc = decode_rows(p, room, bytes, size, 0, h);
    if (rc == 0)
        rc = decode_rows(&part, &some, bytes, size, 5, 11);
    if (rc == 0)
        *rows = part.height == 6 &&
                memcmp(part.rgb, p->rgb + 3 * 5 * (size_t)w, 3 * 6 * (size_t)w) == 0;
    decode_free(&some);
    mem_free(bytes);
    if (rc != 0)
        tap_note("%s: %s", path, err_sentence());
    return rc == 0;
}

/* The same picture, 24 x 16, in the kinds of files that a folder of images may hold:
 * its left third is red, the middle green, the right blue; grey ones have three greys.
 */
static void test_samples(void)
{
    static const struct {
        const char *name;
        int colour[3][3];
        int tolerance;
    } sample[] = {
#ifdef HAVE_JPEG
        { "bars.jpg", { { 255, 0, 0 }, { 0, 255, 0 }, { 0, 0, 255 } }, 8 },
        { "bars-progressive.jpg", { { 255, 0, 0 }, { 0, 255, 0 }, { 0, 0, 255 } }, 8 },
        { "bars-cmyk.jpg", { { 255, 0, 0 }, { 0, 255, 0 }, { 0, 0, 255 } }, 8 },
        { "bars-grey.jpg",
          { { 50, 50, 50 }, { 150, 150, 150 }, { 250, 250, 250 } },
          4 },
#endif
#ifdef HAVE_PNG
        { "bars.png", { { 255, 0, 0 }, { 0, 255, 0 }, { 0, 0, 255 } }, 0 },
        { "bars-palette.png", { { 255, 0, 0 }, { 0, 255, 0 }, { 0, 0, 255 } }, 0 },
        { "bars-16bit.png", { { 255, 0, 0 }, { 0, 255, 0 }, { 0, 0, 255 } }, 0 },
        { "bars-grey.png",
          { { 50, 50, 50 }, { 150, 150, 150 }, { 250, 250, 250 } },
          0 },
        { "bars-clear.png", { { 255, 255, 255 }, { 0, 255, 0 }, { 0, 0, 255 } }, 0 },
#endif
        { NULL, { { 0 } }, 0 },
    };

    for (int i = 0; sample[i].name != NULL; i++) {
        struct decode_room room = { 0 };
        struct pixels p         = { 0 };
        bool rows               = false;
        int worst               = 0;

        if (!ok(open_sample(&p, &room, &rows, sample[i].name) && p.height == 16 &&
                    p.width == 24,
                "%s is read", sample[i].name)) {
            err_forget();
            continue;
        }
        for (int bar = 0; bar < 3; bar++) {
            const uint8_t *at = p.rgb + 3 * (8 * 24 + 8 * bar + 4);

            for (int c = 0; c < 3; c++)
                worst = abs(at[c] - sample[i].colour[bar][c]) > worst
                            ? abs(at[c] - sample[i].colour[bar][c])
                            : worst;
        }
        if (!ok(worst <= sample[i].tolerance, "%s has its colours", sample[i].name))
            tap_note("off by %d", worst);
        ok(rows, "%s: some rows are those of the whole", sample[i].name);
        decode_free(&room);
    }
}

/* Between black and white, rows and columns alike: 16 bits that the file does not call
 * linear, interlaced.
 */
static void test_ramp(void)
{
#ifdef HAVE_PNG
    struct decode_room room = { 0 };
    struct pixels p         = { 0 };
    bool rows               = false;
    int wrong               = 0;

    if (ok(open_sample(&p, &room, &rows, "ramp-16bit.png") && p.height == 16 &&
               p.width == 24 && rows,
           "an interlaced picture of 16 bits is read")) {
        for (int i = 0; i < 16 * 24; i++) {
            const int x = i % 24, y = i / 24;
            const uint8_t *at = p.rgb + 3 * i;

            wrong += at[0] != 10 * x || at[1] != 15 * y || at[2] != 200 - 5 * x - 2 * y;
        }
        if (!ok(wrong == 0, "its numbers are those of 8 bits"))
            tap_note("%d pixels are not", wrong);
    }
    err_forget();
    decode_free(&room);
#endif
}

/* ---- others ---------------------------------------------------------------------- */

static void test_foreign(void)
{
    static const unsigned char large[] = {
        /* a PNG's head: 100000 x 100000 */
        0x89, 'P',  'N', 'G', '\r', '\n', 0x1a, '\n', 0,    0, 0,
        13,   'I',  'H', 'D', 'R',  0,    1,    0x86, 0xa0, 0, 1,
        0x86, 0xa0, 8,   2,   0,    0,    0,    0,    0,    0, 0,
    };
    struct decode_room room = { 0 };
    struct pixels p;
    int h, w;

    ok(tap_says(decode_size(&h, &w, "GIF89a....", 10), ERR_DATA,
                "neither JPEG nor PNG") &&
           tap_says(decode_rows(&p, &room, "text", 4, 0, 1), ERR_DATA,
                    "neither JPEG nor PNG") &&
           tap_says(decode_size(&h, &w, "", 0), ERR_DATA, "neither JPEG nor PNG"),
       "other files are refused");
    ok(decode_size(&h, &w, large, sizeof large) != 0,
       "so is a picture of 10^10 pixels");
    err_forget();
    decode_free(&room);
}

int main(void)
{
    static const struct format formats[] = {
        { "JPEG", "damaged JPEG", DECODE_JPEG, 12, 2 },
        { "PNG", "damaged PNG", DECODE_PNG, 0, 16 }
    };

    paint();
    for (int i = 0; i < 2; i++)
        test_format(&formats[i]);
    test_samples();
    test_ramp();
    test_foreign();
    return tap_done();
}
