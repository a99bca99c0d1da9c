/* SPDX-License-Identifier: BSD-3-Clause */
/* Machine files: JSON, written by "vitbench --case=machine" or by hand from a data
 * sheet.  What may be left out: gpus, op_s, packs, of a link busy and lanes, all
 * parameters of the topology.  What has another name than these is refused: a word that
 * is misspelt would be a number that is not there.
 */
#include "config.h"

#include "src/plan/machine.h"

#include "src/base/draft.h"
#include "src/base/err.h"
#include "src/base/json_file.h"

#include <dirent.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- writing --------------------------------------------------------------------- */

static json_t *json_peaks(const struct machine *m)
{
    json_t *peak = json_object();

    for (int t = DTYPE_F64; t <= DTYPE_BF16; t++) {
        if (m->peak[t] > 0)
            json_object_set_new(peak, dtype_name(t), json_real(m->peak[t]));
    }
    return peak;
}

static json_t *json_kernels(const struct machine *m)
{
    json_t *list = json_array();

    for (int i = 0; i < m->kernels; i++) {
        const struct machine_kernel *k = &m->kernel[i];

        json_array_append_new(
            list,
            json_pack("{s:s, s:s, s:[I,I,I], s:f}", "op", k->op, "dtype", k->dtype,
                      "shape", (json_int_t)k->shape[0], (json_int_t)k->shape[1],
                      (json_int_t)k->shape[2], "rate", k->rate));
    }
    return list;
}

static json_t *json_links(const struct machine *m)
{
    json_t *list = json_array();

    for (int i = 0; i < m->links; i++) {
        const struct machine_link *l = &m->link[i];

        json_array_append_new(
            list, json_pack("{s:s, s:f, s:f, s:f, s:i}", "level", l->level, "alpha_s",
                            l->alpha_s, "beta_s_per_byte", l->beta_s_per_byte, "busy",
                            l->busy, "lanes", l->lanes > 0 ? l->lanes : 1));
    }
    return list;
}

static json_t *json_parameters(const struct machine *m)
{
    json_t *all = json_object();

    for (int i = 0; i < m->parameters; i++)
        json_object_set_new(all, m->parameter[i].name,
                            json_real(m->parameter[i].value));
    return all;
}

int machine_save(const struct machine *m, const char *path)
{
    json_t *root = json_pack(
        "{s:s, s:i, s:i, s:I, s:o, s:f, s:f, s:i, s:o, s:o, s:i, s:i, s:{s:s, s:o}, "
        "s:s, s:s}",
        "name", m->name, "cores", m->cores, "gpus", m->gpus, "memory_bytes",
        (json_int_t)m->memory_bytes, "peak", json_peaks(m), "mem_bw", m->mem_bw, "op_s",
        m->op_s, "packs", m->packs, "kernels", json_kernels(m), "links", json_links(m),
        "nodes", m->nodes, "ranks_per_node", m->ranks_per_node, "topology", "kind",
        m->topology, "parameters", json_parameters(m), "progress", m->progress,
        "source", m->source);

    if (root == NULL)
        return ERR(ERR_DATA,
                   "%s: a text of the machine is not UTF-8, or a number not finite",
                   path);

    const int rc = draft_json(root, JSON_INDENT(2), path);

    json_decref(root);
    return rc;
}

/* ---- reading --------------------------------------------------------------------- */

/* Where a value is looked for, for the sentence when it is not there. */
struct place {
    const char *path;
    const char *what; /* "", "links[2]." */
};

static int bad_field(const struct place *at, const char *name, const char *wanted)
{
    return ERR(ERR_DATA, "%s: '%s%s' %s", at->path, at->what, name, wanted);
}

/* Every field of 'o' must be one of 'known', which ends in NULL. */
static int refuse_others(const json_t *o, const char *const *known,
                         const struct place *at)
{
    json_t *value;
    const char *name;

    json_object_foreach((json_t *)o, name, value)
    {
        const char *const *k = known;

        (void)value;
        while (*k != NULL && strcmp(*k, name) != 0)
            k++;
        if (*k == NULL)
            return bad_field(at, name, "is unknown");
    }
    return 0;
}

static int read_text(char *text, size_t size, const json_t *o, const char *name,
                     const struct place *at)
{
    const char *value = json_string_value(json_object_get(o, name));

    if (value == NULL)
        return bad_field(at, name, "is missing or not a text");
    if (strlen(value) >= size)
        return bad_field(at, name, "is too long");
    memcpy(text, value, strlen(value) + 1);
    return 0;
}

