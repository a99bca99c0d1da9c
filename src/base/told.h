/* SPDX-License-Identifier: BSD-3-Clause */
/* What this process is told by signals: SIGTERM, SIGUSR1, which launchers and batch
 * systems pass on before the end, SIGHUP, of a terminal that is gone, and a first
 * SIGINT, of Ctrl-C.
 */
#ifndef BASE_TOLD_H
#define BASE_TOLD_H

#include <stdbool.h>

/* Have 'note' called from here on when one of them comes; it must be fit for a handler.
 * A thread that does nothing else takes them (or one that MPI has started before); the
 * caller and threads that it starts later do not: oneDNN's products of f32 let the
 * stack pointer point into the heap, where the frame of a handler would lie over what
 * others keep there (oneDNN issue 4845).  So to be called once, before there are
 * threads that compute.  Returns 0 or ERR_ENV.
 */
int told_by_signals(void (*note)(int number));

/* True if one of them has come. */
bool told_to_end(void);

#endif
