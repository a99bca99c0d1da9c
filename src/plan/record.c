/* SPDX-License-Identifier: BSD-3-Clause */
/* Records: one table of members gives writing and reading.
 *
 * Several runs append to one file at once.  A line goes out in one write under a lock
 * of the file; where the file system has no locks, O_APPEND alone keeps lines whole.
 * What a killed writer left of a line is cut off before the next line is written.
 */
#include "config.h"

#include "src/plan/record.h"

#include "src/base/err.h"
#include "src/base/json.h"
#include "src/base/log.h"
#include "src/base/mem.h"
#include "src/plan/count.h"
#include "src/plan/table.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- members --------------------------------------------------------------------- */

enum member_kind { MEMBER_TEXT, MEMBER_COUNT, MEMBER_REAL };

struct member {
    const char *name;
    enum member_kind kind;
    size_t offset;
};

#define TEXT(field)                                                                    \
    {                                                                                  \
#field, MEMBER_TEXT, offsetof(struct record, field)                            \
    }
#define COUNT(field)                                                                   \
    {                                                                                  \
#field, MEMBER_COUNT, offsetof(struct record, field)                           \
    }
#define REAL(field)                                                                    \
    {                                                                                  \
#field, MEMBER_REAL, offsetof(struct record, field)                            \
    }

/* In the order in which they are written. */
static const struct member members[] = {
    TEXT(id),
    TEXT(status),
    TEXT(program),
    TEXT(version),
    TEXT(machine),
    TEXT(mesh),
    TEXT(dtype),
    COUNT(seed),
    TEXT(data),
    COUNT(width),
    COUNT(depth),
    COUNT(mlp),
    COUNT(heads),
    COUNT(patch),
    COUNT(image),
    COUNT(tokens_per_image),
    COUNT(params),
    COUNT(params_matmul),
    COUNT(examples),
    COUNT(tokens),
    REAL(flops_per_image),
    REAL(compute),
    REAL(device_seconds),
    COUNT(devices),
    REAL(loss),
    REAL(top1),
    REAL(ece),
    REAL(err_1shot),
    REAL(err_5shot),
    REAL(err_10shot),
    REAL(err_25shot),
};

enum { MEMBERS = sizeof members / sizeof members[0] };

/* Counts travel as doubles in between; they are exact up to this. */
static const double count_most = 9007199254740992.0;

static const void *at(const struct record *r, const struct member *m)
{
    return (const char *)r + m->offset;
}

static void *place(struct record *r, const struct member *m)
{
    return (char *)r + m->offset;
}

void record_init(struct record *r)
{
    memset(r, 0, sizeof *r);
    strcpy(r->status, "done");
    for (int i = 0; i < MEMBERS; i++) {
        if (members[i].kind == MEMBER_COUNT)
            *(int64_t *)place(r, &members[i]) = -1;
        else if (members[i].kind == MEMBER_REAL)
            *(double *)place(r, &members[i]) = NAN;
    }
}

void record_set_spec(struct record *r, const struct spec *s, int64_t examples)
{
    r->width            = s->C;
    r->depth            = s->L;
    r->mlp              = s->F;
    r->heads            = s->H;
    r->patch            = s->patch;
    r->image            = s->image;
    r->tokens_per_image = s->T;
    r->params           = count_params(s);
    r->params_matmul    = count_params_matmul(s);
    r->examples         = examples;
    r->tokens           = examples * s->T;
    r->flops_per_image  = count_flops_forward(s);
    r->compute          = r->flops_per_image * (double)examples;
}

double *record_error(struct record *r, int64_t shots)
{
    switch (shots) {
    case 1:
        return &r->err_1shot;
    case 5:
        return &r->err_5shot;
    case 10:
        return &r->err_10shot;
    case 25:
        return &r->err_25shot;
    default:
        return NULL;
    }
}

/* ---- writing --------------------------------------------------------------------- */

