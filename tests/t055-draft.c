/* SPDX-License-Identifier: BSD-3-Clause */
/* Drafts: what was there stays until the new file is whole, whatever comes between.
 */
#include "config.h"

#include "src/base/claim.h"
#include "src/base/draft.h"
#include "src/base/err.h"
#include "src/base/json_file.h"
#include "tests/scratch.h"
#include "tests/tap.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LETTERS = 1 << 20 };

static const char *folder, *file, *link_to_it;

/* The files of the folder. */
static int count_files(void)
{
    DIR *d = opendir(folder);
    int n  = 0;

    for (const struct dirent *e = readdir(d); e != NULL; e = readdir(d))
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

/* True if the file is 'letters' times 'letter'. */
static bool is_all(char letter, int letters)
{
    FILE *in = fopen(file, "r");
    int n    = 0, c;

    while (in != NULL && (c = getc(in)) == letter)
        n++;
    if (in == NULL)
        return false;
    fclose(in);
    return n == letters && c == EOF;
}

static int write_all(const char *path, char letter, int letters)
{
    struct draft d;
    const int rc = draft_open(&d, path);

    if (rc != 0)
        return rc;
    for (int i = 0; i < letters; i++)
        putc(letter, d.file);
    return draft_finish(&d);
}

/* A disk on which files have room for 'bytes'. */
static void have_room(rlim_t bytes)
{
    struct rlimit limit;

    getrlimit(RLIMIT_FSIZE, &limit);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    setrlimit(RLIMIT_FSIZE, &limit);
}

static void refused(void)
{
    ok(draft_probe("/nowhere/at/all.json", 0) == ERR_IO &&
           strstr(err_sentence(), "/nowhere/at/all.json cannot be written: No such") !=
               NULL,
       "no folder: refused before the work, in a sentence that names the file");
    ok(draft_probe(folder, 0) == ERR_IO && strstr(err_sentence(), "Is a dir") != NULL,
       "a folder is no file");
    if (geteuid() == 0) {
        tap_skip("a file that must not be written stays", "root may");
    } else {
        write_all(file, 'a', 10);
        chmod(file, 0444);
        ok(draft_probe(file, 0) == ERR_IO && is_all('a', 10),
           "a file that must not be written stays");
        unlink(file);
    }
    ok(draft_probe(file, 0) == 0 && count_files() == 0,
       "a new file can be written, and is not there yet");
    ok(draft_probe("/dev/null", 10) == 0 && write_all("/dev/null", 'a', 10) == 0 &&
           write_all("/dev/full", 'a', 10) == ERR_IO,
       "devices are written as they are");
    err_forget();
}

static void full(void)
{
    write_all(file, 'a', 10);
    have_room(4096);
    ok(draft_probe(file, LETTERS) == ERR_IO, "a full disk is found before the work");
    ok(write_all(file, 'b', LETTERS) == ERR_IO &&
           strstr(err_sentence(), "cannot be written: File too large") != NULL,
       "or when it fills up");
    have_room(RLIM_INFINITY);
    ok(is_all('a', 10) && count_files() == 1, "and costs nothing but the new file");
    err_forget();
}

static void killed(void)
{
    struct draft d;
    int status;

    if (fork() == 0) {
        draft_open(&d, file);
        for (int i = 0; i < LETTERS; i++)
            putc('c', d.file);
        raise(SIGKILL);
    }
    wait(&status);
    ok(WIFSIGNALED(status) && is_all('a', 10), "so does a kill");
    draft_open(&d, file);
    fputs("unwanted", d.file);
    draft_drop(&d);
    draft_drop(&d);
    ok(is_all('a', 10), "and a draft that is dropped");
}

/* Two processes write the file many times, this one reads it. */
static void at_once(void)
{
    pid_t pid[2];
    bool is_whole = true;

    for (int i = 0; i < 2; i++) {
        pid[i] = fork();
        if (pid[i] == 0) {
            for (int n = 0; n < 20; n++)
                write_all(file, (char)('x' + i), (i + 1) * LETTERS / 16);
            _exit(0);
        }
    }
    for (int n = 0; n < 100; n++)
        is_whole &= is_all('a', 10) || is_all('x', LETTERS / 16) ||
                    is_all('y', 2 * LETTERS / 16);
    for (int i = 0; i < 2; i++)
        waitpid(pid[i], NULL, 0);
    ok(is_all('x', LETTERS / 16) || is_all('y', 2 * LETTERS / 16),
       "of two writers at once, one has written the file");
    ok(is_whole, "which nobody has seen in parts");
}

static void links(void)
{
    struct stat state;

    ok(symlink("file", link_to_it) == 0 && write_all(link_to_it, 'l', 5) == 0 &&
           is_all('l', 5) && lstat(link_to_it, &state) == 0 && S_ISLNK(state.st_mode),
       "a link stays one");
    unlink(file);
    ok(write_all(link_to_it, 'n', 5) == 0 && is_all('n', 5) &&
           lstat(link_to_it, &state) == 0 && S_ISLNK(state.st_mode),
       "also one that leads to no file yet");
    unlink(link_to_it);
}

/* Who reads a pipe would take it for done when it is closed. */
static void pipes(void)
{
    struct pollfd reader = { .events = POLLIN };

    unlink(file);
    ok(mkfifo(file, 0600) == 0, "a pipe");
    reader.fd = open(file, O_RDONLY | O_NONBLOCK);
    ok(draft_probe(file, 10) == 0 && poll(&reader, 1, 0) == 0,
       "can be written, and has not been opened yet");
    ok(write_all(file, 'a', 10) == 0 && poll(&reader, 1, 0) == 1, "is written");
    close(reader.fd);
    unlink(file);
}

static void modes(void)
{
    struct stat state;

    write_all(file, 'a', 5);
    chmod(file, 0640);
    ok(write_all(file, 'b', 5) == 0 && stat(file, &state) == 0 &&
           (state.st_mode & 0777) == 0640,
       "permissions stay");
}

enum { NOBODY = 65534 };

/* Permissions bind root once it is somebody else, which some
 * containers do not allow.
 */
static bool is_bound(void)
{
    int status;

    if (fork() == 0)
        _exit(geteuid() == 0 && setuid(NOBODY) != 0);
    wait(&status);
    return status == 0;
}

/* True if somebody who may write the file, but in a folder of 'mode' not replace it,
 * has written 'letter' into it, and nothing is left beside it.
 */
static bool is_written_over(char letter, mode_t mode)
{
    const bool is_root = geteuid() == 0;
    const int files    = count_files();
    int status;

    write_all(file, 'a', 10);
    chmod(file, 0666);
    chmod(folder, mode);
    if (fork() == 0) {
        struct draft d;
        bool is_good;

        unsetenv("TMPDIR");
        is_good = (!is_root || setuid(NOBODY) == 0) && draft_probe(file, 10) == 0 &&
                  is_all('a', 10) && draft_open(&d, file) == 0;
        for (int i = 0; is_good && i < 5; i++)
            putc(letter, d.file);
        is_good = is_good && draft_publish(&d) == 0 && is_all(letter, 5);
        if (is_good) {
            putc(letter, d.file);
            fclose(d.file);
        }
        _exit(is_good ? 0 : 1);
    }
    wait(&status);
    chmod(folder, 0755);
    return status == 0 && is_all(letter, 6) && count_files() == files;
}

/* The disk of such a file fills up: where its new text is stands in the sentence. */
static bool is_part_kept(void)
{
    enum { MANY = 20000 };
    int status;

    write_all(file, 'a', 10);
    chmod(file, 0666);
    chmod(folder, 0555);
    if (fork() == 0) {
        struct draft d;
        const char *part;
        bool is_good;

        unsetenv("TMPDIR");
        is_good = (geteuid() != 0 || setuid(NOBODY) == 0) && draft_open(&d, file) == 0;
        for (int i = 0; is_good && i < MANY; i++)
            putc('b', d.file);
        is_good = is_good && fflush(d.file) == 0;
        have_room(4096);
        is_good = is_good && draft_publish(&d) == ERR_IO;
        part    = is_good ? strstr(err_sentence(), "all of it is in /") : NULL;
        if (part == NULL)
            _exit(1);
        file    = strchr(part, '/');
        is_good = is_all('b', MANY);
        unlink(file);
        _exit(is_good ? 0 : 1);
    }
    wait(&status);
    chmod(folder, 0755);
    return status == 0;
}

static void stays_in_place(void)
{
    if (is_bound())
        ok(is_written_over('p', 0555),
           "where nothing can be made beside it, it is written");
    else
        tap_skip("where nothing can be made beside it, it is written",
                 "root may do all");
    if (is_bound())
        ok(is_part_kept(), "or, on a full disk, is kept elsewhere");
    else
        tap_skip("or, on a full disk, is kept elsewhere", "root may do all");
    if (geteuid() == 0 && is_bound())
        ok(is_written_over('q', 01777), "and where it is somebody else's");
    else
        tap_skip("and where it is somebody else's", "takes root to make one");
}

/* What is written after it has its name is in it. */
static void goes_on(void)
{
    struct draft d;

    draft_open(&d, file);
    fputs("mm", d.file);
    ok(draft_publish(&d) == 0 && is_all('m', 2), "published");
    fputs("mmm", d.file);
    fclose(d.file);
    ok(is_all('m', 5), "and written on");
}

/* True if two outputs, or an output and an input, are refused as one file. */
static bool is_refused(const char *a, const char *b)
{
    const char *const path[] = { a, b };
    const int out = draft_apart(path, 2, 0), in = draft_apart(path, 1, 1);

    err_forget();
    return out == ERR_USAGE && in == ERR_USAGE;
}

static void apart(void)
{
    const char *const three[] = { "a", "b", "b" };
    const char *other         = scratch_path("other");
    char way_round[96];

    unlink(file);
    snprintf(way_round, sizeof way_round, "%s/../%s/./file", folder,
             strrchr(folder, '/') + 1);
    ok(is_refused(file, file) && is_refused(file, way_round) &&
           is_refused("/nowhere/a", "/nowhere/a") && is_refused("a", "./a"),
       "a file of two names is one, though it is not there yet");
    ok(symlink("file", link_to_it) == 0 && is_refused(link_to_it, file),
       "so is one that a link leads to");
    unlink(link_to_it);
    ok(!is_refused(file, other) && !is_refused("", "") &&
           !is_refused("/dev/null", "/dev/null"),
       "other files, none, and devices are apart");
    ok(draft_apart(three, 3, 0) == ERR_USAGE && draft_apart(three, 1, 2) == 0,
       "two inputs may be one");
    err_forget();
}

static void write_text(const char *text)
{
    FILE *f = fopen(file, "w");

    fputs(text, f);
    fclose(f);
}

static void json(void)
{
    json_t *o = json_pack("{s:i}", "n", 3);

    ok(draft_json(o, JSON_COMPACT, file) == 0 && draft_json(o, 0, folder) == ERR_IO,
       "JSON");
    json_decref(o);
    o = json_load_file(file, 0, NULL);
    ok(json_integer_value(json_object_get(o, "n")) == 3, "and back");
    json_decref(o);
    ok(json_file_load(&o, file) == 0 && json_object_size(o) == 1, "in one call, too");
    json_decref(o);
    o = NULL;
    ok(json_file_load(&o, folder) == ERR_IO &&
           json_file_load(&o, "/nowhere/at/all") == ERR_DATA,
       "a folder is no JSON, nor is what is missing");
    write_text("{\n\"n\": 1, \"n\": 2}");
    ok(json_file_load(&o, file) == ERR_DATA && o == NULL &&
           strstr(err_sentence(), "line 2") != NULL,
       "nor is a name with two values");
    err_forget();
}

/* 'path' is claimed by a file of this name, while it is. */
static void claims(const char *path, const char *lock)
{
    struct claim c, other;
    int status = 0;
    pid_t child;

    ok(claim_take(&c, path) == 0 && access(lock, F_OK) == 0, "%s is claimed",
       path == folder ? "a folder" : "a file");
    child = fork();
    if (child == 0)
        _exit(claim_take(&other, path) == ERR_IO &&
              strstr(err_sentence(), "by another program, process") != NULL);
    waitpid(child, &status, 0);
    ok(WIFEXITED(status) && WEXITSTATUS(status) == 1, "which others are told");
    claim_drop(&c);
    claim_drop(&c);
    ok(access(lock, F_OK) != 0, "and leaves nothing behind");
}

/* True if somebody may not claim root's file, or else the own one, of 'mode' in a
 * folder of 'folder_mode', for 'why'; and nothing is left beside it.
 */
static bool is_not_claimed(mode_t mode, mode_t folder_mode, const char *why)
{
    const int files = count_files();
    int status;

    chmod(file, mode);
    chmod(folder, folder_mode);
    if (fork() == 0) {
        struct claim c;

        _exit((geteuid() != 0 || setuid(NOBODY) == 0) &&
              claim_take(&c, file) == ERR_IO && strstr(err_sentence(), why) != NULL);
    }
    wait(&status);
    chmod(folder, 0755);
    return WIFEXITED(status) && WEXITSTATUS(status) == 1 && count_files() == files;
}

static void claims_no_others(void)
{
    write_all(file, 'a', 10);
    if (is_bound())
        ok(is_not_claimed(0444, 0777, "cannot be written: Permission denied"),
           "a file that may not be written is not claimed");
    else
        tap_skip("a file that may not be written is not claimed", "root may do all");
    if (geteuid() == 0 && is_bound())
        ok(is_not_claimed(0666, 01777, "cannot be written: Operation not permitted"),
           "nor one that may not be replaced");
    else
        tap_skip("nor one that may not be replaced", "takes root to make one");
    chmod(file, 0644);
}

int main(void)
{
    signal(SIGXFSZ, SIG_IGN);
    folder     = scratch_open();
    file       = scratch_path("file");
    link_to_it = scratch_path("link");
    refused();
    full();
    killed();
    at_once();
    links();
    pipes();
    modes();
    stays_in_place();
    goes_on();
    json();
    claims(folder, scratch_path(".lock"));
    claims(file, scratch_path("file.lock"));
    claims_no_others();
    apart();
    return tap_done();
}
