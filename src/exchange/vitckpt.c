/* SPDX-License-Identifier: BSD-3-Clause */
/* vitckpt: look at checkpoint files.  One rank is enough; more read faster. */
#include "config.h"

#include "mesh/mesh.h"
#include "src/base/err.h"
#include "src/base/log.h"
#include "src/base/version.h"
#include "src/exchange/audit.h"

#include <mpi.h>
#include <stdio.h>
#include <string.h>

static const char help[] =
    "Usage: vitckpt list FILE\n"
    "       vitckpt verify FILE\n"
    "       vitckpt diff FILE FILE\n"
    "\n"
    "Looks at checkpoints of vittrain.  Needs no mpirun; on several ranks it reads\n"
    "faster.\n"
    "\n"
    "Commands:\n"
    "  list            step, options, and every dataset: digest, shape, name\n"
    "  verify          compute the digests anew: are all numbers as written?\n"
    "  diff            which datasets differ, in how many elements and by how much\n"
    "\n"
    "Options:\n"
    "  --help          print this\n"
    "  --version       print the version\n"
    "\n"
    "Exit status: 0 yes, or the same; 1 the files differ; 2 an argument is wrong, or\n"
    "a file is no checkpoint, cut off or damaged; 3 a file cannot be read.\n";

static int list(char **file)
{
    return audit_list(stdout, file[0], MPI_COMM_WORLD);
}

static int verify(char **file)
{
    return audit_verify(stdout, file[0], MPI_COMM_WORLD);
}

static int diff(char **file)
{
    return audit_diff(stdout, file[0], file[1], MPI_COMM_WORLD);
}

static const struct command {
    const char *name;
    int files;
    int (*run)(char **file);
} commands[] = {
    { "list", 1, list },
    { "verify", 1, verify },
    { "diff", 2, diff },
};

/* The command of the arguments, which has as many files as it takes. */
static int find_command(const struct command **command, int argc, char **argv)
{
    const struct command *found = NULL;

    if (argc < 2)
        return ERR(ERR_USAGE, "expected list, verify or diff; --help explains");
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++) {
        if (strcmp(argv[1], commands[i].name) == 0)
            found = &commands[i];
    }
    if (found == NULL)
        return ERR(ERR_USAGE, "'%s' is none of list, verify, diff", argv[1]);
    if (argc - 2 != found->files)
        return ERR(ERR_USAGE, "%s takes %s, not %d", found->name,
                   found->files == 1 ? "one file" : "two files", argc - 2);
    *command = found;
    return 0;
}

/* Returns 0 or a code, said, the same on all ranks. */
static int run(int argc, char **argv, bool is_printing)
{
    const struct command *command = NULL;
    int rc;

    TRY(mesh_agree_comm(MPI_COMM_WORLD, find_command(&command, argc, argv)));
    TRY(command->run(argv + 2));
    rc = 0;
    if (is_printing && (fflush(stdout) != 0 || ferror(stdout)))
        rc = ERR(ERR_IO, "the output cannot be written");
    return mesh_agree_comm(MPI_COMM_WORLD, rc);
}

static bool is_asked(const char *name, int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], name) == 0)
            return true;
    }
    return false;
}

int main(int argc, char **argv)
{
    int rank, rc;

    log_open("vitckpt", -1);
    if (is_asked("--help", argc, argv))
        return fputs(help, stdout) < 0;
    if (is_asked("--version", argc, argv))
        return printf("vitckpt %s (git %s)\n", version_text(), version_git()) < 0;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    log_open("vitckpt", rank);
    rc = run(argc, argv, rank == 0);
    MPI_Finalize();
    return err_exit_status(rc);
}
