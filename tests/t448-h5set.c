/* SPDX-License-Identifier: BSD-3-Clause */
/* Sets: what is written is read, by the source too, whose passes give every image once;
 * damaged, foreign and half-written files are refused with a sentence.
 */
#include "config.h"

#include "src/data/h5set.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/data/data.h"
#include "src/io/h5.h"
#include "tests/disk.h"
#include "tests/scratch.h"
#include "tests/tap.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { COUNT = 40, CLASSES = 7, SIDE = 4, PIXELS = 3 * SIDE * SIDE };

static const char *path;

static struct h5set_shape shape_of(enum h5set_kind kind, bool has_many)
{
    return (struct h5set_shape){ .kind     = kind,
                                 .count    = COUNT,
                                 .classes  = CLASSES,
                                 .has_many = has_many,
                                 .bytes    = COUNT * (COUNT + 1) / 2,
                                 .height   = SIDE,
                                 .width    = SIDE,
                                 .features = 5 };
}

/* Item i: of images all bytes are i; of files i + 1 bytes; of features i + j / 8. */
static size_t item_of(uint8_t item[PIXELS], enum h5set_kind kind, int i)
{
    float feature[5];

    memset(item, i, PIXELS);
    for (int j = 0; j < 5; j++)
        feature[j] = (float)i + (float)j / 8;
    if (kind == H5SET_FEATURES)
        memcpy(item, feature, sizeof feature);
    return kind == H5SET_ENCODED    ? (size_t)i + 1
           : kind == H5SET_FEATURES ? sizeof feature
                                    : PIXELS;
}

static int write_named(enum h5set_kind kind, bool has_many, const char *names)
{
    const struct h5set_shape shape = shape_of(kind, has_many);
    struct h5set *set              = NULL;
    uint8_t item[PIXELS];

    TRY(h5set_create(&set, path, &shape, names));
    for (int i = 0; i < COUNT; i++) {
        const int32_t label[] = { i % CLASSES, (i + 2) % CLASSES };
        const size_t size     = item_of(item, kind, i);

        TRY(h5set_append(set, item, size, label, has_many ? 2 : 1));
    }
    return h5set_finish(&set);
}

static int write_set(enum h5set_kind kind, bool has_many)
{
    return write_named(kind, has_many, "a\nb");
}

/* ---- what is written is read ----------------------------------------------------- */

static void test_kind(enum h5set_kind kind, bool has_many, const char *what)
{
    struct h5set *set       = NULL;
    struct decode_room room = { 0 };
    uint8_t item[PIXELS];
    char *names;
    int items = 0, targets = 0;

    ok(write_set(kind, has_many) == 0, "a set of %s is written", what);
    ok(h5set_open(&set, path) == 0, "and opened");
    if (set == NULL) {
        tap_note("%s", err_sentence());
        return;
    }
    const struct h5set_shape *s = h5set_shape(set);

    ok(s->kind == kind && s->count == COUNT && s->classes == CLASSES &&
           s->has_many == has_many &&
           (kind != H5SET_IMAGES || (s->height == SIDE && s->width == SIDE)) &&
           (kind != H5SET_FEATURES || s->features == 5),
       "%s: it has its shape", what);
    for (int i = COUNT - 1; i >= 0; i--) {
        const size_t wanted = item_of(item, kind, i);
        float target[CLASSES + 2], sum = 0;
        size_t size = 0;

        items += h5set_read(&room, &size, set, i) == 0 && size == wanted &&
                 memcmp(room.bytes, item, size) == 0;
        h5set_target(target, set, (struct range){ 0, CLASSES + 2 }, i);
        for (int k = 0; k < CLASSES + 2; k++)
            sum += target[k];
        targets += target[i % CLASSES] == 1 && sum == (has_many ? 2 : 1) &&
                   (!has_many || target[(i + 2) % CLASSES] == 1);
        h5set_target(target, set, (struct range){ 3, 5 }, i);
        targets +=
            target[0] == (i % CLASSES == 3 || (has_many && (i + 2) % CLASSES == 3));
    }
    ok(items == COUNT, "%s: its items come back", what);
    ok(targets == 2 * COUNT, "%s: and its labels, all or a part", what);
    ok(h5set_verify(set) == 0, "%s: its digest is right", what);
    ok(h5set_names(&names, path) == 0 && strcmp(names, "a\nb") == 0,
       "%s: its classes have names", what);
    mem_free(names);
    decode_free(&room);
    h5set_close(&set);
}

