/* SPDX-License-Identifier: BSD-3-Clause */
/* Attributes of HDF5 groups and datasets: one text or number each. */
#include "config.h"

#include "src/io/h5.h"

#include "src/base/err.h"
#include "src/io/h5_impl.h"

#include <string.h>

static int set_attribute(struct h5 *file, const char *where, const char *name,
                         hid_t stored, hid_t given, const void *value)
{
    hid_t space, attribute;
    htri_t is_there;
    int rc = 0;

    TRY_H5(file->path,
           is_there = H5Aexists_by_name(file->id, where, name, H5P_DEFAULT));
    if (is_there > 0)
        TRY_H5(file->path, H5Adelete_by_name(file->id, where, name, H5P_DEFAULT));
    TRY_H5(file->path, space = H5Screate(H5S_SCALAR));
    TRY_H5_GOTO(close_space, rc, file->path,
                attribute = H5Acreate_by_name(file->id, where, name, stored, space,
                                              H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    if (H5Awrite(attribute, given, value) < 0)
        rc = h5_failed(file->path);
    H5Aclose(attribute);
close_space:
    H5Sclose(space);
    return rc;
}

/* A text type of 'size' bytes; short texts end with a zero. */
static int text_type(hid_t *type, size_t size, const char *path)
{
    int rc = 0;

    TRY_H5(path, *type = H5Tcopy(H5T_C_S1));
    TRY_H5_GOTO(fail, rc, path, H5Tset_size(*type, size));
    TRY_H5_GOTO(fail, rc, path, H5Tset_cset(*type, H5T_CSET_UTF8));
    return 0;

fail:
    H5Tclose(*type);
    return rc;
}

int h5_set_text(struct h5 *file, const char *where, const char *name, const char *text)
{
    hid_t type;
    int rc;

    TRY(text_type(&type, strlen(text) + 1, file->path));
    rc = set_attribute(file, where, name, type, type, text);
    H5Tclose(type);
    return rc;
}

int h5_set_int(struct h5 *file, const char *where, const char *name, int64_t value)
{
    return set_attribute(file, where, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value);
}

static int open_attribute(hid_t *attribute, const struct h5 *file, const char *where,
                          const char *name)
{
    htri_t has = 0;
    bool is_there;

    TRY(h5_has(&is_there, file, where));
    if (is_there)
        TRY_H5(file->path, has = H5Aexists_by_name(file->id, where, name, H5P_DEFAULT));
    if (has == 0)
        return ERR(ERR_DATA, "%s: '%s' has no attribute '%s'", file->path, where, name);
    TRY_H5(file->path, *attribute = H5Aopen_by_name(file->id, where, name, H5P_DEFAULT,
                                                    H5P_DEFAULT));
    return 0;
}

/* Whether it is one value: HDF5 would write as many as there are. */
static int check_one(hid_t attribute, const struct h5 *file, const char *where,
                     const char *name)
{
    hssize_t values = 0;
    hid_t space;
    int rc = 0;

    TRY_H5(file->path, space = H5Aget_space(attribute));
    TRY_H5_GOTO(close_space, rc, file->path,
                values = H5Sget_simple_extent_npoints(space));
    if (values != 1)
        rc = ERR(ERR_DATA, "%s: attribute '%s' of '%s' is not one value", file->path,
                 name, where);
close_space:
    H5Sclose(space);
    return rc;
}

int h5_get_int(int64_t *value, const struct h5 *file, const char *where,
               const char *name)
{
    hid_t attribute = H5I_INVALID_HID, stored;
    int rc          = 0;

    TRY(open_attribute(&attribute, file, where, name));
    rc = check_one(attribute, file, where, name);
    if (rc != 0)
        goto close_attribute;
    TRY_H5_GOTO(close_attribute, rc, file->path, stored = H5Aget_type(attribute));
    if (H5Tget_class(stored) != H5T_INTEGER && H5Tget_class(stored) != H5T_FLOAT)
        rc = ERR(ERR_DATA, "%s: attribute '%s' of '%s' is not a number", file->path,
                 name, where);
    else if (H5Aread(attribute, H5T_NATIVE_INT64, value) < 0)
        rc = h5_failed(file->path);
    H5Tclose(stored);
close_attribute:
    H5Aclose(attribute);
    return rc;
}

int h5_get_text(char *text, size_t size, const struct h5 *file, const char *where,
                const char *name)
{
    hid_t attribute = H5I_INVALID_HID, stored, type;
    int rc          = 0;

    TRY(open_attribute(&attribute, file, where, name));
    rc = check_one(attribute, file, where, name);
    if (rc != 0)
        goto close_attribute;
    TRY_H5_GOTO(close_attribute, rc, file->path, stored = H5Aget_type(attribute));
    if (H5Tget_class(stored) != H5T_STRING || H5Tis_variable_str(stored) != 0 ||
        H5Tget_size(stored) > size) {
        rc = ERR(ERR_DATA, "%s: attribute '%s' of '%s' is not a text of %zu bytes",
                 file->path, name, where, size);
        goto close_stored;
    }
    rc = text_type(&type, size, file->path);
    if (rc != 0)
        goto close_stored;
    if (H5Aread(attribute, type, text) < 0)
        rc = h5_failed(file->path);
    H5Tclose(type);
close_stored:
    H5Tclose(stored);
close_attribute:
    H5Aclose(attribute);
    return rc;
}
