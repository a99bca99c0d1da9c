/* SPDX-License-Identifier: BSD-3-Clause */
/* HDF5 behind a few functions: files, datasets, errors.  Attributes are in h5_attr.c.
 */
#include "config.h"

#include "src/io/h5.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/io/h5_impl.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- Errors ----------------------------------------------------------------------- */

struct failure {
    char sentence[512];
    bool is_system;
};

/* The stack's entries come from the innermost call outwards; the first says
 * most.  Of what a driver says of the system's call, two lines long, what
 * failed and why is taken.
 */
static herr_t take_innermost(unsigned n, const H5E_error2_t *entry, void *ctx)
{
    static const char before[] = "error message = '";
    const char *why            = strstr(entry->desc, before);
    struct failure *f          = ctx;

    if (n > 0)
        return 0;
    f->is_system = why != NULL;
    if (why == NULL)
        snprintf(f->sentence, sizeof f->sentence, "%s: %s", entry->func_name,
                 entry->desc);
    else
        snprintf(f->sentence, sizeof f->sentence, "%.*s: %.*s",
                 (int)strcspn(entry->desc, ":"), entry->desc,
                 (int)strcspn(why + strlen(before), "'"), why + strlen(before));
    return 0;
}

int h5_failed(const char *path)
{
    struct failure f = { "HDF5 does not say why", false };

    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, take_innermost, &f);
    H5Eclear2(H5E_DEFAULT);
    err_keep("%s: %s", path, f.sentence);
    return f.is_system ? ERR_IO : ERR_DATA;
}

/* --- Types ------------------------------------------------------------------------ */

static hid_t memory_type(enum h5_type type)
{
    switch (type) {
    case H5_TYPE_U8:
        return H5T_NATIVE_UINT8;
    case H5_TYPE_I32:
        return H5T_NATIVE_INT32;
    case H5_TYPE_I64:
        return H5T_NATIVE_INT64;
    case H5_TYPE_F32:
        return H5T_NATIVE_FLOAT;
    case H5_TYPE_F64:
        return H5T_NATIVE_DOUBLE;
    case H5_TYPES:
        break;
    }
    die("h5 type %d", (int)type);
}

static hid_t file_type(enum h5_type type)
{
    switch (type) {
    case H5_TYPE_U8:
        return H5T_STD_U8LE;
    case H5_TYPE_I32:
        return H5T_STD_I32LE;
    case H5_TYPE_I64:
        return H5T_STD_I64LE;
    case H5_TYPE_F32:
        return H5T_IEEE_F32LE;
    case H5_TYPE_F64:
        return H5T_IEEE_F64LE;
    case H5_TYPES:
        break;
    }
    die("h5 type %d", (int)type);
}

/* --- Files ------------------------------------------------------------------------ */

enum how { CREATE, READ, CHANGE };

/* Files are closed with all that is open in them.  What describes the data has check
 * sums, which the format has from version 1.8 on.
 */
static int access_list(hid_t *list, const char *path)
{
    int rc = 0;

    TRY_H5(path, *list = H5Pcreate(H5P_FILE_ACCESS));
    TRY_H5_GOTO(fail, rc, path, H5Pset_fclose_degree(*list, H5F_CLOSE_STRONG));
    TRY_H5_GOTO(fail, rc, path,
                H5Pset_libver_bounds(*list, H5F_LIBVER_V18, H5F_LIBVER_LATEST));
    return 0;

fail:
    H5Pclose(*list);
    return rc;
}

/* A new file; dates would make files differ that hold the same. */
static int create_file(hid_t *file, const char *path, hid_t access)
{
    hid_t create;
    int rc = 0;

    TRY_H5(path, create = H5Pcreate(H5P_FILE_CREATE));
    TRY_H5_GOTO(close_create, rc, path, H5Pset_obj_track_times(create, false));
    TRY_H5_GOTO(close_create, rc, path,
                *file = H5Fcreate(path, H5F_ACC_TRUNC, create, access));
close_create:
    H5Pclose(create);
    return rc;
}

/* One that is there. */
static int open_old(hid_t *file, const char *path, enum how how, hid_t access)
{
    TRY_H5(path,
           *file = H5Fopen(path, how == READ ? H5F_ACC_RDONLY : H5F_ACC_RDWR, access));
    return 0;
}