/* As those of WordNet are, with all their synonyms: more than a megabyte. */
static void test_long_names(void)
{
    enum { LENGTH = 3 << 20 };
    char *names = mem_new(LENGTH + 1, 1), *read = NULL;

    memset(names, 'x', LENGTH);
    names[LENGTH / 2] = '\n';
    ok(write_named(H5SET_IMAGES, false, names) == 0 && h5set_names(&read, path) == 0 &&
           strcmp(read, names) == 0,
       "long names of classes come back");
    mem_free(read);
    mem_free(names);
}

/* ---- what is wrong --------------------------------------------------------------- */

static void put_byte(off_t at, int flip)
{
    const int fd = open(path, O_RDWR);
    uint8_t byte = 0;

    if (pread(fd, &byte, 1, at) == 1) {
        byte ^= (uint8_t)flip;
        if (pwrite(fd, &byte, 1, at) != 1)
            abort();
    }
    close(fd);
}

static off_t length(void)
{
    struct stat about;

    stat(path, &about);
    return about.st_size;
}

static int64_t place_of(const char *name)
{
    struct h5 *file = NULL;
    int64_t at      = 0;

    if (h5_open(&file, path) != 0 || h5_offset(&at, file, name) != 0)
        abort();
    h5_close(&file);
    return at;
}

static void test_damage(void)
{
    struct h5set *set = NULL;
    int opened = 0, named = 0;
    int64_t at;

    ok(tap_says(h5set_open(&set, "/nonexistent/x.h5"), ERR_DATA, "/nonexistent/x.h5"),
       "a file that is not there is named");
    for (int part = 1; part < 16; part++) {
        write_set(H5SET_ENCODED, false);
        if (truncate(path, length() * part / 16) != 0)
            abort();
        opened += h5set_open(&set, path) == 0;
        named += err_sentence() != NULL && strstr(err_sentence(), path) != NULL;
        err_forget();
    }
    ok(opened == 0 && named == 15, "files cut off anywhere are refused by name");

    write_set(H5SET_ENCODED, false);
    at = place_of("/bytes");
    put_byte(at + 100, 4);
    ok(h5set_open(&set, path) == 0 &&
           tap_says(h5set_verify(set), ERR_DATA, "is damaged: its digest"),
       "a bit flipped in an item is seen by the digest");
    h5set_close(&set);

    write_set(H5SET_ENCODED, false);
    at = place_of("/offset");
    put_byte(at + 8 * 20, 0x80);
    ok(tap_says(h5set_open(&set, path), ERR_DATA, "offset 2"),
       "a wrong offset is refused");
    write_set(H5SET_ENCODED, false);
    at = place_of("/labels");
    put_byte(at + 4 * 20 + 3, 0x80);
    ok(tap_says(h5set_open(&set, path), ERR_DATA, "label of item 20"),
       "so is a wrong label");
}

/* A file of another program: right and wrong datasets. */
static void foreign(const char *name, enum h5_type type, int64_t n, int64_t labels)
{
    struct h5 *file = NULL;

    if (h5_create(&file, path) != 0 ||
        h5_dataset(file, name, &(struct h5_shape){ type, 4, { n, 2, 2, 3 } }) != 0 ||
        (labels > 0 &&
         h5_dataset(file, "/labels",
                    &(struct h5_shape){ H5_TYPE_I32, 1, { labels } }) != 0))
        die("%s", err_sentence());
    h5_close(&file);
}

