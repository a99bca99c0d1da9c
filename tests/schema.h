/* SPDX-License-Identifier: BSD-3-Clause */
/* JSON Schema, the part of it that our schema uses.  A keyword that is not implemented
 * is an error, never ignored: a rule that nobody checks would be worse than none.
 */
#ifndef TESTS_SCHEMA_H
#define TESTS_SCHEMA_H

#include <jansson.h>
#include <stdbool.h>

/* True if every keyword of 'schema', in all its depth, is implemented here; else 'why'
 * names the place and the keyword.
 */
bool schema_is_known(const json_t *schema, char *why, size_t size);

/* True if 'document' obeys 'schema'; else 'why' names the place and the rule. */
bool schema_allows(const json_t *schema, const json_t *document, char *why,
                   size_t size);

#endif
