/* SPDX-License-Identifier: BSD-3-Clause */
/* Features and name by CPUID or from the system, cores by the affinity mask and the
 * system's topology.
 */
#include "config.h"

#include "src/dev/cpu_info.h"

#include "src/base/mem.h"

#ifdef _OPENMP
#include <omp.h>
#endif
#include <dirent.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__x86_64__) && defined(__linux__)
#include <sys/syscall.h>
#endif

#if defined(__x86_64__)
#include <cpuid.h>

/* Bits of registers that the system saves: XMM and YMM; and masks and ZMM; tiles. */
enum { XCR0_AVX = 0x06, XCR0_AVX512 = 0xe6, XCR0_TILES = 0x60000 };

static uint64_t saved_registers(void)
{
    uint32_t low, high;

    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return (uint64_t)high << 32 | low;
}

bool cpu_has_avx(void)
{
    const unsigned avx = bit_OSXSAVE | bit_AVX;
    unsigned a, b, c, d;

    return __get_cpuid(1, &a, &b, &c, &d) && (c & avx) == avx &&
           (saved_registers() & XCR0_AVX) == XCR0_AVX;
}

enum cpu_isa cpu_isa(void)
{
    const unsigned all = bit_AVX512F | bit_AVX512DQ | bit_AVX512BW | bit_AVX512VL;
    unsigned a, b, c, d;

    if (!cpu_has_avx() || !__get_cpuid(1, &a, &b, &c, &d) || (c & bit_FMA) == 0 ||
        !__get_cpuid_count(7, 0, &a, &b, &c, &d) || (b & bit_AVX2) == 0)
        return CPU_ISA_BASE;
    if ((saved_registers() & XCR0_AVX512) != XCR0_AVX512 || (b & all) != all)
        return CPU_ISA_AVX2;
    return CPU_ISA_AVX512;
}

bool cpu_has_bf16(void)
{
    enum { BF16 = 1 << 5 };
    unsigned a, b, c, d;

    return cpu_isa() == CPU_ISA_AVX512 && __get_cpuid_count(7, 1, &a, &b, &c, &d) &&
           (a & BF16) != 0;
}

/* Ask the system to save tiles, too: arch_prctl(ARCH_REQ_XCOMP_PERM, ..TILEDATA). */
static bool may_have_tiles(void)
{
#if defined(__linux__)
    return syscall(SYS_arch_prctl, 0x1023, 18) == 0;
#else
    return false;
#endif
}

bool cpu_has_tiles(void)
{
    enum { TILES = 1 << 24, BF16 = 1 << 22 };
    unsigned a, b, c, d;

    return cpu_isa() == CPU_ISA_AVX512 && __get_cpuid_count(7, 0, &a, &b, &c, &d) &&
           (d & TILES) != 0 && (d & BF16) != 0 &&
           (saved_registers() & XCR0_TILES) == XCR0_TILES && may_have_tiles();
}

static bool is_vendor(const char *vendor)
{
    unsigned a, b, c, d;
    char name[13] = "";

    if (!__get_cpuid(0, &a, &b, &c, &d))
        return false;
    memcpy(name, &b, 4);
    memcpy(name + 4, &d, 4);
    memcpy(name + 8, &c, 4);
    return strcmp(name, vendor) == 0;
}

bool cpu_is_amd(int *family)
{
    unsigned a, b, c, d;

    if (!is_vendor("AuthenticAMD") || !__get_cpuid(1, &a, &b, &c, &d))
        return false;
    *family = (int)((a >> 8 & 15) + (a >> 20 & 255));
    return true;
}

bool cpu_is_intel(void)
{
    return is_vendor("GenuineIntel");
}

static bool brand(char text[49])
{
    unsigned part[12], a, b, c, d;

    if (!__get_cpuid(0x80000000, &a, &b, &c, &d) || a < 0x80000004)
        return false;
    for (unsigned i = 0; i < 3; i++)
        __get_cpuid(0x80000002 + i, &part[4 * i], &part[4 * i + 1], &part[4 * i + 2],
                    &part[4 * i + 3]);
    memcpy(text, part, 48);
    text[48] = '\0';
    return text[strspn(text, " ")] != '\0';
}

bool cpu_has_sve(void)
{
    return false;
}

#else

enum cpu_isa cpu_isa(void)
{
    return CPU_ISA_BASE;
}

bool cpu_has_avx(void)
{
    return false;
}

bool cpu_has_sve(void)
{
#if defined(__aarch64__) && defined(__linux__)
    enum { SVE = 1 << 22 };

    return (getauxval(AT_HWCAP) & SVE) != 0;
#else
    return false;
#endif
}

bool cpu_has_bf16(void)
{
    return false;
}

bool cpu_has_tiles(void)
{
    return false;
}

bool cpu_is_amd(int *family)
{
    *family = 0;
    return false;
}

bool cpu_is_intel(void)
{
    return false;
}

static bool brand(char text[49])
{
    text[0] = '\0';
    return false;
}

#endif

const char *cpu_isa_name(enum cpu_isa isa)
{
    static const char *const names[] = { "plain", "AVX2", "AVX-512" };

    return names[isa];
}

