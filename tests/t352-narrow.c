/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=2,3 */
/* Collective matmul of a width of one column a rank: both ways round, half of a column
 * is nothing, and the other half does all.  Slices of different widths follow each
 * other in the same memory.
 */
#include "config.h"

#include "mesh/cmm.h"

#include "src/base/err.h"
#include "tests/ranks.h"

enum { ROWS = 9, N = 5, UNEVEN = 10 /* columns of 3 ranks */ };

/* ---- messages under way ---------------------------------------------------------- */

enum { MOST = 16 };

/* What is sent, and was not waited for. */
static struct {
    const MPI_Request *request; /* NULL: it was */
    const char *at;
    int bytes;
} sent[MOST];
static int over; /* messages asked for that overwrite it */

int MPI_Isend(const void *at, int bytes, MPI_Datatype type, int to, int tag,
              MPI_Comm comm, MPI_Request *request)
{
    int k = 0;

    while (k < MOST && sent[k].request != NULL)
        k++;
    if (k == MOST)
        die("more than %d messages are under way", MOST);
    sent[k].request = request;
    sent[k].at      = at;
    sent[k].bytes   = bytes;
    return PMPI_Isend(at, bytes, type, to, tag, comm, request);
}

int MPI_Irecv(void *at, int bytes, MPI_Datatype type, int from, int tag, MPI_Comm comm,
              MPI_Request *request)
{
    const char *to = at;

    for (int k = 0; k < MOST; k++)
        over += sent[k].request != NULL && to < sent[k].at + sent[k].bytes &&
                sent[k].at < to + bytes;
    return PMPI_Irecv(at, bytes, type, from, tag, comm, request);
}

static void forget(const MPI_Request *request, int n)
{
    for (int k = 0; k < MOST; k++)
        if (sent[k].request >= request && sent[k].request < request + n)
            sent[k].request = NULL;
}

int MPI_Wait(MPI_Request *request, MPI_Status *status)
{
    forget(request, 1);
    return PMPI_Wait(request, status);
}

int MPI_Testall(int n, MPI_Request request[], int *is_done, MPI_Status status[])
{
    const int rc = PMPI_Testall(n, request, is_done, status);

    if (*is_done)
        forget(request, n);
    return rc;
}

/* ---- products -------------------------------------------------------------------- */

static struct dev *dev;
static struct dev_stream *stream;

struct own {
    struct buf buf;
    struct mat mat;
};

/* Element (r, c) is first + r + 3 c. */
static void own_open(struct own *o, int64_t rows, int64_t cols, double first)
{
    double value[UNEVEN * N];

    for (int64_t i = 0; i < rows * cols; i++)
        value[i] = first + (double)(i / cols) + 3 * (double)(i % cols);
    if (dev_alloc(&o->buf, dev, (size_t)(rows * cols) * sizeof(double)) != 0)
        die("%s", err_sentence());
    o->mat = mat_of(&o->buf, DTYPE_F64, rows, cols);
    dev_put(stream, o->mat, value);
}

static double at(struct own *o, int64_t r, int64_t c)
{
    double value;

    dev_get(stream, &value, mat_cols(mat_rows(o->mat, r, r + 1), c, c + 1));
    return value;
}

/* x of rank k is the column 10 k + r; w [M, N] has the rows i + 3 j, on all ranks. */
static void test(struct mesh *mesh, enum cmm_form form)
{
    const struct cmm_section all = { .cols = { 0, N } };
    const int M                  = mesh->M;
    struct own x, w, y, dx;
    struct dev_weight *weight;
    struct cmm *c;
    bool is_right = true;

    own_open(&x, ROWS, 1, 10 * mesh->m);
    own_open(&w, M, N, 0);
    own_open(&y, ROWS, N, 99);
    own_open(&dx, ROWS, 1, 99);
    if (cmm_open(&c, mesh, dev, ROWS, M, form, 0) != 0 ||
        dev_weight_open(&weight, dev, w.mat) != 0)
        die("%s", err_sentence());
    cmm_gather(c, y.mat, x.mat, weight, &all, 1);
    cmm_gather_backward(c, dx.mat, mat_none(), mat_none(), false, y.mat, x.mat, weight);
    for (int64_t r = 0; r < ROWS; r++) {
        double back = 0;

        for (int64_t j = 0; j < N; j++) {
            double sum = 0;

            for (int k = 0; k < M; k++)
                sum += (double)(10 * k + r) * (double)(k + 3 * j);
            is_right &= at(&y, r, j) == sum;
            back += sum * (double)(mesh->m + 3 * j);
        }
        is_right &= at(&dx, r, 0) == M * back; /* all ranks bring the same */
    }
    ok(is_right, "%s 1x%d: forward and back", cmm_form_name[form], M);
    dev_weight_close(&weight);
    cmm_close(&c);
    dev_free(&x.buf);
    dev_free(&w.buf);
    dev_free(&y.buf);
    dev_free(&dx.buf);
}

/* Where a narrow slice was in pieces, a wide one follows. */
static void test_places(struct mesh *mesh, enum cmm_form form)
{
    const struct cmm_section all = { .cols = { 0, N } };
    struct own x, w, y;
    struct dev_weight *weight;
    struct cmm *c;

    own_open(&x, ROWS, split_size(UNEVEN, mesh->M, mesh->m), 0);
    own_open(&w, UNEVEN, N, 0);
    own_open(&y, ROWS, N, 0);
    if (cmm_open(&c, mesh, dev, ROWS, UNEVEN, form, 0) != 0 ||
        dev_weight_open(&weight, dev, w.mat) != 0)
        die("%s", err_sentence());
    over = 0;
    progress_set(mesh, PROGRESS_NONE); /* what is not waited for is on its way */
    cmm_gather(c, y.mat, x.mat, weight, &all, 1);
    progress_set(mesh, PROGRESS_POLL);
    ok(over == 0, "%s 1x%d: nothing comes over what is being sent", cmm_form_name[form],
       mesh->M);
    dev_weight_close(&weight);
    cmm_close(&c);
    dev_free(&x.buf);
    dev_free(&w.buf);
    dev_free(&y.buf);
}

int main(int argc, char **argv)
{
    const int size = ranks_open(&argc, &argv, "t352-narrow");
    struct mesh *mesh;

    if (mesh_open(&mesh, MPI_COMM_WORLD, 1, size) != 0 ||
        dev_open(&dev, "cpu:ref", DTYPE_F64, 1) != 0)
        die("%s", err_sentence());
    stream = dev_stream(dev, LANE_COMPUTE);
    for (enum cmm_form form = CMM_PLAIN; form <= CMM_BIDIR; form++) {
        test(mesh, form);
        test_places(mesh, form);
    }
    dev_close(&dev);
    mesh_close(&mesh);
    return ranks_done();
}
