/* SPDX-License-Identifier: BSD-3-Clause */
/* Clocks of the GPU, and why they are not higher, as NVML has them: a part of the
 * driver, opened when it is asked.  The toolkit's header of it is not everywhere, so
 * what is used is declared here, as NVIDIA documents it ("NVML API Reference Guide").
 * Two of its functions fail in drivers from CUDA 14 on, and have successors that older
 * ones lack.
 */
#include "config.h"

#include "src/dev/cuda.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

enum { NVML_CLOCK_SM = 1, NVML_CLOCK_MEM = 2, NVML_TEMPERATURE_GPU = 0 };

struct nvml_temperature {
    unsigned version;
    int sensor, celsius;
};

struct nvml {
    int (*init)(void);
    int (*shutdown)(void);
    int (*by_bus)(const char *, void **);
    int (*clock)(void *, int, unsigned *);
    int (*most_clock)(void *, int, unsigned *);
    int (*power)(void *, unsigned *);
    int (*temperature)(void *, int, unsigned *);
    int (*temperature_v)(void *, struct nvml_temperature *);
    int (*reasons)(void *, unsigned long long *);
    int (*event_reasons)(void *, unsigned long long *);
};

static bool find(void *library, const char *name, void *slot)
{
    void *at = dlsym(library, name);

    memcpy(slot, &at, sizeof at);
    return at != NULL;
}

static bool find_all(struct nvml *n, void *library)
{
    find(library, "nvmlDeviceGetTemperature", &n->temperature);
    find(library, "nvmlDeviceGetTemperatureV", &n->temperature_v);
    find(library, "nvmlDeviceGetCurrentClocksThrottleReasons", &n->reasons);
    find(library, "nvmlDeviceGetCurrentClocksEventReasons", &n->event_reasons);
    return find(library, "nvmlInit_v2", &n->init) &&
           find(library, "nvmlShutdown", &n->shutdown) &&
           find(library, "nvmlDeviceGetHandleByPciBusId_v2", &n->by_bus) &&
           find(library, "nvmlDeviceGetClockInfo", &n->clock) &&
           find(library, "nvmlDeviceGetMaxClockInfo", &n->most_clock) &&
           find(library, "nvmlDeviceGetPowerUsage", &n->power);
}

static bool ask_temperature(int *celsius, const struct nvml *n, void *gpu)
{
    struct nvml_temperature t = { (unsigned)sizeof t | 1U << 24, NVML_TEMPERATURE_GPU,
                                  0 };
    unsigned old              = 0;

    if (n->temperature != NULL && n->temperature(gpu, NVML_TEMPERATURE_GPU, &old) == 0)
        *celsius = (int)old;
    else if (n->temperature_v != NULL && n->temperature_v(gpu, &t) == 0)
        *celsius = t.celsius;
    else
        return false;
    return true;
}

static bool ask_reasons(unsigned long long *bits, const struct nvml *n, void *gpu)
{
    return (n->reasons != NULL && n->reasons(gpu, bits) == 0) ||
           (n->event_reasons != NULL && n->event_reasons(gpu, bits) == 0);
}

/* NVML's bits as words.  An idle GPU and clocks that were asked for
 * hold nothing back.
 */
static void put_words(char *text, size_t size, unsigned long long bits)
{
    static const struct {
        unsigned long long bit;
        const char *word;
    } reasons[] = {
        { 0x004, "power cap" },     { 0x008, "hardware" },    { 0x010, "sync boost" },
        { 0x020, "heat (driver)" }, { 0x040, "heat (chip)" }, { 0x080, "power brake" },
        { 0x100, "display clock" },
    };
    size_t at = 0;

    text[0] = '\0';
    for (size_t i = 0; i < sizeof reasons / sizeof reasons[0] && at < size; i++)
        if ((bits & reasons[i].bit) != 0)
            at += (size_t)snprintf(text + at, size - at, "%s%s", at > 0 ? ", " : "",
                                   reasons[i].word);
}

static bool ask(struct dev_clocks *c, const struct nvml *n, int index)
{
    unsigned mhz, most, memory, milliwatts;
    unsigned long long bits;
    int celsius;
    char bus[32];
    void *gpu;

    if (cudaDeviceGetPCIBusId(bus, sizeof bus, index) != cudaSuccess ||
        n->by_bus(bus, &gpu) != 0 || n->clock(gpu, NVML_CLOCK_SM, &mhz) != 0 ||
        n->most_clock(gpu, NVML_CLOCK_SM, &most) != 0 ||
        n->clock(gpu, NVML_CLOCK_MEM, &memory) != 0 ||
        n->power(gpu, &milliwatts) != 0 || !ask_temperature(&celsius, n, gpu) ||
        !ask_reasons(&bits, n, gpu))
        return false;
    *c = (struct dev_clocks){ .mhz        = mhz,
                              .most_mhz   = most,
                              .memory_mhz = memory,
                              .celsius    = celsius,
                              .watts      = 1e-3 * milliwatts };
    put_words(c->held_by, sizeof c->held_by, bits);
    return true;
}

bool cuda_clocks(struct dev_clocks *c, struct dev *dev)
{
    void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    bool is_known = false;
    struct nvml n;

    if (library == NULL)
        return false;
    if (find_all(&n, library) && n.init() == 0) {
        is_known = ask(c, &n, cuda_of(dev)->index);
        n.shutdown();
    }
    dlclose(library);
    return is_known;
}
