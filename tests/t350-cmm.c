/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=1,2,3,4,5 */
/* Collective matmul on small integers: the plain form, the rings one way and both ways,
 * each product in a form of its own, and an unsharded product in plain loops agree bit
 * for bit, at sizes that nothing divides; GELUs to rounding.
 */
#include "config.h"

#include "mesh/cmm.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "tests/lazy.h"
#include "tests/ranks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Halves of slices of C differ, and pieces of ROWS. */
enum { ROWS = 19, C = 46, F = 70 };

/* The whole matrices, as functions of their indices: -3 .. 3. */
static double whole(int which, int64_t r, int64_t c)
{
    return (double)((r * (7 + which) + c * (5 + 2 * which) + r * c % 11 + which) % 7 -
                    3);
}

enum { X = 1, W_IN, DY_IN, BIAS_IN, XO, W_OUT, DY_OUT, BIAS_OUT, PRE, OLD };

/* A matrix of its own with rows [r.lo, r.hi) and columns [c.lo, c.hi) of a whole one.
 */
struct own {
    struct buf buf;
    struct mat mat;
};

static struct own own_open(struct dev *dev, int which, struct range r, struct range c)
{
    const int64_t rows = range_size(r), cols = range_size(c);
    const enum dtype t = dev_dtype(dev);
    char *host         = mem_new((size_t)(rows * cols) + 1, dtype_size(t));
    struct own o;

    if (dev_alloc(&o.buf, dev, (size_t)(rows * cols) * dtype_size(t)) != 0)
        die("%s", err_sentence());
    for (int64_t i = 0; i < rows; i++) {
        for (int64_t j = 0; j < cols; j++)
            dtype_store(t, host, i * cols + j, whole(which, r.lo + i, c.lo + j));
    }
    o.mat = (struct mat){ &o.buf, t, 0, rows, cols, cols };
    dev_put(dev_stream(dev, LANE_COMPUTE), o.mat, host);
    mem_free(host);
    return o;
}

/* 'own' lies in its final place only now: the view points into it. */
static struct mat view(struct own *o)
{
    o->mat.buf = &o->buf;
    return o->mat;
}

/* Everything that one rank has. */
struct side {
    struct mesh *mesh;
    struct dev *dev;
    struct cmm *cmm;
    struct range c, f, b; /* b: of f, what has a bias with a gradient */
    struct own x, w_in, dy_in, bias_in, xo, w_out, dy_out, bias_out, pre;
    struct own y, act, dx, dw, db_in, yo, dxo, dwo, db_out; /* results */
    struct dev_weight *in, *out;
    struct cmm_section gather[3], back[2];
};

/* A different form for each call: the table of CMM_AUTO. */
static const struct cmm_tuned mixed = {
    .of = { [CMM_UP]   = { [CMM_FORWARD]  = { CMM_BIDIR, 3 },
                           [CMM_BACKWARD] = { CMM_PLAIN, 0 } },
            [CMM_DOWN] = { [CMM_FORWARD]  = { CMM_RING, 0 },
                           [CMM_BACKWARD] = { CMM_BIDIR, 1 } } }
};

