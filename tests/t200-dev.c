/* SPDX-License-Identifier: BSD-3-Clause */
/* Opening devices, memory, events, copies, muting: what is not arithmetic. */
#include "config.h"

#include "src/dev/dev.h"

#include "src/base/clock.h"
#include "src/base/err.h"
#include "src/dev/cpu_info.h"
#include "tests/scratch.h"
#include "tests/tap.h"

#include <math.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void refuse(const char *name, enum dtype dtype, int threads, const char *word)
{
    struct dev *dev = NULL;
    const int rc    = dev_open(&dev, name, dtype, threads);
    const char *why = err_sentence();

    ok(rc == ERR_USAGE && why != NULL && strstr(why, word) != NULL && dev == NULL,
       "%s in %s with %d threads is refused: %s", name, dtype_name(dtype), threads,
       why != NULL ? why : "no sentence");
    err_forget();
}

static void bad_input(void)
{
    refuse("", DTYPE_F32, 1, "cpu:ref");
    refuse("cpu", DTYPE_F32, 1, "'cpu'");
    refuse("cpu:refx", DTYPE_F32, 1, "'cpu:refx'");
    refuse("cuda:0", DTYPE_F32, 1, "'cuda:0'");
#ifndef HAVE_CUDA
    refuse("cuda", DTYPE_F32, 1, "'cuda'");
#else
    refuse("cuda", DTYPE_F64, 1, "f64");
#endif
    refuse("cpu:ref", DTYPE_F32, -1, "-1");
    refuse("cpu:ref", DTYPE_BF16, 1, "bf16");
    refuse("cpu:blis", DTYPE_BF16, 1, "bf16");
    refuse("cpu:emulate", DTYPE_F32, 1, "bf16 alone");
}

/* What is planned for 'auto' is what opens. */
static void plan(void)
{
    struct dev *dev;

    if (dev_open(&dev, "auto", DTYPE_F32, 1) != 0)
        die("%s", err_sentence());
    ok(dev_packs("auto", DTYPE_F32) == dev_packs(dev_name(dev), DTYPE_F32),
       "auto packs weights as %s does", dev_name(dev));
    dev_close(&dev);
}

static void copies(struct dev *dev, enum dtype dtype)
{
    struct dev_stream *s = dev_stream(dev, LANE_COMPUTE);
    double in[12], out[12];
    struct buf b;
    struct mat whole, view;

    for (int i = 0; i < 12; i++)
        in[i] = i + 1;
    if (!ok(dev_alloc(&b, dev, 100 * sizeof(double)) == 0, "memory is given"))
        return;
    whole = mat_of(&b, DTYPE_F64, 4, 9);
    dev_fill(s, whole, -1.0);
    view = mat_cols(mat_rows(whole, 1, 4), 3, 7);
    dev_put(s, view, in);
    dev_get(s, out, view);
    ok(memcmp(in, out, sizeof in) == 0, "what is put into a view comes back");
    dev_get(s, out, mat_cols(mat_rows(whole, 0, 1), 0, 9));
    ok(out[0] == -1.0 && out[8] == -1.0, "and the row before is as it was filled");
    view = mat_every(whole, 1, 2);
    ok(view.rows == 2 && view.ld == 18, "every second row from 1 on is two rows");
    dev_get(s, out, mat_cols(view, 3, 7));
    ok(out[0] == 1.0 && out[4] == 9.0, "the first and the third of those put");

    struct mat y = mat_at(&b, DTYPE_BF16, 64 * 4, 3, 4);
    struct mat x = mat_cols(mat_rows(whole, 1, 4), 3, 7);

    dev_copy(s, y, x);
    dev_copy(s, x, y);
    dev_get(s, out, x);
    ok(memcmp(in, out, sizeof in) == 0, "small integers go to bf16 and back");
    dev_add(s, x, x);
    dev_max(s, mat_rows(x, 0, 1), mat_rows(x, 1, 2));
    dev_get(s, out, x);
    ok(out[0] == 10.0 && out[3] == 16.0 && out[11] == 24.0, "sums and maxima");

    y = mat_of(&b, dtype, 1, 3);
    dev_fill(s, y, 2.0);
    x = mat_at(&b, dtype, 3, 1, 3);
    dev_fill(s, x, NAN);
    dev_max(s, y, x);
    dev_copy(s, mat_at(&b, DTYPE_F64, 6, 1, 3), y);
    dev_get(s, out, mat_at(&b, DTYPE_F64, 6, 1, 3));
    ok(isnan(out[0]) && isnan(out[2]), "a NaN is not lost in a maximum");
    dev_free(&b);
    ok(b.at == NULL && b.dev == NULL, "freed memory is forgotten");
    dev_free(&b);
}

