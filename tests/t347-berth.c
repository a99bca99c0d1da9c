/* SPDX-License-Identifier: BSD-3-Clause */
/* RUN np=2,3 */
/* Messages of a device that runs behind the host: whole, in their own places and
 * nowhere else, whatever their length and however many are under way; not before what
 * they send is written, nor over what is still to be read; in pieces of which one is
 * copied while another travels, without the host waiting for the device.
 */
#include "config.h"

#include "mesh/berth.h"
#include "mesh/coll.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/dev/dev_impl.h"
#include "src/dev/dock.h"
#include "tests/ranks.h"
#ifndef CUDA_ON_HOST
#include "tests/lazy.h"
#endif

#include <math.h>
#if __has_include(<mpi-ext.h>)
#include <mpi-ext.h>
#endif

enum { PIECE = BERTH_PIECE / (int)sizeof(float), EDGE = 16, MANY = 5, SIZES = 8 };

static const int64_t sizes[SIZES] = {
    1, 100, PIECE - 1, PIECE, PIECE + 1, 5 * PIECE / 2, 4 * PIECE, 9 * PIECE + 3
};

static struct mesh *mesh;
static struct dev *dev;
static struct dev_stream *compute;
static struct dev_event *after;
static int up, down;

/* ---- what happens ---------------------------------------------------------------- */

static struct {
    void (*carry)(struct dev_stream *, void *, const void *, size_t);
    void (*sync)(struct dev_stream *);
    int (*pin)(void **, size_t);
    int carried, posted, arrived,
        syncs; /* pieces copied, sent, asked for; host's waits */
    int alone; /* pieces posted while no other one was, or was being copied */
    int left;  /* pieces of the message of which that is counted */
    int lost;  /* whose address does not tell MPI whether the memory is a GPU's */
    int64_t pinned;
} seen;

static void carry(struct dev_stream *s, void *to, const void *from, size_t bytes)
{
    seen.carried++;
    seen.carry(s, to, from, bytes);
}

static void wait_for_all(struct dev_stream *s)
{
    seen.syncs++;
    seen.sync(s);
}

static int pin(void **at, size_t bytes)
{
    seen.pinned += (int64_t)bytes;
    return seen.pin != NULL ? seen.pin(at, bytes) : mem_alloc(at, bytes);
}

int MPI_Isend(const void *at, int count, MPI_Datatype type, int to, int tag,
              MPI_Comm comm, MPI_Request *request)
{
    seen.posted++;
    seen.alone += seen.left > seen.posted && seen.carried < 2;
    seen.lost += at == MPI_BOTTOM;
    return PMPI_Isend(at, count, type, to, tag, comm, request);
}

int MPI_Irecv(void *at, int count, MPI_Datatype type, int from, int tag, MPI_Comm comm,
              MPI_Request *request)
{
    seen.arrived++;
    seen.lost += at == MPI_BOTTOM;
    return PMPI_Irecv(at, count, type, from, tag, comm, request);
}

/* ---- matrices -------------------------------------------------------------------- */

/* [1, n] in the middle of a buffer, with an edge on both sides; all NaN. */
struct field {
    struct buf buf;
    struct mat all, a;
};

/* Put 'v' (NULL: NaN) there; an emulated GPU copies faster than it fills. */
static void field_put(struct mat a, const float *v)
{
    float *none = mem_new((size_t)mat_size(a) + 1, sizeof *none);

    for (int64_t i = 0; i < mat_size(a) && v == NULL; i++)
        none[i] = NAN;
    dev_put(compute, a, v != NULL ? v : none);
    mem_free(none);
}

static void field_open(struct field *f, int64_t n)
{
    if (dev_alloc(&f->buf, dev, (size_t)(n + 2 * EDGE) * sizeof(float)) != 0)
        die("%s", err_sentence());
    f->all = mat_of(&f->buf, DTYPE_F32, 1, n + 2 * EDGE);
    f->a   = mat_cols(f->all, EDGE, EDGE + n);
    field_put(f->all, NULL);
}

