/* SPDX-License-Identifier: BSD-3-Clause */
/* A small JSON Schema validator: type, enum, minimum, properties, required,
 * additionalProperties, items, minItems, and $ref into $defs of the same document.
 */
#include "config.h"

#include "tests/schema.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { PATH = 512, DEPTH_MOST = 64 };

struct check {
    const json_t *root; /* of the schema, for $ref */
    char path[PATH];    /* of what is being looked at, "/cases/0/steps" */
    char *why;
    size_t size;
};

static bool refuse(struct check *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static bool refuse(struct check *c, const char *fmt, ...)
{
    const int used =
        snprintf(c->why, c->size, "%s: ", c->path[0] != '\0' ? c->path : "/");
    va_list args;

    va_start(args, fmt);
    if (used > 0 && (size_t)used < c->size)
        vsnprintf(c->why + used, c->size - (size_t)used, fmt, args);
    va_end(args);
    return false;
}

/* Go down to 'name' ('i' of an array if it is NULL); the length to go back to. */
static size_t enter(struct check *c, const char *name, size_t i)
{
    const size_t before = strlen(c->path);

    if (name != NULL)
        snprintf(c->path + before, PATH - before, "/%s", name);
    else
        snprintf(c->path + before, PATH - before, "/%zu", i);
    return before;
}

/* ---- the schema itself ----------------------------------------------------------- */

static bool is_known(struct check *c, const json_t *schema, int depth);

static bool all_known(struct check *c, const json_t *schemas, int depth)
{
    const char *name;
    json_t *schema;

    json_object_foreach((json_t *)schemas, name, schema)
    {
        const size_t before = enter(c, name, 0);

        if (!is_known(c, schema, depth))
            return false;
        c->path[before] = '\0';
    }
    return true;
}

static bool is_known(struct check *c, const json_t *schema, int depth)
{
    static const char *const plain[] = { "$schema",  "title",    "description",
                                         "type",     "enum",     "minimum",
                                         "required", "minItems", "$ref" };
    const char *keyword;
    json_t *value;

    if (!json_is_object(schema) || depth > DEPTH_MOST)
        return refuse(c, "a schema must be an object");
    json_object_foreach((json_t *)schema, keyword, value)
    {
        const size_t before = strlen(c->path);
        bool is_ok          = false;

        for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++)
            is_ok = is_ok || strcmp(keyword, plain[i]) == 0;
        if (is_ok)
            continue;
        enter(c, keyword, 0);
        if (strcmp(keyword, "properties") == 0 || strcmp(keyword, "$defs") == 0)
            is_ok = all_known(c, value, depth + 1);
        else if (strcmp(keyword, "items") == 0)
            is_ok = is_known(c, value, depth + 1);
        else if (strcmp(keyword, "additionalProperties") == 0)
            is_ok = json_is_boolean(value) || is_known(c, value, depth + 1);
        else
            return refuse(c, "the keyword '%s' is not implemented", keyword);
        if (!is_ok)
            return false;
        c->path[before] = '\0';
    }
    return true;
}

bool schema_is_known(const json_t *schema, char *why, size_t size)
{
    struct check c = { .root = schema, .why = why, .size = size };

    return is_known(&c, schema, 0);
}

/* ---- a document ------------------------------------------------------------------ */

static bool allows(struct check *c, const json_t *schema, const json_t *value);

static const char *type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "object";
    case JSON_ARRAY:
        return "array";
    case JSON_STRING:
        return "string";
    case JSON_INTEGER:
        return "integer";
    case JSON_REAL:
        return "number";
    case JSON_NULL:
        return "null";
    default:
        return "boolean";
    }
}

static bool is_type(const json_t *value, const char *type)
{
    if (strcmp(type, "number") == 0)
        return json_is_number(value);
    return strcmp(type, type_name(value)) == 0;
}

