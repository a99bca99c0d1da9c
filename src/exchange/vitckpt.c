/* SPDX-License-Identifier: BSD-3-Clause */
/* vitckpt: look at checkpoint files, and take weights from and to other programs.  One
 * rank is enough; more read faster.
 */
#include "config.h"

#include "mesh/mesh.h"
#include "mesh/program.h"
#include "src/base/err.h"
#include "src/base/opts_table.h"
#include "src/exchange/audit.h"
#include "src/exchange/options.h"
#include "src/exchange/transfer.h"

#include <mpi.h>
#include <stdio.h>
#include <string.h>

#define USAGE                                                                          \
    "vitckpt list FILE\n"                                                              \
    "   or: vitckpt verify FILE\n"                                                     \
    "   or: vitckpt diff FILE FILE\n"                                                  \
    "   or: vitckpt export FILE OUT.npz|OUT.safetensors [--scan] [--no-head]\n"        \
    "   or: vitckpt import IN OUT.h5 --shape=NAME [--name=value ..]"
#define ABOUT                                                                          \
    "Looks at checkpoints of vittrain: 'list' prints step, options, and every "        \
    "dataset with its digest and shape; 'verify' computes the digests anew; 'diff' "   \
    "says which datasets differ, in how many elements and by how much.  'export' "     \
    "writes the parameters for other programs, 'import' makes a checkpoint of "        \
    "theirs: .npz has the names of big_vision (JAX), .safetensors those of timm "      \
    "(PyTorch; sequential blocks only).  Needs no mpirun; on several ranks it reads "  \
    "faster."
#define STATUS                                                                         \
    "\nWhat no file says: timm's ViTs have exact GELU (SigLIP's were trained with\n"   \
    "tanh), big_vision's tanh; both have norms with 1e-6, as here.  timm gives the\n"  \
    "class token a position of its own, which is added to it, and exported as zero.\n" \
    "f32, f64, f16 and bf16 are read; f32 is written.\n"                               \
    "\nExit status: 0 yes, done, or the same; 1 the files differ; 2 an argument is\n"  \
    "wrong, a file is not there, damaged or no checkpoint, or a tensor is missing\n"   \
    "or has no place in the model; 3 a file cannot be read or written.\n"              \
    "\nEvery option NAME can also be given as VITBENCH_NAME in the environment.\n"

#define OPTS_VALUES struct exchange_options

static const struct opt table[] = {
    TITLE("export"),
    { "scan", OPT_FLAG, NULL, NULL,
      "stack the blocks, as big_vision does with scan=True; else one after the other",
      AT(scan) },
    { "head", OPT_FLAG, "true", NULL, "with the classifier", AT(head) },

    TITLE("import; auto and 0: as the file has it"),
    { "shape", OPT_TEXT, NULL, "NAME|C/L/F/H",
      "a shape by name or as width/depth/mlp/heads", TEXT(shape) },
    { "layers", OPT_INT, NULL, "N", "a slice of N blocks; 0: all of the shape",
      AT(layers), .max = 10000 },
    { "wiring", OPT_CHOICE, "auto", "auto|parallel|sequential",
      "attention and MLP side by side or one after the other", AT(wiring) },
    { "qk-norm", OPT_CHOICE, "auto", "auto|on|off",
      "queries and keys are normalised in every head", AT(qk_norm) },
    { "gelu", OPT_CHOICE, "auto", "auto|tanh|exact",
      "form of GELU; auto: tanh for .npz, exact for .safetensors", AT(gelu) },
    { "pool", OPT_CHOICE, "auto", "auto|map|gap|cls",
      "attention pooling, mean over tokens, or class token", AT(pool) },
    { "image", OPT_INT, NULL, "PIXELS", "side of an image", AT(image), .max = 10000 },
    { "patch", OPT_INT, NULL, "PIXELS", "side of a patch", AT(patch), .max = 10000 },
    { "classes", OPT_INT, NULL, "K",
      "classes; for a file without a classifier, which then gets a new one",
      AT(classes), .max = 1e6 },

    TITLE("Help; these run nothing"),
    { "help", OPT_ACTION, NULL, NULL, "print this", AT(help) },
    { "version", OPT_ACTION, NULL, NULL, "print the version", AT(version) },
};

enum { ROWS = sizeof table / sizeof table[0] };

/* ---- commands -------------------------------------------------------------------- */

