/* SPDX-License-Identifier: BSD-3-Clause */
/* schema_check SCHEMA DOCUMENT ..
 *
 * Validate JSON documents; one line for each.  Exit status 0: all obey the schema; 1:
 * one does not; 2: a file cannot be read, or the schema uses a keyword that is not
 * implemented.
 */
#include "config.h"

#include "tests/schema.h"

#include <stdio.h>

static json_t *load(const char *path)
{
    json_error_t error;
    json_t *json = json_load_file(path, JSON_REJECT_DUPLICATES, &error);

    if (json == NULL)
        fprintf(stderr, "schema_check: %s, line %d: %s\n", path, error.line,
                error.text);
    return json;
}

int main(int argc, char **argv)
{
    char why[1024];
    json_t *schema;
    int status = 0;

    if (argc < 3) {
        fprintf(stderr, "usage: schema_check SCHEMA DOCUMENT ..\n");
        return 2;
    }
    schema = load(argv[1]);
    if (schema == NULL)
        return 2;
    if (!schema_is_known(schema, why, sizeof why)) {
        fprintf(stderr, "schema_check: %s%s\n", argv[1], why);
        return 2;
    }
    for (int i = 2; i < argc && status < 2; i++) {
        json_t *document = load(argv[i]);

        if (document == NULL) {
            status = 2;
        } else if (schema_allows(schema, document, why, sizeof why)) {
            printf("%s: valid\n", argv[i]);
        } else {
            printf("%s: not valid: %s\n", argv[i], why);
            status = 1;
        }
        json_decref(document);
    }
    json_decref(schema);
    return status;
}
