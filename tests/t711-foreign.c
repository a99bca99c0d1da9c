/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1 */
/* Files of other programs that lie about themselves, are cut off or damaged, or hold
 * another model: a sentence, never a number that is not in the file, and no output.
 */
#include "config.h"

#include "src/exchange/foreign.h"

#include "ckpt/file.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/exchange/transfer.h"
#include "tests/ranks.h"
#include "tests/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static const char *base, *path;
static FILE *none;

static void write_file(const void *bytes, size_t size)
{
    FILE *file = fopen(path, "wb");

    if (file == NULL || fwrite(bytes, 1, size, file) != size || fclose(file) != 0)
        die("%s cannot be written", path);
}

/* True if 'path' is refused as wrong data with these words. */
static bool is_refused(const char *words)
{
    struct foreign *f = NULL;
    const int rc      = foreign_open(&f, path);
    const char *said  = err_sentence() != NULL ? err_sentence() : "";
    const bool is     = rc == ERR_DATA && strstr(said, words) != NULL;

    if (!is)
        tap_note("%s: %s", err_name(rc), said);
    foreign_close(&f);
    err_forget();
    return is;
}

/* ---- safetensors ----------------------------------------------------------------- */

/* A header of these letters with 'bytes' bytes behind it. */
static void make_safetensors(const char *header, size_t bytes)
{
    const uint64_t n = strlen(header);
    char *file       = mem_new(8 + n + bytes, 1);

    memcpy(file, &n, 8);
    memcpy(file + 8, header, n);
    memset(file + 8 + n, 7, bytes);
    write_file(file, 8 + n + bytes);
    mem_free(file);
}

#define A(shape, lo_hi)                                                                \
    "\"a\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":" lo_hi "}"
#define B(name, type, lo_hi)                                                           \
    ",\"" name "\":{\"dtype\":\"" type "\",\"shape\":[2],\"data_offsets\":" lo_hi "}"

static const struct lie {
    const char *header;
    size_t bytes;
    const char *words; /* NULL: it is none */
} lies[] = {
    { "{" A("[2,3]", "[0,24]") B("b", "BF16", "[24,28]") "}", 28, NULL },
    { "{\"__metadata__\":{\"x\":\"y\"}," A("[]", "[0,4]") "}", 4, NULL },
    { "{\"__metadata__\":{\"x\":\"y\\u0000z\"}," A("[]", "[0,4]") "}", 4, NULL },
    { "{" A("[0,9223372036854775807]", "[0,0]") "}", 0, NULL },
    { "{}", 0, NULL },
    { "{" A("[2,3]", "[0,24]") B("b", "F32", "[20,28]") "}", 28, "overlaps" },
    { "{" A("[2,3]", "[0,24]") B("b", "F32", "[28,36]") "}", 36, "does not follow" },
    { "{" A("[2,3]", "[4,28]") "}", 28, "does not follow" },
    { "{" A("[2,3]", "[0,24]") "}", 25, "belong to no array" },
    { "{" A("[2,3]", "[0,24]") "}", 23, "beyond its end" },
    { "{" A("[2,3]", "[0,20]") "}", 20, "has 20 bytes, and its shape 24" },
    { "{" A("[2,3]", "[24,0]") "}", 24, "beyond its end" },
    { "{" A("[2,3]", "[-24,0]") "}", 24, "beyond its end" },
    { "{" A("[-2,-3]", "[0,24]") "}", 24, "negative size" },
    { "{" A("[1099511627776,1099511627776]", "[0,24]") "}", 24,
      "larger than its file" },
    { "{" A("[4294967296,4294967296]", "[0,0]") "}", 0, "larger than its file" },
    { "{" A("[99999999999999999999]", "[0,24]") "}", 24, "too big integer" },
    { "{" A("[\"2\"]", "[0,8]") "}", 8, "no list of integers" },
    { "{" A("[2.0]", "[0,8]") "}", 8, "no list of integers" },
    { "{" A("[1,1,1,1,1,1,1,1,1]", "[0,4]") "}", 4, "no good dtype" },
    { "{" A("2", "[0,8]") "}", 8, "no good dtype" },
    { "{" A("[2]", "[0]") "}", 8, "no good dtype" },
    { "{" A("[2]", "[0,8]") "," A("[2]", "[0,8]") "}", 8, "duplicate" },
    { "{\"a\":7}", 0, "no good dtype" },
    { "{\"a\":", 0, "no JSON object" },
    { "{\"a\\u0000b\":{}}", 0, "no JSON object" },
    { "{\"a\\nb\":{}}", 0, "no text" },
    { "[]", 0, "neither an .npz nor" },
    { "{} x", 0, "no JSON object" },
};

