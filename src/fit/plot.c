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

extern char **environ;

/* Colours that colour-blind people can tell apart (Okabe and Ito). */
static const char *const colours[] = { "#0072B2", "#D55E00", "#009E73", "#CC79A7",
                                       "#E69F00", "#56B4E9", "#000000" };

enum { COLOURS = sizeof colours / sizeof colours[0] };

const char *plot_colour(int i)
{
    return colours[i % COLOURS];
}

static bool ends_in(const char *path, const char *end)
{
    const size_t n = strlen(path), m = strlen(end);

    return n > m && strcmp(path + n - m, end) == 0;
}

/* Between single quotes gnuplot reads everything as it is but the quote itself. */
static void print_name(FILE *out, const char *text)
{
    fputc('\'', out);
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            fputc('\'', out);
        fputc(*text, out);
    }
    fputc('\'', out);
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

void plot_range(struct plot *p, const char *axis, struct bounds b, double room)
{
    const double factor = pow(b.hi / b.lo, room) * 1.0001;

    fprintf(p->script, "set %srange [%.6g:%.6g]\n", axis, b.lo / factor, b.hi * factor);
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
    p->script = open_memstream(&p->text, &p->size);
    if (p->script == NULL)
        return ERR(ERR_MEMORY, "no memory for a picture");
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
    fputs("set output ", p->script);
    print_name(p->script, ends_in(path, ".gp") ? "plot.svg" : path);
    fputs("\nset grid lc rgb '#DDDDDD' lw 0.7\nset border 3 lc rgb '#555555'\n"
          "set tics nomirror\nset key samplen 1.5 spacing 1.1\nset bars 1.2\n",
          p->script);
    return 0;
}

static int save(const struct plot *p, const char *path)
{
    FILE *file = fopen(path, "w");
    int rc;

    if (file == NULL)
        return ERR(ERR_IO, "%s: cannot be written: %s", p->path, strerror(errno));
    rc = fputs(p->text, file) < 0;
    rc |= fclose(file) != 0;
    return rc == 0 ? 0 : ERR(ERR_IO, "%s: cannot be written", p->path);
}

static int run(const struct plot *p)
{
    char script[sizeof p->path + 8];
    char *argv[] = { "gnuplot", script, NULL };
    int rc, status = 0;
    pid_t pid;

    snprintf(script, sizeof script, "%s.part", p->path);
    TRY(save(p, script));
    rc = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
    while (rc == 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
        continue;
    remove(script);
    if (rc == ENOENT || (rc == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 127))
        return ERR(ERR_ENV, "gnuplot is missing (Debian: gnuplot-nox); --out=FILE.gp "
                            "writes the script for elsewhere");
    if (rc != 0)
        return ERR(ERR_ENV, "gnuplot cannot be started: %s", strerror(rc));
    if (status != 0)
        return ERR(ERR_IO, "%s: gnuplot could not write it", p->path);
    return 0;
}

int plot_finish(struct plot *p)
{
    fputs("set output\n", p->script);
    if (fclose(p->script) != 0) {
        p->script = NULL;
        return ERR(ERR_MEMORY, "no memory for a picture");
    }
    p->script = NULL;
    return ends_in(p->path, ".gp") ? save(p, p->path) : run(p);
}

void plot_close(struct plot *p)
{
    if (p->script != NULL)
        fclose(p->script);
    free(p->text);
    *p = (struct plot){ 0 };
}
