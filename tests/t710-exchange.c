/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1 */
/* Models of timm and of big_vision: imported, they have the logits that those programs
 * computed (tests/data/exchange.py); exported and imported again, they have the same
 * bits.  A writer that is killed leaves nothing for good.
 */
#include "config.h"

#include "src/exchange/transfer.h"

#include "ckpt/file.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/exchange/foreign.h"
#include "src/step/state.h"
#include "src/step/stored.h"
#include "tests/model.h"
#include "tests/ranks.h"
#include "tests/scratch.h"

#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { AUTO, TANH, EXACT }; /* --gelu */

static const struct family {
    const char *name, *ending;
    int asked, gelu; /* for the import; what it is */
} families[] = {
    { "cls", "safetensors", AUTO, EXACT }, { "gap", "safetensors", AUTO, EXACT },
    { "map", "safetensors", TANH, TANH },  { "qk", "safetensors", AUTO, EXACT },
    { "jax", "npz", AUTO, TANH },          { "22b", "npz", AUTO, TANH },
};

static FILE *none;

/* A file of the folder; a file of the tests' data. */
static const char *at(char path[CKPT_PATH], const char *name)
{
    snprintf(path, CKPT_PATH, "%s", scratch_path(name));
    return path;
}

static const char *data(char path[CKPT_PATH], const char *name, const char *ending)
{
    const char *source = getenv("srcdir");

    snprintf(path, CKPT_PATH, "%s/tests/data/exchange-%s.%s",
             source != NULL ? source : ".", name, ending);
    return path;
}

static struct exchange_options options(int gelu)
{
    return (
        struct exchange_options){ .shape = "40/2/72/4", .gelu = gelu, .head = true };
}

/* An array of the file of expected values; mem_free(). */
static double *expected(const char *name, int64_t *size)
{
    char path[CKPT_PATH];
    struct foreign *f = NULL;
    const struct array *a;
    float *x;
    double *all;

    if (foreign_open(&f, data(path, "expected", "safetensors")) != 0)
        die("%s", err_sentence());
    a   = foreign_find(f, name);
    x   = mem_new((size_t)a->elements, sizeof *x);
    all = mem_new((size_t)a->elements, sizeof *all);
    if (foreign_read(x, f, a, 0, a->elements) != 0)
        die("%s", err_sentence());
    for (int64_t i = 0; i < a->elements; i++)
        all[i] = x[i];
    *size = a->elements;
    mem_free(x);
    foreign_close(&f);
    return all;
}

/* ---- logits ---------------------------------------------------------------------- */

/* The largest difference between the model's logits and those expected. */
static double difference(struct model *m, struct buf *memory, const char *name)
{
    int64_t pixels, n;
    double *images = expected("images", &pixels), *wanted = expected(name, &n);
    double *got = mem_new((size_t)n, sizeof *got), worst = 0;
    const struct mat inputs = mat_at(memory, DTYPE_F32, 0, 3, pixels / 3);
    const struct mat none   = mat_at(memory, DTYPE_F32, pixels, 3, n / 3);

    model_put(m, inputs, images);
    dev_fill(dev_stream(m->dev, LANE_COMPUTE), none, 0);
    vit_forward(m->vit, inputs, none);
    model_get(m, got, vit_logits(m->vit));
    for (int64_t i = 0; i < n; i++)
        worst = tap_worse(worst, fabs(got[i] - wanted[i]));
    mem_free(images);
    mem_free(wanted);
    mem_free(got);
    return worst;
}

/* The same of the checkpoint 'path', on 'device'. */
static double run(const struct family *f, const char *device, const char *path)
{
    const struct vit_options o = { .B = 3, .form = CMM_PLAIN };
    struct model m             = { 0 };
    struct ckpt_file *file     = NULL;
    struct buf memory;
    double off;

    if (file_open(&file, path) != 0 || stored_spec(&m.spec, file) != 0 ||
        mesh_open(&m.mesh, MPI_COMM_WORLD, 1, 1) != 0 ||
        dev_open(&m.dev, device, DTYPE_F32, 1) != 0 ||
        vit_open(&m.vit, &m.spec, m.mesh, m.dev, &o) != 0 ||
        dev_alloc(&memory, m.dev, 1 << 20) != 0 || state_load(m.vit, NULL, path) != 0)
        die("%s: %s", path, err_sentence());
    off = difference(&m, &memory, f->name);
    dev_free(&memory);
    vit_close(&m.vit);
    dev_close(&m.dev);
    mesh_close(&m.mesh);
    file_close(&file);
    return off;
}

static void test_logits(const struct family *f, const char *device, const char *path)
{
    const double off = run(f, device, path);

    ok(off < 1e-4, "%s on %s: the logits are those of its program", f->name, device);
    tap_note("%s, %s: largest difference of a logit %.2g", f->name, device, off);
}