static void test_safetensors(void)
{
    char header[512];
    uint64_t length;
    FILE *file;

    for (size_t i = 0; i < sizeof lies / sizeof lies[0]; i++) {
        const struct lie *lie = &lies[i];
        struct foreign *f     = NULL;

        make_safetensors(lie->header, lie->bytes);
        if (lie->words != NULL)
            ok(is_refused(lie->words), "safetensors: .. %s ..", lie->words);
        else
            ok(foreign_open(&f, path) == 0, "safetensors: a good one");
        foreign_close(&f);
    }
    memset(header, 'n', sizeof header);
    header[sizeof header - 1] = '\0';
    memcpy(header, "{\"", 2);
    memcpy(header + 400, "\":{}}", 6);
    make_safetensors(header, 0);
    ok(is_refused("is too long"), "safetensors: a name without end");
    for (int i = 0; i < 2; i++) {
        make_safetensors(lies[0].header, lies[0].bytes);
        length = i == 0 ? 100000 : UINT64_MAX / 2;
        file   = fopen(path, "r+b");
        fwrite(&length, 1, sizeof length, file);
        fclose(file);
        ok(is_refused("is cut off"), "safetensors: a header beyond the end");
    }
}

/* A header may have as many bytes as in the format's own library. */
static void test_large_header(void)
{
    enum { BYTES = 40000000 };
    static const char first[] = "{\"__metadata__\":{\"x\":\"", last[] = "\"}}";
    char *header      = mem_new(BYTES + 1, 1);
    struct foreign *f = NULL;

    memset(header, 'x', BYTES);
    memcpy(header, first, sizeof first - 1);
    memcpy(header + BYTES - (sizeof last - 1), last, sizeof last - 1);
    make_safetensors(header, 0);
    ok(foreign_open(&f, path) == 0, "safetensors: a header of %d bytes", BYTES);
    foreign_close(&f);
    mem_free(header);
}

/* What is said to be there is read, as f32. */
static void test_types(void)
{
    static const struct {
        const char *type;
        uint64_t bits;
        size_t size;
        float value;
    } numbers[] = {
        { "F16", 0x3c00, 2, 1 },
        { "F16", 0xc955, 2, -10.6640625f },
        { "F16", 0x0001, 2, 0x1p-24f },
        { "F16", 0x83ff, 2, -0x1.ff8p-15f },
        { "F16", 0x7c00, 2, (float)INFINITY },
        { "F16", 0x7bff, 2, 65504 },
        { "BF16", 0xbf80, 2, -1 },
        { "F64", 0xbff0000000000000, 8, -1 },
        { "F64", 0x3fb999999999999a, 8, 0.1f },
        { "F32", 0x80000000, 4, -0.0f },
    };

    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
        struct foreign *f = NULL;
        char file[256];
        float x = 0;
        uint64_t n;
        int rc;

        n = (uint64_t)sprintf(file + 8,
                              "{\"a\":{\"dtype\":\"%s\",\"shape\":[1],"
                              "\"data_offsets\":[0,%zu]}}",
                              numbers[i].type, numbers[i].size);
        memcpy(file, &n, 8);
        memcpy(file + 8 + n, &numbers[i].bits, numbers[i].size);
        write_file(file, 8 + n + numbers[i].size);
        rc = foreign_open(&f, path);
        if (rc == 0)
            rc = foreign_read(&x, f, foreign_find(f, "a"), 0, 1);
        ok(rc == 0 && memcmp(&x, &numbers[i].value, sizeof x) == 0, "%s %#llx is %g",
           numbers[i].type, (unsigned long long)numbers[i].bits, numbers[i].value);
        foreign_close(&f);
    }
}

