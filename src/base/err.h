/* SPDX-License-Identifier: BSD-3-Clause */
/* Errors: one list of codes, one sentence for the user.
 *
 * A fallible function returns 0 or one of the negative codes below.  The first
 * function that knows what went wrong says so with ERR(); everyone above passes
 * the code on with TRY().  ERR() does not print: it keeps the sentence until
 * err_say(), so that of many ranks with the same trouble one alone speaks
 * (mesh_agree() decides which).  The last sentence kept is the one said.
 */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdio.h>

/* name, exit status of the program, meaning */
#define ERR_LIST(X)                                                                    \
    X(ERR_CHECK, 1, "a check or a required bar failed")                                \
    X(ERR_USAGE, 2, "an option is wrong")                                              \
    X(ERR_SHAPE, 2, "a shape, batch and mesh do not go together")                      \
    X(ERR_DATA, 2, "an input file is wrong")                                           \
    X(ERR_MEMORY, 3, "not enough memory")                                              \
    X(ERR_DEVICE, 3, "a device is missing or broken")                                  \
    X(ERR_IO, 3, "a file cannot be read or written")                                   \
    X(ERR_ENV, 3, "the environment does not allow it")                                 \
    X(ERR_STOPPED, 75, "stopped by a signal or the clock after a good save")

enum err {
    ERR_OK = 0,
#define ERR_ENUM(name, status, text) name##_POS_,
    ERR_LIST(ERR_ENUM)
#undef ERR_ENUM
#define ERR_ENUM(name, status, text) name = -name##_POS_,
        ERR_LIST(ERR_ENUM)
#undef ERR_ENUM
};

/* Keep the sentence made of 'fmt' for err_say() and evaluate to 'code'. */
#define ERR(code, ...) (err_keep(__VA_ARGS__), (code))

/* Return from the calling function with the code of 'call' if it is not 0. */
#define TRY(call)                                                                      \
    do {                                                                               \
        const int try_rc_ = (call);                                                    \
        if (try_rc_ != 0)                                                              \
            return try_rc_;                                                            \
    } while (0)

/* A broken invariant: say where and why, then abort all ranks.  Never returns. */
#define die(...) err_die(__FILE__, __LINE__, __VA_ARGS__)

void err_keep(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

_Noreturn void err_die(const char *file, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Keep that 'path' cannot be read, with the reason in errno.  Returns ERR_DATA where
 * there is no such file, which its user can mend, else ERR_IO.
 */
int err_unread(const char *path);

/* Keep that 'path' cannot be written, with the reason in errno.  Returns ERR_IO. */
int err_unwritten(const char *path);

/* Flush 'out'; ERR_IO if anything that was printed there did not arrive, else 0. */
int err_unheard(FILE *out);

/* Print the kept sentence on stderr, as "vitbench: rank 0 on HOST: sentence", and
 * forget it.  Prints the code's meaning when 'rc' is not 0 and nothing was kept;
 * nothing when 'rc' is 0.
 */
void err_say(int rc);

/* The kept sentence, or NULL; borrowed, valid until the next ERR() or err_forget(). */
const char *err_sentence(void);

/* Forget the kept sentence: another rank has said it, or it was handled. */
void err_forget(void);

/* The exit status of a program that ends with 'rc'; the name of 'rc' ("ERR_USAGE"). */
int err_exit_status(int rc);
const char *err_name(int rc);

/* Say the kept sentence and end all ranks with the status of 'rc': for what cannot be
 * handed on, as amid a step, where the other ranks wait for this one.  Never returns.
 */
_Noreturn void err_end(int rc);

/* Let die() and err_end() end all ranks: 'abort_all' is called, with 99 by die(),
 * before the one aborts and the other exits.  mesh_open() sets it; NULL takes it back.
 */
void err_set_abort(void (*abort_all)(int status));

#endif