/* The other form of GELU is seen. */
static void test_gelu(const struct family *f, const char *from)
{
    const struct exchange_options o = options(f->gelu == TANH ? EXACT : TANH);
    char path[CKPT_PATH];

    ok(transfer_import(none, at(path, "other.h5"), from, &o) == 0 &&
           run(f, "cpu:ref", path) > 1e-4,
       "%s: with the other GELU they are not", f->name);
}

/* ---- there and back -------------------------------------------------------------- */

/* The same tensors, bit for bit, and the same model. */
static bool are_same(const char *a, const char *b)
{
    struct ckpt_file *fa = NULL, *fb = NULL;
    bool is_same = file_open(&fa, a) == 0 && file_open(&fb, b) == 0 &&
                   fa->entries == fb->entries &&
                   json_equal(fa->meta.options, fb->meta.options) != 0;

    for (int i = 0; is_same && i < fa->entries; i++)
        is_same = strcmp(fa->entry[i].name, fb->entry[i].name) == 0 &&
                  fa->entry[i].digest == fb->entry[i].digest;
    file_close(&fa);
    file_close(&fb);
    return is_same;
}

/* Export 'path' into a file of that name, and import that. */
static bool comes_back(const char *path, const char *name, bool is_scan, int gelu)
{
    struct exchange_options o = options(gelu);
    char there[CKPT_PATH], back[CKPT_PATH];
    int rc;

    o.scan = is_scan;
    rc     = transfer_export(none, at(there, name), path, &o);
    if (rc == 0)
        rc = transfer_import(none, at(back, "back.h5"), there, &o);
    if (rc != 0)
        tap_note("%s", err_sentence());
    return rc == 0 && are_same(path, back);
}

/* Arrays of two files of the same names are the same numbers as f32. */
static bool have_same_arrays(const char *a, const char *b)
{
    struct foreign *fa = NULL, *fb = NULL;
    bool is_same = foreign_open(&fa, a) == 0 && foreign_open(&fb, b) == 0 &&
                   fa->arrays == fb->arrays;

    for (int i = 0; is_same && i < fa->arrays; i++) {
        const struct array *x = &fa->array[i], *y = foreign_find(fb, x->name);
        float *of_x = mem_new((size_t)x->elements, sizeof *of_x);
        float *of_y = mem_new((size_t)x->elements, sizeof *of_y);

        is_same = y != NULL && y->elements == x->elements && y->dims == x->dims &&
                  memcmp(x->size, y->size, sizeof x->size) == 0 &&
                  foreign_read(of_x, fa, x, 0, x->elements) == 0 &&
                  foreign_read(of_y, fb, y, 0, x->elements) == 0 &&
                  memcmp(of_x, of_y, (size_t)x->elements * sizeof *of_x) == 0;
        mem_free(of_x);
        mem_free(of_y);
    }
    foreign_close(&fa);
    foreign_close(&fb);
    return is_same;
}

static void test_family(const struct family *f)
{
    const struct exchange_options o = options(f->asked);
    const bool is_timm              = strcmp(f->ending, "safetensors") == 0;
    const bool has_place            = strcmp(f->name, "cls") == 0;
    char from[CKPT_PATH], path[CKPT_PATH], there[CKPT_PATH];
    int rc;

    rc =
        transfer_import(none, at(path, "first.h5"), data(from, f->name, f->ending), &o);
    if (!ok(rc == 0, "%s is imported", f->name)) {
        tap_note("%s", err_sentence());
        return;
    }
    test_logits(f, "cpu:ref", path);
#ifdef HAVE_BLIS
    test_logits(f, "cpu:blis", path);
#endif
    test_gelu(f, from);
#ifdef HAVE_LIBZIP
    ok(comes_back(path, "a.npz", false, f->gelu), "%s: through .npz and back", f->name);
    ok(comes_back(path, "b.npz", true, f->gelu), "%s: through stacked blocks and back",
       f->name);
#endif
    if (strcmp(f->name, "22b") == 0) {
        ok(have_same_arrays(from, at(there, "b.npz")),
           "%s: the same arrays are exported as were imported", f->name);
        ok(transfer_export(none, at(there, "none.safetensors"), path, &o) == ERR_DATA &&
               strstr(err_sentence(), "timm has none") != NULL &&
               access(there, F_OK) != 0,
           "%s has no place in timm", f->name);
        return;
    }
    ok(comes_back(path, "c.safetensors", false, f->gelu),
       "%s: through .safetensors and back", f->name);
    if (is_timm && strcmp(f->name, "qk") != 0)
        ok(have_same_arrays(from, at(there, "c.safetensors")) != has_place,
           "%s: the same arrays are exported as were imported%s", f->name,
           has_place ? ", but for the class token" : "");
}