static bool allows_type(struct check *c, const json_t *types, const json_t *value)
{
    json_t *type;
    size_t i;

    if (json_is_string(types))
        return is_type(value, json_string_value(types)) ||
               refuse(c, "is of type %s, not %s", type_name(value),
                      json_string_value(types));
    json_array_foreach((json_t *)types, i, type)
    {
        if (is_type(value, json_string_value(type)))
            return true;
    }
    return refuse(c, "type %s is not allowed", type_name(value));
}

static bool allows_enum(struct check *c, const json_t *allowed, const json_t *value)
{
    json_t *one;
    size_t i;

    json_array_foreach((json_t *)allowed, i, one)
    {
        if (json_equal(one, value))
            return true;
    }
    return refuse(c, "is none of the values that are allowed");
}

static bool allows_object(struct check *c, const json_t *schema, const json_t *value)
{
    const json_t *properties = json_object_get(schema, "properties");
    const json_t *others     = json_object_get(schema, "additionalProperties");
    const char *name;
    json_t *part;
    size_t i;

    json_array_foreach(json_object_get(schema, "required"), i, part)
    {
        if (json_object_get(value, json_string_value(part)) == NULL)
            return refuse(c, "the field '%s' is missing", json_string_value(part));
    }
    json_object_foreach((json_t *)value, name, part)
    {
        const json_t *rule  = json_object_get(properties, name);
        const size_t before = enter(c, name, 0);

        if (rule == NULL)
            rule = others;
        if (json_is_false(rule))
            return refuse(c, "the field '%s' is unknown", name);
        if (json_is_object(rule) && !allows(c, rule, part))
            return false;
        c->path[before] = '\0';
    }
    return true;
}

static bool allows_array(struct check *c, const json_t *schema, const json_t *value)
{
    const json_t *items = json_object_get(schema, "items");
    const json_t *least = json_object_get(schema, "minItems");
    json_t *part;
    size_t i;

    if (least != NULL && (json_int_t)json_array_size(value) < json_integer_value(least))
        return refuse(c, "has %zu items, at least %lld are needed",
                      json_array_size(value), (long long)json_integer_value(least));
    json_array_foreach((json_t *)value, i, part)
    {
        const size_t before = enter(c, NULL, i);

        if (items != NULL && !allows(c, items, part))
            return false;
        c->path[before] = '\0';
    }
    return true;
}

/* "#/$defs/NAME" and no other. */
static const json_t *resolve(struct check *c, const json_t *reference)
{
    static const char prefix[] = "#/$defs/";
    const char *text           = json_string_value(reference);

    if (text == NULL || strncmp(text, prefix, strlen(prefix)) != 0)
        return NULL;
    return json_object_get(json_object_get(c->root, "$defs"), text + strlen(prefix));
}

static bool allows(struct check *c, const json_t *schema, const json_t *value)
{
    const json_t *type      = json_object_get(schema, "type");
    const json_t *allowed   = json_object_get(schema, "enum");
    const json_t *least     = json_object_get(schema, "minimum");
    const json_t *reference = json_object_get(schema, "$ref");

    if (reference != NULL && resolve(c, reference) == NULL)
        return refuse(c, "the reference '%s' leads nowhere",
                      json_string_value(reference));
    if (reference != NULL && !allows(c, resolve(c, reference), value))
        return false;
    if (type != NULL && !allows_type(c, type, value))
        return false;
    if (allowed != NULL && !allows_enum(c, allowed, value))
        return false;
    if (least != NULL && json_is_number(value) &&
        json_number_value(value) < json_number_value(least))
        return refuse(c, "%g is below %g", json_number_value(value),
                      json_number_value(least));
    if (json_is_object(value))
        return allows_object(c, schema, value);
    if (json_is_array(value))
        return allows_array(c, schema, value);
    return true;
}

bool schema_allows(const json_t *schema, const json_t *document, char *why, size_t size)
{
    struct check c = { .root = schema, .why = why, .size = size };

    return allows(&c, schema, document);
}
