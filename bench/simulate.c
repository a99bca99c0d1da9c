/* SPDX-License-Identifier: BSD-3-Clause */
/* Options of a simulation, and how they reach its ranks: words with a
 * zero after each.
 */
#include "config.h"

#include "bench/simulate.h"

#include "mesh/program.h"
#include "src/base/err.h"
#include "src/base/mem.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* ---- options --------------------------------------------------------------------- */

int simulate_read(struct opts *opts, struct options *o, int argc, char **argv)
{
    static const char *const preset[][2] = {
        { "machine", SIMULATE_MACHINE },
        { "ranks", "1" },
        { "steps", "1" },
        { "warmup", "0" },
        { "check", "false" },
        { "tune", "false" },
        { "stall-timeout", "0" },
    };
    int rc = options_read(opts, o, argc, argv);

    o->is_simulated = !program_runs_nothing(opts);
    for (size_t i = 0; i < sizeof preset / sizeof preset[0] && rc == 0; i++) {
        if (!opts_is_given(opts, preset[i][0]))
            rc = opts_set(opts, preset[i][0], preset[i][1], FROM_PROGRAM);
    }
    if (rc == 0 && (o->is_simulated || o->dry_run))
        rc = options_take_machine(opts, o);
    return rc;
}

/* ---- words ----------------------------------------------------------------------- */

int simulate_write_words(const char *path, int argc, char **argv)
{
    FILE *file = fopen(path, "w");
    bool is_bad;

    if (file == NULL)
        return err_unwritten(path);
    for (int i = 0; i < argc; i++)
        fwrite(argv[i], 1, strlen(argv[i]) + 1, file);
    is_bad = ferror(file) != 0;
    if ((fclose(file) != 0) | is_bad)
        return err_unwritten(path);
    return 0;
}

int simulate_read_words(int *argc, char ***argv, const char *path)
{
    enum { MOST = 1 << 16 };
    FILE *file = fopen(path, "r");
    char *text, **word;
    size_t size;
    int count = 0, next = 0;

    if (file == NULL)
        return ERR(ERR_IO, "%s cannot be read: %s", path, strerror(errno));
    text = mem_new(MOST + 1, 1);
    size = fread(text, 1, MOST, file);
    fclose(file);
    for (size_t i = 0; i < size; i++)
        count += text[i] == '\0';
    word = mem_new((size_t)count + 1, sizeof *word);
    for (size_t i = 0; next < count; i += strlen(text + i) + 1)
        word[next++] = text + i;
    *argc = count;
    *argv = word;
    return 0;
}