/* ---- npz ------------------------------------------------------------------------- */

#ifdef HAVE_LIBZIP
#include <zip.h>

struct npy {
    const char *name, *header;
    size_t bytes;
};

static void make_npz(const struct npy *array, int count)
{
    int why       = 0;
    zip_t *zip    = zip_open(path, ZIP_CREATE | ZIP_TRUNCATE, &why);
    char *entries = mem_new((size_t)count, 1024);

    for (int i = 0; i < count; i++) {
        char *entry    = entries + i * 1024;
        const size_t n = strlen(array[i].header);
        zip_source_t *source;

        memcpy(entry, "\x93NUMPY\1\0", 8);
        entry[8] = (char)(n & 255);
        entry[9] = (char)(n >> 8);
        memcpy(entry + 10, array[i].header, n);
        for (size_t k = 0; k < array[i].bytes / sizeof(float); k++)
            memcpy(entry + 10 + n + k * sizeof(float), &(float){ (float)k },
                   sizeof(float));
        source = zip_source_buffer(zip, entry, 10 + n + array[i].bytes, 0);
        zip_set_file_compression(
            zip,
            (zip_uint64_t)zip_file_add(zip, array[i].name, source, ZIP_FL_ENC_UTF_8),
            ZIP_CM_STORE, 0);
    }
    if (zip_close(zip) != 0)
        die("%s cannot be written", path);
    mem_free(entries);
}

#define NPY(type, order, shape)                                                        \
    "{'descr': '" type "', 'fortran_order': " order ", 'shape': " shape ", }\n"

static const struct {
    struct npy npy;
    const char *words; /* NULL: it is none */
} npy_lies[] = {
    { { "a.npy", NPY("<f4", "False", "(2, 3)"), 24 }, NULL },
    { { "a.npy", "{'shape':(2,3),'fortran_order':False,'descr':'<f2'}", 12 }, NULL },
    { { "a.npy", NPY("<f8", "False", "()"), 8 }, NULL },
    { { "a.npy", NPY("|O", "False", "(3,)"), 5 }, NULL },
    { { "a.npy", NPY("<f4", "False", "(2, 3)"), 20 }, "larger than its entry" },
    { { "a.npy", NPY("<f4", "False", "(2, 3)"), 28 }, "smaller than its entry" },
    { { "a.npy", NPY("<i8", "False", "(2, 3)"), 24 }, "larger than its entry" },
    { { "a.npy", NPY("<f4", "False", "(-2, 3)"), 24 }, "not NumPy's" },
    { { "a.npy", NPY("<f4", "False", "(9223372036854775807, 9)"), 24 }, "larger than" },
    { { "a.npy", NPY("<f4", "False", "(99999999999999999999,)"), 24 }, "larger than" },
    { { "a.npy", NPY("<f4", "False", "(1,1,1,1,1,1,1,1,1)"), 4 }, "not NumPy's" },
    { { "a.npy", NPY("<f4", "Maybe", "(2, 3)"), 24 }, "not NumPy's" },
    { { "a.npy", NPY("<f4", "False", "[2, 3]"), 24 }, "not NumPy's" },
    { { "a.npy", "{'descr': '<f4', 'shape': (2, 3)}", 24 }, "not NumPy's" },
    { { "a.npy", "{'descr': '<f4', 'descr': '<f4'}", 24 }, "not NumPy's" },
    { { "a.npy", "{'descr': [('x', '<f4')], 'shape': (2, 3)}", 24 }, "not NumPy's" },
    { { "a.npy", "{'descr", 24 }, "not NumPy's" },
    { { "a.npy", "", 0 }, "not NumPy's" },
    { { "a.txt", NPY("<f4", "False", "(2, 3)"), 24 }, "is no NAME.npy" },
    { { ".npy", NPY("<f4", "False", "(2, 3)"), 24 }, "is no NAME.npy" },
};

