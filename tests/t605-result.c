/* SPDX-License-Identifier: BSD-3-Clause */
/* Statistics, and the verdict on a case and on a run. */
#include "config.h"

#include "bench/result.h"

#include "bench/gauge.h"
#include "bench/hosts.h"
#include "tests/sample.h"
#include "tests/tap.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void test_stat(void)
{
    double odd[] = { 5, 1, 3 }, even[] = { 4, 1, 2, 3 }, many[101];
    struct stat s;

    stat_of(&s, NULL, 0, 2);
    ok(s.n == 0 && s.warmup == 2 && isnan(s.median) && isnan(s.min),
       "no times, no numbers");
    stat_of(&s, (double[]){ 7 }, 1, 0);
    ok(s.median == 7 && s.min == 7 && s.max == 7 && isnan(s.cv),
       "one time, which tells no spread");
    stat_of(&s, odd, 3, 1);
    ok(s.n == 3 && s.warmup == 1 && s.min == 1 && s.median == 3 && s.max == 5 &&
           s.mean == 3,
       "three times");
    ok(isnan(s.p5) && isnan(s.p95), "have no percentiles");
    close_to(s.cv, 2.0 / 3, 1e-15, "and a spread of 2/3");
    stat_of(&s, even, 4, 0);
    ok(s.median == 2.5, "the median of four lies between two");
    for (int i = 0; i < 101; i++)
        many[i] = (i * 37) % 101;
    stat_of(&s, many, 101, 0);
    ok(s.p5 == 5 && s.median == 50 && s.p95 == 95, "percentiles of 0 .. 100");
    stat_of(&s, many, 19, 0);
    ok(isnan(s.p5), "19 times have none");
    stat_of(&s, many, 20, 0);
    close_to(s.p5, 0.95, 1e-12, "20 have, between neighbours");
}

static void test_judge(void)
{
    struct case_result c = { .mfu_spec = NAN, .mfu_measured = 0.6, .checks = 2 };
    struct row row       = { .status = STATUS_PASS };

    result_judge(&c);
    ok(c.status == STATUS_PASS && c.reason[0] == '\0', "nothing wrong: passed");
    result_judge(&c);
    result_judge_mfu(&c, 60, false);
    ok(c.status == STATUS_PASS, "the bar is reached");
    result_judge(&c);
    result_judge_mfu(&c, 60.1, false);
    ok(c.status == STATUS_FAIL && strstr(c.reason, "60.0 % is below") != NULL,
       "below the bar: failed");
    result_judge(&c);
    result_judge_mfu(&c, 1, true);
    ok(c.status == STATUS_FAIL && strstr(c.reason, "unknown") != NULL,
       "an unknown MFU reaches no bar");
    c.mfu_measured = 1.001;
    result_judge(&c);
    ok(c.status == STATUS_FAIL && strstr(c.reason, "100.1 %") != NULL,
       "more than 100 %% is an error");
    c.mfu_measured = 0.6;
    c.mfu_spec     = 1.002;
    result_judge(&c);
    ok(c.status == STATUS_FAIL && strstr(c.reason, "100.2 % of the data sheet") != NULL,
       "of the data sheet, too");
    c.mfu_spec = 1;
    result_judge(&c);
    ok(c.status == STATUS_PASS && c.reason[0] == '\0', "all of it is none");
    c.check[1].status = STATUS_FAIL;
    strcpy(c.check[1].name, "overlap");
    result_judge(&c);
    ok(c.status == STATUS_FAIL && strstr(c.reason, "check overlap") != NULL,
       "a failed check fails the case");
    c.check[1].status = STATUS_PASS;
    c.row             = &row;
    c.rows            = 1;
    row.status        = STATUS_FAIL;
    result_judge(&c);
    ok(c.status == STATUS_FAIL && strstr(c.reason, "1 of 1 rows") != NULL,
       "so does a row");
}

