/* SPDX-License-Identifier: BSD-3-Clause */
/* /meta: a number is an attribute with that number, an object one with its JSON
 * text.
 */
#include "config.h"

#include "ckpt/meta.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/version.h"

#include <stdlib.h>

enum { TEXT_MOST = 1 << 20 };

static int write_json(struct h5 *file, const char *name, const json_t *value)
{
    char *text;
    int rc;

    if (value == NULL)
        return h5_set_text(file, "/meta", name, "{}");
    text = json_dumps(value, JSON_COMPACT | JSON_SORT_KEYS | JSON_REAL_PRECISION(17));
    if (text == NULL)
        die("/meta: '%s' is not JSON", name);
    rc = h5_set_text(file, "/meta", name, text);
    free(text);
    return rc;
}

static int read_json(json_t **value, const struct h5 *file, const char *name)
{
    json_error_t why;
    void *text;
    int rc;

    TRY(mem_alloc(&text, TEXT_MOST));
    rc = h5_get_text(text, TEXT_MOST, file, "/meta", name);
    if (rc == 0) {
        *value = json_loads(text, JSON_REJECT_DUPLICATES, &why);
        if (!json_is_object(*value)) {
            json_decref(*value);
            *value = NULL;
            rc = ERR(ERR_DATA, "%s: '%s' of /meta is not a JSON object", h5_path(file),
                     name);
        }
    }
    mem_free(text);
    return rc;
}

int meta_write(struct h5 *file, const struct ckpt_meta *meta)
{
    TRY(h5_set_int(file, "/meta", "step", meta->step));
    TRY(h5_set_int(file, "/meta", "examples", meta->examples));
    TRY(h5_set_int(file, "/meta", "position", meta->position));
    TRY(h5_set_text(file, "/meta", "version", version_git()));
    TRY(write_json(file, "options", meta->options));
    return write_json(file, "tuned", meta->tuned);
}

static int read_all(struct ckpt_meta *meta, const struct h5 *file)
{
    TRY(h5_get_int(&meta->step, file, "/meta", "step"));
    TRY(h5_get_int(&meta->examples, file, "/meta", "examples"));
    TRY(h5_get_int(&meta->position, file, "/meta", "position"));
    TRY(h5_get_text(meta->version, sizeof meta->version, file, "/meta", "version"));
    TRY(read_json(&meta->options, file, "options"));
    return read_json(&meta->tuned, file, "tuned");
}

int meta_read(struct ckpt_meta *meta, const struct h5 *file)
{
    struct ckpt_meta found = { 0 };
    const int rc           = read_all(&found, file);

    if (rc != 0)
        meta_free(&found);
    else
        *meta = found;
    return rc;
}

void meta_free(struct ckpt_meta *meta)
{
    json_decref(meta->options);
    json_decref(meta->tuned);
    *meta = (struct ckpt_meta){ 0 };
}
