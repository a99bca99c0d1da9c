/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=4 */
/* A model and its optimizer through a checkpoint: what was trained on 2x2 is the same
 * on 1x1, 1x3 and 4x1, bit for bit, with parameters cut over the data axis and without,
 * under the names and shapes of the reference.
 */
#include "config.h"

#include "src/step/state.h"

#include "ckpt/file.h"
#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/step/stored.h"
#include "tests/model.h"
#include "tests/ranks.h"
#include "tests/scratch.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int rank;

/* ---- pieces against the file ----------------------------------------------------- */

static int64_t index_of(const struct ckpt_tensor *t, const struct ckpt_piece *p,
                        int64_t i)
{
    int64_t index = 0, stride = 1;

    for (int k = t->dims - 1; k >= 0; k--) {
        const int64_t side = p->hi[k] - p->lo[k];

        index += (p->lo[k] + i % side) * stride;
        stride *= t->dim[k];
        i /= side;
    }
    return index + t->layer * stride;
}

/* Elements of a piece that differ from those of the file. */
static int64_t count_wrong(struct model *m, const struct ckpt_tensor *t,
                           const struct ckpt_piece *p, const float *all)
{
    double *own   = mem_new((size_t)mat_size(p->at), sizeof *own);
    int64_t wrong = 0;

    model_get(m, own, p->at);
    for (int64_t i = 0; i < mat_size(p->at); i++) {
        const float value = (float)own[i];

        wrong += memcmp(&value, &all[index_of(t, p, i)], sizeof value) != 0;
    }
    mem_free(own);
    return wrong;
}

/* True if all pieces of this rank are what the file holds, some of it not zero. */
static bool is_as_saved(struct model *m, const char *path)
{
    struct ckpt_file *f = NULL;
    struct ckpt_list list;
    int64_t wrong = 0;
    int fd;

    if (file_open(&f, path) != 0)
        return false;
    fd = open(path, O_RDONLY);
    state_list(&list, m->vit, m->optim);
    for (int i = 0; i < list.tensors; i++) {
        const struct ckpt_tensor *t = &list.tensor[i];
        const struct entry *e       = file_find(f, t->dataset);
        float *all                  = mem_new((size_t)e->elements, sizeof *all);

        if (file_read(all, fd, f, e, 0, e->elements) != 0)
            wrong++;
        for (int k = t->first; k < t->first + t->count; k++)
            wrong += count_wrong(m, t, &list.piece[k], all);
        mem_free(all);
    }
    state_free(&list);
    close(fd);
    file_close(&f);
    return wrong == 0;
}

/* ---- from mesh to mesh ----------------------------------------------------------- */

/* Options as a user gives them; the number of classes is for the file to tell. */
static json_t *options_of(const struct spec *s)
{
    return json_pack("{ss ss ss ss ss ss ss}", "shape", s->name, "image", "10", "patch",
                     "3", "wiring", wiring_name(s->wiring), "pool", pool_name(s->pool),
                     "qk-norm", s->qk_norm ? "on" : "off", "loss", loss_name(s->loss));
}

/* True if the file tells which model it holds. */
static bool is_told(const struct spec *s, const char *path)
{
    struct ckpt_file *f = NULL;
    struct spec told    = { 0 };
    bool is_right       = file_open(&f, path) == 0 && stored_spec(&told, f) == 0;

    file_close(&f);
    return is_right && strcmp(told.name, s->name) == 0 && told.C == s->C &&
           told.H == s->H && told.F == s->F && told.L == s->L && told.K == s->K &&
           told.image == s->image && told.patch == s->patch && told.N == s->N &&
           told.wiring == s->wiring && told.norm == s->norm && told.pool == s->pool &&
           told.qk_norm == s->qk_norm && told.gelu == s->gelu && told.loss == s->loss;
}

static int save(struct model *m, const char *name, char path[CKPT_PATH])
{
    const struct ckpt_meta meta = { .step = 3, .options = options_of(&m->spec) };
    struct ckpt_list list;
    struct ckpt *c;
    int rc;

    state_list(&list, m->vit, m->optim);
    rc = ckpt_open(&c, m->mesh, m->dev, &list, scratch_path(name), 0, NULL);
    if (rc != 0)
        die("no checkpoint");
    rc = ckpt_start(c, &meta);
    if (rc == 0)
        rc = ckpt_finish(c);
    snprintf(path, CKPT_PATH, "%s", ckpt_path(c));
    ckpt_close(&c);
    state_free(&list);
    json_decref(meta.options);
    return rc;
}

