/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading, and the sentences for what goes wrong. */
#include "config.h"

#include "src/base/json_file.h"

#include "src/base/err.h"

#include <stdio.h>

int json_file_load(json_t **root, const char *path)
{
    FILE *file = fopen(path, "r");
    json_error_t error;
    json_t *made;
    int rc = 0;

    if (file == NULL)
        return err_unread(path);
    made = json_loadf(file, JSON_REJECT_DUPLICATES, &error);
    if (ferror(file) != 0) /* a folder opens, too */
        rc = err_unread(path);
    else if (made == NULL)
        rc = ERR(ERR_DATA, "%s: line %d, column %d: %s", path, error.line, error.column,
                 error.text);
    fclose(file);
    if (rc == 0)
        *root = made;
    return rc;
}
