/* SPDX-License-Identifier: BSD-3-Clause */
/* The JSON of a result obeys the schema, and the validator that says so can refuse:
 * each keyword by itself, keywords that it does not know, and three planted documents.
 */
#include "config.h"

#include "bench/report.h"

#include "tests/sample.h"
#include "tests/schema.h"
#include "tests/tap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static char why[1024];

static json_t *parse(const char *text)
{
    json_error_t error;
    json_t *json = json_loads(text, JSON_DECODE_ANY, &error);

    if (json == NULL)
        tap_note("%s in %s", error.text, text);
    return json;
}

/* Does the schema allow the document? */
static bool allows(const char *schema_text, const char *text)
{
    json_t *schema = parse(schema_text), *document = parse(text);
    const bool is_ok = schema_allows(schema, document, why, sizeof why);

    json_decref(schema);
    json_decref(document);
    return is_ok;
}

static bool knows(const char *schema_text)
{
    json_t *schema   = parse(schema_text);
    const bool is_ok = schema_is_known(schema, why, sizeof why);

    json_decref(schema);
    return is_ok;
}

/* 'good' is allowed and 'bad' is not. */
static void rule(const char *name, const char *schema, const char *good,
                 const char *bad)
{
    ok(knows(schema) && allows(schema, good), "%s allows %s", name, good);
    ok(!allows(schema, bad), "%s refuses %s", name, bad);
}

static void test_keywords(void)
{
    rule("type", "{\"type\":\"integer\"}", "3", "3.5");
    rule("type", "{\"type\":\"integer\"}", "3", "\"3\"");
    rule("type", "{\"type\":\"number\"}", "3", "true");
    rule("type", "{\"type\":\"number\"}", "0.5", "null");
    rule("type", "{\"type\":[\"object\",\"null\"]}", "null", "[]");
    rule("type", "{\"type\":\"boolean\"}", "false", "0");
    rule("enum", "{\"enum\":[\"a\",1]}", "1", "\"b\"");
    rule("minimum", "{\"minimum\":1}", "1", "0.99");
    rule("minItems", "{\"minItems\":2}", "[1,2]", "[1]");
    rule("items", "{\"items\":{\"type\":\"string\"}}", "[\"a\"]", "[\"a\",1]");
    rule("required", "{\"required\":[\"a\"]}", "{\"a\":1}", "{\"b\":1}");
    rule("properties", "{\"properties\":{\"a\":{\"type\":\"null\"}}}", "{\"a\":null}",
         "{\"a\":1}");
    rule("additionalProperties",
         "{\"properties\":{\"a\":{}},\"additionalProperties\":false}", "{\"a\":1}",
         "{\"a\":1,\"b\":1}");
    rule("additionalProperties", "{\"additionalProperties\":{\"type\":\"string\"}}",
         "{\"x\":\"y\"}", "{\"x\":1}");
    rule("$ref", "{\"$ref\":\"#/$defs/n\",\"$defs\":{\"n\":{\"type\":\"null\"}}}",
         "null", "1");
    ok(!allows("{\"$ref\":\"#/$defs/x\"}", "1"),
       "a reference that leads nowhere refuses");

    ok(!knows("{\"maximum\":3}"), "an unknown keyword is an error");
    ok(strstr(why, "'maximum'") != NULL, "that is named");
    ok(!knows("{\"properties\":{\"a\":{\"items\":{\"pattern\":\"x\"}}}}"),
       "also deep inside: %s", why);
    ok(!knows("{\"$defs\":{\"a\":{\"oneOf\":[]}}}"), "and in definitions");
    ok(!knows("{\"items\":true}"), "schemas are objects");
}

static void test_own(const json_t *schema)
{
    struct result *r = sample_result();
    json_t *json;

    ok(schema_is_known(schema, why, sizeof why),
       "the schema's keywords are all implemented");
    json = report_json(r);
    ok(schema_allows(schema, json, why, sizeof why), "the result of a run obeys it");
    json_decref(json);

    r->cases[0].predicted_step_s = 2;
    r->cases[0].predicted_mfu    = NAN;
    stat_of(&r->cases[0].steps, (double[]){ 2 }, 1, 0);
    json = report_json(r);
    ok(schema_allows(schema, json, why, sizeof why),
       "also one step, predicted with a machine without a peak: %s", why);
    json_decref(json);

    /* What can go wrong in a run must still be a valid document. */
    r->cases[0].check[0].residual = INFINITY;
    r->cases[0].loss              = NAN;
    r->cases[0].status            = STATUS_INCOMPLETE;
    r->cases[0].steps.n           = 0;
    r->is_incomplete              = true;
    r->argv                       = (char *[]){ "\xff\xfe", "b", "c" };
    json                          = report_json(r);
    ok(json != NULL && schema_allows(schema, json, why, sizeof why),
       "also that of a run which went wrong");
    json_decref(json);
    result_close(&r);

    r    = result_open();
    r->D = r->M = r->near = 1;
    strcpy(r->end, r->start);
    json = report_json(r);
    ok(!schema_allows(schema, json, why, sizeof why) && strstr(why, "/system") != NULL,
       "a result without a system does not: %s", why);
    json_decref(json);
    result_close(&r);
}

/* Every field of a good document is needed: without it the document is refused. */
static void test_every_field(const json_t *schema, const json_t *object, json_t *whole)
{
    const char *name;
    json_t *value, *copy = json_copy((json_t *)object);
    int needed = 0;

    json_object_foreach(copy, name, value)
    {
        json_object_del((json_t *)object, name);
        if (!schema_allows(schema, whole, why, sizeof why))
            needed++;
        else
            tap_note("%s can be left out", name);
        json_object_set((json_t *)object, name, value);
    }
    ok(needed == (int)json_object_size(copy), "none of %zu fields can be left out",
       json_object_size(copy));
    json_decref(copy);
}

static void test_planted(const json_t *schema)
{
    static const struct {
        const char *file, *says;
    } bad[]            = { { "result-bad-field.json", "'mfu_marketing' is unknown" },
                           { "result-bad-missing.json", "'residual' is missing" },
                           { "result-bad-type.json", "/cases/0/steps/median" } };
    const char *folder = getenv("srcdir") != NULL ? getenv("srcdir") : ".";
    char path[1024];
    json_t *json;

    snprintf(path, sizeof path, "%s/tests/data/result-good.json", folder);
    json = json_load_file(path, 0, NULL);
    if (json == NULL) {
        ok(false, "%s can be read", path);
        return;
    }
    ok(schema_allows(schema, json, why, sizeof why), "the good document is allowed");
    test_every_field(schema, json, json);
    test_every_field(schema, json_array_get(json_object_get(json, "cases"), 0), json);
    json_decref(json);
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/tests/data/%s", folder, bad[i].file);
        json = json_load_file(path, 0, NULL);
        ok(json != NULL && !schema_allows(schema, json, why, sizeof why) &&
               strstr(why, bad[i].says) != NULL,
           "%s is refused: %s", bad[i].file, why);
        json_decref(json);
    }
}

int main(void)
{
    json_t *schema = parse(report_schema);

    if (!ok(schema != NULL, "the schema that is compiled in is JSON"))
        return tap_done();
    test_keywords();
    test_own(schema);
    test_planted(schema);
    json_decref(schema);
    return tap_done();
}