static int list(FILE *out, const struct exchange_options *o)
{
    return audit_list(out, o->word[1], MPI_COMM_WORLD);
}

static int verify(FILE *out, const struct exchange_options *o)
{
    return audit_verify(out, o->word[1], MPI_COMM_WORLD);
}

static int diff(FILE *out, const struct exchange_options *o)
{
    return audit_diff(out, o->word[1], o->word[2], MPI_COMM_WORLD);
}

/* The next two are work for one rank. */
static bool is_first_rank(void)
{
    int rank;

    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    return rank == 0;
}

static int export(FILE *out, const struct exchange_options *o)
{
    const int rc =
        is_first_rank() ? transfer_export(out, o->word[2], o->word[1], o) : 0;

    return mesh_agree_comm(MPI_COMM_WORLD, rc);
}

static int import(FILE *out, const struct exchange_options *o)
{
    const int rc =
        is_first_rank() ? transfer_import(out, o->word[2], o->word[1], o) : 0;

    return mesh_agree_comm(MPI_COMM_WORLD, rc);
}

static const struct command {
    const char *name;
    int files;
    int (*run)(FILE *out, const struct exchange_options *o);
} commands[] = {
    { "list", 1, list },     { "verify", 1, verify }, { "diff", 2, diff },
    { "export", 2, export }, { "import", 2, import },
};

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(name, commands[i].name) == 0)
            return &commands[i];
    }
    return NULL;
}

/* ---- the command line ------------------------------------------------------------ */

static bool ends_in_h5(const char *path)
{
    const size_t n = strlen(path);

    return n > 3 && strcmp(path + n - 3, ".h5") == 0;
}

static int check_options(const struct command *c, const struct opts *opts,
                         const struct exchange_options *o)
{
    TRY(opts_check_command(opts, c->name));
    if (c->run == import && !ends_in_h5(o->word[2]))
        return ERR(ERR_USAGE, "%s: expected a name that ends in .h5", o->word[2]);
    if (c->run == import && o->shape[0] == '\0')
        return ERR(ERR_USAGE, "import needs --shape=NAME, or width/depth/mlp/heads");
    return 0;
}

static int check_words(const struct opts *opts, const struct exchange_options *o)
{
    const struct command *c = o->words > 0 ? find(o->word[0]) : NULL;

    if (o->words == 0)
        return ERR(ERR_USAGE,
                   "expected list, verify, diff, export or import; --help explains");
    if (c == NULL)
        return ERR(ERR_USAGE,
                   "'%s' is none of list, verify, diff, export, import; --help tells",
                   o->word[0]);
    if (o->words - 1 != c->files)
        return ERR(ERR_USAGE, "%s takes %s, not %d", c->name,
                   c->files == 1 ? "one file" : "two files", o->words - 1);
    return check_options(c, opts, o);
}

static int read_options(struct opts *opts, void *values, int argc, char **argv)
{
    struct exchange_options *o = values;
    char *word[64];
    int words;

    if (argc > (int)(sizeof word / sizeof word[0]))
        return ERR(ERR_USAGE, "%d arguments are too many", argc);
    words = opts_take_words(word, &argc, argv, table, ROWS);
    TRY(opts_parse(opts, table, ROWS, values, argc, argv));
    o->words = words;
    for (int i = 0; i < words && i < WORDS_MOST; i++) {
        if (snprintf(o->word[i], WORD_MOST, "%s", word[i]) >= WORD_MOST)
            return ERR(ERR_USAGE, "the name %s is too long", word[i]);
    }
    return o->help || o->version ? 0 : check_words(opts, o);
}

static int run(struct opts *opts, void *values, int argc, char **argv)
{
    const struct exchange_options *o = values;
    int rc                           = find(o->word[0])->run(stdout, o);

    (void)opts;
    (void)argc;
    (void)argv;
    if (rc != 0)
        return err_exit_status(rc);
    if (is_first_rank())
        rc = err_unheard(stdout);
    return err_exit_status(mesh_agree_comm(MPI_COMM_WORLD, rc));
}

int main(int argc, char **argv)
{
    static struct exchange_options options;

    return program_main(&(struct program){ .name   = "vitckpt",
                                           .usage  = USAGE,
                                           .about  = ABOUT,
                                           .status = STATUS,
                                           .read   = read_options,
                                           .values = &options,
                                           .size   = sizeof options,
                                           .run    = run },
                        argc, argv);
}