static int open_file(struct h5 **file, const char *path, enum how how,
                     struct h5_image *image)
{
    struct h5 *f = mem_new(1, sizeof *f);
    hid_t access;
    int rc;

    /* Some file systems cannot lock; who writes here does it beside the name. */
    setenv("HDF5_USE_FILE_LOCKING", "FALSE", 0);
    /* HDF5 would try again at exit, and crash, where a full disk failed a close. */
    H5dont_atexit();
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* errors are said by err_say() alone */
    snprintf(f->path, sizeof f->path, "%s", path);
    f->image = image;
    rc       = access_list(&access, path);
    if (rc != 0)
        goto free_file;
    if (image != NULL)
        rc = h5_image_use(access, image, path);
    if (rc != 0)
        goto close_access;
    rc = how == CREATE ? create_file(&f->id, path, access)
                       : open_old(&f->id, path, how, access);
    if (rc != 0)
        goto close_access;
    H5Pclose(access);
    *file = f;
    return 0;

close_access:
    H5Pclose(access);
free_file:
    mem_free(f);
    return rc;
}

int h5_create(struct h5 **file, const char *path)
{
    return open_file(file, path, CREATE, NULL);
}

int h5_open(struct h5 **file, const char *path)
{
    return open_file(file, path, READ, NULL);
}

int h5_change(struct h5 **file, const char *path)
{
    return open_file(file, path, CHANGE, NULL);
}

int h5_create_image(struct h5 **file, struct h5_image *image, const char *path)
{
    return open_file(file, path, CREATE, image);
}

const char *h5_path(const struct h5 *file)
{
    return file->path;
}

int h5_close(struct h5 **file)
{
    struct h5 *f = *file;
    hsize_t size = 0;
    int rc       = 0;

    if (f == NULL)
        return 0;
    *file = NULL;
    if (f->image != NULL && H5Fget_filesize(f->id, &size) < 0)
        rc = h5_failed(f->path);
    if (f->image != NULL)
        f->image->size = (int64_t)size;
    if (H5Fclose(f->id) < 0)
        rc = h5_failed(f->path);
    mem_free(f);
    return rc;
}

/* --- Datasets --------------------------------------------------------------------- */

static hid_t space_of(int dims, const int64_t *size)
{
    hsize_t extent[H5_DIMS_MOST];

    for (int i = 0; i < dims; i++)
        extent[i] = (hsize_t)size[i];
    return dims == 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple(dims, extent, NULL);
}

static int make_group(struct h5 *file, const char *name)
{
    hid_t create, group;
    int rc = 0;

    TRY_H5(file->path, create = H5Pcreate(H5P_GROUP_CREATE));
    TRY_H5_GOTO(close_create, rc, file->path, H5Pset_obj_track_times(create, false));
    TRY_H5_GOTO(close_create, rc, file->path,
                group = H5Gcreate2(file->id, name, H5P_DEFAULT, create, H5P_DEFAULT));
    H5Gclose(group);
close_create:
    H5Pclose(create);
    return rc;
}

/* Make the groups that lead to 'name', as far as they are not there: those that HDF5
 * makes on its way have dates.
 */
static int make_way(struct h5 *file, const char *name)
{
    char path[1024];
    bool is_there;

    snprintf(path, sizeof path, "%s", name);
    for (char *end = path; *end != '\0'; end++) {
        if (*end != '/' || end == path)
            continue;
        *end = '\0';
        TRY(h5_has(&is_there, file, path));
        if (!is_there)
            TRY(make_group(file, path));
        *end = '/';
    }
    return 0;
}

int h5_dataset(struct h5 *file, const char *name, const struct h5_shape *shape)
{
    hid_t space, create, dataset;
    int rc = 0;

    TRY(make_way(file, name));
    TRY_H5(file->path, space = space_of(shape->dims, shape->size));
    TRY_H5_GOTO(close_space, rc, file->path, create = H5Pcreate(H5P_DATASET_CREATE));
    TRY_H5_GOTO(close_create, rc, file->path, H5Pset_layout(create, H5D_CONTIGUOUS));
    TRY_H5_GOTO(close_create, rc, file->path,
                H5Pset_alloc_time(create, H5D_ALLOC_TIME_EARLY));
    TRY_H5_GOTO(close_create, rc, file->path,
                H5Pset_fill_time(create, H5D_FILL_TIME_NEVER));
    TRY_H5_GOTO(close_create, rc, file->path, H5Pset_obj_track_times(create, false));
    TRY_H5_GOTO(close_create, rc, file->path,
                dataset = H5Dcreate2(file->id, name, file_type(shape->type), space,
                                     H5P_DEFAULT, create, H5P_DEFAULT));
    H5Dclose(dataset);
close_create:
    H5Pclose(create);
close_space:
    H5Sclose(space);
    return rc;
}