static json_t *member_json(const struct record *r, const struct member *m)
{
    const char *text = at(r, m);

    switch (m->kind) {
    case MEMBER_TEXT:
        return text[0] != '\0' ? json_string(text) : json_null();
    case MEMBER_COUNT:
        return *(const int64_t *)at(r, m) >= 0
                   ? json_integer(*(const int64_t *)at(r, m))
                   : json_null();
    case MEMBER_REAL:
        return json_finite(*(const double *)at(r, m));
    }
    die("member kind %d", (int)m->kind);
}

/* The line with its newline, which the caller frees with free(); NULL if a text is not
 * UTF-8.
 */
static char *record_line(const struct record *r)
{
    json_t *o  = json_object();
    bool is_ok = true;
    char *text = NULL, *line = NULL;

    for (int i = 0; i < MEMBERS; i++)
        is_ok &=
            json_object_set_new(o, members[i].name, member_json(r, &members[i])) == 0;
    if (is_ok)
        text = json_dumps(o, JSON_REAL_PRECISION(17));
    if (text != NULL)
        line = malloc(strlen(text) + 2);
    if (line != NULL)
        strcat(strcpy(line, text), "\n");
    free(text);
    json_decref(o);
    return line;
}

/* False where the file system has no locks. */
static bool lock(int file)
{
    struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    int rc;

    do {
        rc = fcntl(file, F_SETLKW, &whole);
    } while (rc != 0 && errno == EINTR);
    return rc == 0;
}

enum { LINE_MOST = 1 << 16 };

/* Make the file end with a newline: complete a whole line, cut off a part of one.
 * Leaves the file's new size in '*size'.
 */
static int mend_end(off_t *size, int file, const char *path)
{
    char *tail        = mem_new(LINE_MOST + 1, 1);
    const off_t start = *size > LINE_MOST ? *size - LINE_MOST : 0;
    const ssize_t got = pread(file, tail, LINE_MOST, start);
    int rc            = got >= 0 ? 0 : ERR_IO;

    if (got > 0 && tail[got - 1] != '\n') {
        char *newline    = memrchr(tail, '\n', (size_t)got);
        const char *rest = newline != NULL ? newline + 1 : tail;
        json_t *o        = json_loads(rest, 0, NULL);

        if (o != NULL) {
            rc = pwrite(file, "\n", 1, *size) == 1 ? 0 : ERR_IO;
            *size += 1;
        } else if (newline != NULL || start == 0) {
            *size = start + (rest - tail);
            rc    = ftruncate(file, *size) == 0 ? 0 : ERR_IO;
            WARN("%s: the last line was cut off and is removed", path);
        }
        json_decref(o);
    }
    mem_free(tail);
    return rc;
}

/* Append 'line' to the open file, which stays as it was if that fails. */
static int append_line(int file, const char *line, const char *path)
{
    const bool is_locked = lock(file);
    const size_t length  = strlen(line);
    struct stat state;
    ssize_t written;

    if (fstat(file, &state) != 0)
        return ERR_IO;
    if (is_locked && S_ISREG(state.st_mode) && state.st_size > 0)
        TRY(mend_end(&state.st_size, file, path));
    written = write(file, line, length);
    if (written == (ssize_t)length)
        return fsync(file) == 0 || errno == EINVAL ? 0 : ERR_IO;
    if (written >= 0)
        errno = ENOSPC;
    if (written > 0 && is_locked && S_ISREG(state.st_mode) &&
        ftruncate(file, state.st_size) != 0)
        WARN("%s: a part of a line was left at the end", path);
    return ERR_IO;
}

static int open_to_append(const char *path)
{
    return open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
}

/* Take room for lines behind the end, and leave the file as it is otherwise: a full
 * disk shows here.  Some file systems cannot.
 */
static bool has_room(int file)
{
#ifdef HAVE_FALLOCATE
    enum { ROOM = 4096 };

    return fallocate(file, FALLOC_FL_KEEP_SIZE, lseek(file, 0, SEEK_END), ROOM) == 0 ||
           (errno != ENOSPC && errno != EDQUOT);
#else
    (void)file;
    return true;
#endif
}

/* A file of something else would be spoilt by a record, and its last line perhaps cut
 * off: the first line must be an object, or a part of one where it is the only line.
 * What is read from a device says nothing.
 */
