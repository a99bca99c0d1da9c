/* SPDX-License-Identifier: BSD-3-Clause */
/* HDF5 files: what plain pwrite() puts where a dataset is, HDF5 reads. */
#include "config.h"

#include "src/io/h5.h"

#include "src/base/err.h"
#include "tests/scratch.h"
#include "tests/tap.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { ROWS = 7, COLUMNS = 5 };

static bool has(const struct h5 *file, const char *name)
{
    bool is;

    return h5_has(&is, file, name) == 0 && is;
}

static void test_bad(const char *path)
{
    struct h5 *file       = NULL;
    struct h5_shape shape = { 0 };
    int64_t value;
    char text[4];

    ok(tap_says(h5_open(&file, "/nonexistent/x.h5"), ERR_IO, "x.h5: ") && file == NULL,
       "a file that is not there is an error with HDF5's sentence");
    ok(tap_says(h5_create(&file, "/nonexistent/x.h5"), ERR_IO, "x.h5: "),
       "so is a folder that is not there");
    ok(h5_close(&file) == 0, "nothing can be closed");
    ok(h5_open(&file, path) == 0, "a file opens");
    ok(tap_says(h5_shape(&shape, file, "/a/none"), ERR_DATA, "no dataset '/a/none'"),
       "a dataset that is not there is named");
    ok(tap_says(h5_get_int(&value, file, "/", "none"), ERR_DATA, "no attribute 'none'"),
       "so is an attribute");
    ok(tap_says(h5_get_int(&value, file, "/a/x", "about"), ERR_DATA, "not a number"),
       "a text is not a number");
    ok(tap_says(h5_get_text(text, sizeof text, file, "/a/x", "about"), ERR_DATA,
                "not a text of 4 bytes"),
       "a text must fit");
    ok(tap_says(h5_dataset(file, "/b", &(struct h5_shape){ H5_TYPE_F32, 1, { 3 } }),
                ERR_DATA, "no write intent"),
       "a file that was opened to read is not written");
    ok(h5_close(&file) == 0, "and closes");
}

/* Two files that are written at different times. */
static void test_dates(const char *path)
{
    const struct h5_shape shape = { H5_TYPE_F32, 1, { 1 } };
    char bytes[2][1 << 14]      = { { 0 } };
    size_t size[2]              = { 0 };

    for (int i = 0; i < 2; i++) {
        struct h5 *h5 = NULL;
        FILE *file;

        if (h5_create(&h5, path) != 0 || h5_dataset(h5, "/a/x", &shape) != 0 ||
            h5_close(&h5) != 0)
            break;
        file    = fopen(path, "rb");
        size[i] = fread(bytes[i], 1, sizeof bytes[i], file);
        fclose(file);
        if (i == 0)
            sleep(1);
    }
    ok(size[0] > 0 && size[0] < sizeof bytes[0] && size[0] == size[1] &&
           memcmp(bytes[0], bytes[1], size[0]) == 0,
       "files that hold the same are the same");
}

/* A matrix whose elements tell their places, written at the dataset's offset. */
static void write_rows(const char *path)
{
    const struct h5_shape shape = { H5_TYPE_F32, 2, { ROWS, COLUMNS } };
    float data[ROWS * COLUMNS];
    struct h5 *file = NULL;
    int64_t offset  = 0;
    int fd;

    for (int i = 0; i < ROWS * COLUMNS; i++)
        data[i] = (float)i;
    ok(h5_create(&file, path) == 0, "a file is created");
    ok(h5_dataset(file, "/a/x", &shape) == 0, "and a dataset in a group");
    ok(h5_offset(&offset, file, "/a/x") == 0 && offset > 0,
       "the dataset has a place in the file");
    ok(h5_set_text(file, "/a/x", "about", "ten") == 0 &&
           h5_set_text(file, "/a/x", "about", "eleven") == 0 &&
           h5_set_int(file, "/", "steps", -5) == 0,
       "attributes are written, and written again");
    ok(h5_close(&file) == 0, "the file is closed");
    fd = open(path, O_RDWR);
    ok(pwrite(fd, data, sizeof data, offset) == (ssize_t)sizeof data,
       "and its rows are put there");
    close(fd);
}

