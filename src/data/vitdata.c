/* SPDX-License-Identifier: BSD-3-Clause */
/* vitdata: make, describe and show sets of images.  No MPI. */
#include "config.h"

#include "src/base/draft.h"
#include "src/base/err.h"
#include "src/base/log.h"
#include "src/base/opts_table.h"
#include "src/base/version.h"
#include "src/data/data.h"
#include "src/data/describe.h"
#include "src/data/pack.h"
#include "src/data/sheet.h"
#include "src/data/synth.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define USAGE "vitdata pack|info|synth|sheet FILE [--name=value ..]"
#define ABOUT                                                                          \
    "Makes sets of images for vittrain: 'pack' from image files or a table of "        \
    "pixels, "                                                                         \
    "'synth' from fractals.  'info' describes a set and verifies it; 'sheet' draws "   \
    "images, as training would see them, on one PNG file."
#define STATUS                                                                         \
    "\nExit status: 0 done (skipped files are named and counted); 2 an option or an\n" \
    "input is wrong; 3 a file cannot be written, or memory is short.\n"                \
    "\nEvery option NAME can also be given as VITBENCH_NAME in the environment.\n"

struct options {
    char from[1024];
    int64_t decode;
    double csv_max;
    int64_t n, quality;
    char data[1024];
    int augment;
    int64_t rows, columns;
    int64_t classes, image, seed;
    bool help, version;
};

#define OPTS_VALUES struct options

static const struct opt table[] = {
    TITLE("pack OUT.h5"),
    { "from", OPT_TEXT, NULL, "DIR|LIST|CSV",
      "a folder with a folder of JPEG and PNG files for each class; or a text file "
      "with "
      "a path and one or more labels a line; or a .csv file: a square of grey pixels "
      "and "
      "a label a line",
      TEXT(from) },
    { "decode", OPT_INT, NULL, "PIXELS",
      "store pixels, the smaller side resized to this and the middle taken; 0: keep "
      "the "
      "files as they are and decode them while training",
      AT(decode), .max = DECODE_SIDE_MOST },
    { "csv-max", OPT_REAL, "255", "X", "the value of white in a table", AT(csv_max),
      .min = 1e-30, .max = 1e30 },

    TITLE("synth OUT.h5"),
    { "n", OPT_INT, "10000", "N", "how many images", AT(n), .min = 1, .max = 1e9 },
    { "quality", OPT_INT, NULL, "Q",
      "store JPEG files of this quality, 1 to 100; 0: pixels", AT(quality),
      .max = 100 },

    TITLE("sheet OUT.png"),
    { "data", OPT_TEXT, "fractal", "fractal|noise|FILE",
      "where the images come from; a row is a class, or an image of FILE", TEXT(data) },
    { "augment", OPT_CHOICE, "none", "none|flip|crop+flip",
      "what is done to them; the columns of FILE are passes", AT(augment) },
    { "rows", OPT_INT, "8", "N", "rows of the sheet", AT(rows), .min = 1, .max = 100 },
    { "columns", OPT_INT, "8", "N", "columns of the sheet", AT(columns), .min = 1,
      .max = 100 },

    TITLE("synth and sheet"),
    { "classes", OPT_INT, "100", "K", "classes of fractals", AT(classes), .min = 1,
      .max = 1e6 },
    { "image", OPT_INT, "128", "PIXELS", "side of an image", AT(image), .min = 1,
      .max = 4096 },
    { "seed", OPT_INT, "0", "N", "of all random numbers", AT(seed), .max = 1e15 },

    TITLE("Help"),
    { "help", OPT_ACTION, NULL, NULL, "print this", AT(help) },
    { "version", OPT_ACTION, NULL, NULL, "print the version", AT(version) },
};

enum { ROWS = sizeof table / sizeof table[0] };

static bool is_table(const struct options *o)
{
    const char *ending = strrchr(o->from, '.');

    return ending != NULL && strcmp(ending, ".csv") == 0;
}

static bool is_set(const struct options *o)
{
    return strcmp(o->data, "fractal") != 0 && strcmp(o->data, "noise") != 0;
}

/* Options that what is read has no use for. */
static int check_idle(const struct opts *opts, const struct options *o)
{
    const struct opt_idle idle[] = {
        { "decode", is_table(o), "is for image files: a table has its pixels" },
        { "csv-max", !is_table(o), "is for a table, a .csv file" },
        { "augment", strcmp(o->data, "noise") == 0, "is for pictures, not for noise" },
        { "classes", is_set(o), "is for fractals and noise: a set has its own" },
    };

    return opts_check_idle(opts, idle, sizeof idle / sizeof idle[0]);
}

