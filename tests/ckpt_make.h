/* SPDX-License-Identifier: BSD-3-Clause */
/* How ckpt_make tells a test what it is doing: a file in its folder that both map. */
#ifndef TESTS_CKPT_MAKE_H
#define TESTS_CKPT_MAKE_H

#include <stdint.h>
#include <sys/types.h>

enum { MAKE_RANKS = 8 };

struct make_state {
    volatile int32_t is_saving;
    volatile int64_t published; /* the last step whose save has ended; -1: none */
    volatile double seconds;    /* of the last save */
    volatile pid_t pid[MAKE_RANKS];
};

#endif
