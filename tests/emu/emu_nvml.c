/* SPDX-License-Identifier: BSD-3-Clause */
/* NVML of an emulated GPU that is warm, and held back by its power cap. */
#include <string.h>

enum { SM = 1, MEMORY = 2 };

int nvmlInit_v2(void);
int nvmlShutdown(void);
int nvmlDeviceGetHandleByPciBusId_v2(const char *bus, void **gpu);
int nvmlDeviceGetClockInfo(void *gpu, int which, unsigned *mhz);
int nvmlDeviceGetMaxClockInfo(void *gpu, int which, unsigned *mhz);
int nvmlDeviceGetTemperature(void *gpu, int sensor, unsigned *celsius);
int nvmlDeviceGetPowerUsage(void *gpu, unsigned *milliwatts);
int nvmlDeviceGetCurrentClocksThrottleReasons(void *gpu, unsigned long long *bits);

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

int nvmlDeviceGetTemperature(void *gpu, int sensor, unsigned *celsius)
{
    *celsius = 65;
    return gpu == &the_gpu && sensor == 0 ? 0 : 2;
}

int nvmlDeviceGetPowerUsage(void *gpu, unsigned *milliwatts)
{
    *milliwatts = 690500;
    return gpu == &the_gpu ? 0 : 2;
}

int nvmlDeviceGetCurrentClocksThrottleReasons(void *gpu, unsigned long long *bits)
{
    *bits = 0x4 | 0x1;
    return gpu == &the_gpu ? 0 : 2;
}
