/* SPDX-License-Identifier: BSD-3-Clause */
/* Making a set from files: a folder with a folder for each class, a list of files with
 * their labels, or a table of pixels.
 */
#ifndef DATA_PACK_H
#define DATA_PACK_H

#include "src/data/h5set.h"

struct pack_result {
    struct h5set_shape shape; /* of the set */
    int64_t skipped;          /* damaged or foreign, each named on stderr */
};

/* Make the set 'out' of 'from':
 *
 *   a folder  each folder in it is a class, in the order of their names; of its files,
 *             at any depth, those that are JPEG or PNG are taken
 *   a list    a text file, a line an image: its path (from the list's folder), then one
 *             or more labels, whole numbers from 0
 *
 * Files are kept as they are, or, with 'decode' above 0, become pixels: the smaller
 * side is resized to 'decode', and the middle taken.  Returns 0; ERR_IO; ERR_MEMORY;
 * ERR_DATA if 'from' is not there, nothing is left, or a file changed meanwhile.
 */
int pack_files(struct pack_result *result, const char *out, const char *from,
               int decode);

/* The same from a table: lines of s^2 grey values 0 .. 'most', and a label at the end,
 * with commas between; a first line of other words is a heading.
 */
int pack_csv(struct pack_result *result, const char *out, const char *from,
             double most);

#endif
