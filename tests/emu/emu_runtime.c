/* SPDX-License-Identifier: BSD-3-Clause */
/* CUDA's run-time library, as far as src/dev/cuda* calls it, without what emu_stream.cc
 * has: memory is the host's.
 * Fresh memory is full of NaN.  There are 256 MiB of it, and no array of more than 16
 * but the room of cuBLASLt: what fills a real GPU to measure it has to be content with
 * less.  What is the GPU's and what is pinned is known apart.
 */
#include "src/dev/cuda_gemm.h"
#include "tests/emu/emu_stream.h"
#include "tests/emu/race.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const size_t MEMORY = (size_t)256 << 20, LARGEST = (size_t)16 << 20;

static size_t in_use;
static cudaError_t last; /* error, which a launch would report for its own */

static struct array {
    struct array *next;
    char *at;
    size_t bytes;
    int is_gpu;
} * arrays;

int emu_is_array(const void *at, size_t bytes, int is_gpu)
{
    const char *from = at;

    for (const struct array *a = arrays; a != NULL; a = a->next)
        if (a->is_gpu == is_gpu && from >= a->at && from + bytes <= a->at + a->bytes)
            return 1;
    return 0;
}

static void note_array(void *at, size_t bytes, int is_gpu)
{
    struct array *a = malloc(sizeof *a);

    *a     = (struct array){ arrays, at, bytes, is_gpu };
    arrays = a;
}

/* False if there is none of that kind. */
static int forget_array(const void *at, int is_gpu)
{
    for (struct array **a = &arrays; *a != NULL; a = &(*a)->next) {
        struct array *gone = *a;

        if (gone->at != at || gone->is_gpu != is_gpu)
            continue;
        *a = gone->next;
        free(gone);
        return 1;
    }
    return 0;
}

/* As many as $EMU_GPUS says, or one. */
static int gpus(void)
{
    const char *count = getenv("EMU_GPUS");

    return count != NULL ? atoi(count) : 1;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    *count = gpus();
    return *count > 0 ? cudaSuccess : cudaErrorNoDevice;
}

/* A thread that has not set its device has the machine's first one, which is another
 * rank's.
 */
static _Thread_local int the_device = -1;

int emu_device(void)
{
    return the_device;
}

static cudaError_t need_device(int device)
{
    return device >= 0 && device < gpus() ? cudaSuccess : cudaErrorInvalidDevice;
}

cudaError_t cudaSetDevice(int device)
{
    the_device = need_device(device) == cudaSuccess ? device : -1;
    return need_device(device);
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *prop, int device)
{
    const char *name = getenv("EMU_NAME"), *major = getenv("EMU_MAJOR");

    memset(prop, 0, sizeof *prop);
    snprintf(prop->name, sizeof prop->name, "%s", name != NULL ? name : "emulated GPU");
    prop->major               = major != NULL ? atoi(major) : 9;
    prop->multiProcessorCount = 1;
    prop->totalGlobalMem      = MEMORY;
    return need_device(device);
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

/* Of which $EMU_OTHERS MiB are others'. */
cudaError_t cudaMemGetInfo(size_t *left, size_t *all)
{
    const char *others = getenv("EMU_OTHERS");

    if (the_device < 0)
        return cudaErrorInvalidDevice;
    *left = MEMORY - in_use - ((size_t)(others != NULL ? atoi(others) : 0) << 20);
    *all  = MEMORY;
    return cudaSuccess;
}

/* $EMU_BUS, or 0, is the first one's, as where each rank sees one of several GPUs. */
cudaError_t cudaDeviceGetPCIBusId(char *bus, int size, int device)
{
    const char *first = getenv("EMU_BUS");

    snprintf(bus, (size_t)size, "0000:%02x:00.0",
             (unsigned char)((first != NULL ? atoi(first) : 0) + device));
    return need_device(device);
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
    const cudaError_t error = last;

    last = cudaSuccess;
    return error;
}

/* Of 4 to 64 KiB, as the system has it. */
static size_t page(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* A page with its size, the array, a page that nobody can touch. */
static cudaError_t take(void **at, size_t bytes, int is_gpu)
{
    const size_t room  = (bytes + 15) / 16 * 16;
    const size_t pages = (room + page() - 1) / page() * page();
    const size_t all   = page() + pages + page();
    char *block        = MAP_FAILED;

    *at = NULL;
    if (the_device < 0)
        return cudaErrorInvalidDevice;
    if (emu_is_capturing())
        return cudaErrorStreamCaptureUnsupported;
    if ((bytes <= LARGEST || bytes == CUDA_LT_WORK) && in_use + all <= MEMORY)
        block = mmap(race_place(all, is_gpu), all, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (block == MAP_FAILED || mprotect(block + page() + pages, page(), PROT_NONE) != 0)
        return last = cudaErrorMemoryAllocation;
    memcpy(block, &all, sizeof all);
    *at = memset(block + page() + pages - room, 0xff, room);
    in_use += all;
    note_array(*at, bytes, is_gpu);
    race_array(*at, bytes);
    return cudaSuccess;
}

/* What is under way is waited for when the GPU's memory is freed; with pinned memory it
 * is not said that it is.
 */
static cudaError_t give(void *at, int is_gpu)
{
    char *block;
    size_t all;

    if (at == NULL)
        return cudaSuccess;
    if (is_gpu ? !emu_finish_all() : emu_is_capturing())
        return cudaErrorStreamCaptureUnsupported;
    if (!forget_array(at, is_gpu))
        return cudaErrorInvalidValue;
    block = (char *)((uintptr_t)at / page() * page()) - page();
    memcpy(&all, block, sizeof all);
    in_use -= all;
    munmap(block, all);
    race_free(at);
    return cudaSuccess;
}

cudaError_t cudaMalloc(void **at, size_t bytes)
{
    return take(at, bytes, 1);
}

cudaError_t cudaFree(void *at)
{
    return give(at, 1);
}

cudaError_t cudaHostAlloc(void **at, size_t bytes, unsigned flags)
{
    (void)flags;
    return take(at, bytes, 0);
}

cudaError_t cudaFreeHost(void *at)
{
    return give(at, 0);
}