/* The digests of two files are the same. */
static bool are_same(const char *a, const char *b)
{
    struct ckpt_file *fa = NULL, *fb = NULL;
    bool is_same =
        file_open(&fa, a) == 0 && file_open(&fb, b) == 0 && fa->entries == fb->entries;

    for (int i = 0; is_same && i < fa->entries; i++)
        is_same = strcmp(fa->entry[i].name, fb->entry[i].name) == 0 &&
                  fa->entry[i].digest == fb->entry[i].digest;
    file_close(&fa);
    file_close(&fb);
    return is_same;
}

/* The loss on a batch of its own, which takes all parameters. */
static double loss_of(struct model *m)
{
    return step_forward(m->step, m->data, 1000, 0);
}

/* A new model of the same mesh goes on where 'path' ended: in bf16 what multiplies are
 * copies of what was saved.
 */
static bool goes_on(const struct model_options *o, const char *path, double loss)
{
    struct model m;
    bool is_right;

    model_open(&m, o, MPI_COMM_WORLD);
    is_right = state_load(m.vit, m.optim, path) == 0 && loss_of(&m) == loss;
    model_close(&m);
    return is_right;
}

/* True if the first D * M ranks load 'path', hold what is in it, and save the same. */
static bool passes_through(struct model_options o, const char *path, int D, int M)
{
    const bool is_in = rank < D * M;
    bool is_right    = true;
    MPI_Comm comm;

    MPI_Comm_split(MPI_COMM_WORLD, is_in, rank, &comm);
    if (is_in) {
        char again[CKPT_PATH], name[32];
        struct model m;

        o.D = D;
        o.M = M;
        snprintf(name, sizeof name, "%dx%d", D, M);
        model_open(&m, &o, comm);
        is_right = state_load(m.vit, m.optim, path) == 0 && is_as_saved(&m, path) &&
                   save(&m, name, again) == 0 && are_same(again, path);
        model_close(&m);
    }
    MPI_Comm_free(&comm);
    return is_right;
}

static void test_model(struct model_options o, const char *what)
{
    struct step_result result;
    char path[CKPT_PATH];
    struct model m;
    double loss;

    o.spec.shape = "48/3/70/6";
    o.shard      = SHARD_FULL;
    o.D = o.M = 2;
    model_open(&m, &o, MPI_COMM_WORLD);
    model_stir(&m);
    for (int i = 0; i < 3; i++)
        step_run(m.step, 1, &result);
    ok(save(&m, what, path) == 0 && is_as_saved(&m, path), "%s: 2x2 saves it", what);
    ok(is_told(&m.spec, path), "%s: it says which model it holds", what);
    loss = loss_of(&m);
    model_close(&m);
    ok(goes_on(&o, path, loss), "%s: and has the same loss when it is back", what);
    ok(passes_through(o, path, 1, 1), "%s: 1x1 has the same bits", what);
    ok(passes_through(o, path, 1, 3), "%s: 1x3 has", what);
    ok(passes_through(o, path, 4, 1), "%s: 4x1 has", what);
    o.shard = SHARD_NONE;
    ok(passes_through(o, path, 4, 1), "%s: 4x1 that cuts nothing has", what);
}

/* ---- names and shapes ------------------------------------------------------------ */

static void test_names(struct model_options o, const char *const *wanted,
                       const char *what)
{
    struct ckpt_list list;
    struct model m;
    bool are_right = true;
    int datasets   = 0;

    o.spec.shape = "48/3/70/6";
    o.D = o.M = 2;
    model_open(&m, &o, MPI_COMM_WORLD);
    state_list(&list, m.vit, NULL);
    for (int i = 0; i < list.tensors; i++) {
        struct entry e;
        char text[FILE_SHAPE], line[CKPT_NAME + FILE_SHAPE];

        if (i > 0 && strcmp(list.tensor[i].dataset, list.tensor[i - 1].dataset) == 0) {
            are_right =
                are_right && list.tensor[i].layer == list.tensor[i - 1].layer + 1;
            continue;
        }
        file_entry(&e, &list.tensor[i]);
        snprintf(line, sizeof line, "%s %s", e.name, file_shape(text, e.size, e.dims));
        if (wanted[datasets] == NULL || strcmp(line, wanted[datasets]) != 0) {
            tap_note("%s", line);
            are_right = false;
        }
        datasets += wanted[datasets] != NULL;
    }
    ok(are_right && wanted[datasets] == NULL, "%s: names, shapes and stacks", what);
    state_free(&list);
    model_close(&m);
}

#define BLOCK     "params/Transformer/encoderblock/"
#define ATTENTION BLOCK "MultiHeadDotProductAttention_0/"