/* How many of 'RANKS' refuse the set. */
enum { RANKS = 4 };
static int refusals(void)
{
    int refused = 0;

    for (int rank = 0; rank < RANKS; rank++) {
        struct h5set *set = NULL;

        refused += h5set_open_among(&set, path, rank, RANKS) != 0;
        err_forget();
        h5set_close(&set);
    }
    return refused;
}

static void test_shares(void)
{
    struct h5set *set = NULL;
    int labels = 0, offsets = 0, seen = 0;
    int64_t classes = 0;

    write_set(H5SET_ENCODED, false);
    ok(refusals() == 0, "a good set is opened by all ranks");
    for (int i = 0; i < COUNT; i++) {
        write_set(H5SET_ENCODED, false);
        put_byte(place_of("/labels") + (int64_t)4 * i + 3, 0x80);
        labels += refusals();
    }
    ok(labels == COUNT, "each looks at its share of the labels");
    for (int i = 0; i <= COUNT; i++) {
        int refused;

        write_set(H5SET_ENCODED, false);
        put_byte(place_of("/offset") + (int64_t)8 * i + 7, 0x80);
        refused = refusals();
        offsets += refused;
        seen += refused > 0;
    }
    ok(seen == COUNT + 1 && offsets == COUNT + RANKS, "and of the offsets");

    foreign("/images", H5_TYPE_U8, COUNT, COUNT);
    put_byte(place_of("/labels") + (int64_t)4 * (COUNT - 1), 5);
    for (int rank = 0; rank < RANKS; rank++) {
        if (h5set_open_among(&set, path, rank, RANKS) == 0)
            classes += h5set_shape(set)->classes;
        h5set_close(&set);
    }
    ok(classes == 6 * RANKS, "all find the classes of a set that does not say them");
}

static void name_format(const char *format)
{
    struct h5 *file = NULL;

    if (h5_change(&file, path) != 0 || h5_set_text(file, "/", "format", format) != 0)
        die("%s", err_sentence());
    h5_close(&file);
}

static void set_classes(int64_t classes)
{
    struct h5 *file = NULL;

    if (h5_change(&file, path) != 0 || h5_set_int(file, "/", "classes", classes) != 0)
        die("%s", err_sentence());
    h5_close(&file);
}

static void test_foreign(void)
{
    struct h5set *set = NULL;
    FILE *file        = fopen(path, "w");

    fputs("not HDF5", file);
    fclose(file);
    ok(tap_says(h5set_open(&set, path), ERR_DATA, "no HDF5 file"), "a text is refused");
    foreign("/pixels", H5_TYPE_U8, 3, 3);
    ok(tap_says(h5set_open(&set, path), ERR_DATA, "is no set"),
       "so is another HDF5 file");
    foreign("/images", H5_TYPE_F32, 3, 3);
    ok(tap_says(h5set_open(&set, path), ERR_DATA, "another type"),
       "and one of other numbers");
    foreign("/images", H5_TYPE_U8, 3, 0);
    ok(tap_says(h5set_open(&set, path), ERR_DATA, "labels"), "and one without labels");
    foreign("/images", H5_TYPE_U8, 3, 2);
    ok(tap_says(h5set_open(&set, path), ERR_DATA, "not as many labels"),
       "and one with too few of them");
    foreign("/images", H5_TYPE_U8, 3, 3);
    ok(h5set_open(&set, path) == 0 && h5set_shape(set)->classes == 1 &&
           h5set_shape(set)->digest == 0,
       "what has the right datasets is a set, whoever made it");
    h5set_close(&set);
    set_classes(H5SET_CLASSES_MOST + INT64_C(1));
    ok(tap_says(h5set_open(&set, path), ERR_DATA, "has 1000001 classes, and a set may"),
       "one of more classes than memory can be had for is refused");
    set_classes(1);
    name_format("vitbench set 2");
    ok(tap_says(h5set_open(&set, path), ERR_DATA,
                "is a 'vitbench set 2', which another"),
       "but not if it says that it is another kind of set of ours");
    name_format("of somebody else");
    ok(h5set_open(&set, path) == 0, "what others call theirs says nothing");
    h5set_close(&set);
}

