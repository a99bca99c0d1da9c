/* SPDX-License-Identifier: BSD-3-Clause */
/* The last rows of a table of options, text within its braces, by the names of
 * base/opts_table.h.
 */
/* clang-format off */
{ "print-config", OPT_ACTION, NULL, NULL,
  "print all options as a file that --config reads, as comments what is not given",
  AT(print_config) },
{ "config", OPT_TEXT, NULL, "FILE", "read options from FILE, lines of name = value",
  TEXT(config) },
{ "help", OPT_ACTION, NULL, NULL, "print this", AT(help) },
{ "version", OPT_ACTION, NULL, NULL, "print the version", AT(version) },
    /* clang-format on */