/* ---- commands -------------------------------------------------------------------- */

static int pack(const char *out, const struct options *o)
{
    const char *ending        = strrchr(o->from, '.');
    struct pack_result result = { 0 };

    if (o->from[0] == '\0')
        return ERR(ERR_USAGE, "pack needs --from=DIR|LIST|CSV");
    if (ending != NULL && strcmp(ending, ".gz") == 0)
        return ERR(ERR_USAGE, "--from=%s is compressed: unpack it first, with gunzip",
                   o->from);
    TRY(draft_apart((const char *[]){ out, o->from }, 1, 1));
    if (is_table(o))
        TRY(pack_csv(&result, out, o->from, o->csv_max));
    else
        TRY(pack_files(&result, out, o->from, (int)o->decode));
    printf("%s: %lld images of %lld classes; skipped: %lld\n", out,
           (long long)result.shape.count, (long long)result.shape.classes,
           (long long)result.skipped);
    return 0;
}

static int info(const char *path, const struct options *o)
{
    (void)o;
    return describe_set(stdout, path);
}

static int synth(const char *out, const struct options *o)
{
    TRY(synth_set(out, o->n, o->classes, (int)o->image, (int)o->quality,
                  (uint64_t)o->seed));
    printf("%s: %lld images of %lld classes\n", out, (long long)o->n,
           (long long)o->classes);
    return 0;
}

static int open_data(struct data **data, const struct options *o)
{
    const struct data_options d = { .image   = (int)o->image,
                                    .classes = o->classes,
                                    .seed    = (uint64_t)o->seed,
                                    .augment = (enum augment)o->augment,
                                    .order   = ORDER_FILE };
    struct data_options of_file = d;

    of_file.classes = 0;
    if (strcmp(o->data, "fractal") == 0)
        return data_open_fractal(data, &d);
    if (strcmp(o->data, "noise") == 0)
        return data_open_noise(data, d.image, d.classes, d.seed);
    return data_open_file(data, o->data, &of_file);
}

static int sheet(const char *out, const struct options *o)
{
    const char *ending = strrchr(out, '.');
    struct data *data  = NULL;
    int64_t most; /* a row more would be one of them again */
    int rc;

    if (ending != NULL && strcmp(ending, ".h5") == 0)
        return ERR(ERR_USAGE, "%s is a name of a set, and a sheet is a PNG file", out);
    TRY(draft_apart((const char *[]){ out, o->data }, 1, 1));
    TRY(open_data(&data, o));
    most = data->count > 0 ? data->count : data->classes;
    rc =
        sheet_write(out, data, (int)(o->rows < most ? o->rows : most), (int)o->columns);
    data_close(&data);
    return rc;
}

static const struct command {
    const char *name;
    int (*run)(const char *path, const struct options *o);
} commands[] = {
    { "pack", pack },
    { "info", info },
    { "synth", synth },
    { "sheet", sheet },
};

/* ---- the command line ------------------------------------------------------------ */

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(name, commands[i].name) == 0)
            return &commands[i];
    }
    return NULL;
}

static int run(int argc, char **argv)
{
    const bool has_command  = argc > 1 && strncmp(argv[1], "--", 2) != 0;
    const struct command *c = has_command ? find(argv[1]) : NULL;
    const bool has_file     = c != NULL && argc > 2 && strncmp(argv[2], "--", 2) != 0;
    const int skipped       = has_command + has_file;
    struct options o;
    struct opts opts;

    if (has_command && c == NULL)
        return ERR(ERR_USAGE,
                   "there is no command '%s': expected pack, info, synth or "
                   "sheet; --help tells",
                   argv[1]);
    TRY(opts_parse(&opts, table, ROWS, &o, argc - skipped, argv + skipped));
    if (o.help) {
        opts_help(&opts, stdout, USAGE, ABOUT);
        fputs(STATUS, stdout);
        return 0;
    }
    if (o.version) {
        printf("vitdata %s (git %s)\n", version_text(), version_git());
        return 0;
    }
    if (c == NULL)
        return ERR(ERR_USAGE,
                   "which command? expected pack, info, synth or sheet; --help tells");
    if (!has_file)
        return ERR(ERR_USAGE, "%s needs the name of a file", c->name);
    TRY(opts_check_command(&opts, c->name));
    TRY(check_idle(&opts, &o));
    return c->run(argv[2], &o);
}

int main(int argc, char **argv)
{
    int rc;

    log_open("vitdata", -1);
    rc = run(argc, argv);
    if (rc == 0)
        rc = err_unheard(stdout);
    err_say(rc);
    return err_exit_status(rc);
}
