/* SPDX-License-Identifier: BSD-3-Clause */
/* Records: written and read back the same, by many writers at once, after a writer that
 * was killed, and refused when they are wrong.
 */
#include "config.h"

#include "src/plan/record.h"

#include "src/base/err.h"
#include "src/base/log.h"
#include "src/base/mem.h"
#include "tests/apart.h"
#include "tests/disk.h"
#include "tests/scratch.h"
#include "tests/tap.h"

#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <signal.h>
#include <unistd.h>

static const char *folder, *path;

static void put(const char *mode, const char *text)
{
    FILE *file = fopen(path, mode);

    fputs(text, file);
    fclose(file);
}

static int read_all(struct record **r)
{
    *r = NULL;
    return record_read(r, path);
}

static void make(struct record *r, const char *id)
{
    struct spec_options o = { .shape   = "Ti",
                              .wiring  = -1,
                              .qk_norm = -1,
                              .pool    = POOL_CLS, /* which is no token of the image */
                              .image   = 224,
                              .classes = 10 };
    struct spec s;

    spec_make(&s, &o);
    record_init(r);
    strcpy(r->id, id);
    strcpy(r->program, "vittrain \"quoted\"");
    record_set_spec(r, &s, 1000000);
    r->seed       = 3;
    r->err_10shot = 0.1234567890123456;
    r->loss       = 1e-300;
}

static void round_trip(void)
{
    struct record r, *back;

    make(&r, "one");
    ok(r.width == 192 && r.depth == 12 && r.mlp == 768 && r.heads == 3 &&
           r.tokens == 196000000 && r.params > 5000000 && r.err_5shot != r.err_5shot &&
           r.devices == -1 && strcmp(r.status, "done") == 0,
       "a record takes its shape from the spec");
    ok(r.compute == r.flops_per_image * 1e6 && r.flops_per_image > 2.5e9 &&
           r.flops_per_image < 2.6e9,
       "compute is forward FLOPs times examples, without the factor 3");
    ok(record_append(path, &r) == 0, "it is written");
    ok(read_all(&back) == 1, "and read");
    ok(back != NULL && strcmp(back->program, r.program) == 0 &&
           back->params == r.params && back->err_10shot == r.err_10shot &&
           back->loss == r.loss && back->compute == r.compute &&
           isnan(back->err_5shot) && back->devices == -1,
       "and is the same");
    mem_free(back);

    r.loss = 2;
    record_append(path, &r);
    make(&r, "two");
    record_append(path, &r);
    ok(read_all(&back) == 2 && strcmp(back[0].id, "one") == 0 && back[0].loss == 2,
       "the last record of an id counts");
    mem_free(back);
}

static void csv(void)
{
    struct record *back;

    put("w", "id,width,err_10shot,other\na,608,0.25,x\nb,768,,y\n");
    ok(read_all(&back) == 2 && back[0].width == 608 && back[0].err_10shot == 0.25 &&
           isnan(back[1].err_10shot) && back[1].depth == -1,
       "CSV is read, too; unknown columns are ignored");
    mem_free(back);
}

static void refused(const char *text, const char *says)
{
    struct record *back;

    put("w", text);
    ok(tap_says(read_all(&back), ERR_DATA, says) && back == NULL, "refused: %s", says);
}

/* What a killed writer left does not harm the next one's line. */
static void mend(void)
{
    struct record r, *back;

    make(&r, "next");
    put("w", "{\"id\":\"a\"}\n{\"id\":\"b\", \"wid");
    ok(read_all(&back) == 1, "a line that was cut off is left out");
    mem_free(back);
    ok(record_append(path, &r) == 0 && read_all(&back) == 2 &&
           strcmp(back[1].id, "next") == 0,
       "and removed by the next writer");
    mem_free(back);
    put("w", "{\"id\":\"b\", \"wid");
    ok(record_append(path, &r) == 0 && read_all(&back) == 1 &&
           strcmp(back[0].id, "next") == 0,
       "even where it was the only one");
    mem_free(back);
    put("w", "{\"id\":\"a\"}");
    ok(record_append(path, &r) == 0 && read_all(&back) == 2 &&
           strcmp(back[0].id, "a") == 0,
       "a whole line without its newline is kept");
    mem_free(back);
    put("w", "{\"id\":\"a\"}\n{\"id\":\"b\", \"wid");
    disk_spoil(0);
    ok(record_append(path, &r) == ERR_IO && disk_is_met(),
       "nothing is put behind an end that cannot be read");
    err_forget();
    disk_spoil(-1);
    ok(record_append(path, &r) == 0 && read_all(&back) == 2 &&
           strcmp(back[1].id, "next") == 0,
       "so that the next writer's line is whole");
    mem_free(back);
}

