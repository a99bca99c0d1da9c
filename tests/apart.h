/* SPDX-License-Identifier: BSD-3-Clause */
/* Verdicts on a system that is changed for one process alone. */
#ifndef TESTS_APART_H
#define TESTS_APART_H

#include <stdbool.h>

enum { APART_CANNOT = 77 };

/* Give this process namespaces of its own of the 'kinds' of clone(2), and a user who
 * may change them; false where this user may have none.
 */
bool apart_enter(int kinds);

/* The same, with nothing mounted that others see. */
bool apart_mounts(void);

/* The verdict 'says' on 'probe', called in a process of its own: good if it returns 0,
 * skipped, for 'why', if APART_CANNOT.
 */
void apart_ok(const char *says, int (*probe)(void), const char *why);

#endif
