/* SPDX-License-Identifier: BSD-3-Clause */
/* Usage: fuzz_X [--seconds=S] [--first=N] [--count=N] FILE..
 * Change valid files at random and have them read, until S seconds (60) or N files have
 * passed.  File number N is always made in the same way.  A crash, or a file that takes
 * ten seconds of a core or ten minutes, ends the program; its number is the last one in
 * ./fuzz-at.
 */
#include "config.h"

#include "tests/fuzz.h"

#include "src/base/clock.h"
#include "src/base/mem.h"
#include "src/base/rng.h"

#include <ctype.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

enum { FILES_MOST = 256 };

struct sample {
    uint8_t *bytes;
    size_t size;
};

static struct {
    struct sample sample[FILES_MOST];
    int samples;
    uint8_t *bytes; /* [FUZZ_SIZE] the file that is made */
    size_t size;
    uint64_t key, next; /* of random numbers */
} fuzz;

static uint64_t draw(uint64_t below)
{
    return below > 0 ? rng_bits(fuzz.key, RNG_TEST, fuzz.next++) % below : 0;
}

static void load(const char *path)
{
    FILE *file       = fopen(path, "rb");
    struct sample *s = &fuzz.sample[fuzz.samples];

    if (file == NULL || fuzz.samples == FILES_MOST) {
        fprintf(stderr, "%s cannot be read\n", path);
        exit(2);
    }
    s->bytes = mem_new(FUZZ_SIZE, 1);
    s->size  = fread(s->bytes, 1, FUZZ_SIZE, file);
    fclose(file);
    fuzz.samples++;
}

/* ---- changes --------------------------------------------------------------------- */

/* A number that programs get wrong, of 1, 2, 4 or 8 bytes, either end first. */
static void put_number(size_t at)
{
    static const uint64_t odd[] = { 0,          1,          0x7f,       0x80,
                                    0xff,       0x7fff,     0x8000,     0xffff,
                                    0x7fffffff, 0x80000000, 0xffffffff, UINT64_MAX / 2,
                                    UINT64_MAX, 0x10000,    64,         0x100000000 };
    const uint64_t x            = odd[draw(sizeof odd / sizeof odd[0])];
    const size_t bytes          = (size_t)1 << draw(4);
    const bool is_big           = draw(2) != 0;

    for (size_t i = 0; i < bytes && at + i < fuzz.size; i++)
        fuzz.bytes[at + i] = (uint8_t)(x >> 8 * (is_big ? bytes - 1 - i : i));
}

/* Anywhere, or as often where there is text: headers and names are small, and numbers
 * that nobody looks at are many.
 */
static size_t draw_place(void)
{
    enum { LETTERS = 8 };
    const size_t first = draw(fuzz.size);
    size_t at = first, letters = 0;

    if (draw(2) == 0)
        return first;
    while (at < fuzz.size && letters < LETTERS) {
        letters = isprint(fuzz.bytes[at]) ? letters + 1 : 0;
        at++;
    }
    if (letters < LETTERS)
        return first;
    at += draw(256);
    return at < fuzz.size ? at : first;
}

/* Words that mean something, made others as long as they are, from 'at' on. */
static void put_word(size_t at)
{
    static const char *const words[][2] = {
        { "False", "True " },     { "\x93NUMPY\1", "\x93NUMPY\2" }, { "<f4", "<f8" },
        { "\"F32\"", "\"F16\"" }, { "LayerNorm_1", "LayerNorm_0" }, { "bias", "mean" },
    };
    const char *const *word = words[draw(sizeof words / sizeof words[0])];
    uint8_t *found = memmem(fuzz.bytes + at, fuzz.size - at, word[0], strlen(word[0]));

    if (found != NULL)
        memcpy(found, word[1], strlen(word[1]));
}

/* The same in text, in the place of the next digits from 'at' on. */
static void put_digits(size_t at)
{
    static const char *const odd[] = {
        "0",    "-1",     "1e-320",     "1e308",      "1e999",
        "nan",  "65536",  "2147483648", "4294967296", "9223372036854775807",
        "1000", "999999", "0.3",        "17",         "-9223372036854775808",
    };
    const char *text  = odd[draw(sizeof odd / sizeof odd[0])];
    const size_t size = strlen(text);
    size_t digits     = 0;

    while (at < fuzz.size && !isdigit(fuzz.bytes[at]))
        at++;
    while (at + digits < fuzz.size && isdigit(fuzz.bytes[at + digits]))
        digits++;
    if (digits == 0 || fuzz.size - digits + size > FUZZ_SIZE)
        return;
    memmove(fuzz.bytes + at + size, fuzz.bytes + at + digits, fuzz.size - at - digits);
    memcpy(fuzz.bytes + at, text, size);
    fuzz.size += size - digits;
}