static void muting(struct dev *dev)
{
    struct dev_stream *s = dev_stream(dev, LANE_COMPUTE);
    double value         = 0.0;
    struct buf b;
    struct mat y;

    if (dev_alloc(&b, dev, sizeof value) != 0)
        die("no memory");
    y = mat_of(&b, DTYPE_F64, 1, 1);
    dev_fill(s, y, 1.0);
    dev_mute(dev, true);
    dev_fill(s, y, 2.0);
    value = 3.0;
    dev_get(s, &value, y);
    ok(value == 3.0, "a muted device copies nothing");
    dev_put(s, y, &value);
    dev_mute(dev, false);
    dev_get(s, &value, y);
    ok(value == 1.0, "and did nothing");
    dev_free(&b);
}

static double fake_time;

static double tick(void)
{
    return fake_time += 1.0;
}

static void busy(struct dev *dev)
{
    struct dev_stream *s = dev_stream(dev, LANE_COMPUTE);
    const double before  = dev_busy(dev);
    struct buf b;

    if (dev_alloc(&b, dev, 4096) != 0)
        die("no memory");
    clock_set(tick);
    dev_fill(s, mat_of(&b, DTYPE_F64, 4, 4), 0.0);
    dev_column_sums(s, mat_at(&b, dev_dtype(dev), 256, 1, 4),
                    mat_of(&b, dev_dtype(dev), 0, 4), false);
    clock_set(NULL);
    if (dev_is_host(dev))
        ok(dev_busy(dev) - before == 2.0,
           "two operations, two ticks: none counted twice");
    else
        ok(dev_busy(dev) == 0, "a device that returns early is never busy");
    dev_free(&b);
}

static void events(struct dev *dev)
{
    struct dev_stream *s      = dev_stream(dev, LANE_COMPUTE);
    struct dev_event *e       = NULL;
    struct dev_weight *weight = NULL;
    struct buf b;

    ok(dev_event_open(&e, dev) == 0 && e != NULL, "an event opens");
    dev_event_record(e, s);
    dev_event_wait(dev_stream(dev, LANE_GATHER), e);
    dev_event_sync(e);
    ok(dev_event_is_done(e), "and is done when its stream is");
    dev_sync(s);
    dev_event_close(&e);
    dev_event_close(&e);
    ok(e == NULL, "closing twice is closing once");

    if (dev_alloc(&b, dev, 4096) != 0)
        die("no memory");
    ok(dev_weight_open(&weight, dev, mat_of(&b, dev_dtype(dev), 3, 4)) == 0,
       "a weight opens");
    dev_weight_changed(s, weight);
    ok(dev_weight_mat(weight).rows == 3 && dev_weight_mat(weight).buf == &b,
       "and is the matrix it was opened with");
    dev_weight_close(&weight);
    dev_weight_close(&weight);
    dev_free(&b);
}

static void one_device(const char *name, enum dtype dtype)
{
    struct dev *dev;

    tap_note("%s %s", name, dtype_name(dtype));
    if (!ok(dev_open(&dev, name, dtype, 2) == 0, "%s opens", name))
        return;
    ok(strcmp(dev_name(dev), name) == 0 && dev_dtype(dev) == dtype, "it says its name");
    ok(dev_about(dev)[0] != '\0' && dev_hardware(dev)[0] != '\0', "'%s' on '%s'",
       dev_about(dev), dev_hardware(dev));
    ok(dev_acc(dev) == dtype, "sums are kept in %s", dtype_name(dtype));
    ok(dev_is_host(dev) == (strcmp(name, "cuda") != 0), "it says whose its memory is");
    ok(dev_peak(dev, 0.02) > 1e8, "its peak is above 0.1 GFLOP/s");
    ok(dev_bandwidth(dev, 0.02) > 1e8, "it moves more than 0.1 GB/s");
    copies(dev, dtype);
    muting(dev);
    busy(dev);
    events(dev);
    dev_close(&dev);
    dev_close(&dev);
    ok(dev == NULL, "%s closes", name);
}

/* A GPU, or one sentence that says why there is none. */
static void one_gpu(void)
{
#ifdef HAVE_CUDA
    struct dev *dev = NULL;
    const int rc    = dev_open(&dev, "cuda", DTYPE_F32, 0);

    if (rc == 0) {
        dev_close(&dev);
        one_device("cuda", DTYPE_F32);
        return;
    }
    ok(rc == ERR_DEVICE && err_exit_status(rc) == 3 && err_sentence() != NULL,
       "without a GPU cuda is refused: %s", err_sentence());
    err_forget();
#endif
}

/* With one processor allowed, no more than one thread is taken.  This comes first: once
 * LLVM's OpenMP has begun, it keeps the processors that it began with.
 */
