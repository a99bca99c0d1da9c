/* SPDX-License-Identifier: BSD-3-Clause */
/* The places that values of options come from: defaults, a config file, the
 * environment, the command line.
 */
#include "config.h"

#include "src/base/opts_impl.h"

#include "src/base/err.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define ENV_PREFIX "VITBENCH_"
#define ENV_FAULT  "VITBENCH_FAULT" /* plants faults for tests: not an option */

enum { ENV_MOST = OPTS_NAME + sizeof ENV_PREFIX, TEXT_MOST = 4096 };

extern char **environ;

/* --- The command line ----------------------------------------------------- */

/* One option of the command line: its row, and its value, which may be the next
 * argument; 'argv' moves past it.
 */
static int next_argument(const struct opt **row, const char **text,
                         const struct opts *o, char ***argv, char **end)
{
    const char *arg    = *(*argv)++;
    const char *equals = strchr(arg, '=');
    char name[OPTS_NAME];
    size_t length;
    const char *guess;
    bool is_flag;

    if (strncmp(arg, "--", 2) != 0 || arg[2] == '\0' || arg[2] == '=')
        return ERR(ERR_USAGE,
                   "'%s' is not an option: options begin with two dashes%s; --help "
                   "lists them",
                   arg, arg[0] == '-' ? "" : ", and there are no other arguments");
    arg += 2;
    length = equals != NULL ? (size_t)(equals - arg) : strlen(arg);
    snprintf(name, sizeof name, "%.*s", (int)length, arg);

    *row  = opts_find(o, name);
    *text = equals != NULL ? equals + 1 : NULL;
    if (*row == NULL && strncmp(name, "no-", 3) == 0) {
        *row = opts_find(o, name + 3);
        if (*row != NULL && ((*row)->type == OPT_FLAG || opts_is_switch(*row))) {
            if (*text != NULL)
                return ERR(ERR_USAGE, "--%s takes no value", name);
            *text = (*row)->type == OPT_FLAG ? "false" : "off";
            return 0;
        }
        *row = NULL;
    }
    if (*row == NULL) {
        guess = opts_guess(o, name);
        if (guess == NULL)
            return ERR(ERR_USAGE, "unknown option --%s; --help lists them", name);
        return ERR(ERR_USAGE, "unknown option --%s; did you mean --%s?", name, guess);
    }
    is_flag = (*row)->type == OPT_FLAG || (*row)->type == OPT_ACTION;
    if (*text == NULL && is_flag)
        *text = "true";
    if (*text == NULL && *argv < end && strncmp(**argv, "--", 2) != 0)
        *text = *(*argv)++;
    if (*text == NULL && opts_is_switch(*row))
        *text = "on";
    if (*text == NULL)
        return ERR(ERR_USAGE, "--%s needs a value: --%s=%s", name, name,
                   (*row)->values != NULL ? (*row)->values : "VALUE");
    return 0;
}

static int read_arguments(struct opts *o, int argc, char **argv)
{
    char **end = argv + argc;

    for (argv += argc > 0; argv < end;) {
        const struct opt *row;
        const char *text;

        TRY(next_argument(&row, &text, o, &argv, end));
        TRY(opts_store(o, row, text, FROM_COMMAND_LINE, ""));
    }
    return 0;
}

/* True if 'arg', an option without "=", takes the argument behind it as its value. */
static bool takes_next(const struct opts *o, const char *arg)
{
    const struct opt *row = opts_find(o, arg + 2);

    return row != NULL && row->type != OPT_FLAG && row->type != OPT_ACTION &&
           strchr(arg, '=') == NULL;
}

int opts_take_words(char **word, int *argc, char **argv, const struct opt *table,
                    int count)
{
    const struct opts o = { .table = table, .count = count };
    int words = 0, kept = *argc > 0;

    for (int i = 1; i < *argc; i++) {
        if (strncmp(argv[i], "--", 2) != 0) {
            word[words++] = argv[i];
            continue;
        }
        argv[kept++] = argv[i];
        if (takes_next(&o, argv[i]) && i + 1 < *argc &&
            strncmp(argv[i + 1], "--", 2) != 0)
            argv[kept++] = argv[++i];
    }
    *argc = kept;
    return words;
}

/* --- The environment ------------------------------------------------------ */

/* The environment's name of an option, and back: --ring-wire is VITBENCH_RING_WIRE. */
static void env_name(char *env, size_t size, const char *name)
{
    size_t n = strlen(ENV_PREFIX);

    memcpy(env, ENV_PREFIX, n + 1);
    for (; *name != '\0' && n + 1 < size; name++)
        env[n++] = *name == '-' ? '_' : (char)toupper((unsigned char)*name);
    env[n] = '\0';
}

