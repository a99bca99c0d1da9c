/* SPDX-License-Identifier: BSD-3-Clause */
/* The sentence that explains an error, kept until somebody is chosen to say it.
 *
 * Each thread keeps its own, so that a background thread cannot overwrite the one
 * that the main thread is about to say.
 */
#include "config.h"

#include "src/base/err.h"

#include "src/base/log.h"
#include "src/base/own.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Thread_local struct own_kept of_thread;

static struct own_kept *kept(void)
{
    struct own *o = own();

    return o != NULL ? &o->kept : &of_thread;
}

static void (*abort_all)(int status);

static const struct {
    const char *name;
    int status;
    const char *text;
} codes[] = {
#define ERR_ROW(name, status, text) { #name, status, text },
    ERR_LIST(ERR_ROW)
#undef ERR_ROW
};

static int is_code(int rc)
{
    return rc < 0 && rc >= -(int)(sizeof codes / sizeof codes[0]);
}

void err_keep(const char *fmt, ...)
{
    struct own_kept *k = kept();
    char text[sizeof k->text];
    va_list args;

    /* The arguments may point into the sentence kept so far. */
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    snprintf(k->text, sizeof k->text, "%s", text);
    k->is_kept = true;
}

int err_unread(const char *path)
{
    const int why = errno;

    return ERR(why == ENOENT ? ERR_DATA : ERR_IO, "%s cannot be read: %s", path,
               strerror(why));
}

int err_unwritten(const char *path)
{
    return ERR(ERR_IO, "%s cannot be written: %s", path, strerror(errno));
}

int err_unheard(FILE *out)
{
    if (fflush(out) != 0 || ferror(out))
        return ERR(ERR_IO, "the output cannot be written");
    return 0;
}

void err_die(const char *file, int line, const char *fmt, ...)
{
    char text[sizeof of_thread.text];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    fflush(stdout);
    log_line(LOG_ERROR, "%s:%d: %s", file, line, text);
    if (abort_all != NULL)
        abort_all(99);
    abort();
}

void err_say(int rc)
{
    const struct own_kept *k = kept();

    if (rc == 0) {
        err_forget();
        return;
    }
    if (!k->is_kept) {
        log_line(LOG_ERROR, "%s", is_code(rc) ? codes[-rc - 1].text : "unknown error");
        return;
    }
    log_line(LOG_ERROR, "%s", k->text);
    err_forget();
}

void err_end(int rc)
{
    fflush(stdout);
    err_say(rc);
    if (abort_all != NULL)
        abort_all(err_exit_status(rc));
    _exit(err_exit_status(rc));
}

const char *err_sentence(void)
{
    const struct own_kept *k = kept();

    return k->is_kept ? k->text : NULL;
}

void err_forget(void)
{
    kept()->is_kept = false;
}

int err_exit_status(int rc)
{
    if (rc == 0)
        return 0;
    return is_code(rc) ? codes[-rc - 1].status : 99;
}

const char *err_name(int rc)
{
    if (rc == 0)
        return "ERR_OK";
    return is_code(rc) ? codes[-rc - 1].name : "ERR_?";
}

void err_set_abort(void (*function)(int status))
{
    abort_all = function;
}
