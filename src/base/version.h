/* SPDX-License-Identifier: BSD-3-Clause */
/* Which vitbench this is. */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

const char *version_text(void); /* "0.1.0" */

/* The commit as git describes it, "-dirty" if files differ; in a tarball that of the
 * tarball; the version where nobody knows.
 */
const char *version_git(void);

#endif
