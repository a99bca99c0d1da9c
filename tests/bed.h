/* SPDX-License-Identifier: BSD-3-Clause */
/* A test bed: what vitbench hands to its cases, without vitbench. */
#ifndef TESTS_BED_H
#define TESTS_BED_H

#include "bench/run.h"
#include "tests/ranks.h"

#include <stdio.h>
#include <stdlib.h>

struct bed {
    struct options options;
    struct choices choices;
    struct bench bench;
};

/* Open a D x M mesh of all ranks and a device; dies of any error. */
static inline void bed_open(struct bed *bed, int D, int M, const char *device,
                            enum dtype dtype, enum cmm_form form)
{
    *bed = (struct bed){
        .options = { .warmup = 1, .steps = 2, .seconds = 0.1, .check = true },
        .choices = { .way = { .D      = D,
                              .M      = M,
                              .dtype  = dtype,
                              .form   = form,
                              .micros = 1 } }
    };
    bed->bench = (struct bench){ .options = &bed->options, .choices = &bed->choices };
    if (mesh_open(&bed->bench.mesh, MPI_COMM_WORLD, D, M) != 0 ||
        dev_open(&bed->bench.dev, device, dtype, 1) != 0) {
        fprintf(stderr, "no test bed\n");
        MPI_Abort(MPI_COMM_WORLD, 99);
    }
    bed->bench.result  = bed->bench.mesh->rank == 0 ? result_open() : NULL;
    bed->bench.on_node = bed->bench.mesh->node_size;
}

static inline void bed_close(struct bed *bed)
{
    result_close(&bed->bench.result);
    dev_close(&bed->bench.dev);
    mesh_close(&bed->bench.mesh);
}

/* The best device for the dtype. */
static inline void bed_open_auto(struct bed *bed, int D, int M, enum dtype dtype,
                                 enum cmm_form form)
{
    bed_open(bed, D, M, "auto", dtype, form);
}

/* A shape with small images: 3 x 3 patches of 4 x 4, 10 classes. */
static inline struct spec bed_spec(const char *shape, enum wiring wiring,
                                   enum pool pool)
{
    struct spec s;

    if (spec_make(&s, &(struct spec_options){ .shape   = shape,
                                              .wiring  = wiring,
                                              .qk_norm = wiring == WIRING_PARALLEL,
                                              .pool    = pool,
                                              .image   = 12,
                                              .patch   = 4,
                                              .classes = 10 }) != 0)
        MPI_Abort(MPI_COMM_WORLD, 99);
    return s;
}

#endif
