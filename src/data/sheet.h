/* SPDX-License-Identifier: BSD-3-Clause */
/* Pictures of a source on one sheet, to be looked at. */
#ifndef DATA_SHEET_H
#define DATA_SHEET_H

#include "src/data/data.h"

/* Write 'rows' x 'columns' images as the PNG file 'path'.  Of a source without end a
 * row is a class; of a set a row is an image, as it comes in pass after pass.
 * Returns 0, ERR_USAGE for too large a sheet, ERR_IO, ERR_ENV in a build without PNG,
 * or what data_failure() does.
 */
int sheet_write(const char *path, const struct data *data, int rows, int columns);

#endif