static float number(int rank, int seed, int64_t i)
{
    return (float)((i * 31 + i / 1024 + 7 * rank + 3 * seed) % 8191 + 1);
}

static void field_set(struct field *f, int rank, int seed)
{
    float *v = mem_new((size_t)mat_size(f->a) + 1, sizeof *v);

    for (int64_t i = 0; i < mat_size(f->a); i++)
        v[i] = number(rank, seed, i);
    field_put(f->a, v);
    mem_free(v);
}

/* True if it holds what 'rank' sent, times 'factor', and the edges nothing. */
static bool field_is(struct field *f, int rank, int seed, float factor)
{
    const int64_t n = mat_size(f->a);
    float *v        = mem_new((size_t)(n + 2 * EDGE), sizeof *v);
    bool is         = true;

    dev_get(compute, v, f->all);
    for (int64_t i = 0; i < EDGE; i++)
        is &= isnan(v[i]) && isnan(v[EDGE + n + i]);
    for (int64_t i = 0; i < n; i++)
        is &= v[EDGE + i] == factor * number(rank, seed, i);
    mem_free(v);
    return is;
}

static void field_close(struct field *f)
{
    dev_free(&f->buf);
}

static void send(struct wire *w, struct field *f, struct dev_event *e)
{
    coll_send(w, mesh, GRAD_SCATTER, AXIS_ALL, up, TAG_DIRECT, f->a, e);
}

static void recv(struct wire *w, struct field *f, struct dev_event *e)
{
    coll_recv(w, mesh, GRAD_SCATTER, AXIS_ALL, down, TAG_DIRECT, f->a, e);
}

/* ---- tests ----------------------------------------------------------------------- */

/* All lengths, one after another. */
static void test_lengths(const char *how)
{
    for (int k = 0; k < SIZES; k++) {
        struct field out, in;
        struct wire s, r;
        bool is;

        field_open(&out, sizes[k]);
        field_open(&in, sizes[k]);
        field_set(&out, mesh->rank, k);
        dev_sync(compute);
        mesh_count_reset(mesh);
        recv(&r, &in, NULL);
        send(&s, &out, NULL);
        wire_wait(&r);
        wire_wait(&s);
        is = field_is(&in, down, k, 1) && field_is(&out, mesh->rank, k, 1);
        ok(is && mesh->sent[GRAD_SCATTER].messages == 1 &&
               mesh->sent[GRAD_SCATTER].bytes == mat_bytes(out.a),
           "%lld numbers arrive %s, one message", (long long)sizes[k], how);
        field_close(&out);
        field_close(&in);
    }
}

/* Two matrices in one message, either of which may be empty. */
static void test_two(int64_t first, int64_t second)
{
    struct field out[2], in[2];
    struct mat to[2], from[2];
    struct wire s, r;
    bool is = true;

    for (int i = 0; i < 2; i++) {
        field_open(&out[i], i == 0 ? first : second);
        field_open(&in[i], i == 0 ? second : first); /* cut elsewhere */
        field_set(&out[i], mesh->rank, i);
        to[i]   = in[i].a;
        from[i] = out[i].a;
    }
    dev_sync(compute);
    coll_recv_two(&r, mesh, REDUCE, AXIS_ALL, down, TAG_DIRECT, to, NULL);
    coll_send_two(&s, mesh, REDUCE, AXIS_ALL, up, TAG_DIRECT, from, NULL);
    wire_wait(&s);
    wire_wait(&r);
    for (int i = 0; i < 2; i++) {
        float *v = mem_new((size_t)(first + second), sizeof *v);

        if (mat_size(in[i].a) > 0)
            dev_get(compute, v, in[i].a);
        for (int64_t k = 0; k < mat_size(in[i].a); k++) {
            const int64_t at = k + (i == 0 ? 0 : second);

            is &= v[k] ==
                  (at < first ? number(down, 0, at) : number(down, 1, at - first));
        }
        mem_free(v);
    }
    ok(is, "%lld and %lld numbers arrive as one message", (long long)first,
       (long long)second);
    for (int i = 0; i < 2; i++) {
        field_close(&out[i]);
        field_close(&in[i]);
    }
}