/* The array "a" has these six numbers, read three at a time. */
static bool has_numbers(const float *wanted)
{
    struct foreign *f     = NULL;
    const struct array *a = foreign_open(&f, path) == 0 ? foreign_find(f, "a") : NULL;
    float x[6];
    const bool has = a != NULL && foreign_read(x + 3, f, a, 3, 3) == 0 &&
                     foreign_read(x, f, a, 0, 3) == 0 &&
                     memcmp(x, wanted, sizeof x) == 0;

    foreign_close(&f);
    return has;
}

/* The type of the array "a" is known; else it is said as ... */
static bool is_other(const char *said)
{
    struct foreign *f     = NULL;
    const struct array *a = foreign_open(&f, path) == 0 ? foreign_find(f, "a") : NULL;
    const bool is = a != NULL && a->type == ARRAY_OTHER && strcmp(a->said, said) == 0;

    foreign_close(&f);
    return is;
}

static void flip(int64_t at)
{
    const int fd = open(path, O_RDWR);
    char byte;

    if (pread(fd, &byte, 1, at) != 1)
        die("no byte");
    byte ^= 1;
    if (pwrite(fd, &byte, 1, at) != 1)
        die("no byte");
    close(fd);
}

static void test_npz(void)
{
    const struct npy good    = { "a.npy", NPY("<f4", "False", "(2, 3)"), 24 };
    const struct npy fortran = { "a.npy", NPY("<f4", "True", "(2, 3)"), 24 };
    const struct npy cube    = { "a.npy", NPY("<f4", "True", "(3, 1, 2)"), 24 };
    const struct npy big     = { "a.npy", NPY(">f4", "False", "(2, 3)"), 24 };
    struct npy twice[2]      = { good, good };
    struct foreign *f        = NULL;
    float x[6];

    for (size_t i = 0; i < sizeof npy_lies / sizeof npy_lies[0]; i++) {
        make_npz(&npy_lies[i].npy, 1);
        if (npy_lies[i].words != NULL)
            ok(is_refused(npy_lies[i].words), "npz: lie %zu .. %s ..", i,
               npy_lies[i].words);
        else
            ok(foreign_open(&f, path) == 0, "npz: a good one");
        foreign_close(&f);
    }
    make_npz(&good, 1);
    ok(has_numbers((const float[]){ 0, 1, 2, 3, 4, 5 }), "npz: the numbers");
    make_npz(&fortran, 1);
    ok(has_numbers((const float[]){ 0, 2, 4, 1, 3, 5 }), "npz: in Fortran order");
    make_npz(&cube, 1);
    ok(has_numbers((const float[]){ 0, 3, 1, 4, 2, 5 }), "npz: of three dimensions");
    make_npz(&big, 1);
    ok(is_other(">f4"), "npz: big-endian numbers are not read");
    twice[1].name = "b.npy";
    make_npz(twice, 2);
    for (int64_t at = 0; at < 400; at++) { /* libzip adds no name twice */
        char byte;
        const int fd = open(path, O_RDWR);

        if (pread(fd, &byte, 1, at) == 1 && byte == 'b' && pwrite(fd, "a", 1, at) != 1)
            die("no byte");
        close(fd);
    }
    ok(is_refused("two arrays named 'a'"), "npz: two arrays of one name");
    write_file("PK\3\4 no zip", 10);
    ok(is_refused("cannot be read"), "npz: a file that only begins like one");
    make_npz(&good, 1);
    flip(30 + 5 + 10 + (int64_t)strlen(good.header) + 3);
    ok(foreign_open(&f, path) == 0 &&
           foreign_read(x, f, foreign_find(f, "a"), 0, 6) == ERR_DATA &&
           strstr(err_sentence(), "CRC") != NULL,
       "npz: a flipped bit is seen");
    foreign_close(&f);
}
#else
static void test_npz(void)
{
    tap_skip("npz", "there is no libzip");
}
#endif