static bool has_records(int file)
{
    struct stat state;

    if (fstat(file, &state) == 0 && !S_ISREG(state.st_mode))
        return true;

    char *line        = mem_new(LINE_MOST + 1, 1);
    const ssize_t got = pread(file, line, LINE_MOST, 0);
    char *newline     = strchr(line, '\n');
    bool is           = got <= 0 || line[0] == '{';

    if (newline != NULL) {
        *newline  = '\0';
        json_t *o = json_loads(line, 0, NULL);

        is = is && json_is_object(o);
        json_decref(o);
    }
    mem_free(line);
    return is;
}

int record_probe(const char *path)
{
    const int file = path[0] != '\0' ? open_to_append(path) : -1;
    int rc         = 0;

    if (path[0] == '\0')
        return 0;
    if (file < 0)
        return err_unwritten(path);
    if (!has_records(file))
        rc = ERR(ERR_DATA, "%s holds no records: its first line is not one", path);
    else if (!has_room(file))
        rc = err_unwritten(path);
    close(file);
    return rc;
}

int record_append(const char *path, const struct record *r)
{
    char *line = record_line(r);
    int file, rc;

    if (line == NULL)
        return ERR(ERR_IO, "%s: the record '%s' cannot be written as JSON", path,
                   r->id);
    file = open_to_append(path);
    rc   = file < 0 ? ERR_IO : append_line(file, line, path);
    if (rc != 0)
        rc = ERR(ERR_IO, "%s: the record cannot be written: %s", path, strerror(errno));
    if (file >= 0 && close(file) != 0 && rc == 0)
        rc = ERR(ERR_IO, "%s: the record cannot be written: %s", path, strerror(errno));
    free(line);
    return rc;
}

/* ---- reading --------------------------------------------------------------------- */

static int read_text(char *text, const struct table *t, int i, const char *name,
                     const struct cell *c)
{
    if (c->text == NULL) {
        snprintf(text, RECORD_TEXT, "%.15g", c->number);
        return 0;
    }
    if (strlen(c->text) >= RECORD_TEXT)
        return ERR(ERR_DATA, "%s: line %d, column %s: more than %d letters", t->path,
                   t->line[i], name, RECORD_TEXT - 1);
    strcpy(text, c->text);
    return 0;
}

static int read_member(struct record *r, const struct table *t, int i,
                       const struct member *m)
{
    const struct cell *c = table_cell(t, i, table_column(t, m->name));
    double x             = 0;

    if (c->kind == CELL_NONE)
        return 0;
    if (m->kind == MEMBER_TEXT)
        return read_text(place(r, m), t, i, m->name, c);
    TRY(table_number(&x, t, i, m->name, 0));
    if (m->kind == MEMBER_REAL) {
        *(double *)place(r, m) = x;
        return 0;
    }
    if (x != floor(x) || x > count_most)
        return ERR(ERR_DATA, "%s: line %d, column %s: %g is not a whole number",
                   t->path, t->line[i], m->name, x);
    *(int64_t *)place(r, m) = (int64_t)x;
    return 0;
}

static int read_row(struct record *r, const struct table *t, int i)
{
    record_init(r);
    for (int k = 0; k < MEMBERS; k++)
        TRY(read_member(r, t, i, &members[k]));
    if (strcmp(r->status, "done") != 0 && strcmp(r->status, "failed") != 0)
        return ERR(ERR_DATA,
                   "%s: line %d, column status: '%s' is neither done nor "
                   "failed",
                   t->path, t->line[i], r->status);
    return 0;
}

int record_read(struct record **records, const char *path)
{
    struct record *all;
    struct table *t = NULL;
    int count, rc = 0;

    TRY(table_read(&t, path));
    table_keep_last(t, "id");
    count = t->rows;
    all   = mem_new((size_t)count, sizeof *all);
    for (int i = 0; i < count && rc == 0; i++)
        rc = read_row(&all[i], t, i);
    table_close(&t);
    if (rc != 0) {
        mem_free(all);
        return rc;
    }
    *records = all;
    return count;
}
