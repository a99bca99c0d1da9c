/* SPDX-License-Identifier: BSD-3-Clause */
/* CUDA's run-time library, as far as src/dev/cuda* calls it: memory is the host's, and
 * streams and events have nothing to wait for; an event knows when it was recorded.
 * Fresh memory is full of NaN.  There are 256 MiB of it, and no array of more than 40: what
 * fills a real GPU to measure it has to be content with less.
 */
#include <cuda_runtime_api.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>

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

cudaError_t cudaMemcpyAsync(void *dst, const void *src, size_t bytes,
                            enum cudaMemcpyKind kind, cudaStream_t stream)
{
    (void)kind;
    (void)stream;
    memcpy(dst, src, bytes);
    return cudaSuccess;
}

cudaError_t cudaMemcpy2DAsync(void *dst, size_t to, const void *src, size_t from,
                              size_t width, size_t rows, enum cudaMemcpyKind kind,
                              cudaStream_t stream)
{
    (void)kind;
    (void)stream;
    if (width > to || width > from)
        return cudaErrorInvalidPitchValue;
    for (size_t r = 0; r < rows; r++)
        memcpy((char *)dst + r * to, (const char *)src + r * from, width);
    return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void *at, int value, size_t bytes, cudaStream_t stream)
{
    (void)stream;
    memset(at, value, bytes);
    return cudaSuccess;
}

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags)
{
    (void)flags;
    *stream = malloc(1);
    return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    free(stream);
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream)
{
    return stream != NULL ? cudaSuccess : cudaErrorInvalidResourceHandle;
}

cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags)
{
    (void)flags;
    return stream != NULL && event != NULL ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags)
{
    (void)flags;
    *event = calloc(1, sizeof(struct timespec));
    return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t *event)
{
    return cudaEventCreateWithFlags(event, 0);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    free(event);
    return cudaSuccess;
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    if (event == NULL || stream == NULL)
        return cudaErrorInvalidValue;
    clock_gettime(CLOCK_MONOTONIC, (struct timespec *)(void *)event);
    return cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    return event != NULL ? cudaSuccess : cudaErrorInvalidValue;
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    return cudaEventQuery(event);
}

cudaError_t cudaEventElapsedTime(float *ms, cudaEvent_t start, cudaEvent_t end)
{
    const struct timespec *a = (const struct timespec *)(void *)start;
    const struct timespec *b = (const struct timespec *)(void *)end;

    if (a == NULL || b == NULL)
        return cudaErrorInvalidValue;
    *ms = (float)(1e3 * (double)(b->tv_sec - a->tv_sec) +
                  1e-6 * (double)(b->tv_nsec - a->tv_nsec));
    return cudaSuccess;
}

cudaError_t cudaFuncSetAttribute(const void *kernel, enum cudaFuncAttribute what,
                                 int value)
{
    (void)what;
    return kernel != NULL && value >= 0 ? cudaSuccess : cudaErrorInvalidValue;
}
