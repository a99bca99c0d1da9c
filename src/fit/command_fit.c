/* SPDX-License-Identifier: BSD-3-Clause */
/* 'vitfit fit', and the JSON file that every command can leave. */
#include "config.h"

#include "src/base/draft.h"
#include "src/base/err.h"
#include "src/fit/command.h"
#include "src/fit/study.h"

#include <stdio.h>

int command_save(json_t *json, const char *path)
{
    const size_t form = JSON_INDENT(2) | JSON_REAL_PRECISION(15);
    const int rc      = path[0] != '\0' ? draft_json(json, form, path) : 0;

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