static void part_name(char *name, size_t size, unsigned implementer, unsigned part)
{
    static const struct {
        unsigned implementer, part;
        const char *name;
    } known[] = {
        { 0x41, 0xd0c, "Arm Neoverse-N1" }, { 0x41, 0xd40, "Arm Neoverse-V1" },
        { 0x41, 0xd49, "Arm Neoverse-N2" }, { 0x41, 0xd4f, "Arm Neoverse-V2" },
        { 0x41, 0xd84, "Arm Neoverse-V3" }, { 0x43, 0x0af, "Marvell ThunderX2" },
        { 0x46, 0x001, "Fujitsu A64FX" },   { 0x48, 0xd01, "HiSilicon Kunpeng-920" },
        { 0xc0, 0xac3, "Ampere-1" },        { 0xc0, 0xac4, "Ampere-1A" },
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (known[i].implementer == implementer && known[i].part == part) {
            snprintf(name, size, "%s", known[i].name);
            return;
        }
    }
    snprintf(name, size, "ARM implementer 0x%02x, part 0x%03x", implementer, part);
}

bool cpu_model_in(char *name, size_t size, const char *path)
{
    FILE *file = fopen(path, "r");
    char line[256], text[49] = "";
    unsigned implementer = 0, part;
    bool is_known        = false;

    while (file != NULL && !is_known && fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "CPU implementer : %x", &implementer) == 1)
            continue;
        if (sscanf(line, "model name : %48[^\n]", text) == 1 ||
            sscanf(line, "cpu : %48[^\n]", text) == 1) { /* POWER */
            snprintf(name, size, "%s", text);
            is_known = true;
        } else if (sscanf(line, "CPU part : %x", &part) == 1) {
            part_name(name, size, implementer, part);
            is_known = true;
        }
    }
    if (file != NULL)
        fclose(file);
    return is_known;
}

void cpu_model(char *name, size_t size)
{
    char text[49];
    const char *start;
    size_t length;

    if (!brand(text) && !cpu_model_in(text, sizeof text, "/proc/cpuinfo"))
        snprintf(text, sizeof text, "unknown processor");
    start  = text + strspn(text, " ");
    length = strlen(start);
    while (length > 0 && start[length - 1] == ' ')
        length--;
    snprintf(name, size, "%.*s", (int)length, start);
}

#define CPUS "/sys/devices/system/cpu"

/* The first of the hardware threads that share a core with 'cpu', as 'folder' has it;
 * -1 where it says nothing, as of a processor that is off.
 */
static int sibling_in(const char *folder, int cpu)
{
    char path[256];
    FILE *file;
    int first = -1;

    snprintf(path, sizeof path, "%s/cpu%d/topology/thread_siblings_list", folder, cpu);
    file = fopen(path, "r");
    if (file == NULL)
        return -1;
    if (fscanf(file, "%d", &first) != 1)
        first = -1;
    fclose(file);
    return first;
}

static int first_sibling(int cpu)
{
    const int first = sibling_in(CPUS, cpu);

    return first >= 0 ? first : cpu;
}

static void set_core(struct cpu_set *cores, int cpu)
{
    if (cpu >= 0 && cpu < CPU_CORES_MOST)
        cores->word[cpu / 64] |= UINT64_C(1) << cpu % 64;
}

static void add_own_cores(struct cpu_set *cores)
{
    const size_t size = CPU_ALLOC_SIZE(CPU_CORES_MOST);
    cpu_set_t *mask   = CPU_ALLOC(CPU_CORES_MOST);

    if (mask != NULL && sched_getaffinity(0, size, mask) == 0) {
        for (int cpu = 0; cpu < CPU_CORES_MOST; cpu++) {
            if (CPU_ISSET_S(cpu, size, mask))
                set_core(cores, first_sibling(cpu));
        }
    }
    CPU_FREE(mask);
    if (cpu_count(cores) == 0)
        set_core(cores, 0);
}

void cpu_own_cores(struct cpu_set *cores)
{
    *cores = (struct cpu_set){ 0 };
    add_own_cores(cores);
}

void cpu_team_cores(struct cpu_set *cores)
{
    *cores = (struct cpu_set){ 0 };
#ifdef _OPENMP
    for (int place = 0; place < omp_get_num_places(); place++) {
        const int count = omp_get_place_num_procs(place);
        int *cpu        = mem_new((size_t)count + 1, sizeof *cpu);

        omp_get_place_proc_ids(place, cpu);
        for (int i = 0; i < count; i++)
            set_core(cores, first_sibling(cpu[i]));
        mem_free(cpu);
    }
#endif
    add_own_cores(cores); /* LLVM's OpenMP binds this thread when it is first asked */
}

int cpu_count(const struct cpu_set *cores)
{
    int count = 0;

    for (int i = 0; i < CPU_CORES_MOST / 64; i++)
        count += __builtin_popcountll(cores->word[i]);
    return count;
}

int cpu_cores_in(const char *folder)
{
    struct cpu_set cores = { 0 };
    DIR *all             = opendir(folder);
    struct dirent *entry;
    int cpu;

    while (all != NULL && (entry = readdir(all)) != NULL) {
        if (sscanf(entry->d_name, "cpu%d", &cpu) == 1)
            set_core(&cores, sibling_in(folder, cpu));
    }
    if (all != NULL)
        closedir(all);
    return cpu_count(&cores);
}

int cpu_cores_of_machine(void)
{
    const int cores = cpu_cores_in(CPUS);
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);

    return cores > 0 ? cores : cpus > 0 ? (int)cpus : 1;
}

int cpu_cores(void)
{
    struct cpu_set cores;

    cpu_team_cores(&cores);
    return cpu_count(&cores);
}
