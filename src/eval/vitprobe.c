/* SPDX-License-Identifier: BSD-3-Clause */
/* vitprobe: read the options, open a probe, run it, say how it went. */
#include "config.h"

#include "src/eval/probe.h"

#include "mesh/program.h"
#include "src/base/err.h"

#define USAGE "mpirun -n RANKS vitprobe --checkpoint=FILE [--name=value ..]"
#define ABOUT                                                                          \
    "Looks how good the features of a frozen Vision Transformer are: by ridge "        \
    "regression on a few images of each class or a linear classifier on all of them, " \
    "as SoViT and ViT-22B report it, or by the model's own classifier."
#define STATUS                                                                         \
    "\nExit status: 0 done; 2 an option or input is wrong; 3 memory, device, files.\n" \
    "\nEvery option NAME can also be given as VITBENCH_NAME in the environment.\n"

static int run(struct opts *opts, void *values, int argc, char **argv)
{
    struct probe p;
    int rc;

    (void)opts;
    (void)argc;
    (void)argv;
    rc = probe_open(&p, values);
    if (rc == 0)
        rc = probe_check_record(&p);
    if (rc == 0) {
        probe_banner(&p);
        rc = probe_run(&p);
    }
    if (rc == 0) {
        probe_report(&p);
        rc = probe_record(&p);
    }
    if (rc == 0)
        rc = mesh_agree(p.mesh, p.mesh->rank == 0 ? err_unheard(stdout) : 0);
    probe_close(&p);
    return err_exit_status(rc);
}

int main(int argc, char **argv)
{
    struct probe_options options;

    return program_main(&(struct program){ .name        = "vitprobe",
                                           .usage       = USAGE,
                                           .about       = ABOUT,
                                           .status      = STATUS,
                                           .read        = probe_options_read,
                                           .values      = &options,
                                           .size        = sizeof options,
                                           .is_threaded = setting_is_threaded,
                                           .run         = run },
                        argc, argv);
}
