/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening cuBLASLt and NVML. */
#include "config.h"

#include "src/dev/cuda_load.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define TEXT_(x) #x
#define TEXT(x)  TEXT_(x)

/* The major version is in the library's name; another one has another interface. */
#define LT_NAME "libcublasLt.so." TEXT(CUBLAS_VER_MAJOR)

/* As the system finds it (LD_LIBRARY_PATH, ld.so.conf), else where it was at the build. */
static void *open_lt(void)
{
    static const char *const names[] = { LT_NAME, CUDA_LIBDIR "/" LT_NAME,
                                         "/usr/local/cuda/lib64/" LT_NAME };
    void *library                    = NULL;

    for (size_t i = 0; i < sizeof names / sizeof names[0] && library == NULL; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
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

/* ---- NVML ---------------------------------------------------------------------------- */

/* The toolkit's own header is not everywhere, so what is used is declared here, as
 * NVIDIA documents it ("NVML API Reference Guide").
 */
enum { NVML_CLOCK_SM = 1, NVML_CLOCK_MEM = 2, NVML_TEMPERATURE_GPU = 0 };

struct nvml {
    int (*init)(void);
    int (*shutdown)(void);
    int (*by_bus)(const char *, void **);
    int (*clock)(void *, int, unsigned *);
    int (*most_clock)(void *, int, unsigned *);
    int (*temperature)(void *, int, unsigned *);
    int (*power)(void *, unsigned *);
    int (*reasons)(void *, unsigned long long *);
};

static bool find(void *library, const char *name, void *slot)
{
    void *at = dlsym(library, name);

    memcpy(slot, &at, sizeof at);
    return at != NULL;
}

static bool find_all(struct nvml *n, void *library)
{
    return find(library, "nvmlInit_v2", &n->init) &&
           find(library, "nvmlShutdown", &n->shutdown) &&
           find(library, "nvmlDeviceGetHandleByPciBusId_v2", &n->by_bus) &&
           find(library, "nvmlDeviceGetClockInfo", &n->clock) &&
           find(library, "nvmlDeviceGetMaxClockInfo", &n->most_clock) &&
           find(library, "nvmlDeviceGetTemperature", &n->temperature) &&
           find(library, "nvmlDeviceGetPowerUsage", &n->power) &&
           find(library, "nvmlDeviceGetCurrentClocksThrottleReasons", &n->reasons);
}

static bool ask(struct cuda_health *h, const struct nvml *n, int index)
{
    char bus[32];
    void *gpu;

    return cudaDeviceGetPCIBusId(bus, sizeof bus, index) == cudaSuccess &&
           n->by_bus(bus, &gpu) == 0 && n->clock(gpu, NVML_CLOCK_SM, &h->sm_mhz) == 0 &&
           n->most_clock(gpu, NVML_CLOCK_SM, &h->sm_most_mhz) == 0 &&
           n->clock(gpu, NVML_CLOCK_MEM, &h->memory_mhz) == 0 &&
           n->temperature(gpu, NVML_TEMPERATURE_GPU, &h->celsius) == 0 &&
           n->power(gpu, &h->milliwatts) == 0 && n->reasons(gpu, &h->throttle) == 0;
}

bool cuda_health(struct cuda_health *h, const struct dev *dev)
{
    void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    bool is_known = false;
    struct nvml n;

    memset(h, 0, sizeof *h);
    if (library == NULL)
        return false;
    if (find_all(&n, library) && n.init() == 0) {
        is_known = ask(h, &n, cuda_of(dev)->index);
        n.shutdown();
    }
    dlclose(library);
    return is_known;
}

void cuda_throttle_text(char *text, size_t size, unsigned long long throttle)
{
    static const struct {
        unsigned long long bit;
        const char *word;
    } reasons[] = {
        { 0x001, "idle" },        { 0x002, "set clocks" },  { 0x004, "power cap" },
        { 0x008, "hardware" },    { 0x010, "sync boost" },  { 0x020, "heat (driver)" },
        { 0x040, "heat (chip)" }, { 0x080, "power brake" }, { 0x100, "display clock" },
    };
    size_t at = 0;

    snprintf(text, size, "none");
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0] && at < size; i++)
        if ((throttle & reasons[i].bit) != 0)
            at += (size_t)snprintf(text + at, size - at, "%s%s", at > 0 ? ", " : "",
                                   reasons[i].word);
}
