/* SPDX-License-Identifier: BSD-3-Clause */
/* Which vitbench this is.  make writes version-git.h anew when the commit changes; no
 * other file includes it.
 */
#include "config.h"

#include "src/base/version.h"

#include "src/base/version-git.h"

const char *version_text(void)
{
    return PACKAGE_VERSION;
}

const char *version_git(void)
{
    return VERSION_GIT;
}
