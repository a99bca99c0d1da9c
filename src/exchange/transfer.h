/* SPDX-License-Identifier: BSD-3-Clause */
/* Parameters of a model from a checkpoint into the file of another program, and back:
 * one tensor of one block after the other.
 *
 * Both write what was done to 'out', and return 0 or a code with a sentence; a file
 * that could not be written whole is not there.  Local: for one process.
 */
#ifndef EXCHANGE_TRANSFER_H
#define EXCHANGE_TRANSFER_H

#include "src/exchange/options.h"

#include <stdio.h>

/* The checkpoint 'from' into 'to' (.npz: big_vision, .safetensors: timm); 'o' has
 * 'scan' and 'head'.  The digests are compared: ERR_DATA if the checkpoint is damaged,
 * or is no whole model.
 */
int transfer_export(FILE *out, const char *to, const char *from,
                    const struct exchange_options *o);

/* The file 'from' into the checkpoint 'to', which has the model's options as 'o' says
 * or as they were found.  ERR_DATA if an array is missing, has no place in the model,
 * or has another shape or type: a line to 'out' for each.
 */
int transfer_import(FILE *out, const char *to, const char *from,
                    const struct exchange_options *o);

#endif