static void side_open(struct side *s, struct mesh *mesh, enum dtype t, int panels,
                      bool is_lazy)
{
    const int M = mesh->M, m = mesh->m;
    const struct range one = { 0, 1 }, rows_all = { 0, ROWS }, c_all = { 0, C };

    memset(s, 0, sizeof *s);
    s->mesh = mesh;
    if (dev_open(&s->dev, "cpu:ref", t, 1) != 0)
        die("%s", err_sentence());
    if (is_lazy)
        lazy_make(s->dev);
    if (cmm_open(&s->cmm, mesh, s->dev, ROWS + 2, C, CMM_RING, panels) != 0)
        die("%s", err_sentence());
    cmm_tune(s->cmm, &mixed);
    s->c        = split_range(C, M, m);
    s->f        = split_range(F, M, m);
    s->b        = (struct range){ s->f.lo + range_size(s->f) / 3, s->f.hi };
    s->x        = own_open(s->dev, X, rows_all, s->c);
    s->w_in     = own_open(s->dev, W_IN, c_all, s->f);
    s->dy_in    = own_open(s->dev, DY_IN, rows_all, s->f);
    s->bias_in  = own_open(s->dev, BIAS_IN, one, s->f);
    s->xo       = own_open(s->dev, XO, rows_all, s->f);
    s->w_out    = own_open(s->dev, W_OUT, s->f, c_all);
    s->dy_out   = own_open(s->dev, DY_OUT, rows_all, s->c);
    s->bias_out = own_open(s->dev, BIAS_OUT, one, s->c);
    s->pre      = own_open(s->dev, PRE, rows_all, s->f);
    s->y        = own_open(s->dev, OLD, rows_all, s->f);
    s->act      = own_open(s->dev, OLD, rows_all, s->f);
    s->dx       = own_open(s->dev, OLD, rows_all, s->c);
    s->dw       = own_open(s->dev, OLD, c_all, s->f);
    s->yo       = own_open(s->dev, OLD, rows_all, s->c);
    s->dxo      = own_open(s->dev, OLD, rows_all, s->f);
    s->dwo      = own_open(s->dev, OLD, s->f, c_all);
    s->db_in    = own_open(s->dev, OLD, one, s->b);
    s->db_out   = own_open(s->dev, OLD, one, s->c);
    if (dev_weight_open(&s->in, s->dev, view(&s->w_in)) != 0 ||
        dev_weight_open(&s->out, s->dev, view(&s->w_out)) != 0)
        die("%s", err_sentence());

    const int64_t n = range_size(s->f), a = n / 3, b = 2 * n / 3;

    s->gather[0] = (struct cmm_section){ .cols = { 0, a } };
    s->gather[1] = (struct cmm_section){
        .cols     = { a, b },
        .epilogue = { .kind = EPI_BIAS, .bias = mat_cols(view(&s->bias_in), a, b) }
    };
    s->gather[2] =
        (struct cmm_section){ .cols     = { b, n },
                              .epilogue = { .kind = EPI_GELU,
                                            .gelu = GELU_TANH,
                                            .bias = mat_cols(view(&s->bias_in), b, n),
                                            .act  = mat_cols(view(&s->act), b, n) } };
    s->back[0] = (struct cmm_section){ .cols = { 0, a } };
    s->back[1] =
        (struct cmm_section){ .cols     = { a, n },
                              .epilogue = { .kind = EPI_DGELU,
                                            .gelu = GELU_TANH,
                                            .pre  = mat_cols(view(&s->pre), a, n) } };
}

static void side_close(struct side *s)
{
    struct own *all[] = { &s->x,     &s->w_in,   &s->dy_in,    &s->bias_in, &s->xo,
                          &s->w_out, &s->dy_out, &s->bias_out, &s->pre,     &s->y,
                          &s->act,   &s->dx,     &s->dw,       &s->db_in,   &s->yo,
                          &s->dxo,   &s->dwo,    &s->db_out };

    dev_weight_close(&s->in);
    dev_weight_close(&s->out);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        dev_free(&all[i]->buf);
    cmm_close(&s->cmm);
    dev_close(&s->dev);
}

static void do_gather(struct side *s)
{
    cmm_select(s->cmm, CMM_UP);
    cmm_gather(s->cmm, view(&s->y), view(&s->x), s->in, s->gather, 3);
}

static void do_gather_backward(struct side *s, bool is_added)
{
    cmm_select(s->cmm, CMM_UP);
    cmm_gather_backward(s->cmm, view(&s->dx), view(&s->dw), view(&s->db_in), is_added,
                        view(&s->dy_in), view(&s->x), s->in);
}

static void do_scatter(struct side *s)
{
    cmm_select(s->cmm, CMM_DOWN);
    cmm_scatter(s->cmm, view(&s->yo), view(&s->xo), s->out, view(&s->bias_out),
                mat_none());
}

static void do_scatter_backward(struct side *s, bool is_added)
{
    cmm_select(s->cmm, CMM_DOWN);
    cmm_scatter_backward(s->cmm, view(&s->dxo), s->back, 2, view(&s->dwo),
                         view(&s->db_out), is_added, view(&s->dy_out), view(&s->xo),
                         s->out);
}

static void do_all(struct side *s)
{
    do_gather(s);
    do_gather_backward(s, false);
    do_scatter(s);
    do_scatter_backward(s, false);
}

/* ---- the oracle ------------------------------------------------------------------ */