/* Eight writers, 25 records each, one of which is killed on the way. */
static void many(void)
{
    enum { WRITERS = 8, EACH = 25 };
    pid_t pid[WRITERS];
    struct record *back;
    int n;

    for (int w = 0; w < WRITERS; w++) {
        pid[w] = fork();
        for (int i = 0; pid[w] == 0 && i < EACH; i++) {
            struct record r;
            char id[32];

            snprintf(id, sizeof id, "%d-%d", w, i);
            make(&r, id);
            if (record_append(path, &r) != 0)
                _exit(1);
        }
        if (pid[w] == 0)
            _exit(0);
    }
    kill(pid[0], SIGKILL);
    for (int w = 0; w < WRITERS; w++)
        waitpid(pid[w], NULL, 0);
    n = read_all(&back);
    ok(n >= (WRITERS - 1) * EACH && n <= WRITERS * EACH,
       "many writers at once lose nothing (%d records)", n);
    mem_free(back);
}

static void full(void)
{
    struct rlimit old, small = { 100, 100 };
    struct record r;

    make(&r, "x");
    ok(record_append("/nowhere/records.jsonl", &r) == ERR_IO,
       "a folder that is missing");
    ok(record_append("/dev/full", &r) == ERR_IO, "a full disk");
    put("w", "{\"id\":\"a\"}\n");
    getrlimit(RLIMIT_FSIZE, &old);
    small.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &small);
    ok(record_append(path, &r) == ERR_IO, "no room in the middle of a line");
    setrlimit(RLIMIT_FSIZE, &old);
    err_forget();

    struct record *back;

    ok(read_all(&back) == 1 && record_append(path, &r) == 0,
       "leaves the file as it was");
    mem_free(back);
}

/* What a file of other things holds is not to be lost to a wrong name. */
static void others(void)
{
    static const struct {
        const char *text;
        int rc;
    } file[] = {
        { "", 0 },
        { "{\"id\": \"a\"}\n{\"id\"", 0 },
        { "{\"id\": \"a", 0 },
        { "{\n  \"rating\": 1\n}", ERR_DATA },
        { "id,status\na,done\n", ERR_DATA },
        { "\x89HDF\r\n\x1a\n", ERR_DATA },
        { "[1]\n", ERR_DATA },
    };
    bool is_right = true;

    for (size_t i = 0; i < sizeof file / sizeof file[0]; i++) {
        put("w", file[i].text);
        is_right = record_probe(path) == file[i].rc && is_right;
        err_forget();
    }
    ok(is_right, "records are not put behind what is none");
}

/* On a disk of its own: 0 if a probe says whether there is room. */
static int probe_disk(void)
{
    static const char letters[4096];
    const char *file = scratch_path("records"), *filler = scratch_path("filler");
    bool is_right;
    int fd;

#ifndef HAVE_FALLOCATE
    return APART_CANNOT;
#endif
    if (!apart_mounts() || mount("none", folder, "tmpfs", 0, "size=64k") != 0)
        return APART_CANNOT;
    put("w", "");
    is_right = record_probe(file) == 0 && truncate(file, 0) == 0;
    fd       = open(filler, O_WRONLY | O_CREAT, 0600);
    while (write(fd, letters, sizeof letters) > 0) {
    }
    close(fd);
    is_right &=
        record_probe(file) == ERR_IO && unlink(filler) == 0 && record_probe(file) == 0;
    return !is_right;
}

static void disk(void)
{
    apart_ok("a full disk is found before the work", probe_disk,
             "no room can be taken here, or no disk mounted");
}

int main(void)
{
    folder = scratch_open();
    path   = scratch_path("record");
    log_set_level(LOG_ERROR);
    round_trip();
    others();
    csv();
    refused("{\"id\":\"a\",\"width\":1.5}\n",
            "line 1, column width: 1.5 is not a whole");
    refused("{\"id\":\"a\",\"width\":-608}\n", "line 1, column width: -608 is below 0");
    refused("{\"id\":\"a\",\"loss\":\"low\"}\n", "line 1, column loss: 'low'");
    refused("{\"id\":\"a\",\"status\":\"fine\"}\n", "line 1, column status: 'fine'");
    refused("id,loss\na,0.5\nb,inf\n", "line 3, column loss: 'inf'");
    mend();
    many();
    full();
    disk();
    return tap_done();
}