static const char *const parallel[] = {
    "params/embedding/kernel [3, 3, 3, 48]",
    "params/embedding/bias [48]",
    "params/pos_embedding [1, 9, 48]",
    BLOCK "LayerNorm_0/scale [3, 48]",
    ATTENTION "query/kernel [3, 48, 6, 8]",
    ATTENTION "key/kernel [3, 48, 6, 8]",
    ATTENTION "value/kernel [3, 48, 6, 8]",
    BLOCK "MlpBlock_0/Dense_0/kernel [3, 48, 70]",
    BLOCK "MlpBlock_0/Dense_0/bias [3, 70]",
    BLOCK "MlpBlock_0/Dense_1/kernel [3, 70, 48]",
    ATTENTION "out/kernel [3, 6, 8, 48]",
    BLOCK "MlpBlock_0/Dense_1/bias [3, 48]",
    "params/Transformer/encoder_norm/scale [48]",
    "params/head/kernel [48, 7]",
    "params/head/bias [7]",
    ATTENTION "query_ln/scale [3, 8]",
    ATTENTION "key_ln/scale [3, 8]",
    NULL,
};

static const char *const sequential[] = {
    "params/embedding/kernel [3, 3, 3, 48]",
    "params/embedding/bias [48]",
    "params/cls [1, 1, 48]",
    "params/pos_embedding [1, 9, 48]",
    BLOCK "LayerNorm_0/scale [3, 48]",
    BLOCK "LayerNorm_0/bias [3, 48]",
    ATTENTION "query/kernel [3, 48, 6, 8]",
    ATTENTION "key/kernel [3, 48, 6, 8]",
    ATTENTION "value/kernel [3, 48, 6, 8]",
    ATTENTION "query/bias [3, 6, 8]",
    ATTENTION "key/bias [3, 6, 8]",
    ATTENTION "value/bias [3, 6, 8]",
    ATTENTION "out/kernel [3, 6, 8, 48]",
    ATTENTION "out/bias [3, 48]",
    BLOCK "LayerNorm_1/scale [3, 48]",
    BLOCK "LayerNorm_1/bias [3, 48]",
    BLOCK "MlpBlock_0/Dense_0/kernel [3, 48, 70]",
    BLOCK "MlpBlock_0/Dense_0/bias [3, 70]",
    BLOCK "MlpBlock_0/Dense_1/kernel [3, 70, 48]",
    BLOCK "MlpBlock_0/Dense_1/bias [3, 48]",
    "params/Transformer/encoder_norm/scale [48]",
    "params/Transformer/encoder_norm/bias [48]",
    "params/head/kernel [48, 7]",
    "params/head/bias [7]",
    NULL,
};

/* ---- what was held out ----------------------------------------------------------- */

static void test_held(void)
{
    static const struct {
        const char *holdout;
        double share;
    } row[]   = { { "auto", 0.1 }, { "0.25", 0.25 }, { "other.h5", 0 },
                  { "0", 0 },      { "1", 0 },       { "", 0 } };
    json_t *o = json_pack("{ss}", META_SET, "00000000000000ab");

    ok(stored_held_share(o) == 0, "a run that does not say has held out nothing");
    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        json_object_set_new(o, "holdout", json_string(row[i].holdout));
        ok(stored_held_share(o) == row[i].share, "one of --holdout=%s: %g of its set",
           row[i].holdout, row[i].share);
    }
    json_object_set_new(o, "holdout", json_string("0.25"));
    ok(!stored_has_seen(o, 0xab, 0.25) && !stored_has_seen(o, 0xab, 0.125),
       "what it has held out it has not seen");
    ok(stored_has_seen(o, 0xab, 0.5) && !stored_has_seen(o, 0xac, 0.5) &&
           !stored_has_seen(o, 0, 0.5),
       "but more of its set, and of no other");
    json_decref(o);
}

/* ---- all ------------------------------------------------------------------------- */

int main(int argc, char **argv)
{
    struct model_options o = model_odd(WIRING_PARALLEL, POOL_MAP, LOSS_SIGMOID);

    if (ranks_open(&argc, &argv, "t510-state") != 4)
        die("not 4 ranks");
    rank = log_rank();
    scratch_open();

    test_names(model_odd(WIRING_PARALLEL, POOL_GAP, LOSS_SIGMOID), parallel,
               "parallel");
    test_names(model_odd(WIRING_SEQUENTIAL, POOL_CLS, LOSS_SOFTMAX), sequential,
               "sequential");
    test_held();
    o.dtype  = DTYPE_BF16;
    o.device = "cpu:emulate";
    test_model(o, "bf16");
    o.dtype  = DTYPE_F32;
    o.device = "cpu:ref";
    test_model(o, "parallel");
    o.optim.method = OPTIMIZER_ADAFACTOR;
    test_model(o, "Adafactor");
    o.optim.method = OPTIMIZER_SGD;
    test_model(o, "SGD");
    o       = model_odd(WIRING_SEQUENTIAL, POOL_CLS, LOSS_SOFTMAX);
    o.dtype = DTYPE_F32;
    test_model(o, "sequential");
    return ranks_done();
}