int h5_group(struct h5 *file, const char *name)
{
    TRY(make_way(file, name));
    return make_group(file, name);
}

/* What h5_each() hands through HDF5, and the code that its visitor returned. */
struct visit {
    const struct h5 *file;
    h5_visit_fn call;
    void *ctx;
    int rc;
};

static int visit_object(struct visit *v, hid_t place, const char *name)
{
    hid_t object;
    bool is_dataset;

    TRY_H5(v->file->path, object = H5Oopen(place, name, H5P_DEFAULT));
    is_dataset = H5Iget_type(object) == H5I_DATASET;
    H5Oclose(object);
    return is_dataset ? v->call(v->ctx, v->file, name) : 0;
}

static herr_t visit_link(hid_t root, const char *name, const H5L_info_t *info,
                         void *ctx)
{
    struct visit *v = ctx;

    if (info->type == H5L_TYPE_HARD)
        v->rc = visit_object(v, root, name);
    return v->rc != 0;
}

int h5_each(const struct h5 *file, h5_visit_fn visit, void *ctx)
{
    struct visit v = { .file = file, .call = visit, .ctx = ctx };

    TRY_H5(file->path, H5Lvisit(file->id, H5_INDEX_NAME, H5_ITER_INC, visit_link, &v));
    return v.rc;
}

int h5_has(bool *is, const struct h5 *file, const char *name)
{
    char path[1024];
    htri_t is_there = 1;

    /* HDF5 wants to be asked about every group on the way. */
    snprintf(path, sizeof path, "%s", name);
    for (char *end = path + 1; *end != '\0' && is_there > 0; end++) {
        if (*end != '/')
            continue;
        *end = '\0';
        TRY_H5(file->path, is_there = H5Lexists(file->id, path, H5P_DEFAULT));
        *end = '/';
    }
    if (is_there > 0 && strcmp(path, "/") != 0)
        TRY_H5(file->path, is_there = H5Lexists(file->id, path, H5P_DEFAULT));
    *is = is_there > 0;
    return 0;
}

static int open_dataset(hid_t *dataset, const struct h5 *file, const char *name)
{
    bool is_there;

    TRY(h5_has(&is_there, file, name));
    if (!is_there)
        return ERR(ERR_DATA, "%s: there is no dataset '%s'", file->path, name);
    TRY_H5(file->path, *dataset = H5Dopen2(file->id, name, H5P_DEFAULT));
    return 0;
}

/* Which of our types that of a file is, whatever its byte order; H5_TYPES: none. */
static enum h5_type known_type(hid_t type)
{
    const H5T_class_t class = H5Tget_class(type);
    const size_t size       = H5Tget_size(type);

    if (class == H5T_FLOAT && size == 8)
        return H5_TYPE_F64;
    if (class == H5T_FLOAT && size == 4)
        return H5_TYPE_F32;
    if (class == H5T_INTEGER && size == 8)
        return H5_TYPE_I64;
    if (class == H5T_INTEGER && size == 4)
        return H5_TYPE_I32;
    if (class == H5T_INTEGER && size == 1 && H5Tget_sign(type) == H5T_SGN_NONE)
        return H5_TYPE_U8;
    return H5_TYPES;
}

int h5_shape(struct h5_shape *shape, const struct h5 *file, const char *name)
{
    struct h5_shape found = { 0 };
    hsize_t extent[H5S_MAX_RANK];
    hid_t dataset, space, type;
    int rc = 0;

    TRY(open_dataset(&dataset, file, name));
    TRY_H5_GOTO(close_dataset, rc, file->path, space = H5Dget_space(dataset));
    TRY_H5_GOTO(close_space, rc, file->path, type = H5Dget_type(dataset));
    TRY_H5_GOTO(close_type, rc, file->path,
                found.dims = H5Sget_simple_extent_dims(space, extent, NULL));
    found.type = known_type(type);
    if (found.dims > H5_DIMS_MOST || found.type == H5_TYPES) {
        rc = ERR(ERR_DATA, "%s: the dataset '%s' is not of a kind that is read here",
                 file->path, name);
        goto close_type;
    }
    for (int i = 0; i < found.dims; i++)
        found.size[i] = (int64_t)extent[i];
    *shape = found;
close_type:
    H5Tclose(type);
close_space:
    H5Sclose(space);
close_dataset:
    H5Dclose(dataset);
    return rc;
}

