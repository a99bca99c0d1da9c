/* SPDX-License-Identifier: BSD-3-Clause */
/* 'vitfit fit', and the JSON file that every command can leave. */
#include "config.h"

#include "src/base/err.h"
#include "src/fit/command.h"
#include "src/fit/study.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int command_save(json_t *json, const char *path)
{
    char beside[sizeof((struct options *)0)->json + 8];
    int rc = 0;

    if (path[0] != '\0') {
        snprintf(beside, sizeof beside, "%s.part", path);
        if (json_dump_file(json, beside, JSON_INDENT(2) | JSON_REAL_PRECISION(15)) !=
                0 ||
            rename(beside, path) != 0) {
            rc = ERR(ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
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
