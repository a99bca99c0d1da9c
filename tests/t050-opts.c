/* SPDX-License-Identifier: BSD-3-Clause */
/* Option tables: bad input first, then what wins over what, then what is written out.
 */
#include "config.h"

#include "src/base/err.h"
#include "src/base/opts.h"
#include "tests/scratch.h"
#include "tests/tap.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct settings {
    char mesh[16], config[256];
    int overlap;
    int64_t steps, limit, any;
    double seconds;
    bool is_checked, is_official, is_help;
};

#define AT(field) offsetof(struct settings, field)

static const struct opt table[] = {
    { "Where", OPT_TITLE, NULL, NULL, NULL, 0, 0, 0, 0 },
    { "mesh", OPT_TEXT, "auto", "DxM|auto", "Data ranks and model ranks", AT(mesh), 16,
      0, 0 },
    { "overlap", OPT_CHOICE, "auto", "auto|plain|ring|bidir",
      "How collectives and products are brought together in this long sentence, which "
      "fills more than one line of the help",
      AT(overlap), 0, 0, 0 },
    { "Measure", OPT_TITLE, NULL, NULL, NULL, 0, 0, 0, 0 },
    { "steps", OPT_INT, "3", "N", "Timed steps", AT(steps), 0, 1, 1e6 },
    { "memory-limit", OPT_BYTES, "2G", "BYTES", "Memory", AT(limit), 0, 0, 1e18 },
    { "any", OPT_INT, NULL, NULL, "Any number", AT(any), 0, 0, 0 },
    { "seconds", OPT_REAL, "0.1", "S", "Time", AT(seconds), 0, 0, 100 },
    { "check", OPT_FLAG, "true", NULL, "Verify", AT(is_checked), 0, 0, 0 },
    { "official", OPT_FLAG, NULL, NULL, "Long run", AT(is_official), 0, 0, 0 },
    { "config", OPT_TEXT, NULL, "FILE", "Read options", AT(config), 256, 0, 0 },
    { "help", OPT_ACTION, NULL, NULL, "Print this", AT(is_help), 0, 0, 0 },
};

enum { ROWS = sizeof table / sizeof table[0] };

static struct settings s;
static struct opts o;

/* Parse the arguments up to NULL. */
static int parse(char *first, ...)
{
    char *argv[16] = { "program", first };
    int argc       = 1;
    va_list args;

    va_start(args, first);
    while (argv[argc] != NULL)
        argv[++argc] = va_arg(args, char *);
    va_end(args);
    err_forget();
    return opts_parse(&o, table, ROWS, &s, argc, argv);
}

/* True if 'arg' is refused with a sentence that holds 'part'. */
static bool is_refused(char *arg, const char *part)
{
    const int rc = parse(arg, NULL);

    if (rc == ERR_USAGE && strstr(err_sentence(), part) != NULL)
        return true;
    tap_note("%d: %s", rc, err_sentence() != NULL ? err_sentence() : "no sentence");
    return false;
}

