/* SPDX-License-Identifier: BSD-3-Clause */
/* NVML of an emulated GPU that is warm, and held back by its power cap.  With
 * EMU_NVML_14 in the environment it is that of CUDA 14, whose older functions say that
 * they are deprecated.
 */
#include <stdlib.h>
#include <string.h>

enum { SM = 1, MEMORY = 2, DEPRECATED = 26 };

struct temperature {
    unsigned version;
    int sensor, celsius;
};

int nvmlInit_v2(void);
int nvmlShutdown(void);
int nvmlDeviceGetHandleByPciBusId_v2(const char *bus, void **gpu);
int nvmlDeviceGetClockInfo(void *gpu, int which, unsigned *mhz);
int nvmlDeviceGetMaxClockInfo(void *gpu, int which, unsigned *mhz);
int nvmlDeviceGetTemperature(void *gpu, int sensor, unsigned *celsius);
int nvmlDeviceGetTemperatureV(void *gpu, struct temperature *t);
int nvmlDeviceGetPowerUsage(void *gpu, unsigned *milliwatts);
int nvmlDeviceGetCurrentClocksThrottleReasons(void *gpu, unsigned long long *bits);
int nvmlDeviceGetCurrentClocksEventReasons(void *gpu, unsigned long long *bits);

static int the_gpu, is_open;

int nvmlInit_v2(void)
{
    is_open = 1;
    return 0;
}

int nvmlShutdown(void)
{
    is_open = 0;
    return 0;
}

int nvmlDeviceGetHandleByPciBusId_v2(const char *bus, void **gpu)
{
    *gpu = &the_gpu;
    return is_open && strcmp(bus, "0000:00:00.0") == 0 ? 0 : 6;
}

int nvmlDeviceGetClockInfo(void *gpu, int which, unsigned *mhz)
{
    *mhz = which == SM ? 1755 : 2619;
    return gpu == &the_gpu && (which == SM || which == MEMORY) ? 0 : 2;
}

int nvmlDeviceGetMaxClockInfo(void *gpu, int which, unsigned *mhz)
{
    *mhz = 1980;
    return gpu == &the_gpu && which == SM ? 0 : 2;
}

int nvmlDeviceGetTemperatureV(void *gpu, struct temperature *t)
{
    if (gpu != &the_gpu || t->version != (sizeof *t | 1U << 24) || t->sensor != 0)
        return 2;
    t->celsius = 65;
    return 0;
}

int nvmlDeviceGetTemperature(void *gpu, int sensor, unsigned *celsius)
{
    if (getenv("EMU_NVML_14") != NULL)
        return DEPRECATED;
    *celsius = 65;
    return gpu == &the_gpu && sensor == 0 ? 0 : 2;
}

int nvmlDeviceGetPowerUsage(void *gpu, unsigned *milliwatts)
{
    *milliwatts = 690500;
    return gpu == &the_gpu ? 0 : 2;
}

int nvmlDeviceGetCurrentClocksEventReasons(void *gpu, unsigned long long *bits)
{
    *bits = 0x4 | 0x1;
    return gpu == &the_gpu ? 0 : 2;
}

int nvmlDeviceGetCurrentClocksThrottleReasons(void *gpu, unsigned long long *bits)
{
    return getenv("EMU_NVML_14") == NULL
               ? nvmlDeviceGetCurrentClocksEventReasons(gpu, bits)
               : DEPRECATED;
}