static void test_valid(void)
{
    struct result *r = sample_result();

    ok(r->count == 3 && result_count(r, STATUS_PASS) == 2 &&
           result_count(r, STATUS_SKIP) == 1,
       "two passed, one was skipped");
    ok(result_is_valid(r), "which is valid");
    ok(result_rated(r) == &r->cases[0], "the marked case");
    r->cases[0].checks = 0;
    ok(result_has_passed(r) && !result_is_valid(r),
       "a run that was not checked passes, and is not valid");
    r->cases[0].checks = 4;
    for (int i = 0; i < r->cases[2].rows; i++)
        r->cases[2].row[i].status = STATUS_SKIP;
    ok(result_has_passed(r) && !result_is_valid(r),
       "nor one with rows that check nothing");
    r->cases[2].row[0].status = STATUS_PASS;
    r->is_incomplete          = true;
    ok(!result_is_valid(r), "a run cut short is not");
    r->is_incomplete   = false;
    r->cases[2].status = STATUS_INCOMPLETE;
    ok(!result_is_valid(r), "nor one with a case cut short");
    r->cases[2].status = STATUS_FAIL;
    ok(!result_is_valid(r), "nor one with a failure");
    r->cases[2].status = STATUS_SKIP;
    r->cases[0].status = STATUS_SKIP;
    ok(!result_is_valid(r), "nor one where nothing ran");
    for (int i = 0; i < 40; i++)
        result_add(r)->batch = i;
    ok(r->count == 43 && r->cases[42].batch == 39 && r->cases[0].batch == 16,
       "many cases are kept");
    result_close(&r);
    ok(r == NULL, "closed");
    result_close(&r);
}

static void hosts_are(const char *wanted, char (*host)[HOST_NAME], int count)
{
    json_t *all = hosts_compress(host, count);
    char *text  = json_dumps(all, JSON_COMPACT);

    if (!ok(strcmp(text, wanted) == 0, "hosts are %s", wanted))
        tap_note("not %s", text);
    free(text);
    json_decref(all);
}

static void test_hosts(void)
{
    char one[][HOST_NAME]  = { "login", "login", "login" };
    char many[][HOST_NAME] = { "node003", "node001", "node002", "node007", "node001" };
    char some[][HOST_NAME] = { "n9", "n10", "n11", "m1", "gpu", "n99" };
    char none[][HOST_NAME] = { "10-0-0-12", "10-0-0-9", "00000000000000000000001" };
    static char lots[3000][HOST_NAME];
    json_t *list;

    hosts_are("[\"login\"]", one, 3);
    hosts_are("[\"node[001-003,007]\"]", many, 5);
    hosts_are("[\"gpu\",\"m1\",\"n9\",\"n[10-11,99]\"]", some, 6);
    hosts_are("[\"00000000000000000000001\",\"10-0-0-9\",\"10-0-0-12\"]", none, 3);
    for (int i = 0; i < 3000; i++)
        snprintf(lots[i], HOST_NAME, "c%05d", 7919 * i % 3000 * 2);
    list = hosts_compress(lots, 3000);
    ok(strstr(json_string_value(json_array_get(list, 0)), "c[00000,00002,") != NULL &&
           json_array_size(list) == 1,
       "thousands of single hosts are one name");
    json_decref(list);
}

static void test_gauge(void)
{
    struct gauge g = { 0 };

    gauge_add(&g, 50);
    ok(g.best == 50 && !gauge_is_sure(&g), "a rate that was measured once is not sure");
    gauge_add(&g, 100);
    ok(g.best == 100 && !gauge_is_sure(&g), "nor one of which another is the half");
    gauge_add(&g, 20);
    ok(!gauge_is_sure(&g), "slower ones say nothing");
    gauge_add(&g, 95);
    ok(g.best == 100 && gauge_is_sure(&g), "until one comes near it");
    gauge_add(&g, 120);
    ok(g.best == 120 && !gauge_is_sure(&g), "a faster one is unsure again");
    gauge_add(&g, 120);
    ok(gauge_is_sure(&g), "and sure when it is repeated");
}

int main(void)
{
    test_stat();
    test_judge();
    test_valid();
    test_hosts();
    test_gauge();
    return tap_done();
}
