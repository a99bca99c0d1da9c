/* SPDX-License-Identifier: BSD-3-Clause */
/* HAS_ASAN where AddressSanitizer has the heap to itself: gcc tells by a macro, clang
 * by a feature.
 */
#ifndef TESTS_ASAN_H
#define TESTS_ASAN_H

#ifdef __SANITIZE_ADDRESS__
#define HAS_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define HAS_ASAN
#endif
#endif

#endif
