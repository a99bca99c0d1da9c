/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening cuBLASLt. */
#include "config.h"

#include "src/dev/cuda_load.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)

/* The major version is in the library's name; another one has another interface. */
#define LT_NAME "libcublasLt.so." TEXT(CUBLAS_VER_MAJOR)

/* As the system finds it (LD_LIBRARY_PATH, ld.so.conf), else where it was at the build.
 * It stays, for whatever device is opened later: it has half a gigabyte, and would load
 * its kernels anew.
 */
static void *open_lt(void)
{
    static const char *const names[] = { LT_NAME, CUDA_LIBDIR "/" LT_NAME,
                                         "/usr/local/cuda/lib64/" LT_NAME };
    void *library                    = NULL;

    for (size_t i = 0; i < sizeof names / sizeof names[0] && library == NULL; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    return library;
}

int cuda_lt_open(struct cuda_lt *lt)
{
    const char *missing = NULL;
    void *at;

    memset(lt, 0, sizeof *lt);
    lt->library = open_lt();
    if (lt->library == NULL)
        return ERR(ERR_DEVICE,
                   LT_NAME " is not found: cuda needs it for products; put its folder "
                           "into LD_LIBRARY_PATH");
#define FIND(name)                                                                     \
    at = dlsym(lt->library, "cublasLt" #name);                                         \
    memcpy(&lt->name, &at, sizeof at);                                                 \
    if (at == NULL)                                                                    \
        missing = "cublasLt" #name;
    CUDA_LT(FIND)
#undef FIND
    if (missing == NULL)
        return 0;
    cuda_lt_close(lt);
    return ERR(ERR_DEVICE, LT_NAME " has no %s", missing);
}

void cuda_lt_close(struct cuda_lt *lt)
{
    if (lt->library != NULL)
        dlclose(lt->library);
    memset(lt, 0, sizeof *lt);
}
