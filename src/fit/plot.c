/* SPDX-License-Identifier: BSD-3-Clause */
/* Writing and running a gnuplot script. */
#include "config.h"

#include "src/fit/plot.h"

#include "src/base/err.h"

#include <errno.h>
#include <math.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* Colours that colour-blind people can tell apart (Okabe and Ito). */
static const char *const colours[] = { "#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                       "#E69F00", "#56B4E9", "#000000" };

enum {
    COLOURS      = sizeof colours / sizeof colours[0],
    MARKS_LEAST  = 3,
    MARKS_SPREAD = 5
};

static const double plain_most = 1e5; /* numbers of an axis up to this have no powers */

const char *plot_colour(int i)
{
    return colours[i % COLOURS];
}

static bool ends_in(const char *path, const char *end)
{
    const size_t n = strlen(path), m = strlen(end);

    return n > m && strcmp(path + n - m, end) == 0;
}

void plot_quote(struct plot *p, const char *text)
{
    fputc('"', p->script);
    for (; *text != '\0'; text++) {
        if (strchr("_^{}@&~\\", *text) != NULL)
            fputs("\\\\", p->script);
        if (*text == '"')
            fputc('\\', p->script);
        fputc(*text, p->script);
    }
    fputc('"', p->script);
}

void plot_title(struct plot *p, const char *text)
{
    fputs("set title ", p->script);
    plot_quote(p, text);
    fputs(" font ',14' offset 0,0.3\n", p->script);
}

void plot_widen(struct bounds *b, double x)
{
    b->lo = b->lo > 0 ? fmin(b->lo, x) : x;
    b->hi = fmax(b->hi, x);
}

/* 16, or 2·10^9, as one who reads an axis up to 'most' would have it. */
static void print_mark(FILE *out, double x, double most)
{
    const int power     = (int)floor(log10(x) + 1e-9);
    const double digits = x / pow(10, power);

    if (most < plain_most)
        fprintf(out, "'%.5g'", x);
    else if (fabs(digits - 1) < 1e-6)
        fprintf(out, "'10^{%d}'", power);
    else
        fprintf(out, "'%.3g·10^{%d}'", digits, power);
}

/* Call 'mark' for the numbers 'digits' of every decade that lie within
 * 'b'; how many.
 */
static int each_mark(struct plot *p, struct bounds b, const double *digits, int count,
                     void (*mark)(struct plot *p, double x, double most))
{
    int n = 0;

    for (int power = (int)floor(log10(b.lo)); power <= log10(b.hi); power++) {
        for (int i = 0; i < count; i++) {
            const double x = digits[i] * pow(10, power);

            if (x < b.lo || x > b.hi)
                continue;
            n++;
            if (mark != NULL)
                mark(p, x, b.hi);
        }
    }
    return n;
}

static void mark_named(struct plot *p, double x, double most)
{
    print_mark(p->script, x, most);
    fprintf(p->script, " %.6g, ", x);
}

static void mark_nameless(struct plot *p, double x, double most)
{
    (void)most;
    fprintf(p->script, "'' %.6g 1, ", x);
}

/* Powers of ten where three of them lie within the axis, else numbers between them,
 * else five that are evenly spread.
 */
static void print_marks(struct plot *p, const char *axis, struct bounds b)
{
    static const double every[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9 };
    struct choice {
        int count;
        double digit[18];
    };
    static const struct choice choice[] = { { 1, { 1 } },
                                            { 3, { 1, 2, 5 } },
                                            { 6, { 1, 1.5, 2, 3, 5, 7 } },
                                            { 18,
                                              { 1, 1.5, 2, 2.5, 3, 3.5, 4, 4.5, 5, 5.5,
                                                6, 6.5, 7, 7.5, 8, 8.5, 9, 9.5 } } };
    const int choices                   = sizeof choice / sizeof choice[0];
    int i                               = 0;

    while (i < choices &&
           each_mark(p, b, choice[i].digit, choice[i].count, NULL) < MARKS_LEAST)
        i++;
    if (i == 0) {
        fprintf(p->script, "set %stics autofreq\nset format %s '%s'\n", axis, axis,
                b.hi < plain_most ? "%g" : "10^{%T}");
        return;
    }
    fprintf(p->script, "set %stics (", axis);
    each_mark(p, b, every, 9, mark_nameless);
    if (i < choices) {
        each_mark(p, b, choice[i].digit, choice[i].count, mark_named);
    } else {
        for (int j = 0; j < MARKS_SPREAD; j++)
            mark_named(p, b.lo * pow(b.hi / b.lo, (j + 0.5) / MARKS_SPREAD), b.hi);
    }
    fprintf(p->script, "'' %.6g 1)\n", b.lo);
}

void plot_range(struct plot *p, const char *axis, struct bounds b, double room)
{
    const double factor      = pow(b.hi / b.lo, room) * 1.0001;
    const struct bounds wide = { b.lo / factor, b.hi * factor };

    fprintf(p->script, "set %srange [%.6g:%.6g]\n", axis, wide.lo, wide.hi);
    print_marks(p, axis, wide);
}

void plot_size(struct sizes *z, double x)
{
    int at = 0;

    if (z->count > SIZES_MOST)
        return;
    while (at < z->count && z->x[at] < x)
        at++;
    if ((at < z->count && z->x[at] == x) || z->count++ == SIZES_MOST)
        return;
    memmove(z->x + at + 1, z->x + at, (size_t)(z->count - 1 - at) * sizeof *z->x);
    z->x[at] = x;
}

void plot_sizes(struct plot *p, const struct sizes *z)
{
    if (z->count > SIZES_MOST)
        return;
    fprintf(p->script, "set xtics (");
    for (int i = 0; i < z->count; i++)
        fprintf(p->script, "%s'%g' %g", i > 0 ? ", " : "", z->x[i], z->x[i]);
    fprintf(p->script, ")\n");
}

int plot_open(struct plot *p, const char *path, int width, int height)
{
    const bool is_png = ends_in(path, ".png");

    if (path[0] == '\0')
        return ERR(ERR_USAGE, "vitfit plot needs --out=FILE.svg, FILE.png or FILE.gp");
    if (!is_png && !ends_in(path, ".svg") && !ends_in(path, ".gp"))
        return ERR(ERR_USAGE, "--out=%s: expected a name in .svg, .png or .gp", path);
    *p = (struct plot){ 0 };
    snprintf(p->path, sizeof p->path, "%s", path);
    TRY(draft_open(&p->draft, path));
    p->script = open_memstream(&p->text, &p->size);
    if (p->script == NULL) {
        draft_drop(&p->draft);
        return ERR(ERR_MEMORY, "no memory for a picture");
    }
    if (is_png)
        fprintf(p->script,
                "if (strstrt(GPVAL_TERMINALS, 'pngcairo') > 0) {\n"
                "set terminal pngcairo enhanced size %d,%d font 'DejaVu Sans,11'\n"
                "} else {\nset terminal png enhanced size %d,%d\n}\n",
                width, height, width, height);
    else
        fprintf(p->script,
                "set terminal svg enhanced size %d,%d font 'DejaVu Sans,13' "
                "background 'white'\n",
                width, height);
    if (ends_in(path, ".gp"))
        fputs("set output 'plot.svg'\n", p->script);
    fputs("set grid lc rgb '#DDDDDD' lw 0.7\nset border 3 lc rgb '#555555'\n"
          "set tics nomirror\nset key samplen 1.5 spacing 1.1\nset bars 1.2\n",
          p->script);
    return 0;
}

/* Start gnuplot on the file 'script'; '*out' is what it prints.  Returns an errno. */
static int start(pid_t *pid, FILE **out, char *script)
{
    char *argv[] = { "gnuplot", script, NULL };
    posix_spawn_file_actions_t files;
    int end[2], error;

    *out = NULL;
    if (pipe(end) != 0)
        return errno;
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, end[1], STDOUT_FILENO);
    posix_spawn_file_actions_addclose(&files, end[0]);
    posix_spawn_file_actions_addclose(&files, end[1]);
    error = posix_spawnp(pid, argv[0], &files, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&files);
    close(end[1]);
    *out = fdopen(end[0], "r");
    if (*out == NULL)
        err_end(ERR(ERR_MEMORY, "no memory for a file"));
    return error;
}