static void test_refusals(void)
{
    ok(is_refused("steps", "begin with two dashes"), "an argument is refused");
    ok(is_refused("-s", "begin with two dashes"), "so is a letter");
    ok(is_refused("--", "begin with two dashes"), "and dashes alone");
    ok(is_refused("--stesp=4", "unknown option --stesp; did you mean --steps?"),
       "a misspelt name is told the right one");
    ok(is_refused("--nay=4", "did you mean --any?"), "also if two letters are swapped");
    ok(is_refused("--m=4", "unknown option --m; --help"), "one letter is no beginning");
    ok(is_refused("--frobnicate", "unknown option --frobnicate; --help"),
       "a name like no other is sent to the help");
    ok(is_refused("--Where=1", "unknown option"), "a heading is no option");
    ok(is_refused("--steps", "--steps needs a value: --steps=N"), "a value is needed");
    ok(is_refused("--steps=", "expected a whole number from 1 to 1000000"),
       "not nothing");
    ok(is_refused("--steps=0", "--steps=0: expected a whole number from 1 to"),
       "not 0");
    ok(is_refused("--steps=-4", "expected"), "not a negative number");
    ok(is_refused("--steps=2M", "expected"), "not one that is too large");
    ok(is_refused("--steps=99999999999999999999", "expected"), "not a huge one");
    ok(is_refused("--steps=9223372036854775807G", "expected"),
       "not one that overflows");
    ok(is_refused("--steps=3x", "expected"), "not a number with a tail");
    ok(is_refused("--steps= 3", "expected"), "not a blank");
    ok(is_refused("--steps=three", "expected"), "not a word");
    ok(is_refused("--seconds=nan", "a number from 0 to 100"), "no NaN");
    ok(is_refused("--seconds=inf", "a number from 0 to 100"), "no infinity");
    ok(is_refused("--memory-limit=-1", "at least 0"), "no negative memory");
    ok(is_refused("--overlap=rnig", "did you mean ring?"), "a choice is guessed");
    ok(is_refused("--overlap=x", "expected auto|plain|ring|bidir"), "or listed");
    ok(is_refused("--overlap=", "expected auto|plain"), "nothing is no choice");
    ok(is_refused("--mesh=12345678901234567", "longer than 15"),
       "a text may be too long");
    ok(is_refused("--mesh=a\nb", "one line of UTF-8"), "a text has one line");
    ok(is_refused("--mesh=\xff", "one line of UTF-8"), "and is UTF-8");
    ok(is_refused("--check=perhaps", "expected true or false"),
       "a flag is true or false");
    ok(is_refused("--no-check=true", "takes no value"), "a negated flag has no value");
    ok(is_refused("--no-steps", "unknown option"), "a number cannot be negated");
    ok(is_refused("--config=/nonexistent", "No such file"), "a config file must exist");
}

static void test_environment(void)
{
    setenv("VITBENCH_STEP", "4", 1);
    ok(is_refused(NULL,
                  "VITBENCH_STEP in the environment; did you mean VITBENCH_STEPS?"),
       "an unknown variable is refused with a guess");
    unsetenv("VITBENCH_STEP");
    setenv("VITBENCH_F", "4", 1);
    ok(is_refused(NULL, "unknown variable VITBENCH_F "), "or without");
    unsetenv("VITBENCH_F");
    setenv("VITBENCH_steps", "4", 1);
    ok(is_refused(NULL, "did you mean VITBENCH_STEPS?"),
       "small letters are not enough");
    unsetenv("VITBENCH_steps");
    setenv("VITBENCH_STEPS", "x", 1);
    ok(is_refused(NULL, "--steps=x (from VITBENCH_STEPS): expected a whole"),
       "a wrong value names the variable");
    unsetenv("VITBENCH_STEPS");
    setenv("VITBENCH_HELP", "1", 1);
    ok(is_refused(NULL, "command line only"), "actions belong on the command line");
    unsetenv("VITBENCH_HELP");
    setenv("VITBENCH_FAULT", "anything", 1);
    setenv("VITBENCH_MEMORY_LIMIT", "5K", 1);
    ok(parse(NULL) == 0 && s.limit == 5120, "dashes are underscores");
    unsetenv("VITBENCH_MEMORY_LIMIT");
    unsetenv("VITBENCH_FAULT");
}