static double gelu(double x)
{
    return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

static double dgelu(double x)
{
    const double h = 1e-5;

    return (gelu(x + h) - gelu(x - h)) / (2 * h);
}

/* Sum over k < n of a(r, k) b(k, c), either one transposed. */
static double dot(int a, bool a_t, int b, bool b_t, int64_t r, int64_t c, int64_t n)
{
    double sum = 0;

    for (int64_t k = 0; k < n; k++)
        sum += (a_t ? whole(a, k, r) : whole(a, r, k)) *
               (b_t ? whole(b, c, k) : whole(b, k, c));
    return sum;
}

/* The value of element (r, c), whole indices, of a result. */
typedef double (*value_fn)(int64_t r, int64_t c);

static double y_in(int64_t r, int64_t c)
{
    return dot(X, false, W_IN, false, r, c, C);
}
static double y_in_bias(int64_t r, int64_t c)
{
    return y_in(r, c) + whole(BIAS_IN, 0, c);
}
static double act_in(int64_t r, int64_t c)
{
    return gelu(y_in_bias(r, c));
}
static double dx_in(int64_t r, int64_t c)
{
    return dot(DY_IN, false, W_IN, true, r, c, F);
}
static double dw_in(int64_t r, int64_t c)
{
    return dot(X, true, DY_IN, false, r, c, ROWS);
}
static double y_out(int64_t r, int64_t c)
{
    return dot(XO, false, W_OUT, false, r, c, F) + whole(BIAS_OUT, 0, c);
}
static double dx_out(int64_t r, int64_t c)
{
    return dot(DY_OUT, false, W_OUT, true, r, c, C);
}
static double dx_out_dgelu(int64_t r, int64_t c)
{
    return dx_out(r, c) * dgelu(whole(PRE, r, c));
}
static double dw_out(int64_t r, int64_t c)
{
    return dot(XO, true, DY_OUT, false, r, c, ROWS);
}
static double db_in(int64_t r, int64_t c) /* of the rows from 'r' on */
{
    return r < ROWS ? whole(DY_IN, r, c) + db_in(r + 1, c) : 0;
}
static double db_out(int64_t r, int64_t c)
{
    return r < ROWS ? whole(DY_OUT, r, c) + db_out(r + 1, c) : 0;
}

/* Largest difference of 'a' from times * value() + old, relative to 1 + |value|; 'a'
 * begins at element (r0, c0) of the whole.
 */
static double off(struct dev *dev, struct mat a, int64_t r0, int64_t c0, value_fn value,
                  double times)
{
    char *host   = mem_new((size_t)mat_size(a) + 1, dtype_size(a.dtype));
    double worst = 0;

    dev_get(dev_stream(dev, LANE_COMPUTE), host, a);
    for (int64_t r = 0; r < a.rows; r++) {
        for (int64_t c = 0; c < a.cols; c++) {
            const double want = times * value(r0 + r, c0 + c);
            const double got  = dtype_load(a.dtype, host, r * a.cols + c);

            worst = tap_worse(worst, isfinite(got) ? fabs(got - want) / (1 + fabs(want))
                                                   : 1e9);
        }
    }
    mem_free(host);
    return worst;
}

static double off_gather(struct side *s)
{
    const int64_t n = range_size(s->f), a = n / 3, f = s->f.lo;
    const struct mat y = view(&s->y);

    return off(s->dev, mat_cols(y, 0, a), 0, f, y_in, 1) +
           off(s->dev, mat_cols(y, a, n), 0, f + a, y_in_bias, 1);
}

static double off_act(struct side *s)
{
    const int64_t n = range_size(s->f), b = 2 * n / 3;

    return off(s->dev, mat_cols(view(&s->act), b, n), 0, s->f.lo + b, act_in, 1);
}

static double off_dgelu(struct side *s)
{
    const int64_t n = range_size(s->f), a = n / 3;

    return off(s->dev, mat_cols(view(&s->dxo), a, n), 0, s->f.lo + a, dx_out_dgelu, 1);
}

static double off_dxo(struct side *s)
{
    return off(s->dev, mat_cols(view(&s->dxo), 0, range_size(s->f) / 3), 0, s->f.lo,
               dx_out, 1);
}

static double off_rest(struct side *s, double times)
{
    return off(s->dev, view(&s->dx), 0, s->c.lo, dx_in, 1) +
           off(s->dev, view(&s->dw), 0, s->f.lo, dw_in, times) +
           off(s->dev, view(&s->db_in), 0, s->b.lo, db_in, times) +
           off(s->dev, view(&s->db_out), 0, s->c.lo, db_out, times) +
           off(s->dev, view(&s->yo), 0, s->c.lo, y_out, 1) +
           off(s->dev, view(&s->dwo), s->f.lo, 0, dw_out, times) + off_dxo(s);
}

/* ---- tests ----------------------------------------------------------------------- */

static void test_values(struct side *s, enum cmm_form form)
{
    const struct mesh *mesh = s->mesh;
    const char *dtype       = dtype_name(dev_dtype(s->dev));
    const double eps        = dev_dtype(s->dev) == DTYPE_F64 ? 1e-9 : 1e-5;

    cmm_set_form(s->cmm, form);
    do_all(s);
    ok(off_gather(s) == 0, "%s %dx%d %s: gather then multiply is exact",
       cmm_form_name[form], mesh->D, mesh->M, dtype);
    ok(off_act(s) < eps, "%s %dx%d %s: so is the GELU behind it, to rounding",
       cmm_form_name[form], mesh->D, mesh->M, dtype);
    ok(off_rest(s, 1) == 0, "%s %dx%d %s: the other products are exact",
       cmm_form_name[form], mesh->D, mesh->M, dtype);
    ok(off_dgelu(s) < eps, "%s %dx%d %s: GELU's gradient is applied once, at the end",
       cmm_form_name[form], mesh->D, mesh->M, dtype);
    do_gather_backward(s, true);
    do_scatter_backward(s, true);
    ok(off_rest(s, 2) == 0, "%s %dx%d %s: gradients of weights are added when asked",
       cmm_form_name[form], mesh->D, mesh->M, dtype);
}

static enum cmm_form form_of(enum cmm_form form, enum cmm_product product,
                             enum cmm_pass pass)
{
    return form == CMM_AUTO ? mixed.of[product][pass].form : form;
}

/* Bytes of the slices of 'rows' rows, or of half of their columns. */
static const int64_t *bytes_of(const struct side *s, int64_t rows, int lanes, int lane)
{
    static int64_t bytes[8];
    const int64_t size = (int64_t)dtype_size(dev_dtype(s->dev));

    for (int j = 0; j < s->mesh->M; j++)
        bytes[j] = rows * size * split_size(split_size(C, s->mesh->M, j), lanes, lane);
    return bytes;
}

static void plan_gather(struct traffic_count *t, const struct side *s,
                        enum cmm_form form)
{
    const int M = s->mesh->M, m = s->mesh->m, pieces = cmm_pieces(ROWS, M);

    if (form == CMM_PLAIN)
        traffic_allgather(t, bytes_of(s, ROWS, 1, 0), M, m);
    for (int k = 0; k < pieces && form != CMM_PLAIN; k++) {
        const int lanes    = form == CMM_BIDIR ? 2 : 1;
        const int64_t rows = split_size(ROWS, pieces, k);

        traffic_ring_gather(t, bytes_of(s, rows, lanes, 0), M, m);
        if (lanes == 2)
            traffic_ring_back(t, bytes_of(s, rows, lanes, 1), M, m);
    }
}

static void plan_scatter(struct traffic_count *t, const struct side *s,
                         enum cmm_form form)
{
    const int M = s->mesh->M, m = s->mesh->m, pieces = cmm_pieces(ROWS, M);

    if (form == CMM_PLAIN)
        traffic_reduce_scatter(t, bytes_of(s, ROWS, 1, 0), M, m);
    for (int k = 0; k < pieces && form != CMM_PLAIN; k++) {
        const int lanes    = form == CMM_BIDIR ? 2 : 1;
        const int64_t rows = split_size(ROWS, pieces, k);

        for (int lane = 0; lane < lanes; lane++)
            traffic_ring_scatter(t, bytes_of(s, rows, lanes, lane), M, m);
    }
}

/* What the four functions post, and how many ring passes of each kind they make. */
static void test_traffic(struct side *s, enum cmm_form form)
{
    const enum cmm_form used[]  = { form_of(form, CMM_UP, CMM_FORWARD),     /* x      */
                                    form_of(form, CMM_UP, CMM_BACKWARD),    /* x      */
                                    form_of(form, CMM_DOWN, CMM_BACKWARD),  /* dy     */
                                    form_of(form, CMM_UP, CMM_BACKWARD),    /* dx sum */
                                    form_of(form, CMM_DOWN, CMM_FORWARD) }; /* y sum  */
    struct traffic_count gather = { 0 }, scatter = { 0 };
    int rings = 0, bidirs = 0;

    cmm_set_form(s->cmm, form);
    for (int k = 0; k < 5 && s->mesh->M > 1; k++) {
        if (k < 3)
            plan_gather(&gather, s, used[k]);
        else
            plan_scatter(&scatter, s, used[k]);
        rings += used[k] == CMM_RING;
        bidirs += used[k] == CMM_BIDIR;
    }
    mesh_count_reset(s->mesh);
    do_all(s);
    ok(memcmp(&s->mesh->sent[ACT_GATHER], &gather, sizeof gather) == 0 &&
           memcmp(&s->mesh->sent[ACT_SCATTER], &scatter, sizeof scatter) == 0,
       "%s %dx%d: messages and bytes are those of the plan", cmm_form_name[form],
       s->mesh->D, s->mesh->M);
    ok(s->mesh->rings == rings && s->mesh->bidirs == bidirs,
       "%s %dx%d: %d rings turned one way, %d both ways", cmm_form_name[form],
       s->mesh->D, s->mesh->M, rings, bidirs);
}

static void test_muted(struct side *s, enum cmm_form form)
{
    cmm_set_form(s->cmm, form);
    mesh_mute(s->mesh, ACT_GATHER, true);
    mesh_mute(s->mesh, ACT_SCATTER, true);
    mesh_count_reset(s->mesh);
    do_all(s);
    ok(s->mesh->sent[ACT_GATHER].messages == 0 &&
           s->mesh->sent[ACT_SCATTER].bytes == 0 && s->mesh->rings == 0 &&
           s->mesh->bidirs == 0,
       "%s %dx%d: without its messages it returns and posts nothing",
       cmm_form_name[form], s->mesh->D, s->mesh->M);
    mesh_mute(s->mesh, ACT_GATHER, false);
    mesh_mute(s->mesh, ACT_SCATTER, false);
    do_all(s);
    ok(off_gather(s) + off_rest(s, 1) == 0, "%s %dx%d: with them it is right again",
       cmm_form_name[form], s->mesh->D, s->mesh->M);
}

/* A watch that checks what it is shown. */
struct seen {
    struct side *s;
    int times[CMM_KINDS];
    double off;
    bool is_right;
};

static void see(void *ctx, const struct cmm_seen *seen)
{
    struct seen *v = ctx;
    struct side *s = v->s;

    v->times[seen->kind]++;
    v->is_right &= strcmp(seen->what, "it") == 0;
    switch (seen->kind) {
    case CMM_GATHER_Y:
        v->is_right &= seen->sections == 3 && seen->w.cols == seen->y.cols;
        break;
    case CMM_SCATTER_DX: /* before the gradient of GELU */
        v->is_right &= seen->section[1].epilogue.kind == EPI_NONE;
        v->off += off(s->dev, seen->y, 0, s->f.lo, dx_out, 1);
        break;
    case CMM_SCATTER_Y:
        v->is_right &= seen->section[0].epilogue.kind == EPI_BIAS;
        v->off += off(s->dev, seen->y, 0, s->c.lo, y_out, 1);
        break;
    case CMM_GATHER_DW:
        v->is_right &= mat_is_none(seen->w) && seen->x.cols == range_size(s->c);
        v->off += off(s->dev, seen->y, 0, s->f.lo, dw_in, 1);
        break;
    case CMM_SCATTER_DW:
        v->off += off(s->dev, seen->y, s->f.lo, 0, dw_out, 1);
        break;
    default:
        v->off += off(s->dev, seen->y, 0, s->c.lo, dx_in, 1);
    }
}

static void test_watch(struct side *s, enum cmm_form form)
{
    struct seen v = { .s = s, .is_right = true };
    bool is_once  = true;

    cmm_set_form(s->cmm, form);
    cmm_label(s->cmm, "it");
    cmm_watch(s->cmm, see, &v);
    do_all(s);
    cmm_watch(s->cmm, NULL, NULL);
    for (int k = 0; k < CMM_KINDS; k++)
        is_once &= v.times[k] == 1;
    ok(is_once && v.is_right && v.off == 0,
       "%s %dx%d: a watch sees all six kinds once, before GELU's gradient",
       cmm_form_name[form], s->mesh->D, s->mesh->M);
    ok(off_gather(s) + off_rest(s, 1) == 0 && off_dgelu(s) < 1e-5,
       "%s %dx%d: and changes no result", cmm_form_name[form], s->mesh->D, s->mesh->M);
}

/* A fault on the last rank of the job is felt there, and nowhere else in a gather. */
static void test_fault(struct side *s, enum cmm_form form, enum fault fault)
{
    const bool is_here = s->mesh->rank == s->mesh->size - 1;

    cmm_set_form(s->cmm, form);
    s->mesh->fault = is_here ? fault : FAULT_NONE;
    do_gather(s);
    s->mesh->fault = FAULT_NONE;
    ok((off_gather(s) > 0) == is_here,
       "%s %dx%d: a planted fault (%d) spoils the product", cmm_form_name[form],
       s->mesh->D, s->mesh->M, fault);
    do_gather(s);
    ok(off_gather(s) == 0, "%s %dx%d: the next is right", cmm_form_name[form],
       s->mesh->D, s->mesh->M);
}

static void test_mesh(struct mesh *mesh, enum dtype t)
{
    static const int panels[]          = { 0, 1, 3, 0, 5 };
    static const enum cmm_form forms[] = { CMM_RING, CMM_PLAIN, CMM_RING, CMM_BIDIR,
                                           CMM_BIDIR };
    struct side s;

    for (int p = 0; p < 5; p++) {
        side_open(&s, mesh, t, panels[p], false);
        test_values(&s, forms[p]);
        side_close(&s);
    }
    for (int i = 0; i < 2; i++) {
        mesh->reaches_gpus = i > 0;
        side_open(&s, mesh, t, 0, true);
        for (enum cmm_form form = CMM_PLAIN; form <= CMM_AUTO; form++)
            test_values(&s, form);
        ok(the_lazy.most > 1, "on a device that runs behind the host, too, %s",
           i > 0 ? "whose memory MPI reaches" : "through the host's memory");
        side_close(&s);
    }
    side_open(&s, mesh, t, 0, false);
    for (enum cmm_form form = CMM_PLAIN; form <= CMM_AUTO; form++) {
        test_traffic(&s, form);
        test_muted(&s, form);
        test_watch(&s, form);
        if (mesh->M > 1) {
            test_fault(&s, form, FAULT_SLICE);
            test_fault(&s, form, FAULT_DROP);
        }
    }
    side_close(&s);
}

int main(int argc, char **argv)
{
    const int size = ranks_open(&argc, &argv, "t350-cmm");

    for (int M = size; M >= 1; M--) {
        struct mesh *mesh;

        if (size % M != 0)
            continue;
        if (mesh_open(&mesh, MPI_COMM_WORLD, size / M, M) != 0)
            die("%s", err_sentence());
        test_mesh(mesh, DTYPE_F64);
        if (M == size)
            test_mesh(mesh, DTYPE_F32);
        ok(cmm_bytes(mesh, ROWS, C, DTYPE_F32, CMM_RING) <=
               cmm_bytes(mesh, ROWS, C, DTYPE_F32, CMM_PLAIN),
           "the ring needs no more memory than the plain form, M = %d", M);
        mesh_close(&mesh);
    }

    struct mesh *mesh;
    struct dev *dev;
    struct cmm *cmm = NULL;

    if (mesh_open(&mesh, MPI_COMM_WORLD, 1, size) != 0 ||
        dev_open(&dev, "cpu:ref", DTYPE_F64, 1) != 0)
        die("%s", err_sentence());
    ok(cmm_open(&cmm, mesh, dev, ROWS, size - 1, CMM_RING, 0) == ERR_SHAPE &&
           cmm == NULL,
       "a width below M is refused");
    err_forget();
    dev_close(&dev);
    mesh_close(&mesh);
    return ranks_done();
}