static void affinity(void)
{
    cpu_set_t old, one;
    struct dev *dev;
    int cpu = 0;

    if (sched_getaffinity(0, sizeof old, &old) != 0) {
        tap_skip("threads follow the affinity", "more processors than this test knows");
        return;
    }
    while (!CPU_ISSET(cpu, &old))
        cpu++;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    sched_setaffinity(0, sizeof one, &one);
    if (dev_open(&dev, "auto", DTYPE_F32, 0) != 0)
        die("%s", err_sentence());
    ok(dev_threads(dev) == 1, "threads follow the affinity: %d", dev_threads(dev));
    dev_close(&dev);
    sched_setaffinity(0, sizeof old, &old);
    if (dev_open(&dev, "auto", DTYPE_F32, 0) != 0)
        die("%s", err_sentence());
    ok(dev_threads(dev) <= CPU_COUNT(&old), "at most one for a processor: %d",
       dev_threads(dev));
    ok(err_sentence() == NULL, "and nothing is left to say");
    dev_close(&dev);
}

/* What a system's file says of a processor that cannot be asked. */
static void is_called(const char *lines, const char *wanted)
{
    const char *path = scratch_path("cpuinfo");
    FILE *file       = fopen(path, "w");
    char name[49];
    bool is_known;

    if (file == NULL)
        die("no file %s", path);
    fputs(lines, file);
    fclose(file);
    is_known = cpu_model_in(name, sizeof name, path);
    ok(wanted == NULL ? !is_known : is_known && strcmp(name, wanted) == 0,
       "a processor is called %s", wanted != NULL ? name : "nothing");
}

static void names(void)
{
    scratch_open();
    is_called("processor\t: 0\nCPU implementer\t: 0x41\nCPU variant\t: 0x0\n"
              "CPU part\t: 0xd4f\n",
              "Arm Neoverse-V2");
    is_called("CPU implementer\t: 0x46\nCPU part\t: 0x001\n", "Fujitsu A64FX");
    is_called("CPU implementer\t: 0x99\nCPU part\t: 0x123\n",
              "ARM implementer 0x99, part 0x123");
    is_called("processor\t: 0\ncpu\t\t: POWER9, altivec supported\n",
              "POWER9, altivec supported");
    is_called("processor\t: 0\nmodel name\t: A Processor 1\n", "A Processor 1");
    is_called("processor\t: 0\n", NULL);
    ok(!cpu_model_in(NULL, 0, "no/such/file"), "nor where there is no file");
}

/* Two cores with two hardware threads each, and a processor that is off. */
static void cores(void)
{
    static const char *const siblings[] = { "0,2", "1,3", "0,2", "1,3" };
    char folder[512], path[600];
    FILE *file;

    snprintf(folder, sizeof folder, "%s", scratch_path("cpus"));
    ok(cpu_cores_in(folder) == 0, "no folder tells of cores");
    mkdir(folder, 0777);
    for (int i = 0; i < 5; i++) {
        snprintf(path, sizeof path, "%s/cpu%d", folder, i);
        mkdir(path, 0777);
        if (i == 4)
            break;
        snprintf(path, sizeof path, "%s/cpu%d/topology", folder, i);
        mkdir(path, 0777);
        snprintf(path, sizeof path, "%s/cpu%d/topology/thread_siblings_list", folder,
                 i);
        file = fopen(path, "w");
        if (file == NULL)
            die("no file %s", path);
        fprintf(file, "%s\n", siblings[i]);
        fclose(file);
    }
    ok(cpu_cores_in(folder) == 2, "threads of one core count once: %d",
       cpu_cores_in(folder));
    ok(cpu_cores() <= cpu_cores_of_machine(), "a machine has the cores of its ranks");
}

/* Whether the system lists 'feature' among the processor's. */
static bool is_listed(const char *feature)
{
    FILE *file = fopen("/proc/cpuinfo", "r");
    char word[64];
    bool is_there = false;

    while (file != NULL && !is_there && fscanf(file, "%63s", word) == 1)
        is_there = strcmp(word, feature) == 0;
    if (file != NULL)
        fclose(file);
    return is_there;
}

/* Whose peak counts where products of bf16 run in tiles. */
static void tiles(void)
{
    static const char name[] = "the peak in bf16 is that of tiles where there are any";
    struct dev *dev;

    if (dev_open(&dev, "cpu:onednn", DTYPE_BF16, 1) != 0) {
        tap_skip(name, err_sentence());
        err_forget();
        return;
    }
    ok((strstr(dev_about(dev), "tiles") != NULL) == is_listed("amx_bf16"), "%s: %s",
       name, dev_about(dev));
    ok(dev_peak(dev, 0.02) > 1e8, "and is above 0.1 GFLOP/s");
    dev_close(&dev);
}

int main(void)
{
    affinity();
    bad_input();
    names();
    cores();
    plan();
    one_device("cpu:ref", DTYPE_F64);
    one_device("cpu:ref", DTYPE_F32);
#ifdef HAVE_BLIS
    one_device("cpu:blis", DTYPE_F64);
    one_device("cpu:blis", DTYPE_F32);
#endif
    tiles();
    one_gpu();
    return tap_done();
}