static void test_values(void)
{
    ok(parse(NULL) == 0 && strcmp(s.mesh, "auto") == 0 && s.overlap == 0 &&
           s.steps == 3 && s.limit == (int64_t)2 << 30 && s.any == 0 &&
           s.seconds == 0.1 && s.is_checked && !s.is_official &&
           !opts_is_given(&o, "steps"),
       "the defaults are those of the table");
    ok(parse("--steps=12", "--mesh", "2x3", "--no-check", "--official", NULL) == 0 &&
           s.steps == 12 && strcmp(s.mesh, "2x3") == 0 && !s.is_checked &&
           s.is_official,
       "values follow an equals sign or stand alone");
    ok(opts_is_given(&o, "check") && !opts_is_given(&o, "any") &&
           !opts_is_given(&o, "nothing"),
       "what was given is known");
    ok(parse("--any=-3K", "--memory-limit=3K", "--seconds=1e-3", NULL) == 0 &&
           s.any == -3000 && s.limit == 3072 && s.seconds == 1e-3,
       "K is 1000, of bytes 1024");
    ok(parse("--any", "-7", NULL) == 0 && s.any == -7, "a value may be negative");
    ok(parse("--overlap=bidir", NULL) == 0 && s.overlap == 3, "a choice is its place");
    ok(parse("--steps=4", "--steps=5", NULL) == 0 && s.steps == 5,
       "the last one holds");
    ok(parse("--help", NULL) == 0 && s.is_help, "an action is true");
    ok(parse("--mesh=", NULL) == 0 && s.mesh[0] == '\0', "a text may be empty");
    ok(parse("--check=off", NULL) == 0 && !s.is_checked, "a flag may be spelt out");
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    fputs(text, file);
    fclose(file);
}

static void test_precedence(const char *path)
{
    char arg[300], line[5000];

    snprintf(arg, sizeof arg, "--config=%s", path);
    write_file(path,
               "# a comment\n\n steps = 10 \nany=11\r\nseconds = 12\ncheck = no\n");
    setenv("VITBENCH_ANY", "21", 1);
    setenv("VITBENCH_SECONDS", "22", 1);
    ok(parse(arg, "--seconds=32", NULL) == 0 && s.steps == 10 && s.any == 21 &&
           s.seconds == 32 && !s.is_checked && strcmp(s.mesh, "auto") == 0,
       "command line over environment over file over default");
    ok(o.source[4] == FROM_FILE && o.source[6] == FROM_ENVIRONMENT &&
           o.source[7] == FROM_COMMAND_LINE && o.source[1] == FROM_DEFAULT,
       "and each knows where it came from");
    setenv("VITBENCH_CONFIG", path, 1);
    ok(parse(NULL) == 0 && s.steps == 10, "the environment may name the file");
    unsetenv("VITBENCH_CONFIG");
    unsetenv("VITBENCH_ANY");
    unsetenv("VITBENCH_SECONDS");

    ok(opts_set(&o, "steps", "77", FROM_PROGRAM) == 0 && s.steps == 77 &&
           o.source[4] == FROM_PROGRAM,
       "the program may decide");
    ok(opts_set(&o, "steps", "x", FROM_PROGRAM) == ERR_USAGE && s.steps == 77,
       "but not for nonsense, which changes nothing");
    ok(opts_set(&o, "nothing", "x", FROM_PROGRAM) == ERR_USAGE,
       "nor for what is not there");

    write_file(path, "steps 10\n");
    ok(is_refused(arg, "line 1) is not of the form name = value"), "a line has a form");
    write_file(path, "\nstep = 10\n");
    ok(is_refused(arg, "line 2); did you mean steps?"), "a line has a number");
    write_file(path, "config = x\n");
    ok(is_refused(arg, "cannot name another"), "files do not nest");
    write_file(path, "help = true\n");
    ok(is_refused(arg, "command line only"), "files do not act");
    memset(line, ' ', sizeof line);
    strcpy(line + sizeof line - 12, "steps = 10\n");
    write_file(path, line);
    ok(is_refused(arg, "line 1 is too long"), "nor does what does not fit");
}

/* Everything 'write' prints, in one string. */
static char *printed(void (*print)(FILE *out))
{
    static char text[8192];
    FILE *out = tmpfile();
    size_t n;

    print(out);
    rewind(out);
    n       = fread(text, 1, sizeof text - 1, out);
    text[n] = '\0';
    fclose(out);
    return text;
}

static void print_help(FILE *out)
{
    opts_help(&o, out, "program [OPTION]..", "A program that is made to be tested.");
}