/* Several between the same two, all with the same tag, the last one waited for first.
 * 'is_early': all are asked for before the first one is sent, which is gone before the
 * others are.
 */
static void test_many(bool is_early)
{
    static const int64_t n[MANY] = { 6 * PIECE, 10, 3 * PIECE / 2, 1, 2 * PIECE };
    struct field out[MANY], in[MANY];
    struct wire s[MANY], r[MANY];
    bool is = true;

    for (int i = 0; i < MANY; i++) {
        field_open(&out[i], n[i]);
        field_open(&in[i], n[i]);
        field_set(&out[i], mesh->rank, i);
    }
    dev_sync(compute);
    for (int i = 0; i < MANY; i++) {
        if (!is_early)
            send(&s[i], &out[i], NULL);
        recv(&r[i], &in[i], NULL);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    for (int i = 0; i < MANY && is_early; i++) {
        send(&s[i], &out[i], NULL);
        if (i == 0)
            wire_wait(&s[i]);
    }
    for (int i = MANY - 1; i >= 0; i--) {
        wire_wait(&r[i]);
        is &= field_is(&in[i], down, i, 1);
    }
    for (int i = 0; i < MANY; i++)
        wire_wait(&s[i]);
    ok(is, "%d messages under way do not get into each other's places%s", MANY,
       is_early ? ", asked for before they are sent" : "");
    for (int i = 0; i < MANY; i++) {
        field_close(&out[i]);
        field_close(&in[i]);
    }
}

/* What is sent is yet to be written when the message is started ('is_early':
 * it is under way), and what it is received over yet to be read; the device
 * is asked, not waited for.
 */
static void test_after(int64_t n, bool is_early)
{
    struct field out, in, kept;
    struct wire s, r;
    int syncs;

    field_open(&out, n);
    field_open(&in, n);
    field_open(&kept, n);
    field_set(&out, mesh->rank, 1);
    field_set(&in, mesh->rank, 2);
    dev_sync(compute);
    MPI_Barrier(MPI_COMM_WORLD);
    dev_add(compute, out.a, out.a);
    if (is_early) {
        dev_sync(compute);
        send(&s, &out, NULL);
    }
    dev_copy(compute, kept.a, in.a);
    dev_event_record(after, compute);
    syncs = seen.syncs;
    recv(&r, &in, after);
    if (!is_early)
        send(&s, &out, after);
    wire_wait(&r);
    wire_wait(&s);
    ok(field_is(&in, down, 1, 2) && field_is(&kept, mesh->rank, 2, 1),
       "%lld numbers leave when they are written, and come when there is room",
       (long long)n);
    ok(seen.syncs - syncs <= 0, "and the host waits for nothing but messages");
    field_close(&out);
    field_close(&in);
    field_close(&kept);
}

/* A long message, whose pieces are counted. */
static void test_pieces(void)
{
    const int pieces = 12;
    struct field out, in;
    struct wire s, r;
    int64_t pinned;

    field_open(&out, (int64_t)pieces * PIECE - 5);
    field_open(&in, (int64_t)pieces * PIECE - 5);
    field_set(&out, mesh->rank, 3);
    dev_sync(compute);
    pinned      = seen.pinned;
    seen.posted = seen.carried = seen.arrived = seen.alone = 0;
    seen.left                                              = pieces;
    send(&s, &out, NULL); /* alone, so that the copies are its own */
    MPI_Barrier(MPI_COMM_WORLD);
    while (seen.posted < DOCK_PLACES)
        progress_poll(mesh);
    ok(seen.alone == 0 && seen.carried >= DOCK_PLACES,
       "the next piece is being copied when one is sent");
    seen.left = 0;
    recv(&r, &in, NULL);
    ok(seen.arrived == DOCK_PLACES, "and so many are asked for at a time");
    wire_wait(&r);
    wire_wait(&s);
    ok(field_is(&in, down, 3, 1) && seen.posted == pieces && seen.arrived == pieces &&
           seen.carried == 2 * pieces,
       "a message of %d pieces is as many", pieces);
    ok(seen.pinned - pinned <= 0, "in the room that messages before it had");
    field_close(&out);
    field_close(&in);
}

static void test_muted(void)
{
    struct field out, in;
    struct wire s, r;

    field_open(&out, 3 * PIECE);
    field_open(&in, 3 * PIECE);
    dev_sync(compute);
    mesh_mute(mesh, GRAD_SCATTER, true);
    seen.carried = 0;
    recv(&r, &in, NULL);
    send(&s, &out, NULL);
    wire_wait(&s);
    wire_wait(&r);
    mesh_mute(mesh, GRAD_SCATTER, false);
    ok(seen.carried == 0, "a muted message is not copied either");
    field_close(&out);
    field_close(&in);
}

/* What MPI says of itself. */
static void test_variables(void)
{
    ok(berth_mpi_is_on("no such variable"), "what MPI does not know is not off");
#if defined(OMPI_MAJOR_VERSION) && OMPI_MAJOR_VERSION == 4 && !MPIX_CUDA_AWARE_SUPPORT
    ok(!berth_mpi_is_on("opal_cuda_support"), "in an MPI without CUDA that is off");
    ok(berth_mpi_is_on("mpi_param_check"), "and what is on is on");
#else
    tap_skip("an MPI without CUDA has that off", "this one may have it on");
#endif
}

static void test_all(const char *how)
{
    test_lengths(how);
    test_two(100, 7);
    test_two(0, 3 * PIECE / 2);
    test_two(PIECE / 2 + 1, 0);
    test_two(PIECE + 3, 2 * PIECE);
    test_many(false);
    test_many(true);
    for (int is_early = 0; is_early < 2; is_early++) {
        test_after(50, is_early);
        test_after(PIECE + PIECE / 3, is_early);
    }
}

static bool open_device(void)
{
#ifdef CUDA_ON_HOST
    if (dev_open(&dev, "cuda", DTYPE_F32, 1) != 0)
        die("%s", err_sentence());
#else
    if (dev_open(&dev, "cpu:ref", DTYPE_F32, 1) != 0)
        die("%s", err_sentence());
    lazy_make(dev);
#endif
    seen.carry     = dev->ops.carry;
    seen.sync      = dev->ops.sync;
    seen.pin       = dev->ops.pin;
    dev->ops.carry = carry;
    dev->ops.sync  = wait_for_all;
    dev->ops.pin   = pin;
    compute        = dev_stream(dev, LANE_COMPUTE);
    return dev_event_open(&after, dev) == 0;
}

int main(int argc, char **argv)
{
    const int size = ranks_open(&argc, &argv, "t347-berth");

    if (mesh_open(&mesh, MPI_COMM_WORLD, size, 1) != 0 || !open_device())
        die("%s", err_sentence());
    up   = (mesh->rank + 1) % size;
    down = (mesh->rank + size - 1) % size;
    test_variables();
    mesh->reaches_gpus = false;
    test_all("by way of the host");
    test_pieces();
    test_muted();
    mesh->reaches_gpus = true;
    seen.carried       = 0;
    test_all("from where they are");
    ok(seen.carried == 0, "and nothing is copied then");
    ok(seen.lost == 0, "and each has an address by which MPI sees whose memory it is");
    dev_event_close(&after);
    dev_close(&dev);
    mesh_close(&mesh);
    return ranks_done();
}