#ifdef HAVE_LIBZIP
/* ---- the classifier -------------------------------------------------------------- */

static void test_head(void)
{
    struct exchange_options o = options(AUTO);
    char path[CKPT_PATH], from[CKPT_PATH], there[CKPT_PATH], back[CKPT_PATH];
    struct ckpt_file *f = NULL;
    struct spec s       = { 0 };

    o.head = false;
    ok(transfer_import(none, at(path, "first.h5"), data(from, "jax", "npz"), &o) == 0 &&
           transfer_export(none, at(there, "d.npz"), path, &o) == 0 &&
           transfer_import(none, at(back, "back.h5"), there, &o) == ERR_DATA &&
           strstr(err_sentence(), "'params/head/kernel' is missing") != NULL,
       "a model without its classifier is not imported as it is");
    o.classes = 21;
    ok(transfer_import(none, at(back, "back.h5"), there, &o) == 0 &&
           file_open(&f, back) == 0 && stored_spec(&s, f) == 0 && s.K == 21,
       "it gets a new one of so many classes");
    file_close(&f);
}

/* ---- the names of 2021 ----------------------------------------------------------- */

/* Arrays of the file as they were named and joined once. */
struct old {
    struct foreign *from;
    const struct array *source[64];
    struct array array[64];
    float *x;
};

static void rename_old(struct array *a, const char *name)
{
    static const char *const names[][2] = {
        { "params/", "opt/target/" },
        { "/pos_embedding", "/Transformer/posembed_input/pos_embedding" },
        { "HeadDotProductAttention_0", "HeadDotProductAttention_1" },
        { "LayerNorm_1", "LayerNorm_2" },
        { "MlpBlock_0", "MlpBlock_3" },
    };
    char rest[ARRAY_NAME];

    snprintf(a->name, sizeof a->name, "%s", name);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        char *at = strstr(a->name, names[i][0]);

        if (at == NULL)
            continue;
        strcpy(rest, at + strlen(names[i][0]));
        snprintf(at, sizeof a->name - (size_t)(at - a->name), "%s%s", names[i][1],
                 rest);
    }
}

/* The class token is half a token and half its position. */
static int old_more(void *ctx, const float **x, int64_t *n, int i, int64_t at)
{
    struct old *o           = ctx;
    const struct array *a   = o->source[i];
    const bool is_positions = strstr(a->name, "pos_embedding") != NULL;
    const bool is_cls       = strcmp(a->name, "params/cls") == 0;

    *x = o->x;
    if (is_positions && at == 0)
        a = foreign_find(o->from, "params/cls");
    if (foreign_read(o->x, o->from, a, 0, a->elements) != 0)
        return ERR_DATA;
    for (int64_t k = 0; (is_cls || (is_positions && at == 0)) && k < a->elements; k++)
        o->x[k] /= 2;
    *n = a->elements;
    return 0;
}

static void test_old(void)
{
    const struct exchange_options o = options(EXACT);
    char path[CKPT_PATH], from[CKPT_PATH], there[CKPT_PATH], back[CKPT_PATH];
    struct old old         = { .x = mem_new(1 << 20, sizeof(float)) };
    struct supply supply   = { .array = old.array, .more = old_more, .ctx = &old };
    struct array *position = NULL;

    if (transfer_import(none, at(path, "first.h5"), data(from, "cls", "safetensors"),
                        &o) != 0 ||
        transfer_export(none, at(there, "e.npz"), path, &o) != 0 ||
        foreign_open(&old.from, there) != 0)
        die("%s", err_sentence());
    for (int i = 0; i < old.from->arrays; i++) {
        old.source[i] = &old.from->array[i];
        old.array[i]  = old.from->array[i];
        rename_old(&old.array[i], old.source[i]->name);
        if (strstr(old.array[i].name, "pos_embedding") != NULL)
            position = &old.array[i];
        supply.count++;
    }
    position->size[1]++;
    position->elements += position->size[2];
    ok(foreign_write(at(there, "old.npz"), &supply, NULL) == 0 &&
           transfer_import(none, at(back, "back.h5"), there, &o) == 0 &&
           are_same(path, back),
       "the names of 2021, and a class token with a position, are understood");
    foreign_close(&old.from);
    mem_free(old.x);
}
#endif

/* ---- a model that cannot be trained ---------------------------------------------- */

enum { ROOM = 1 << 20 };

/* A file of the tests' data, less than ROOM bytes with zeros behind them. */
static unsigned char *read_data(size_t *bytes, const char *name)
{
    unsigned char *whole = mem_new(ROOM, 1);
    char from[CKPT_PATH];
    FILE *file = fopen(data(from, name, "safetensors"), "rb");

    *bytes = file != NULL ? fread(whole, 1, ROOM, file) : 0;
    if (*bytes == 0 || *bytes == ROOM || fclose(file) != 0)
        die("%s cannot be read", from);
    return whole;
}