/* Column by column, in another type. */
static void read_columns(const char *path)
{
    struct h5 *file       = NULL;
    struct h5_shape shape = { 0 };
    double column[ROWS]   = { 0 };
    bool are_right        = true;

    ok(h5_open(&file, path) == 0, "the file is opened again");
    ok(has(file, "/a/x") && has(file, "/a") && !has(file, "/b/x") && has(file, "/"),
       "it has what was written and no more");
    ok(h5_shape(&shape, file, "/a/x") == 0 && shape.type == H5_TYPE_F32 &&
           shape.dims == 2 && shape.size[0] == ROWS && shape.size[1] == COLUMNS,
       "the dataset has its shape and type");
    for (int j = 0; j < COLUMNS; j++) {
        are_right = h5_read(column, H5_TYPE_F64, file, "/a/x", (int64_t[]){ 0, j },
                            (int64_t[]){ ROWS, 1 }) == 0 &&
                    are_right;
        for (int i = 0; i < ROWS; i++)
            are_right = are_right && column[i] == i * COLUMNS + j;
    }
    ok(are_right, "columns read back what rows wrote");
    column[0] = -1;
    ok(h5_read(column, H5_TYPE_F64, file, "/a/x", (int64_t[]){ 0, 0 },
               (int64_t[]){ 0, 1 }) == 0 &&
           column[0] == -1,
       "and an empty box nothing");
    ok(h5_close(&file) == 0, "it is closed");
}

static void test_attributes(const char *path)
{
    struct h5 *file = NULL;
    char text[16];
    int64_t steps;

    ok(h5_open(&file, path) == 0, "it is opened once more");
    ok(h5_get_text(text, sizeof text, file, "/a/x", "about") == 0 &&
           strcmp(text, "eleven") == 0 && h5_get_int(&steps, file, "/", "steps") == 0 &&
           steps == -5,
       "attributes read back");
    ok(h5_close(&file) == 0, "and closes it");
}

/* What another program has made: see tests/data/README.md. */
static void test_foreign(void)
{
    const char *folder    = getenv("srcdir");
    struct h5_shape shape = { 0 };
    struct h5 *file       = NULL;
    int64_t value[2]      = { 5, 5 };
    char path[1024], text[] = "as it is, and room for more";

    snprintf(path, sizeof path, "%s/tests/data/foreign.h5",
             folder != NULL ? folder : ".");
    if (!ok(h5_open(&file, path) == 0, "a file of another program opens"))
        return;
    ok(tap_says(h5_get_int(value, file, "/", "pair"), ERR_DATA, "not one value") &&
           value[0] == 5 && value[1] == 5,
       "of several numbers none is read");
    ok(tap_says(h5_get_text(text, 4, file, "/", "texts"), ERR_DATA, "not one value") &&
           strncmp(text, "as it is", 8) == 0,
       "nor of several texts");
    ok(tap_says(h5_get_int(value, file, "/", "none"), ERR_DATA, "not one value"),
       "nor where there is none");
    ok(tap_says(h5_shape(&shape, file, "/signed"), ERR_DATA, "not of a kind"),
       "bytes with signs are not bytes without");
    ok(h5_shape(&shape, file, "/big") == 0 && shape.type == H5_TYPE_I32 &&
           h5_read(value, H5_TYPE_I64, file, "/big", (int64_t[]){ 0 },
                   (int64_t[]){ 2 }) == 0 &&
           value[0] == 1 && value[1] == 2,
       "numbers in another order of bytes are read");
    ok(tap_says(h5_offset(value, file, "/big"), ERR_DATA, "not in this machine's"),
       "but their place is not told: plain reading would get other numbers");
    ok(tap_says(h5_offset(value, file, "/away"), ERR_DATA, "lies in another file"),
       "nor that of a dataset in another file");
    h5_close(&file);
}

