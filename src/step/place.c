/* SPDX-License-Identifier: BSD-3-Clause */
/* A place as JSON, and two of them side by side. */
#include "config.h"

#include "src/step/place.h"

#include "src/base/version.h"

#include <stdio.h>
#include <string.h>

json_t *place_json(const struct mesh *mesh, const struct dev *dev)
{
    char at[32], device[64];

    snprintf(at, sizeof at, "%dx%d", mesh->D, mesh->M);
    snprintf(device, sizeof device, "%s %s", dev_name(dev), dtype_name(dev_dtype(dev)));
    return json_pack("{ss si ss ss si ss}", "mesh", at, "near", mesh->near, "device",
                     device, "processor", dev_hardware(dev), "threads",
                     dev_threads(dev), "build", version_git());
}

static void value_text(char text[64], const json_t *value)
{
    if (json_is_integer(value))
        snprintf(text, 64, "%lld", (long long)json_integer_value(value));
    else
        snprintf(text, 64, "%s", json_string_value(value));
}

void place_compare(char *text, size_t size, const json_t *from, const json_t *here)
{
    static const char *const row[][2] = {
        { "mesh", "mesh" },       { "near", "data ranks of a node" },
        { "device", "device" },   { "processor", "processor" },
        { "threads", "threads" }, { "build", "build" },
    };
    size_t at = 0;

    text[0] = '\0';
    for (size_t i = 0; i < sizeof row / sizeof row[0] && at < size; i++) {
        const json_t *before = json_object_get(from, row[i][0]);
        const json_t *now    = json_object_get(here, row[i][0]);
        char was[64], is[64];

        if (before == NULL || json_equal(before, now))
            continue;
        value_text(was, before);
        value_text(is, now);
        at += (size_t)snprintf(text + at, size - at, "%s%s %s (now %s)",
                               at > 0 ? ", " : "", row[i][1], was, is);
    }
}