static void write_data(char there[CKPT_PATH], const unsigned char *whole, size_t bytes)
{
    FILE *file = fopen(at(there, "not.safetensors"), "wb");

    if (file == NULL || fwrite(whole, 1, bytes, file) != bytes || fclose(file) != 0)
        die("%s cannot be written", there);
}

/* Norms of keys have no bias in our models: zeros of one are left out, and no more. */
static void test_bias(void)
{
    static const char name[]        = "\"blocks.1.attn.k_norm.bias\"";
    const struct exchange_options o = options(EXACT);
    const float one                 = 1;
    char there[CKPT_PATH], to[CKPT_PATH];
    size_t bytes, place;
    unsigned char *whole = read_data(&bytes, "qk");
    const char *entry    = strstr((char *)whole + 8, name);

    entry = entry != NULL ? strstr(entry, "\"data_offsets\":[") : NULL;
    if (entry == NULL)
        die("no %s", name);
    place =
        8 + whole[0] + 256 * (size_t)whole[1] + (size_t)atoll(strchr(entry, '[') + 1);
    memcpy(whole + place, &one, sizeof one);
    write_data(there, whole, bytes);
    ok(transfer_import(none, at(to, "not.h5"), there, &o) == ERR_DATA &&
           strstr(err_sentence(), "k_norm.bias: the model has no such bias") != NULL &&
           access(to, F_OK) != 0,
       "a bias that the model lacks is refused unless it is zero");
    err_forget();
    mem_free(whole);
}

/* The last number of the file is made infinite, or NaN. */
static void test_infinite(void)
{
    static const float last[2]       = { INFINITY, NAN };
    static const char *const what[2] = { "infinite", "NaN" };
    const struct exchange_options o  = options(EXACT);
    char there[CKPT_PATH], to[CKPT_PATH];

    for (int i = 0; i < 2; i++) {
        size_t bytes;
        unsigned char *whole = read_data(&bytes, "cls");

        memcpy(whole + bytes - sizeof last[i], &last[i], sizeof last[i]);
        write_data(there, whole, bytes);
        ok(transfer_import(none, at(to, "not.h5"), there, &o) == ERR_DATA &&
               strstr(err_sentence(), "' has a number that is ") != NULL &&
               strstr(err_sentence(), what[i]) != NULL && access(to, F_OK) != 0,
           "weights are refused that hold a number which is %s", what[i]);
        mem_free(whole);
    }
}

/* ---- a writer that is killed ----------------------------------------------------- */

static int give_one(void *ctx, const float **x, int64_t *n, int i, int64_t at)
{
    static const float one = 1;

    (void)ctx;
    (void)i;
    (void)at;
    *x = &one;
    *n = 1;
    return 0;
}

static int be_killed(void *ctx, const float **x, int64_t *n, int i, int64_t at)
{
    raise(SIGKILL);
    return give_one(ctx, x, n, i, at);
}

static int files_in(const char *folder)
{
    DIR *dir = opendir(folder);
    int n    = 0;

    if (dir == NULL)
        die("%s cannot be read", folder);
    while (readdir(dir) != NULL)
        n++;
    closedir(dir);
    return n;
}

/* What it leaves goes when the file is written anew. */
static void test_killed(const char *folder, const char *name)
{
    const struct array a = { .name = "a", .dims = 1, .size = { 1 }, .elements = 1 };
    struct supply supply = { .array = &a, .count = 1, .more = be_killed };
    const int before     = files_in(folder);
    char to[CKPT_PATH];
    pid_t child;
    int status;

    at(to, name);
    child = fork();
    if (child == 0) {
        (void)foreign_write(to, &supply, NULL);
        _exit(1);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        die("no child");
    ok(WIFSIGNALED(status) && files_in(folder) > before, "%s: its writer is killed",
       name);
    supply.more = give_one;
    ok(foreign_write(to, &supply, NULL) == 0 && files_in(folder) == before + 1,
       "of what it left nothing stays when the file is written anew");
}

int main(int argc, char **argv)
{
    const char *folder;

    ranks_open(&argc, &argv, "t710-exchange");
    none = fopen("/dev/null", "w");
    if (none == NULL)
        die("no /dev/null");
    folder = scratch_open();
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
#ifndef HAVE_LIBZIP
        if (strcmp(families[i].ending, "npz") == 0) {
            tap_skip(families[i].name, "there is no libzip");
            continue;
        }
#endif
        test_family(&families[i]);
    }
#ifdef HAVE_LIBZIP
    test_head();
    test_old();
    test_killed(folder, "killed.npz");
#endif
    test_bias();
    test_infinite();
    test_killed(folder, "killed.safetensors");
    fclose(none);
    return ranks_done();
}