/* ---- whole files ----------------------------------------------------------------- */

static char *load(const char *name, size_t *size)
{
    const char *source = getenv("srcdir");
    char from[512], *bytes = mem_new(1 << 20, 1);
    FILE *file;

    snprintf(from, sizeof from, "%s/tests/data/exchange-%s",
             source != NULL ? source : ".", name);
    file = fopen(from, "rb");
    if (file == NULL)
        die("%s: %s", from, strerror(errno));
    *size = fread(bytes, 1, 1 << 20, file);
    fclose(file);
    return bytes;
}

/* How many files there are in the folder besides 'path'. */
static int left_over(void)
{
    DIR *folder = opendir(base);
    int n       = 0;

    while (readdir(folder) != NULL)
        n++;
    closedir(folder);
    return n - 3;
}

static int import(const char *shape)
{
    struct exchange_options o = { .head = true };

    snprintf(o.shape, sizeof o.shape, "%s", shape);
    return transfer_import(none, scratch_path("out.h5"), path, &o);
}

/* True if importing 'path' ends with 'wanted' and these words, and leaves nothing. */
static bool fails(const char *shape, int wanted, const char *words)
{
    const int rc     = import(shape);
    const char *said = err_sentence() != NULL ? err_sentence() : "";
    const bool is    = rc == wanted && strstr(said, words) != NULL && left_over() == 0;

    if (!is)
        tap_note("%s: %s", err_name(rc), said);
    err_forget();
    return is;
}

static void test_cuts(const char *name)
{
    bool are_seen = true;
    size_t size;
    char *bytes = load(name, &size);

    for (int i = 0; i < 40; i++) {
        write_file(bytes, size * (size_t)i / 40 + (size_t)i % 3);
        are_seen = fails("40/2/72/4", ERR_DATA, "") && are_seen;
    }
    write_file(bytes, size - 1);
    are_seen = fails("40/2/72/4", ERR_DATA, "") && are_seen;
    ok(are_seen, "%s: cut off anywhere", name);
    mem_free(bytes);
}

/* Letters of the file replaced by as many others. */
static void replace(const char *name, const char *old, const char *new)
{
    size_t size;
    char *bytes = load(name, &size);
    char *at    = memmem(bytes, size, old, strlen(old));

    if (at == NULL)
        die("%s has no %s", name, old);
    memcpy(at, new, strlen(new));
    write_file(bytes, size);
    mem_free(bytes);
}

static void test_models(void)
{
    size_t size;
    char *bytes = load("cls.safetensors", &size);

    write_file(bytes, size);
    ok(fails("40/1/72/4", ERR_DATA, "no place for blocks.1.attn.proj.bias"),
       "more blocks than the model has");
    ok(fails("40/3/72/4", ERR_DATA, "missing blocks.2.norm1.weight"), "fewer blocks");
    ok(fails("40/2/64/4", ERR_DATA, "another shape blocks.0.mlp.fc1.weight"),
       "another MLP");
    ok(fails("40/2/72/3", ERR_SHAPE, "cannot be divided"), "no model at all");
    mem_free(bytes);
    replace("cls.safetensors", "\"norm.bias\"", "\"fc_n.bias\"");
    ok(fails("40/2/72/4", ERR_DATA, "no place for fc_n.bias, missing norm.bias"),
       "a name of another model");
    replace("cls.safetensors", "\"patch_embed.proj.weight\"",
            "\"patch_embed.Proj.weight\"");
    ok(fails("40/2/72/4", ERR_DATA, "is no Vision Transformer"),
       "no Vision Transformer");
    replace("cls.safetensors", "\"F32\"", "\"I32\"");
    ok(fails("40/2/72/4", ERR_DATA, "another type"), "integers");
    replace("cls.safetensors", "\"shape\":[1,17,40]", "\"shape\":[1,40,17]");
    ok(fails("40/2/72/4", ERR_DATA, "no squares"), "positions that make no square");
    replace("qk.safetensors", "\"blocks.1.attn.q_norm.bias\":{\"dtype\":\"F16\"",
            "\"blocks.1.attn.q_norm.bias\":{\"dtype\":\"U16\"");
    ok(fails("40/2/72/4", ERR_DATA, "another type blocks.1.attn.q_norm.bias"),
       "a type in what must be zero");
#ifdef HAVE_LIBZIP
    replace("jax.npz", "'<f4', 'fortran_order': False",
            "'>f4', 'fortran_order': False");
    ok(fails("40/2/72/4", ERR_DATA, "another type params/"), "big-endian numbers");
#endif
}

