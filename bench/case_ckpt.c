/* SPDX-License-Identifier: BSD-3-Clause */
/* Saving and loading the whole state of a training run, against plain writing and
 * reading of as many bytes on the same disk, in turns; medians of five, or of --steps.
 *
 *   plain write   all ranks write their part of one file and fsync
 *   save          ckpt_start() until the file has its name; 'blocked' is the time that
 *                 training would stand still, in ckpt_start() and ckpt_proceed()
 *   plain read    all ranks read their part of the plain file
 *   load          the saved file back into the model and the optimizer
 *
 * Both files' pages are dropped from memory before they are read.  The state that comes
 * back must have the bits that were saved.
 */
#include "config.h"

#include "bench/case.h"

#include "bench/plain.h"
#include "bench/setup.h"
#include "ckpt/digest.h"
#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/base/rng.h"
#include "src/step/state.h"

#include <string.h>
#include <unistd.h>

enum { TURNS = 5 };

enum what { PLAIN_WRITE, SAVE, PLAIN_READ, LOAD, WHATS };
static const char *const what_name[WHATS] = { "plain write", "save", "plain read",
                                              "load" };

struct job {
    struct bench *bench;
    struct setup setup;
    struct ckpt_list list;
    struct ckpt *ckpt;
    struct plain plain;
    int64_t bytes;    /* of the tensors */
    uint64_t *digest; /* of every piece as it was saved */
    int turns;
    double *seconds[WHATS], *blocked; /* [turns] */
    int64_t wrong;
};

/* ---- the state ------------------------------------------------------------------- */

/* A random number in every element, so that no disk or file system makes it smaller;
 * the same in all replicas.
 */
static void draw(float *x, const struct ckpt_tensor *t, int64_t number,
                 const struct ckpt_piece *p)
{
    const int last    = t->dims - 1;
    const int64_t run = p->hi[last] - p->lo[last]; /* neighbours in the tensor, too */

    for (int64_t i = 0; i < mat_size(p->at); i += run)
        rng_fill_uniform(x + i, run, 1, (uint64_t)number, RNG_BENCH,
                         (uint64_t)ckpt_index(t, p, i));
}

static int fill_piece(struct job *j, const struct ckpt_tensor *t, int64_t number,
                      const struct ckpt_piece *p)
{
    const struct mat at = p->at;
    void *room, *raw;
    float *x;

    TRY(mem_alloc(&room, (size_t)mat_size(at) * sizeof *x));
    x = room;
    draw(x, t, number, p);
    raw = at.dtype == DTYPE_F32 ? room : NULL;
    if (raw == NULL) {
        raw = mem_new((size_t)mat_size(at), dtype_size(at.dtype));
        for (int64_t k = 0; k < mat_size(at); k++)
            dtype_store(at.dtype, raw, k, x[k]);
    }
    dev_put(dev_stream(j->bench->dev, LANE_COMPUTE), at, raw);
    if (raw != room)
        mem_free(raw);
    mem_free(room);
    return 0;
}

static int fill(struct job *j)
{
    for (int i = 0; i < j->list.tensors; i++) {
        const struct ckpt_tensor *t = &j->list.tensor[i];

        for (int k = t->first; k < t->first + t->count; k++)
            TRY(fill_piece(j, t, i, &j->list.piece[k]));
    }
    return 0;
}

/* The digest of the bits of a piece, whatever its format. */
static uint64_t digest_piece(struct job *j, struct mat at)
{
    const int64_t words = (mat_bytes(at) + 3) / 4;
    float *bits         = mem_new((size_t)words, sizeof *bits);
    uint64_t digest;

    dev_get(dev_stream(j->bench->dev, LANE_COMPUTE), bits, at);
    digest = digest_of(bits, words, 0);
    mem_free(bits);
    return digest;
}

static void forget(struct job *j)
{
    for (int i = 0; i < j->list.pieces; i++)
        dev_fill(dev_stream(j->bench->dev, LANE_COMPUTE), j->list.piece[i].at, 0);
}

static int64_t count_wrong(struct job *j)
{
    int64_t wrong = 0;

    for (int i = 0; i < j->list.pieces; i++)
        wrong += digest_piece(j, j->list.piece[i].at) != j->digest[i];
    return wrong;
}

/* ---- turns ----------------------------------------------------------------------- */

static int save(struct job *j, int64_t turn)
{
    const struct ckpt_meta meta = { .step = turn };

    TRY(ckpt_start(j->ckpt, &meta));
    while (ckpt_is_busy(j->ckpt)) {
        usleep(1000);
        guard_alive();
        if (coll_smallest(j->bench->mesh, AXIS_ALL, ckpt_is_written(j->ckpt)) > 0)
            TRY(ckpt_proceed(j->ckpt));
    }
    return 0;
}

static int do_one(struct job *j, enum what what, int64_t turn)
{
    switch (what) {
    case PLAIN_WRITE:
        return mesh_agree(j->bench->mesh, plain_write(&j->plain));
    case SAVE:
        return save(j, turn);
    case PLAIN_READ:
        return mesh_agree(j->bench->mesh, plain_read(&j->plain));
    default:
        return state_load(j->setup.vit, j->setup.optim, ckpt_path(j->ckpt));
    }
}

/* Time everything once.  The files of the turn before are removed first: to write over
 * a file is not what is measured.
 */