static int read_real(double *x, const json_t *o, const char *name,
                     const struct place *at)
{
    const json_t *value = json_object_get(o, name);

    if (!json_is_number(value) || json_number_value(value) < 0)
        return bad_field(at, name, "is missing or not a number from 0 on");
    *x = json_number_value(value);
    return 0;
}

/* FLOP or bytes a second, and seconds.  A machine so slow that a simulation's clock has
 * no digits left for what is quick is a slip of the pen.
 */
static int read_rate(double *x, const json_t *o, const char *name,
                     const struct place *at)
{
    TRY(read_real(x, o, name, at));
    return *x > 0 && *x < 1 ? bad_field(at, name, "is less than 1 a second") : 0;
}

static int read_seconds(double *x, const json_t *o, const char *name,
                        const struct place *at)
{
    enum { MOST = 1000 };

    TRY(read_real(x, o, name, at));
    return *x > MOST ? bad_field(at, name, "is more than 1000 seconds") : 0;
}

static int read_whole(int64_t *x, const json_t *o, const char *name, int64_t most,
                      const struct place *at)
{
    const json_t *value = json_object_get(o, name);
    const int64_t n     = json_integer_value(value);

    if (!json_is_integer(value) || n < 0 || n > most)
        return bad_field(at, name, "is missing or not a whole number in range");
    *x = n;
    return 0;
}

static int read_int(int *x, const json_t *o, const char *name, const struct place *at)
{
    int64_t wide;

    TRY(read_whole(&wide, o, name, INT32_MAX, at));
    *x = (int)wide;
    return 0;
}

/* As read_real() and read_int(), of what may be missing: 'x' keeps its value then. */
static int read_real_if(double *x, const json_t *o, const char *name,
                        const struct place *at)
{
    return json_object_get(o, name) != NULL ? read_real(x, o, name, at) : 0;
}

static int read_int_if(int *x, const json_t *o, const char *name,
                       const struct place *at)
{
    return json_object_get(o, name) != NULL ? read_int(x, o, name, at) : 0;
}

/* The list 'name' of at most 'most' objects. */
static int read_list(const json_t **list, int *count, const json_t *o, const char *name,
                     int most, const struct place *at)
{
    const json_t *value = json_object_get(o, name);

    if (!json_is_array(value) || json_array_size(value) > (size_t)most)
        return bad_field(at, name, "is missing, not a list, or too long");
    *list  = value;
    *count = (int)json_array_size(value);
    return 0;
}

static int read_peaks(struct machine *m, const json_t *o, const struct place *at)
{
    json_t *peaks             = json_object_get(o, "peak"), *value;
    const struct place inside = { at->path, "peak." };
    const char *name;

    if (!json_is_object(peaks))
        return bad_field(at, "peak", "is missing or not an object");
    json_object_foreach(peaks, name, value)
    {
        enum dtype t;

        (void)value;
        if (dtype_parse(&t, name) != 0)
            return bad_field(&inside, name, "is not a number format");
        TRY(read_rate(&m->peak[t], peaks, name, &inside));
    }
    return 0;
}

/* What devices do (dev.h), and what products do beside. */
static const char known_ops[] =
    "adafactor, adamw, add, add_table, attn, attn_backward, clip, column_sums, copy, "
    "epilogue, factor_rows, factor_scales, factor_sums, fill, gemm, gemm_dw, gemm_t, "
    "get, get_all, head_norm, head_norm_backward, max, norm_apply, norm_backward, "
    "norm_backward_moments, norm_merge, norm_moments, norm_whole, "
    "norm_whole_backward, normals, patches, pool_rows, put, send, sgd, sigmoid_loss, "
    "softmax_largest, softmax_loss, softmax_sum, spread_rows, sum_squares, "
    "sum_tables, view_pictures, weight_changed";

static bool is_known_op(const char *op)
{
    size_t n;

    for (const char *at = known_ops; *at != '\0'; at += n + strspn(at + n, ", ")) {
        n = strcspn(at, ",");
        if (strlen(op) == n && strncmp(op, at, n) == 0)
            return true;
    }
    return false;
}

