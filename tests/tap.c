/* SPDX-License-Identifier: BSD-3-Clause */
/* Test Anything Protocol.  Verdicts go to stdout from one rank; what explains a false
 * one goes to stderr from every rank that saw it.
 */
#include "config.h"

#include "tests/tap.h"

#include "src/base/err.h"
#include "src/base/log.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool (*tap_reduce)(bool is_ok);
bool tap_is_quiet;

static int tests, failures;

static void verdict(bool is_ok, const char *text, const char *directive)
{
    tests++;
    if (!is_ok)
        failures++;
    if (tap_is_quiet)
        return;
    printf("%sok %d - %s%s\n", is_ok ? "" : "not ", tests, text, directive);
    fflush(stdout);
}

static bool judge(bool is_ok, const char *file, int line, const char *fmt, va_list args)
{
    char text[512];

    vsnprintf(text, sizeof text, fmt, args);
    if (!is_ok && log_rank() >= 0)
        fprintf(stderr, "# false on rank %d at %s:%d: %s\n", log_rank(), file, line,
                text);
    else if (!is_ok)
        fprintf(stderr, "# false at %s:%d: %s\n", file, line, text);
    if (tap_reduce != NULL)
        is_ok = tap_reduce(is_ok);
    verdict(is_ok, text, "");
    return is_ok;
}

bool tap_ok(bool is_ok, const char *file, int line, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    is_ok = judge(is_ok, file, line, fmt, args);
    va_end(args);
    return is_ok;
}

bool tap_close(double a, double b, double tol, const char *file, int line,
               const char *fmt, ...)
{
    bool is_ok = isfinite(a) && isfinite(b) && fabs(a - b) <= tol;
    va_list args;

    if (!is_ok)
        fprintf(stderr, "# %.17g and %.17g differ by %.3g, more than %.3g\n", a, b,
                a - b, tol);
    va_start(args, fmt);
    is_ok = judge(is_ok, file, line, fmt, args);
    va_end(args);
    return is_ok;
}

double tap_worse(double a, double b)
{
    return b <= a || isnan(a) ? a : b;
}

void tap_note(const char *fmt, ...)
{
    va_list args;

    if (tap_is_quiet)
        return;
    printf("# ");
    va_start(args, fmt);
    vprintf(fmt, args);
    va_end(args);
    printf("\n");
    fflush(stdout);
}

void tap_skip(const char *what, const char *why)
{
    char directive[256];

    snprintf(directive, sizeof directive, " # SKIP %s", why);
    verdict(true, what, directive);
}

void tap_skip_all(const char *why)
{
    if (!tap_is_quiet)
        printf("1..0 # SKIP %s\n", why);
    fflush(stdout);
    exit(77);
}

bool tap_says(int rc, int code, const char *words)
{
    const char *sentence = err_sentence();
    const bool is_ok =
        rc == code && sentence != NULL && strstr(sentence, words) != NULL;

    if (!is_ok)
        tap_note("%s: %s", err_name(rc), sentence != NULL ? sentence : "no sentence");
    err_forget();
    return is_ok;
}

bool tap_is_long(void)
{
    const char *word = getenv("TEST_LONG");

    return word != NULL && word[0] != '\0';
}

int tap_done(void)
{
    if (!tap_is_quiet)
        printf("1..%d\n", tests);
    fflush(stdout);
    return failures > 0 || tests == 0;
}