/* Attributes that do not lie together with their names, as HDF5 has them where there
 * are more than eight.
 */
static void add_attributes(void)
{
    struct h5 *file = NULL;
    char name[]     = "a", text[3000];

    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';

    if (h5_change(&file, path) != 0)
        die("%s", err_sentence());
    for (; name[0] <= 'l'; name[0]++) {
        if (h5_set_text(file, "/", name, text) != 0)
            die("%s", err_sentence());
    }
    h5_close(&file);
}

static int open_set(void)
{
    struct h5set *set = NULL;
    const int rc      = h5set_open(&set, path);

    h5set_close(&set);
    return rc;
}

static int read_names(void)
{
    char *names;
    const int rc       = h5set_names(&names, path);
    const bool is_here = strcmp(names, "a\nb") == 0;

    mem_free(names);
    return rc == 0 && !is_here ? ERR_DATA : rc;
}

/* Whether 'read' notices what a disk does not give of a set, whichever part it is. */
static bool is_noticed(int (*read)(void))
{
    int n = 0, wrong = 0, rc;

    do {
        disk_spoil(n++);
        rc = read();
        if (disk_is_met() ? rc != ERR_IO : rc != 0) {
            tap_note("read %d: error %d", n, rc);
            wrong++;
        }
        err_forget();
    } while (disk_is_met());
    disk_spoil(-1);
    tap_note("%d reads", n - 1);
    return wrong == 0 && n > 4;
}

static void test_bad_disk(void)
{
    write_set(H5SET_IMAGES, false);
    add_attributes();
    ok(is_noticed(open_set), "nothing of a set that a disk does not give is missing");
    ok(is_noticed(read_names), "nor are the names of its classes");
}

static void test_unfinished(void)
{
    const struct h5set_shape shape = shape_of(H5SET_IMAGES, false);
    struct h5set_shape huge        = shape_of(H5SET_FEATURES, false);
    struct h5set *set              = NULL;
    char part[80];

    unlink(path);
    snprintf(part, sizeof part, "%s.part", path);
    ok(h5set_create(&set, path, &shape, "") == 0 && access(part, F_OK) == 0 &&
           access(path, F_OK) != 0,
       "a set has another name until it is finished");
    h5set_drop(&set);
    ok(access(part, F_OK) != 0 && access(path, F_OK) != 0, "dropped, nothing is left");
    ok(tap_says(h5set_create(&set, "/nonexistent/x.h5", &shape, ""), ERR_IO,
                "x.h5 cannot be written: No such file"),
       "a folder that is not there is named");
    ok(tap_says(h5set_check("/dev/null"), ERR_IO, "/dev/null cannot be written"),
       "a device does not become a file");
    ok(h5set_check(path) == 0 && access(part, F_OK) != 0, "to ask leaves nothing");
    huge.count = (int64_t)1 << 61;
    ok(tap_says(h5set_create(&set, path, &huge, ""), ERR_IO, "H5"),
       "what HDF5 cannot make is no input that is wrong");
}

/* ---- the source ------------------------------------------------------------------ */

static struct data *open_data(const struct data_options *o)
{
    struct data *data = NULL;

    if (data_open_file(&data, path, o) != 0)
        die("%s", err_sentence());
    return data;
}

/* Which item an index is: the images tell. */
static int item_at(const struct data *data, int64_t index)
{
    float image[PIXELS];

    data->ops->get(data, image, NULL, (struct range){ 0, 0 }, index);
    return (int)lrintf((image[0] + 1) * 127.5F);
}

static void test_order(void)
{
    struct data_options o = { .image = SIDE, .seed = 3, .order = ORDER_SHUFFLE };
    struct data *data     = open_data(&o);
    int first[COUNT], count[COUNT] = { 0 }, same = 0, once = 0;

    ok(data->count == COUNT && data->classes == CLASSES, "a set is a source");
    for (int pass = 0; pass < 3; pass++) {
        for (int i = 0; i < COUNT; i++) {
            const int item = item_at(data, (int64_t)pass * COUNT + i);

            count[item]++;
            same += pass > 0 && item == first[i];
            first[i] = item;
        }
        for (int i = 0; i < COUNT; i++)
            once += count[i] == pass + 1;
    }
    ok(once == 3 * COUNT, "each pass gives every image once");
    ok(same < COUNT / 4, "in another order");
    data_close(&data);
    o.order = ORDER_FILE;
    data    = open_data(&o);
    same    = 0;
    for (int i = 0; i < 2 * COUNT; i++)
        same += item_at(data, i) == i % COUNT;
    ok(same == 2 * COUNT, "or in the file's order");
    data_close(&data);
}

