/* SPDX-License-Identifier: BSD-3-Clause */
/* What the processor is and has: on x86 from its own instructions (CPUID, XGETBV)
 * alone, so that a tool that hides a feature from programs, as valgrind does, hides it
 * from us too; elsewhere from the system.
 */
#ifndef DEV_CPU_INFO_H
#define DEV_CPU_INFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Sets of vector instructions that loops are compiled for, each within the next. */
enum cpu_isa {
    CPU_ISA_BASE,   /* what the compiler takes by itself       */
    CPU_ISA_AVX2,   /* AVX2 and FMA: 32 bytes                  */
    CPU_ISA_AVX512, /* AVX-512 F, DQ, BW, VL too: 64 bytes     */
};

/* The best set that processor and system support. */
enum cpu_isa cpu_isa(void);
const char *cpu_isa_name(enum cpu_isa isa);

/* Dot products of pairs of bf16 numbers (AVX512-BF16). */
bool cpu_has_bf16(void);

/* Products of tiles of bf16 numbers (AMX), which the system lets a process have that
 * asks for them: this does.
 */
bool cpu_has_tiles(void);

/* AVX without all that CPU_ISA_AVX2 asks for; ARM's scalable vectors. */
bool cpu_has_avx(void);
bool cpu_has_sve(void);

/* Family and model as the vendor counts them; 0 if this is not such a processor. */
bool cpu_is_amd(int *family);
bool cpu_is_intel(void);

/* The model name as the processor or the system gives it. */
void cpu_model(char *name, size_t size);

/* The same from a file as /proc/cpuinfo is; false where it has none.  ARM's has numbers
 * alone: names are known of some that supercomputers are made of.
 */
bool cpu_model_in(char *name, size_t size, const char *path);

/* A set of cores, each by the first of its hardware threads. */
enum { CPU_CORES_MOST = 8192 };
struct cpu_set {
    uint64_t word[CPU_CORES_MOST / 64];
};

/* The cores that this process may run on (its affinity); never empty. */
void cpu_own_cores(struct cpu_set *cores);

/* Those that its threads may run on: OpenMP may have bound the first of them to one
 * core of these (OMP_PROC_BIND, OMP_PLACES).
 */
void cpu_team_cores(struct cpu_set *cores);
int cpu_count(const struct cpu_set *cores);

/* How many these are: threads of one core count once. */
int cpu_cores(void);

/* Likewise those of the machine, whoever may run on them; and those that a folder tells
 * of as /sys/devices/system/cpu does, 0 if there are none.
 */
int cpu_cores_of_machine(void);
int cpu_cores_in(const char *folder);

#endif