/* A disk that is full after a while, as a limit on the size of files. */
static void test_full(const char *to, bool is_import)
{
    const struct exchange_options o = { .head = true };
    const char *full = scratch_path(to), *first = scratch_path("out.h5");
    struct rlimit old, small;
    size_t size;
    char *bytes = load("cls.safetensors", &size);
    int rc;

    write_file(bytes, size);
    mem_free(bytes);
    if (!is_import && import("40/2/72/4") != 0)
        die("%s", err_sentence());
    getrlimit(RLIMIT_FSIZE, &old);
    small          = old;
    small.rlim_cur = 60000;
    setrlimit(RLIMIT_FSIZE, &small);
    rc = is_import ? import("40/2/72/4") : transfer_export(none, full, first, &o);
    setrlimit(RLIMIT_FSIZE, &old);
    if (!is_import)
        unlink(first);
    ok(rc == ERR_IO && strstr(err_sentence(), "File too large") != NULL &&
           left_over() == 0,
       "a disk that is full: %s is not left half-written", to);
    err_forget();
}

/* A checkpoint with a flipped bit is not exported. */
static void test_damage(void)
{
    const struct exchange_options o = { .head = true };
    struct ckpt_file *f             = NULL;
    const char *first               = scratch_path("out.h5");
    const char *to                  = scratch_path("out.safetensors");
    size_t size;
    char *bytes = load("cls.safetensors", &size);
    int fd;

    write_file(bytes, size);
    mem_free(bytes);
    if (import("40/2/72/4") != 0 || file_open(&f, first) != 0)
        die("%s", err_sentence());
    fd = open(first, O_RDWR);
    if (pwrite(fd, "*", 1, f->entry[0].offset + 5) != 1)
        die("%s cannot be written", first);
    close(fd);
    file_close(&f);
    ok(transfer_export(none, to, first, &o) == ERR_DATA &&
           strstr(err_sentence(), "is damaged") != NULL,
       "a damaged checkpoint is not exported");
    unlink(first);
    ok(left_over() == 0, "and nothing is left of it");
    err_forget();
}

int main(int argc, char **argv)
{
    ranks_open(&argc, &argv, "t711-foreign");
    signal(SIGXFSZ, SIG_IGN);
    none = fopen("/dev/null", "w");
    if (none == NULL)
        die("no /dev/null");
    base = scratch_open();
    path = scratch_path("in");

    test_safetensors();
    test_large_header();
    test_types();
    test_npz();
    write_file("", 0);
    ok(is_refused("neither"), "an empty file");
    test_models();
    test_cuts("cls.safetensors");
#ifdef HAVE_LIBZIP
    test_cuts("jax.npz");
    test_cuts("22b.npz");
    test_full("out.npz", false);
#endif
    test_full("out.safetensors", false);
    test_full("out.h5", true);
    test_damage();
    unlink(path);
    ok(is_refused("No such file"), "no file");
    fclose(none);
    return ranks_done();
}
