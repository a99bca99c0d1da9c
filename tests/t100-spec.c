/* SPDX-License-Identifier: BSD-3-Clause */
/* Named shapes, options and what they refuse, and a rank's share of everything. */
#include "config.h"

#include "src/plan/spec.h"

#include "src/base/err.h"
#include "tests/tap.h"

#include <string.h>

static const struct spec_options any = { .wiring = -1, .qk_norm = -1 };

static struct spec_options shaped(const char *shape)
{
    struct spec_options o = any;

    o.shape = shape;
    return o;
}

static void refused(const struct spec_options *o, int code, const char *says,
                    const char *what)
{
    struct spec s = { .C = 77 };
    const int rc  = spec_make(&s, o);

    ok(rc == code && err_sentence() != NULL && strstr(err_sentence(), says) != NULL,
       "%s is %s, and the sentence says '%s'", what, err_name(code), says);
    ok(s.C == 77, "%s leaves the result alone", what);
    if (err_sentence() != NULL)
        tap_note("%s", err_sentence());
    err_forget();
}

static void bad_options(void)
{
    const char *const bad[] = { "ViT",
                                "",
                                "608",
                                "608/10/928",
                                "1/2/3/4/5",
                                "608/10/928/",
                                "a/1/1/1",
                                "8 /1/8/1",
                                " 8/1/8/1",
                                "8/1/8/1 ",
                                "1e3/1/1/1",
                                "G-OPT",
                                "99999999999999999999/1/1/1" };
    struct spec_options o;

    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        o = shaped(bad[i]);
        refused(&o, ERR_USAGE, "neither", bad[i]);
    }
    o = shaped(NULL);
    refused(&o, ERR_USAGE, "neither", "no shape");
    o = shaped("0/1/8/1");
    refused(&o, ERR_SHAPE, "at least 1", "a width of 0");
    o = shaped("8/-1/8/1");
    refused(&o, ERR_SHAPE, "at least 1", "a depth of -1");
    o = shaped("8/1/8000000/1");
    refused(&o, ERR_SHAPE, "at most", "an MLP of eight million");
    o = shaped("50/2/70/4");
    refused(&o, ERR_SHAPE, "50 cannot be divided into 4 heads", "C = 50 with H = 4");
    o       = shaped("mu");
    o.image = 15;
    refused(&o, ERR_SHAPE, "smaller than a patch of 16", "an image of 15 pixels");
    o.image = 100000;
    refused(&o, ERR_SHAPE, "image", "an image of 100000 pixels");
    o        = shaped("So400m");
    o.layers = 28;
    refused(&o, ERR_SHAPE, "has 27 blocks", "a slice deeper than the shape");
    o         = shaped("So400m");
    o.classes = INT64_C(5000000000);
    refused(&o, ERR_SHAPE, "classes", "five thousand million classes");
}

static void named_shapes(void)
{
    int count;
    const struct shape *shape = spec_shapes(&count);

    ok(count == 15, "there are fifteen named shapes");
    for (int i = 0; i < count; i++) {
        const struct spec_options o = shaped(shape[i].name);
        struct spec s;

        ok(spec_make(&s, &o) == 0 && spec_shape(shape[i].name) == &shape[i] &&
               strcmp(s.name, shape[i].name) == 0 && s.E * s.H == s.C &&
               s.L == shape[i].L,
           "%s is found by its name and complete", shape[i].name);
        ok((s.wiring == WIRING_PARALLEL) == (strcmp(s.name, "22B") == 0) &&
               s.qk_norm == (s.wiring == WIRING_PARALLEL),
           "%s has the paper's wiring", shape[i].name);
    }
    ok(spec_shape("so400M") == spec_shape("So400m") && spec_shape("MU") != NULL,
       "case does not matter where names are unlike");
    ok(spec_shape("g")->C == 1408 && spec_shape("G")->C == 1664,
       "case tells g and G apart");
}

