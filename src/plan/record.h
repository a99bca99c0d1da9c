/* SPDX-License-Identifier: BSD-3-Clause */
/* Records of evaluated runs: what vittrain and vitprobe leave, and vitfit reads.  A
 * file holds one flat JSON object a line; the last one of an id counts.
 */
#ifndef PLAN_RECORD_H
#define PLAN_RECORD_H

#include "src/plan/spec.h"

enum { RECORD_TEXT = 128 };

/* A number that is not known is -1 (counts) or NaN (the rest), and null in the file. */
struct record {
    char id[RECORD_TEXT], status[RECORD_TEXT], program[RECORD_TEXT],
        version[RECORD_TEXT], machine[RECORD_TEXT], mesh[RECORD_TEXT],
        dtype[RECORD_TEXT], data[RECORD_TEXT];
    int64_t seed, width, depth, mlp, heads, patch, image, tokens_per_image, params,
        params_matmul, examples, tokens, devices;
    double flops_per_image, compute; /* forward FLOP, and that times the examples */
    double device_seconds, loss, top1, ece, err_1shot, err_5shot, err_10shot,
        err_25shot;
};

/* Everything unknown but the status, "done". */
void record_init(struct record *r);

/* Shape, parameters and FLOPs of 's' after 'examples' images: sets width .. compute. */
void record_set_spec(struct record *r, const struct spec *s, int64_t examples);

/* Where 'r' has the error of few-shot probes with 'shots' images of a class; NULL:
 * records have none of these.
 */
double *record_error(struct record *r, int64_t shots);

/* Make sure, before the work, that 'path' (empty: none) can be appended to, as far as
 * that can be told: 0, ERR_IO, or ERR_DATA where it holds something else.
 */
int record_probe(const char *path);

/* Append one line in one write under a lock, and fsync.  Returns 0 or ERR_IO, said. */
int record_append(const char *path, const struct record *r);

/* All records of a file (JSONL, or CSV with the names as header), the last of each id,
 * in the file's order; '*records' is owned by the caller (mem_free).  Unknown members
 * are kept out of the struct; a damaged last line without its newline (a run that was
 * killed) is ignored with a warning.  Returns how many, or ERR_DATA / ERR_IO: the
 * sentence names line and column.
 */
int record_read(struct record **records, const char *path);

#endif