static void test_change(const char *path)
{
    struct h5 *file = NULL;
    int64_t steps;

    ok(h5_change(&file, path) == 0 && h5_set_int(file, "/", "steps", 12) == 0 &&
           h5_close(&file) == 0,
       "a file can be changed");
    ok(h5_open(&file, path) == 0 && h5_get_int(&steps, file, "/", "steps") == 0 &&
           steps == 12 && has(file, "/a/x") && h5_close(&file) == 0,
       "and keeps the rest");
}

static int note_name(void *names, const struct h5 *file, const char *name)
{
    (void)file;
    strcat(strcat(names, name), " ");
    return strcmp(name, "b/stop") == 0 ? ERR_CHECK : 0;
}

static void test_each(const char *path)
{
    const struct h5_shape shape = { H5_TYPE_I32, 1, { 2 } };
    char names[64]              = "";
    struct h5 *file             = NULL;

    ok(h5_change(&file, path) == 0 && h5_group(file, "c/d") == 0 && has(file, "/c/d") &&
           h5_set_int(file, "/c/d", "n", 3) == 0 &&
           h5_dataset(file, "b/stop", &shape) == 0 &&
           h5_dataset(file, "b/go", &shape) == 0 &&
           h5_dataset(file, "e", &shape) == 0 && h5_close(&file) == 0,
       "groups are made, and attributes of them");
    ok(h5_open(&file, path) == 0 && h5_each(file, note_name, names) == ERR_CHECK &&
           strcmp(names, "a/x b/go b/stop ") == 0 && h5_close(&file) == 0,
       "all datasets are visited by name until the visitor says no");
}

/* HDF5 describes a file in memory, and what it made room for is not there. */
static void test_image(const char *path)
{
    const struct h5_shape shape = { H5_TYPE_F32, 2, { 10000, 5000 } };
    struct h5_image image       = { 0 };
    struct h5 *file             = NULL;
    struct h5_shape found;
    int64_t offset = 0, again = 0, n = 0;
    int fd;

    ok(h5_create_image(&file, &image, "an image") == 0 &&
           strcmp(h5_path(file), "an image") == 0 &&
           h5_dataset(file, "g/large", &shape) == 0 &&
           h5_offset(&offset, file, "g/large") == 0 &&
           h5_set_int(file, "g/large", "n", 5) == 0 && h5_close(&file) == 0,
       "a file is made in memory");
    ok(image.at != NULL && image.bytes <= offset && offset < 10 << 20 &&
           image.size == offset + 4 * 10000 * 5000,
       "it is as large as its data, which are not in memory");
    fd = open(path, O_WRONLY | O_TRUNC);
    if (write(fd, image.at, (size_t)image.bytes) != image.bytes ||
        ftruncate(fd, image.size) != 0)
        tap_note("%s cannot be written", path);
    close(fd);
    ok(h5_open(&file, path) == 0 && h5_shape(&found, file, "g/large") == 0 &&
           found.size[0] == 10000 && h5_offset(&again, file, "g/large") == 0 &&
           again == offset && h5_get_int(&n, file, "g/large", "n") == 0 && n == 5 &&
           h5_close(&file) == 0,
       "on the disk it is a file like any other");
    h5_image_free(&image);
    ok(image.at == NULL, "and the memory is given back");
}

int main(void)
{
    const char *path;

    scratch_open();
    path = scratch_path("file.h5");

    test_dates(path);
    write_rows(path);
    test_bad(path);
    read_columns(path);
    test_attributes(path);
    test_foreign();
    test_change(path);
    test_each(path);
    test_image(path);
    return tap_done();
}