static void option_name(char *name, size_t size, const char *env, size_t length)
{
    size_t n = 0;

    for (size_t i = strlen(ENV_PREFIX); i < length && n + 1 < size; i++)
        name[n++] = env[i] == '_' ? '-' : (char)tolower((unsigned char)env[i]);
    name[n] = '\0';
}

/* The option whose variable is the first 'length' letters of 'env', or NULL. */
static const struct opt *find_env(const struct opts *o, const char *env, size_t length)
{
    for (int i = 0; i < o->count; i++) {
        char wanted[ENV_MOST];

        env_name(wanted, sizeof wanted, o->table[i].name);
        if (o->table[i].type != OPT_TITLE && strlen(wanted) == length &&
            strncmp(env, wanted, length) == 0)
            return &o->table[i];
    }
    return NULL;
}

static int read_variable(struct opts *o, const char *env, size_t length)
{
    const struct opt *row = find_env(o, env, length);
    char from[ENV_MOST + 16], typed[OPTS_NAME], wanted[ENV_MOST];
    const char *guess;

    if (row != NULL) {
        snprintf(from, sizeof from, " (from %.*s)", (int)length, env);
        return opts_store(o, row, env + length + 1, FROM_ENVIRONMENT, from);
    }
    option_name(typed, sizeof typed, env, length);
    guess = opts_guess(o, typed);
    if (guess == NULL)
        return ERR(ERR_USAGE, "unknown variable %.*s in the environment", (int)length,
                   env);
    env_name(wanted, sizeof wanted, guess);
    return ERR(ERR_USAGE, "unknown variable %.*s in the environment; did you mean %s?",
               (int)length, env, wanted);
}

static int read_environment(struct opts *o)
{
    for (char **env = environ; *env != NULL; env++) {
        const size_t length = strcspn(*env, "=");

        if (strncmp(*env, ENV_PREFIX, strlen(ENV_PREFIX)) == 0 &&
            strncmp(*env, ENV_FAULT "=", strlen(ENV_FAULT "=")) != 0 &&
            (*env)[length] == '=')
            TRY(read_variable(o, *env, length));
    }
    return 0;
}

/* --- A file --------------------------------------------------------------- */

/* 'text' without the blanks around it. */
static char *trim(char *text)
{
    char *end;

    text += strspn(text, " \t");
    end = text + strlen(text);
    while (end > text && strchr(" \t\r\n", end[-1]) != NULL)
        end--;
    *end = '\0';
    return text;
}

static int read_line(struct opts *o, char *line, const char *from)
{
    char *name   = trim(line);
    char *equals = strchr(name, '=');
    const struct opt *row;
    const char *guess;

    if (name[0] == '\0' || name[0] == '#')
        return 0;
    if (equals == NULL)
        return ERR(ERR_USAGE, "'%s'%s is not of the form name = value", name, from);
    *equals = '\0';
    name    = trim(name);
    row     = opts_find(o, name);
    guess   = row == NULL ? opts_guess(o, name) : NULL;
    if (guess != NULL)
        return ERR(ERR_USAGE, "unknown option '%s'%s; did you mean %s?", name, from,
                   guess);
    if (row == NULL)
        return ERR(ERR_USAGE, "unknown option '%s'%s", name, from);
    if (strcmp(name, "config") == 0)
        return ERR(ERR_USAGE, "'config'%s: a file cannot name another", from);
    return opts_store(o, row, trim(equals + 1), FROM_FILE, from);
}

static int read_file(struct opts *o, const char *path)
{
    FILE *file = fopen(path, "r");
    char line[TEXT_MOST], from[512];
    int rc = 0;

    if (file == NULL)
        return ERR(ERR_USAGE, "--config=%s: %s", path, strerror(errno));
    for (int i = 1; rc == 0 && fgets(line, sizeof line, file) != NULL; i++) {
        snprintf(from, sizeof from, " (%.400s, line %d)", path, i);
        if (strlen(line) == sizeof line - 1)
            rc = ERR(ERR_USAGE, "%s, line %d is too long", path, i);
        else
            rc = read_line(o, line, from);
    }
    if (rc == 0 && ferror(file))
        rc = ERR(ERR_USAGE, "--config=%s: %s", path, strerror(errno));
    fclose(file);
    return rc;
}

/* --- All of them ----------------------------------------------------------- */

int opts_parse(struct opts *o, const struct opt *table, int count, void *values,
               int argc, char **argv)
{
    const struct opt *config;
    const char *path;

    if (count > (int)(sizeof o->source / sizeof o->source[0]))
        die("%d options", count);
    *o = (struct opts){ .table = table, .count = count, .values = values };
    opts_preset(o);
    TRY(read_environment(o));
    TRY(read_arguments(o, argc, argv));
    config = opts_find(o, "config");
    if (config == NULL)
        return 0;
    path = (const char *)values + config->offset;
    return path[0] != '\0' ? read_file(o, path) : 0;
}
