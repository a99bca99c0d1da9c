/* SPDX-License-Identifier: BSD-3-Clause */
/* A simulated rank has nothing but what it is made of.  config.h ends with this one; in
 * it configure would define what is undefined here.
 */
#undef HAVE_BLIS
#undef HAVE_CUDA
#undef HAVE_HDF5
#undef HAVE_JPEG
#undef HAVE_ONEDNN
#undef HAVE_PNG
