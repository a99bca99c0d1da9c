/* SPDX-License-Identifier: BSD-3-Clause */
/* Looking at every sharded product as it finishes, and keeping the worst. */
#ifndef BENCH_WATCH_H
#define BENCH_WATCH_H

#include "bench/project.h"
#include "bench/result.h"

enum { WATCH_SEEN = 64 };

struct watch {
    struct mesh *mesh; /* borrowed */
    struct reader reader;
    struct projection worst;
    char name[64];   /* of the product with the largest residual */
    uint64_t seed;   /* another one for every product */
    bool is_planted; /* the fault has been */
    int seen_count,
        seen_kind[WATCH_SEEN]; /* where only the first of each are looked at */
    const char *seen_what[WATCH_SEEN];
};

void watch_open(struct watch *w, struct mesh *mesh, struct dev *dev, uint64_t seed);
void watch_close(struct watch *w);

/* Look at all products of 'c' until watch_stop().  Every rank of a model group must. */
void watch_start(struct watch *w, struct cmm *c);
void watch_stop(struct cmm *c);

/* The check "products" from the worst of all ranks.  Collective over the mesh. */
void watch_decide(struct check *check, struct watch *w);

#endif