static void test_holdout(void)
{
    struct data_options o = { .image = SIDE, .seed = 3, .holdout = 0.2 };
    struct data *train    = open_data(&o), *held, *again;
    int count[COUNT] = { 0 }, once = 0, same = 0;

    o.is_held_out = true;
    held          = open_data(&o);
    o.seed        = 4;
    again         = open_data(&o);
    ok(train->count == COUNT - 8 && held->count == 8, "a fifth is held out");
    for (int i = 0; i < train->count; i++)
        count[item_at(train, i)]++;
    for (int i = 0; i < held->count; i++) {
        count[item_at(held, i)]++;
        same += item_at(held, i) == item_at(again, i);
    }
    for (int i = 0; i < COUNT; i++)
        once += count[i] == 1;
    ok(once == COUNT, "every image is in one part");
    ok(same == 8, "the same ones whatever the seed");
    data_close(&train);
    data_close(&held);
    data_close(&again);
    o.holdout = 0;
    ok(tap_says(data_open_file(&held, path, &o), ERR_USAGE, "nothing is in it"),
       "an empty part is refused");
    o = (struct data_options){ .image = SIDE, .holdout = 0.2, .held_most = 7 };
    ok(tap_says(data_open_file(&held, path, &o), ERR_USAGE, "too many"),
       "nobody has to keep a long list unasked");
    o = (struct data_options){ .image = SIDE, .holdout = 1 };
    ok(tap_says(data_open_file(&held, path, &o), ERR_USAGE, "nothing is left"),
       "and so is holding out all");
}

static void test_source_errors(void)
{
    struct data_options o = { .image = SIDE, .classes = CLASSES - 1 };
    struct data *data     = NULL;
    float image[PIXELS];
    bool is_grey = true;

    ok(tap_says(data_open_file(&data, path, &o), ERR_DATA, "more than 6"),
       "a model with too few classes is refused");
    o.classes = CLASSES + 1;
    ok(data_open_file(&data, path, &o) == 0 && data->classes == CLASSES + 1,
       "one with more is not");
    data_close(&data);

    write_set(H5SET_FEATURES, false);
    ok(tap_says(data_open_file(&data, path, &o), ERR_DATA, "not images"),
       "features are no images");

    write_set(H5SET_ENCODED, false); /* of files that are no pictures */
    data = open_data(&o);
    data->ops->get(data, image, NULL, (struct range){ 0, 0 }, 0);
    for (int i = 0; i < PIXELS; i++)
        is_grey = is_grey && image[i] == 0;
    ok(is_grey && data_failure(data) == 0, "an image that cannot be decoded is grey");
    if (truncate(path, 1000) != 0)
        abort();
    data->ops->get(data, image, NULL, (struct range){ 0, 0 }, 0);
    ok(tap_says(data_failure(data), ERR_IO, "has become shorter"),
       "a file that cannot be read any more is a failure");
    data_close(&data);
}

int main(void)
{
    scratch_open();
    path = scratch_path("set.h5");
    test_kind(H5SET_ENCODED, false, "files");
    test_kind(H5SET_ENCODED, true, "files with several labels");
    test_kind(H5SET_IMAGES, false, "images");
    test_kind(H5SET_FEATURES, true, "features");
    test_long_names();
    test_damage();
    test_shares();
    test_foreign();
    test_unfinished();
    test_bad_disk();
    write_set(H5SET_IMAGES, false);
    test_order();
    test_holdout();
    test_source_errors();
    return tap_done();
}
