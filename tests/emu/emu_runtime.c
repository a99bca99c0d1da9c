/* SPDX-License-Identifier: BSD-3-Clause */
/* CUDA's run-time library, as far as src/dev/cuda* calls it, without what emu_stream.cc has:
 * memory is the host's.
 * Fresh memory is full of NaN.  There are 256 MiB of it, and no array of more than 40: what
 * fills a real GPU to measure it has to be content with less.
 */
#include "tests/emu/emu_stream.h"

#include <stdlib.h>
#include <string.h>

static const size_t MEMORY = (size_t)256 << 20, LARGEST = (size_t)40 << 20;
enum { ALIGN = 256 }; /* of arrays; in front of each is its size */

static size_t in_use;

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = getenv("EMU_NO_GPU") == NULL;
    return *count > 0 ? cudaSuccess : cudaErrorNoDevice;
}

cudaError_t cudaSetDevice(int device)
{
    return device == 0 ? cudaSuccess : cudaErrorInvalidDevice;
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *prop, int device)
{
    memset(prop, 0, sizeof *prop);
    strcpy(prop->name, "emulated GPU");
    prop->major               = 9;
    prop->multiProcessorCount = 1;
    prop->totalGlobalMem      = MEMORY;
    return cudaSetDevice(device);
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *left, size_t *all)
{
    *left = MEMORY - in_use;
    *all  = MEMORY;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char *bus, int size, int device)
{
    strncpy(bus, "0000:00:00.0", (size_t)size);
    return cudaSetDevice(device);
}

const char *cudaGetErrorString(cudaError_t error)
{
    return error == cudaSuccess ? "no error" : "an emulated error";
}

const char *cudaGetErrorName(cudaError_t error)
{
    return error == cudaSuccess ? "cudaSuccess" : "emulated";
}

cudaError_t cudaGetLastError(void)
{
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **at, size_t bytes)
{
    const size_t room = (bytes + ALIGN - 1) / ALIGN * ALIGN;
    char *block       = NULL;

    *at = NULL;
    if (emu_is_capturing())
        return cudaErrorStreamCaptureUnsupported;
    if (bytes <= LARGEST && in_use + room <= MEMORY)
        block = aligned_alloc(ALIGN, ALIGN + room);
    if (block == NULL)
        return cudaErrorMemoryAllocation;
    memcpy(block, &room, sizeof room);
    memset(block + ALIGN, 0xff, room);
    in_use += room;
    *at = block + ALIGN;
    return cudaSuccess;
}

cudaError_t cudaFree(void *at)
{
    size_t room;

    if (at == NULL)
        return cudaSuccess;
    if (!emu_finish_all())
        return cudaErrorStreamCaptureUnsupported;
    memcpy(&room, (char *)at - ALIGN, sizeof room);
    in_use -= room;
    free((char *)at - ALIGN);
    return cudaSuccess;
}

cudaError_t cudaHostAlloc(void **at, size_t bytes, unsigned flags)
{
    (void)flags;
    return cudaMalloc(at, bytes);
}

cudaError_t cudaFreeHost(void *at)
{
    return cudaFree(at);
}