static void completion(void)
{
    struct spec_options o = shaped("22B");
    struct spec s;

    ok(spec_make(&s, &o) == 0 && s.C == 6144 && s.E == 128 && s.T == 256 &&
           s.N == 256 && s.P == 588 && s.K == 1000 && s.L == 48 && s.L_full == 48 &&
           s.norm == NORM_RMS && s.pool == POOL_MAP && s.loss == LOSS_SIGMOID &&
           s.gelu == GELU_TANH,
       "22B as it stands");
    o.layers = 1;
    ok(spec_make(&s, &o) == 0 && s.L == 1 && s.L_full == 48,
       "a slice keeps the shape's own depth");
    o.wiring  = WIRING_SEQUENTIAL;
    o.qk_norm = 0;
    ok(spec_make(&s, &o) == 0 && s.norm == NORM_LAYER && !s.qk_norm,
       "wiring and QK-norm of a named shape can be changed, the norm follows");

    o = shaped("608/10/928/16");
    ok(spec_make(&s, &o) == 0 && s.C == 608 && s.L == 10 && s.F == 928 && s.H == 16 &&
           s.E == 38 && s.patch == 14 && s.wiring == WIRING_SEQUENTIAL && !s.qk_norm &&
           strcmp(s.name, "608/10/928/16") == 0,
       "the centre of the sweep is a shape");
    o.wiring = WIRING_PARALLEL;
    ok(spec_make(&s, &o) == 0 && s.norm == NORM_RMS && !s.qk_norm,
       "a free shape can be parallel without QK-norm");

    o      = shaped("B");
    o.pool = POOL_CLS;
    ok(spec_make(&s, &o) == 0 && s.patch == 16 && s.T == 196 && s.N == 197,
       "B has patches of 16, and a class token is one row more");
    o.image = 384;
    o.patch = 14;
    ok(spec_make(&s, &o) == 0 && s.T == 27 * 27,
       "pixels beyond the last whole patch are not seen");
}

static void shares(void)
{
    struct spec_options o = shaped("50/2/70/5");
    struct spec s;
    struct local l;
    int64_t c = 0, h = 0, f = 0, k = 0, rows = 0;

    o.classes = 2;
    o.pool    = POOL_CLS;
    o.image   = 42;
    ok(spec_make(&s, &o) == 0 && s.N == 10, "a shape in which nothing divides");
    for (int m = 0; m < 3; m++) {
        spec_local(&l, &s, 7, 2, 3, 1, m);
        ok(l.c.lo == c && l.h.lo == h && l.f.lo == f && l.k.lo == k &&
               l.A_l == l.H_l * 10 && l.B_l == 3 && l.b.lo == 4 && l.rows == 30,
           "the share of model rank %d starts where the last one ended", m);
        c += l.C_l;
        h += l.H_l;
        f += l.F_l;
        k += l.K_l;
    }
    ok(c == 50 && h == 5 && f == 70 && k == 2 && l.K_l == 0,
       "the shares are the whole, and one of them may be empty");
    for (int d = 0; d < 4; d++) {
        spec_local(&l, &s, 7, 4, 1, d, 0);
        rows += l.rows;
    }
    ok(rows == 70, "the images of all data ranks are the batch");
}

static void meshes(void)
{
    const struct spec_options o = shaped("50/2/70/5"), narrow = shaped("50/2/3/5");
    struct spec s;

    spec_make(&s, &o);
    ok(spec_check_mesh(&s, 8, 1, 5) == 0, "a head to every model rank");
    ok(spec_check_mesh(&s, 8, 1, 6) == ERR_SHAPE, "more model ranks than heads");
    spec_make(&s, &narrow);
    ok(spec_check_mesh(&s, 2, 2, 3) == 0, "a mesh that goes is accepted");
    ok(spec_check_mesh(&s, 1, 2, 1) == ERR_SHAPE, "fewer images than data ranks");
    ok(spec_check_mesh(&s, 8, 1, 4) == ERR_SHAPE, "more model ranks than MLP columns");
    ok(spec_check_mesh(&s, 8, 0, 4) == ERR_SHAPE, "a mesh without ranks");
    ok(spec_check_mesh(&s, -1, 1, 1) == ERR_SHAPE, "a negative batch");
    spec_make(&s,
              &(struct spec_options){ .shape = "22B", .wiring = -1, .qk_norm = -1 });
    ok(spec_check_mesh(&s, 65536, 1, 8) == 0 &&
           spec_check_mesh(&s, 10000000, 1, 8) == ERR_SHAPE &&
           strstr(err_sentence(), "too large to be counted") != NULL,
       "more bytes than 64 bits count");
    err_forget();
}

static void list(void)
{
    char line[256];
    int longest = 0, lines = 0;
    FILE *out = tmpfile();

    spec_list(out);
    rewind(out);
    for (; fgets(line, sizeof line, out) != NULL; lines++) {
        if ((int)strcspn(line, "\n") > longest)
            longest = (int)strcspn(line, "\n");
    }
    fclose(out);
    ok(lines > 15 && longest <= 80, "the list of shapes fits into 80 columns");
}

int main(void)
{
    bad_options();
    named_shapes();
    completion();
    shares();
    meshes();
    list();
    return tap_done();
}