static void print_echo(FILE *out)
{
    opts_echo(&o, out);
}

static void print_dump(FILE *out)
{
    opts_dump(&o, out);
}

static void test_help(void)
{
    const char *text = printed(print_help);
    bool fits        = true;

    ok(strncmp(text, "Usage: program [OPTION]..\n", 26) == 0,
       "the help begins with usage");
    ok(strstr(text, "\nWhere:\n  --mesh=DxM|auto ") != NULL,
       "then headings and options");
    ok(strstr(text, "(default 2G)") != NULL && strstr(text, "--[no-]check") != NULL,
       "with their defaults");
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1)
        fits = fits && strcspn(line, "\n") <= 80;
    ok(fits, "the help fits into 80 columns");
}

static void test_writing(const char *path)
{
    char arg[300];
    json_t *json;

    ok(parse("--memory-limit=0", NULL) == 0 &&
           strstr(printed(print_dump), "\nmemory-limit = 0\n") != NULL,
       "nothing is no gigabyte");
    parse("--any=5", "--overlap=ring", "--seconds=0.30000000000000004", NULL);
    ok(strstr(printed(print_echo), "mesh") == NULL &&
           strstr(printed(print_echo), "(command line)") != NULL,
       "the echo shows the values that were given");

    write_file(path, printed(print_dump));
    snprintf(arg, sizeof arg, "--config=%s", path);
    ok(parse(arg, NULL) == 0 && s.any == 5 && s.overlap == 2 &&
           s.seconds == 0.30000000000000004 && s.limit == (int64_t)2 << 30,
       "a dump reads back as it was");
    ok(opts_is_given(&o, "any") && !opts_is_given(&o, "mesh") &&
           strstr(printed(print_dump), "\n#mesh = auto\n") != NULL,
       "and gives nothing that was not given");
    ok(opts_set(&o, "mesh", "2x1", FROM_PROGRAM) == 0 &&
           strstr(printed(print_dump), "\n#mesh = 2x1\n") != NULL,
       "by the program neither");
    opts_set(&o, "mesh", "auto", FROM_PROGRAM);

    json = opts_json(&o);
    ok(json_integer_value(json_object_get(json_object_get(json, "any"), "value")) ==
               5 &&
           json_is_true(json_object_get(json_object_get(json, "check"), "value")) &&
           strcmp(json_string_value(
                      json_object_get(json_object_get(json, "overlap"), "value")),
                  "ring") == 0 &&
           strcmp(json_string_value(
                      json_object_get(json_object_get(json, "overlap"), "source")),
                  "file") == 0,
       "JSON has values of their types and sources");
    ok(json_object_get(json, "help") == NULL &&
           json_object_get(json, "Where") == NULL && json_object_size(json) == 9,
       "but no headings or actions");
    json_decref(json);
}

/* Words between options, as "fit runs.csv --steps 5 more.csv" has them. */
static void test_words(void)
{
    char text[10][16] = { "program", "fit",   "--steps", "5",      "a.csv",
                          "--check", "b.csv", "--any=7", "--mesh", "--seconds" };
    char *argv[11], *word[11];
    int argc = 10, words;

    for (int i = 0; i < argc; i++)
        argv[i] = text[i];
    words = opts_take_words(word, &argc, argv, table, sizeof table / sizeof table[0]);
    ok(words == 3 && word[0] == text[1] && word[1] == text[4] && word[2] == text[6],
       "words are told from the values of options");
    ok(argc == 7 && argv[0] == text[0] && argv[1] == text[2] && argv[2] == text[3] &&
           argv[3] == text[5] && argv[4] == text[7] && argv[6] == text[9],
       "and options are left in their order");
}

int main(void)
{
    const char *path;

    scratch_open();
    path = scratch_path("config");
    test_refusals();
    test_environment();
    test_values();
    test_precedence(path);
    test_help();
    test_writing(path);
    test_words();
    return tap_done();
}
