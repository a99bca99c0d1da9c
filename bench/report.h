/* SPDX-License-Identifier: BSD-3-Clause */
/* The writers of a result. */
#ifndef BENCH_REPORT_H
#define BENCH_REPORT_H

#include "bench/options.h"
#include "bench/result.h"

#include <stdio.h>

/* Text, in pieces, as the run goes: banner with the reproduction header and the
 * resolved options; each case when it is done; the closing lines.  80 columns.  The
 * first and the last return 0, or ERR_IO where something did not arrive.
 */
int report_banner(FILE *out, const struct result *r, const struct opts *o);
void report_case(FILE *out, const struct result *r, const struct case_result *c);
int report_end(FILE *out, const struct result *r);

/* The whole result as one JSON object (schema.json); the caller owns the reference. */
json_t *report_json(const struct result *r);

/* Write it to 'path' (base/draft.h): 0 or ERR_IO.  report_save() does the same with any
 * JSON.
 */
int report_write(const struct result *r, const char *path);
int report_save(const json_t *json, const char *path);

/* Where the JSON schema's text is compiled in. */
extern const char report_schema[];

/* --jsonl: one line a step, flushed, so that a run that dies leaves what it did. 'path'
 * is emptied; an empty 'path' gives a NULL that the others accept and ignore.  Returns
 * 0 or ERR_IO.  Rank 0 alone.
 *
 * What a step took on the slowest rank, and the peak, are known when all steps
 * of a case are done: after report_jsonl_again() its lines, those since
 * report_jsonl_begin(), are written anew, and report_jsonl_settle() puts them
 * in the place of the old, which stay until then.  Both are false where the old
 * ones stay: there is no file, or a pipe, which forgets nothing, or the new
 * ones cannot be written, and that is said.  A line that cannot be written is
 * said, once, and is the last one; report_jsonl_close() returns ERR_IO then.
 */
struct jsonl;
struct jsonl_step {
    const char *name, *shape; /* of the case */
    int64_t batch;
    int64_t step;                                                /* from 1 */
    double seconds, loss, grad_norm, tokens_per_s, mfu_measured; /* NaN: not known */
};
int report_jsonl_open(struct jsonl **j, const char *path);
void report_jsonl_begin(struct jsonl *j);
bool report_jsonl_again(struct jsonl *j);
bool report_jsonl_settle(struct jsonl *j);
void report_jsonl_step(struct jsonl *j, const struct jsonl_step *step);
int report_jsonl_close(struct jsonl **j);

#endif