static int read_kernel(struct machine_kernel *k, const json_t *o,
                       const struct place *at)
{
    static const char *const known[] = { "op", "dtype", "shape", "rate", NULL };
    const json_t *shape              = json_object_get(o, "shape");
    enum dtype t;

    TRY(refuse_others(o, known, at));
    TRY(read_text(k->op, sizeof k->op, o, "op", at));
    if (!is_known_op(k->op))
        return ERR(ERR_DATA, "%s: '%sop' is '%s', which is none of %s", at->path,
                   at->what, k->op, known_ops);
    TRY(read_text(k->dtype, sizeof k->dtype, o, "dtype", at));
    if (dtype_parse(&t, k->dtype) != 0)
        return bad_field(at, "dtype", "is not a number format");
    TRY(read_rate(&k->rate, o, "rate", at));
    if (json_array_size(shape) != 3)
        return bad_field(at, "shape", "is missing or not a list of three numbers");
    for (int i = 0; i < 3; i++) {
        const json_t *size = json_array_get(shape, (size_t)i);

        if (!json_is_integer(size) || json_integer_value(size) < 1)
            return bad_field(at, "shape", "has a size below 1");
        k->shape[i] = json_integer_value(size);
    }
    return 0;
}

static int read_link(struct machine_link *l, const json_t *o, const struct place *at)
{
    static const char *const known[] = { "level", "alpha_s", "beta_s_per_byte",
                                         "busy",  "lanes",   NULL };

    TRY(refuse_others(o, known, at));
    TRY(read_text(l->level, sizeof l->level, o, "level", at));
    TRY(read_seconds(&l->alpha_s, o, "alpha_s", at));
    TRY(read_seconds(&l->beta_s_per_byte, o, "beta_s_per_byte", at));
    TRY(read_real_if(&l->busy, o, "busy", at));
    if (l->busy > 1)
        return bad_field(at, "busy", "is above 1");
    l->lanes = 1;
    TRY(read_int_if(&l->lanes, o, "lanes", at));
    if (l->lanes < 1)
        return bad_field(at, "lanes", "is below 1");
    for (int i = 0; i < MACHINE_LEVELS; i++) {
        if (strcmp(l->level, machine_level_name[i]) == 0)
            return 0;
    }
    return bad_field(at, "level", "is none of core, node, network, global");
}

static int read_parameters(struct machine *m, const json_t *topology, const char *path)
{
    static const char *const known[] = { "ranks_per_package", "node_bw",
                                         "nodes_per_group", "group_bw", NULL };
    const struct place at            = { path, "topology.parameters." };
    json_t *all                      = json_object_get(topology, "parameters"), *value;
    const char *name;

    if (all != NULL && !json_is_object(all))
        return ERR(ERR_DATA, "%s: 'topology.parameters' is not an object", path);
    TRY(refuse_others(all, known, &at));
    json_object_foreach(all, name, value)
    {
        struct machine_parameter *p = &m->parameter[m->parameters];

        (void)value;
        memcpy(p->name, name, strlen(name) + 1);
        TRY(read_real(&p->value, all, name, &at));
        if (p->value == 0)
            return bad_field(&at, name, "is 0: left out, it does not count");
        if (p->value < 1)
            return bad_field(&at, name, "is below 1");
        m->parameters++;
    }
    return 0;
}