/* Open the dataset 'name' with the box selected in its space, and a packed space of the
 * box's size for memory.
 */
static int open_box(hid_t *dataset, hid_t *memory, hid_t *space, const struct h5 *file,
                    const char *name, const int64_t *start, const int64_t *count)
{
    hsize_t from[H5_DIMS_MOST], size[H5_DIMS_MOST];
    int64_t elements = 1;
    int rc           = 0, dims;

    TRY(open_dataset(dataset, file, name));
    TRY_H5_GOTO(close_dataset, rc, file->path, *space = H5Dget_space(*dataset));
    TRY_H5_GOTO(close_space, rc, file->path, dims = H5Sget_simple_extent_ndims(*space));
    if (dims > H5_DIMS_MOST) {
        rc = ERR(ERR_DATA, "%s: '%s' has %d dimensions", file->path, name, dims);
        goto close_space;
    }
    for (int i = 0; i < dims; i++) {
        from[i] = (hsize_t)start[i];
        size[i] = (hsize_t)count[i];
        elements *= count[i];
    }
    TRY_H5_GOTO(close_space, rc, file->path, *memory = space_of(1, &elements));
    if (elements == 0) {
        TRY_H5_GOTO(close_memory, rc, file->path, H5Sselect_none(*space));
        TRY_H5_GOTO(close_memory, rc, file->path, H5Sselect_none(*memory));
    } else if (dims > 0) {
        TRY_H5_GOTO(
            close_memory, rc, file->path,
            H5Sselect_hyperslab(*space, H5S_SELECT_SET, from, NULL, size, NULL));
    }
    return 0;

close_memory:
    H5Sclose(*memory);
close_space:
    H5Sclose(*space);
close_dataset:
    H5Dclose(*dataset);
    return rc;
}

int h5_read(void *data, enum h5_type type, const struct h5 *file, const char *name,
            const int64_t *start, const int64_t *count)
{
    hid_t dataset, memory = H5I_INVALID_HID, space;
    int rc = 0;

    TRY(open_box(&dataset, &memory, &space, file, name, start, count));
    if (H5Dread(dataset, memory_type(type), memory, space, H5P_DEFAULT, data) < 0)
        rc = h5_failed(file->path);
    H5Sclose(memory);
    H5Sclose(space);
    H5Dclose(dataset);
    return rc;
}

/* A link may lead to a dataset of another file. */
static int check_own(hid_t dataset, const struct h5 *file, const char *name)
{
    char own[1024], its[1024];

    TRY_H5(file->path, H5Fget_name(file->id, own, sizeof own));
    TRY_H5(file->path, H5Fget_name(dataset, its, sizeof its));
    if (strcmp(own, its) != 0)
        return ERR(ERR_DATA, "%s: '%s' lies in another file, %s", file->path, name,
                   its);
    return 0;
}

int h5_offset(int64_t *bytes, const struct h5 *file, const char *name)
{
    hid_t dataset, type;
    haddr_t place;
    int rc = 0;

    TRY(open_dataset(&dataset, file, name));
    rc = check_own(dataset, file, name);
    if (rc != 0)
        goto close_dataset;
    TRY_H5_GOTO(close_dataset, rc, file->path, type = H5Dget_type(dataset));
    place = H5Dget_offset(dataset);
    if (place == HADDR_UNDEF)
        rc = ERR(ERR_DATA, "%s: the bytes of '%s' do not lie in one piece", file->path,
                 name);
    else if (H5Tget_order(type) == H5T_ORDER_BE)
        rc = ERR(ERR_DATA, "%s: the bytes of '%s' are not in this machine's order",
                 file->path, name);
    else
        *bytes = (int64_t)place;
    H5Tclose(type);
close_dataset:
    H5Dclose(dataset);
    return rc;
}
