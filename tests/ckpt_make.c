/* SPDX-License-Identifier: BSD-3-Clause */
/* Usage: ckpt_make DIR FIRST LAST SCALE
 *
 * Save checkpoints of the tests' tensors, step after step, for tests that look at them
 * or kill this program meanwhile; the seed of their elements is the step.
 */
#include "config.h"

#include "tests/ckpt_make.h"

#include "ckpt/ckpt.h"
#include "src/base/log.h"
#include "tests/tensors.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static struct make_state *map_state(const char *dir)
{
    struct make_state *state;
    char path[CKPT_PATH];
    int fd;

    snprintf(path, sizeof path, "%s/state", dir);
    fd = open(path, O_RDWR);
    if (fd < 0)
        return NULL;
    state = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return state == MAP_FAILED ? NULL : state;
}

static void save(struct ckpt *c, struct tensors *t, int64_t step,
                 struct make_state *state)
{
    struct ckpt_meta meta = { .step = step, .examples = step };

    meta.options = json_pack("{s:s,s:s}", "lr", "0.001", "out", "");
    tensors_fill(t, step);
    if (state != NULL)
        state->is_saving = 1;
    if (ckpt_start(c, &meta) != 0 || ckpt_finish(c) != 0)
        MPI_Abort(MPI_COMM_WORLD, 3);
    json_decref(meta.options);
    if (state == NULL)
        return;
    state->seconds   = ckpt_cost(c).total_s;
    state->published = step;
    state->is_saving = 0;
}

int main(int argc, char **argv)
{
    struct make_state *state;
    struct mesh *mesh = NULL;
    struct tensors t;
    struct ckpt *c;
    struct dev *dev = NULL;
    int rank, ranks;

    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    log_open("ckpt_make", rank);
    if (argc != 5 || ranks > MAKE_RANKS ||
        mesh_open(&mesh, MPI_COMM_WORLD, 1, ranks) != 0 ||
        dev_open(&dev, "cpu:ref", DTYPE_F32, 1) != 0)
        MPI_Abort(MPI_COMM_WORLD, 99);
    tensors_open(&t, mesh, dev, TENSORS_CUT, atoi(argv[4]));
    if (ckpt_open(&c, mesh, dev, &t.list, argv[1], 2, NULL) != 0)
        MPI_Abort(MPI_COMM_WORLD, 3);
    state = map_state(argv[1]);
    if (state != NULL)
        state->pid[rank] = getpid();
    MPI_Barrier(MPI_COMM_WORLD);
    for (int64_t step = atoll(argv[2]); step <= atoll(argv[3]); step++)
        save(c, &t, step, rank == 0 ? state : NULL);
    ckpt_close(&c);
    tensors_close(&t);
    dev_close(&dev);
    mesh_close(&mesh);
    MPI_Finalize();
    return 0;
}
