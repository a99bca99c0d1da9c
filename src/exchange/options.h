/* SPDX-License-Identifier: BSD-3-Clause */
/* The options of vitckpt: one row each, in vitckpt.c. */
#ifndef EXCHANGE_OPTIONS_H
#define EXCHANGE_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

enum { WORDS_MOST = 4, WORD_MOST = 1024 };

struct exchange_options {
    char word[WORDS_MOST][WORD_MOST]; /* the command and its files */
    int words;
    bool scan, head; /* export */
    char shape[64];  /* import; choices have "auto" as choice 0 */
    int64_t layers;
    int wiring, qk_norm, gelu, pool;
    int64_t image, patch, classes; /* 0: as the file has it */
    bool help, version;
};

#endif