/* Run the script.  The picture is written here: gnuplot does not look whether there is
 * room for it.
 */
static int run(struct plot *p)
{
    struct draft script;
    char name[sizeof p->path + 8];
    int rc, status = 0;
    FILE *picture;
    pid_t pid;

    snprintf(name, sizeof name, "%s.gp", p->path);
    TRY(draft_open(&script, name));
    if (fputs(p->text, script.file) == EOF || fflush(script.file) != 0) {
        rc = err_unwritten(p->path);
        draft_drop(&script);
        return rc;
    }
    rc = start(&pid, &picture, script.part);
    if (picture != NULL) {
        for (int letter = getc(picture); letter != EOF; letter = getc(picture))
            putc(letter, p->draft.file);
        fclose(picture);
    }
    while (rc == 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    draft_drop(&script);
    if (rc == ENOENT || (rc == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 127))
        return ERR(ERR_ENV, "gnuplot is missing (Debian: gnuplot-nox); --out=FILE.gp "
                            "writes the script for elsewhere");
    if (rc != 0)
        return ERR(ERR_ENV, "gnuplot cannot be started: %s", strerror(rc));
    if (status != 0)
        return ERR(ERR_IO, "%s: gnuplot could not draw it", p->path);
    return 0;
}

int plot_finish(struct plot *p)
{
    if (ends_in(p->path, ".gp"))
        fputs("set output\n", p->script);
    if (fclose(p->script) != 0) {
        p->script = NULL;
        return ERR(ERR_MEMORY, "no memory for a picture");
    }
    p->script = NULL;
    if (ends_in(p->path, ".gp"))
        fputs(p->text, p->draft.file);
    else
        TRY(run(p));
    return draft_finish(&p->draft);
}

void plot_close(struct plot *p)
{
    if (p->script != NULL)
        fclose(p->script);
    free(p->text);
    draft_drop(&p->draft);
    *p = (struct plot){ 0 };
}