static int read_machine(struct machine *m, const json_t *o, const char *path)
{
    static const char *const known[] = {
        "name",   "cores",    "gpus",     "peak",  "memory_bytes", "mem_bw",
        "op_s",   "packs",    "kernels",  "links", "nodes",        "ranks_per_node",
        "source", "topology", "progress", NULL
    };
    static const char *const in_topology[] = { "kind", "parameters", NULL };
    const struct place at = { path, "" }, at_topology = { path, "topology." };
    const json_t *list, *topology                     = json_object_get(o, "topology");
    char what[32];

    if (!json_is_object(o))
        return ERR(ERR_DATA, "%s: is not an object", path);
    TRY(refuse_others(o, known, &at));
    TRY(read_text(m->name, sizeof m->name, o, "name", &at));
    TRY(read_int(&m->cores, o, "cores", &at));
    TRY(read_whole(&m->memory_bytes, o, "memory_bytes", INT64_MAX, &at));
    if (m->memory_bytes == 0)
        return bad_field(&at, "memory_bytes", "is 0");
    TRY(read_peaks(m, o, &at));
    TRY(read_rate(&m->mem_bw, o, "mem_bw", &at));
    if (json_object_get(o, "op_s") != NULL)
        TRY(read_seconds(&m->op_s, o, "op_s", &at));
    TRY(read_int_if(&m->gpus, o, "gpus", &at));
    TRY(read_int_if(&m->packs, o, "packs", &at));
    TRY(read_int(&m->nodes, o, "nodes", &at));
    TRY(read_int(&m->ranks_per_node, o, "ranks_per_node", &at));
    if (m->nodes < 1 || m->ranks_per_node < 1)
        return bad_field(&at, m->nodes < 1 ? "nodes" : "ranks_per_node", "is below 1");
    TRY(read_text(m->topology, sizeof m->topology, topology, "kind", &at_topology));
    TRY(refuse_others(topology, in_topology, &at_topology));
    TRY(read_parameters(m, topology, path));
    TRY(read_text(m->progress, sizeof m->progress, o, "progress", &at));
    if (strcmp(m->progress, "poll") != 0 && strcmp(m->progress, "full") != 0)
        return bad_field(&at, "progress", "is neither poll nor full");
    TRY(read_text(m->source, sizeof m->source, o, "source", &at));

    TRY(read_list(&list, &m->kernels, o, "kernels", MACHINE_KERNELS, &at));
    for (int i = 0; i < m->kernels; i++) {
        snprintf(what, sizeof what, "kernels[%d].", i);
        TRY(read_kernel(&m->kernel[i], json_array_get(list, (size_t)i),
                        &(struct place){ path, what }));
    }
    TRY(read_list(&list, &m->links, o, "links", MACHINE_LINKS, &at));
    for (int i = 0; i < m->links; i++) {
        snprintf(what, sizeof what, "links[%d].", i);
        TRY(read_link(&m->link[i], json_array_get(list, (size_t)i),
                      &(struct place){ path, what }));
        for (int j = 0; j < i; j++) {
            if (strcmp(m->link[j].level, m->link[i].level) == 0)
                return bad_field(&(struct place){ path, what }, "level",
                                 "is that of a link before");
        }
    }
    return 0;
}

int machine_load(struct machine *m, const char *path)
{
    struct machine made = { 0 };
    json_t *root;
    int rc;

    TRY(json_file_load(&root, path));
    rc = read_machine(&made, root, path);
    json_decref(root);
    if (rc == 0)
        *m = made;
    return rc;
}

/* ---- by name --------------------------------------------------------------------- */

static const char *folder(void)
{
    const char *given = getenv("VIT_MACHINES");

    return given != NULL && given[0] != '\0' ? given : MACHINES_DIR;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* The names of the files in the folder, in order, separated by commas. */
static void list_names(char *text, size_t size)
{
    enum { MOST = 32, LENGTH = 64 };
    static const char ending[] = ".json";
    char name[MOST][LENGTH];
    DIR *dir  = opendir(folder());
    int count = 0;

    text[0] = '\0';
    for (struct dirent *e; dir != NULL && count < MOST && (e = readdir(dir)) != NULL;) {
        const size_t length = strlen(e->d_name), end = sizeof ending - 1;

        if (length <= end || length - end >= LENGTH ||
            strcmp(e->d_name + length - end, ending) != 0)
            continue;
        memcpy(name[count], e->d_name, length - end);
        name[count++][length - end] = '\0';
    }
    if (dir != NULL)
        closedir(dir);
    qsort(name, (size_t)count, LENGTH, by_name);
    for (int i = 0; i < count; i++)
        snprintf(text + strlen(text), size - strlen(text), "%s%.*s", i > 0 ? ", " : "",
                 LENGTH - 1, name[i]);
}

/* Results may lie in a folder of the machine's name. */
static bool is_file(const char *path)
{
    struct stat state;

    return access(path, R_OK) == 0 && stat(path, &state) == 0 &&
           !S_ISDIR(state.st_mode);
}

int machine_find(struct machine *m, const char *file_or_name)
{
    char path[1200], names[1024];

    if (strchr(file_or_name, '/') != NULL || is_file(file_or_name))
        return machine_load(m, file_or_name);
    snprintf(path, sizeof path, "%s/%s.json", folder(), file_or_name);
    if (is_file(path))
        return machine_load(m, path);
    list_names(names, sizeof names);
    return ERR(ERR_USAGE, "%s is neither a machine file nor one of those in %s: %s",
               file_or_name, folder(),
               names[0] != '\0'
                   ? names
                   : "(there are none; VIT_MACHINES names another folder)");
}
