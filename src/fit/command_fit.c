/* SPDX-License-Identifier: BSD-3-Clause */
/* 'vitfit fit', and the JSON file that every command can leave. */
#include "config.h"

#include "src/base/err.h"
#include "src/fit/command.h"
#include "src/fit/study.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { PATH_MOST = sizeof((struct options *)0)->json + 8 };

static int failed(const char *path)
{
    return ERR(ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
}

/* Devices and pipes are written as they are. */
static bool is_special(const char *path)
{
    struct stat state;

    return stat(path, &state) == 0 && !S_ISREG(state.st_mode);
}

int command_probe(const char *path)
{
    char beside[PATH_MOST];
    FILE *file;

    if (path[0] == '\0')
        return 0;
    snprintf(beside, sizeof beside, "%s%s", path, is_special(path) ? "" : ".part");
    file = fopen(beside, is_special(path) ? "a" : "w");
    if (file == NULL)
        return failed(path);
    fclose(file);
    if (!is_special(path))
        remove(beside);
    return 0;
}

int command_save(json_t *json, const char *path)
{
    const size_t form = JSON_INDENT(2) | JSON_REAL_PRECISION(15);
    char beside[PATH_MOST];
    int rc = 0;

    snprintf(beside, sizeof beside, "%s.part", path);
    if (path[0] != '\0' && is_special(path)) {
        if (json_dump_file(json, path, form) != 0)
            rc = failed(path);
    } else if (path[0] != '\0') {
        if (json_dump_file(json, beside, form) != 0 || rename(beside, path) != 0) {
            rc = failed(path);
            remove(beside);
        }
    }
    json_decref(json);
    return rc;
}

int command_fit(FILE *out, const struct options *o, char *const *word, int words)
{
    struct study s;
    int rc;

    TRY(study_open(&s, o, word, words));
    study_print(out, &s);
    rc = command_save(study_json(&s), o->json);
    study_close(&s);
    return rc;
}