static int take_turn(struct job *j, int turn)
{
    struct mesh *mesh = j->bench->mesh;

    if (mesh->rank == 0)
        unlink(j->plain.path);
    for (int what = 0; what < WHATS; what++) {
        double start;

        TRY(bench_go_on(j->bench));
        if (what == PLAIN_READ)
            plain_drop(j->plain.path);
        if (what == LOAD) {
            plain_drop(ckpt_path(j->ckpt));
            forget(j);
        }
        coll_barrier(mesh);
        start = clock_now();
        TRY(do_one(j, (enum what)what, turn));
        coll_barrier(mesh);
        j->seconds[what][turn] = clock_now() - start;
    }
    j->seconds[SAVE][turn] = ckpt_cost(j->ckpt).total_s; /* the old file goes later */
    j->blocked[turn]       = ckpt_cost(j->ckpt).blocked_s;
    if (j->bench->options->check)
        j->wrong += count_wrong(j);
    return 0;
}

static double median(double *seconds, int n)
{
    struct stat stat;

    stat_of(&stat, seconds, n, 0);
    return stat.median;
}

static void report(struct case_result *c, struct job *j)
{
    const double wrong = coll_sum(j->bench->mesh, AXIS_ALL, (double)j->wrong);

    for (int what = 0; what < WHATS; what++) {
        struct row *row = case_add_row(c);

        coll_largest_of(j->bench->mesh, AXIS_ALL, j->seconds[what], j->turns);
        snprintf(row->name, sizeof row->name, "%s", what_name[what]);
        row->size    = j->bytes;
        row->seconds = median(j->seconds[what], j->turns);
        row->algbw   = (double)row->size / row->seconds;
        row->status  = STATUS_SKIP; /* of those that check nothing */
        if (what == SAVE) {
            coll_largest_of(j->bench->mesh, AXIS_ALL, j->blocked, j->turns);
            row->blocked = median(j->blocked, j->turns);
        }
        if (what == LOAD && j->bench->options->check) {
            row->error     = wrong;
            row->threshold = 0;
            row_judge(row);
        }
    }
}

/* ---- the case -------------------------------------------------------------------- */

/* The tensors' elements, in f32. */
static int64_t count_bytes(const struct ckpt_list *list)
{
    int64_t elements = 0;

    for (int i = 0; i < list->tensors; i++) {
        int64_t size = 1;

        for (int k = 0; k < list->tensor[i].dims; k++)
            size *= list->tensor[i].dim[k];
        elements += size;
    }
    return elements * (int64_t)sizeof(float);
}

static int open_all(struct job *j, const struct spec *spec, int64_t batch)
{
    struct bench *b  = j->bench;
    const char *name = b->options->out[0] != '\0' ? b->options->out : ".";
    char dir[CKPT_PATH];
    void *room;

    if (snprintf(dir, sizeof dir, "%s/vitbench-ckpt", name) > CKPT_PATH - 64)
        return mesh_agree(b->mesh, ERR(ERR_USAGE, "--out=%s is too long", name));
    TRY(setup_open(&j->setup, b, spec, batch, (uint64_t)b->options->seed));
    state_list(&j->list, j->setup.vit, j->setup.optim);
    j->bytes       = count_bytes(&j->list);
    j->plain.share = split_range(j->bytes, b->mesh->size, b->mesh->rank);
    TRY(ckpt_open(&j->ckpt, b->mesh, b->dev, &j->list, dir, 1, NULL));
    snprintf(j->plain.path, sizeof j->plain.path, "%.*s/plain", CKPT_PATH - 16, dir);
    TRY(mesh_agree(b->mesh, fill(j)));
    TRY(mesh_agree(b->mesh, mem_alloc(&room, PLAIN_BLOCK)));
    j->plain.block = room;
    rng_fill_uniform(room, PLAIN_BLOCK / (int64_t)sizeof(float), 1, 1, RNG_BENCH, 0);
    j->digest = mem_new((size_t)j->list.pieces, sizeof *j->digest);
    for (int i = 0; i < j->list.pieces; i++)
        j->digest[i] = digest_piece(j, j->list.piece[i].at);
    return 0;
}

static void close_all(struct job *j)
{
    const bool has_files = j->ckpt != NULL && j->bench->mesh->rank == 0;
    char path[CKPT_PATH];

    if (has_files) {
        unlink(j->plain.path);
        unlink(ckpt_path(j->ckpt));
    }
    ckpt_close(&j->ckpt);
    if (has_files) {
        snprintf(path, sizeof path, "%s", j->plain.path);
        *strrchr(path, '/') = '\0';
        rmdir(path);
    }
    state_free(&j->list);
    setup_close(&j->setup);
    mem_free(j->plain.block);
    mem_free(j->digest);
    for (int what = 0; what < WHATS; what++)
        mem_free(j->seconds[what]);
    mem_free(j->blocked);
}

int case_ckpt(struct bench *b, struct case_result *c, const struct spec *spec,
              int64_t batch)
{
    struct job j = { .bench = b };
    int rc;

    j.turns   = b->options->steps > 0 ? (int)b->options->steps : TURNS;
    j.blocked = mem_new((size_t)j.turns, sizeof *j.blocked);
    for (int what = 0; what < WHATS; what++)
        j.seconds[what] = mem_new((size_t)j.turns, sizeof *j.seconds[what]);
    guard_phase("checkpoints");
    rc = open_all(&j, spec, batch);
    for (int turn = 0; rc == 0 && turn < j.turns; turn++)
        rc = take_turn(&j, turn);
    if (rc == 0) {
        report(c, &j);
        result_judge(c);
    }
    close_all(&j);
    if (rc == ERR_MEMORY)
        case_skip(c, "not enough memory");
    return rc == ERR_MEMORY ? 0 : rc;
}
