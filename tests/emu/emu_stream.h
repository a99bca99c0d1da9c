/* SPDX-License-Identifier: BSD-3-Clause */
/* Streams of the emulated GPU, as the rest of it sees them. */
#ifndef TESTS_EMU_STREAM_H
#define TESTS_EMU_STREAM_H

#include <cuda_runtime_api.h>
#include <stddef.h>

#ifdef __cplusplus
#include <functional>

/* Put 'work' on the stream: it is done when somebody waits for it. */
void emu_put(cudaStream_t stream, std::function<void()> work);

extern "C" {
#endif

/* The same for C: 'work' will be called with a copy of the 'size' bytes at 'args'. */
void emu_put_call(cudaStream_t stream, void (*work)(const void *args), const void *args,
                  size_t size);

/* Let the GPU's clock go on by so much more than the host's. */
void emu_pass(double seconds);

/* The device that the thread that asks has set, or -1. */
int emu_device(void);

/* A number that is drawn; others with another EMU_SEED. */
unsigned emu_draw(void);

/* Do all that any stream holds, as calls do that wait for the device.  False while a
 * stream is captured, when they are errors.
 */
int emu_finish_all(void);

/* Whether 'bytes' at 'at' lie in one array of the GPU's or, else, of the host's that
 * the GPU may copy from or to by itself.
 */
int emu_is_array(const void *at, size_t bytes, int is_gpu);

/* Whether a stream is captured: then a call that this is asked by makes it invalid. */
int emu_is_capturing(void);

#ifdef __cplusplus
}
#endif

#endif