static void change(void)
{
    const size_t at = draw_place(), from = draw_place();
    const size_t room   = fuzz.size - (at > from ? at : from);
    const size_t length = draw(room < 64 ? room : 64);
    const struct sample *other;

    switch (draw(11)) {
    case 0:
    case 1:
        fuzz.bytes[at] ^= (uint8_t)(1 << draw(8));
        break;
    case 2:
        fuzz.bytes[at] = (uint8_t)draw(256);
        break;
    case 3:
        put_number(at);
        break;
    case 4: /* a piece of its own */
        memmove(fuzz.bytes + at, fuzz.bytes + from, length);
        break;
    case 5: /* a piece left out */
        memmove(fuzz.bytes + at, fuzz.bytes + at + length, fuzz.size - at - length);
        fuzz.size -= length;
        break;
    case 6: /* the end of another file */
        other = &fuzz.sample[draw((uint64_t)fuzz.samples)];
        if (at < other->size) {
            memcpy(fuzz.bytes + at, other->bytes + at, other->size - at);
            fuzz.size = other->size;
        }
        break;
    case 7:
        if (isdigit(fuzz.bytes[at]))
            fuzz.bytes[at] = (uint8_t)('0' + draw(10));
        break;
    case 8:
        put_word(at);
        break;
    case 9:
        put_digits(at);
        break;
    default: /* the end cut off, now and then */
        if (draw(4) == 0)
            fuzz.size = at;
        break;
    }
}

static void make(uint64_t number)
{
    const struct sample *s;
    int changes;

    fuzz.key  = rng_bits(1, RNG_TEST, number);
    fuzz.next = 0;
    s         = &fuzz.sample[draw((uint64_t)fuzz.samples)];
    changes   = 1 << draw(6);
    fuzz.size = s->size;
    memcpy(fuzz.bytes, s->bytes, s->size);
    for (int i = 0; i < changes && fuzz.size > 0; i++)
        change();
}

/* ---- the run --------------------------------------------------------------------- */

/* Where the number of the file at hand is kept, so that it outlives a crash. */
static uint64_t *open_mark(void)
{
    const int fd = open("fuzz-at", O_RDWR | O_CREAT, 0644);
    void *mark   = MAP_FAILED;

    if (fd >= 0 && ftruncate(fd, sizeof(uint64_t)) == 0)
        mark = mmap(NULL, sizeof(uint64_t), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (fd >= 0)
        close(fd);
    if (mark == MAP_FAILED) {
        perror("fuzz-at");
        exit(3);
    }
    return mark;
}

int main(int argc, char **argv)
{
    double seconds              = 60, start;
    const struct itimerval busy = { .it_value = { .tv_sec = 10 } };
    uint64_t first = 0, count = UINT64_MAX, number;
    uint64_t *mark;

    for (int i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--seconds=", 10) == 0)
            seconds = atof(argv[i] + 10);
        else if (strncmp(argv[i], "--first=", 8) == 0)
            first = strtoull(argv[i] + 8, NULL, 10);
        else if (strncmp(argv[i], "--count=", 8) == 0)
            count = strtoull(argv[i] + 8, NULL, 10);
        else
            load(argv[i]);
    }
    if (fuzz.samples == 0) {
        fprintf(stderr, "usage: %s [--seconds=S] [--first=N] [--count=N] FILE..\n",
                argv[0]);
        return 2;
    }
    fuzz.bytes = mem_new(FUZZ_SIZE, 1);
    mark       = open_mark();
    start      = clock_now();
    for (int i = 0; i < fuzz.samples; i++)
        LLVMFuzzerTestOneInput(fuzz.sample[i].bytes, fuzz.sample[i].size);
    for (number = first; number - first < count && clock_now() - start < seconds;
         number++) {
        *mark = number;
        setitimer(ITIMER_PROF, &busy, NULL);
        alarm(600);
        make(number);
        LLVMFuzzerTestOneInput(fuzz.bytes, fuzz.size);
    }
    printf("%s: %llu files from %d, numbers %llu on, in %.0f s: clean\n", argv[0],
           (unsigned long long)(number - first), fuzz.samples,
           (unsigned long long)first, clock_now() - start);
    return 0;
}
