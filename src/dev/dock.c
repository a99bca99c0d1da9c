/* SPDX-License-Identifier: BSD-3-Clause */
/* Docks.  Devices of the CPU need none, and have plain memory and copies for tests. */
#include "config.h"

#include "src/dev/dock.h"

#include "src/base/err.h"
#include "src/base/mem.h"
#include "src/dev/dev_impl.h"

#include <string.h>

struct dock {
    struct dock *next;
    struct dev *dev;
    bool is_used;
    size_t bytes; /* of a place */
    int places;
    void *room;
    struct dev_event *done[DOCK_PLACES];
};

/* An unused dock with so much room, the smallest one; else NULL. */
static struct dock *find(const struct dev *dev, size_t bytes, int places)
{
    struct dock *best = NULL;

    for (struct dock *d = dev->docks; d != NULL; d = d->next)
        if (!d->is_used && d->bytes >= bytes && d->places >= places &&
            (best == NULL ||
             d->bytes * (size_t)d->places < best->bytes * (size_t)best->places))
            best = d;
    return best;
}

static struct dock *make(struct dev *dev, size_t bytes, int places)
{
    struct dock *d = mem_new(1, sizeof *d);
    int rc;

    d->dev    = dev;
    d->bytes  = bytes;
    d->places = places;
    rc        = dev_pin(&d->room, dev, bytes * (size_t)places);
    for (int k = 0; k < places && rc == 0; k++)
        rc = dev_event_open(&d->done[k], dev);
    if (rc != 0)
        err_end(rc);
    d->next    = dev->docks;
    dev->docks = d;
    return d;
}

struct dock *dock_take(struct dev *dev, size_t bytes, int places)
{
    const size_t whole = mem_round(bytes);
    struct dock *d     = find(dev, whole, places);

    if (d == NULL)
        d = make(dev, whole, places);
    d->is_used = true;
    return d;
}

void dock_give(struct dock **d)
{
    if (*d != NULL)
        (*d)->is_used = false;
    *d = NULL;
}

void docks_close(struct dev *dev)
{
    while (dev->docks != NULL) {
        struct dock *d = dev->docks;

        dev->docks = d->next;
        for (int k = 0; k < d->places; k++)
            dev_event_close(&d->done[k]);
        dev_unpin(&d->room, dev);
        mem_free(d);
    }
}

char *dock_place(const struct dock *d, int k)
{
    return (char *)d->room + (size_t)k * d->bytes;
}

static void copy(struct dev_stream *s, void *to, const void *from, size_t bytes)
{
    if (s->dev->ops.carry != NULL)
        s->dev->ops.carry(s, to, from, bytes);
    else
        memcpy(to, from, bytes);
}

/* Copy between 'host' and some bytes of the matrices. */
static void move(struct dev_stream *s, char *host, const struct mat part[2],
                 int64_t from, int64_t bytes)
{
    for (int i = 0; i < 2 && bytes > 0; i++) {
        const int64_t all  = mat_bytes(part[i]);
        const int64_t rest = from < all ? all - from : 0;
        const int64_t n    = rest < bytes ? rest : bytes;

        if (n > 0 && s->lane == LANE_OUT)
            copy(s, host, (char *)mat_ptr(part[i]) + from, (size_t)n);
        else if (n > 0)
            copy(s, (char *)mat_ptr(part[i]) + from, host, (size_t)n);
        host += n;
        bytes -= n;
        from = n > 0 ? 0 : from - all;
    }
}

static void begin(struct dock *d, enum dev_lane lane, int k, const struct mat part[2],
                  int64_t from, int64_t bytes)
{
    struct dev_stream *s = dev_stream(d->dev, lane);

    if (bytes > (int64_t)d->bytes)
        die("%lld bytes for a place of %zu", (long long)bytes, d->bytes);
    move(s, dock_place(d, k), part, from, bytes);
    dev_event_record(d->done[k], s);
}

void dock_out(struct dock *d, int k, const struct mat part[2], int64_t from,
              int64_t bytes)
{
    begin(d, LANE_OUT, k, part, from, bytes);
}

void dock_in(struct dock *d, int k, const struct mat part[2], int64_t from,
             int64_t bytes)
{
    begin(d, LANE_IN, k, part, from, bytes);
}

bool dock_is_done(const struct dock *d, int k)
{
    return dev_event_is_done(d->done[k]);
}
