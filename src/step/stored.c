/* SPDX-License-Identifier: BSD-3-Clause */
/* A checkpoint stores options as text, by name, as a user gives them.  They are read by
 * the same rows of the table as those of a program.
 */
#include "config.h"

#include "src/step/stored.h"

#include "src/base/err.h"
#include "src/base/opts_table.h"
#include "src/step/setting.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPTS_VALUES struct setting

static const struct opt table[] = {
    { "shape", OPT_TEXT, NULL, NULL, NULL, TEXT(shape) },
#define ROWS_TUNE "false"
#include "src/step/rows.h"
};

enum { ROWS = sizeof table / sizeof table[0] };

/* The texts that are there over the defaults. */
static int read_options(struct setting *o, const json_t *options)
{
    struct opts opts = { .table = table, .count = ROWS, .values = o };

    for (int i = 0; i < ROWS; i++) {
        const char *name = table[i].name;
        const char *text = table[i].type != OPT_TITLE
                               ? json_string_value(json_object_get(options, name))
                               : NULL;

        if (text == NULL)
            text = table[i].preset;
        if (text != NULL)
            TRY(opts_set(&opts, name, text, FROM_FILE));
    }
    return 0;
}

int stored_spec(struct spec *s, const struct ckpt_file *file)
{
    const struct entry *classes = file_find(file, "params/head/bias");
    struct setting o            = { .shape = "" };
    struct spec_options options;
    int rc;

    if (classes == NULL || classes->dims != 1 ||
        json_object_get(file->meta.options, "shape") == NULL)
        return ERR(ERR_DATA, "%s does not hold a model with its shape", file->path);
    rc = read_options(&o, file->meta.options);
    if (rc == 0) {
        o.classes = classes->size[0];
        options   = setting_spec(&o, o.shape);
        rc        = spec_make(s, &options);
    }
    if (rc != 0)
        return ERR(ERR_DATA, "%s: %s", file->path, err_sentence());
    return 0;
}

static const char *text_of(const json_t *options, const char *name)
{
    const char *text = json_string_value(json_object_get(options, name));

    return text != NULL ? text : "";
}

double stored_held_share(const json_t *options)
{
    const double usual  = 0.1; /* vittrain's */
    const char *holdout = text_of(options, "holdout");
    char *end;
    const double share = strtod(holdout, &end);

    if (strcmp(holdout, "auto") == 0)
        return usual;
    return *end == '\0' && share > 0 && share < 1 ? share : 0;
}

bool stored_has_seen(const json_t *options, uint64_t identity, double share)
{
    char set[24];

    snprintf(set, sizeof set, "%016llx", (unsigned long long)identity);
    return identity != 0 && share > stored_held_share(options) &&
           strcmp(set, text_of(options, META_SET)) == 0;
}
