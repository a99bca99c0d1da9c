/* SPDX-License-Identifier: BSD-3-Clause */
/* Choices to words and back. */
#include "config.h"

#include "src/step/tuned.h"

#include "src/step/place.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void tuned_choice(char name[TUNED_TEXT], char text[TUNED_TEXT],
                  const struct cmm_tuned *t, enum cmm_product product,
                  enum cmm_pass pass)
{
    static const char *const of[CMM_PRODUCTS] = { "in", "out", "up", "down" };
    const struct cmm_choice *choice           = &t->of[product][pass];

    snprintf(name, TUNED_TEXT, "%s%s", of[product],
             pass == CMM_BACKWARD ? "_backward" : "");
    if (choice->form == CMM_PLAIN || choice->panels == 0)
        snprintf(text, TUNED_TEXT, "%s", cmm_form_name[choice->form]);
    else
        snprintf(text, TUNED_TEXT, "%s %d", cmm_form_name[choice->form],
                 choice->panels);
}

json_t *tuned_json(const struct tuned *t, const struct mesh *mesh,
                   const struct dev *dev)
{
    json_t *all = place_json(mesh, dev);
    char name[TUNED_TEXT], text[TUNED_TEXT];

    json_object_set_new(all, "progress", json_string(progress_name[t->progress]));
    for (int k = 0; k < CMM_PRODUCTS * CMM_PASSES; k++) {
        tuned_choice(name, text, &t->products, (enum cmm_product)(k / CMM_PASSES),
                     (enum cmm_pass)(k % CMM_PASSES));
        json_object_set_new(all, name, json_string(text));
    }
    return all;
}

/* The place of a word in a list, or -1; 'length' of its letters count. */
static int find_word(const char *word, size_t length, const char *const *list, int n)
{
    for (int i = 0; i < n; i++) {
        if (strlen(list[i]) == length && strncmp(list[i], word, length) == 0)
            return i;
    }
    return -1;
}

static bool take_choice(struct cmm_choice *to, const char *text)
{
    const size_t length = text != NULL ? strcspn(text, " ") : 0;
    const int form      = find_word(text, length, cmm_form_name, CMM_AUTO);

    if (form < 0)
        return false;
    to->form   = (enum cmm_form)form;
    to->panels = atoi(text + length);
    return to->panels >= 0;
}

bool tuned_take(struct tuned *t, const json_t *from, const struct mesh *mesh,
                const struct dev *dev)
{
    static const char *const holds_for[] = { "mesh", "device", "build" };
    const char *progress = json_string_value(json_object_get(from, "progress"));
    json_t *here         = place_json(mesh, dev);
    struct tuned made    = { 0 };
    char name[TUNED_TEXT], text[TUNED_TEXT];
    bool is_right = progress != NULL;
    int form      = 0;

    for (size_t i = 0; i < sizeof holds_for / sizeof holds_for[0]; i++)
        is_right &= json_equal(json_object_get(here, holds_for[i]),
                               json_object_get(from, holds_for[i])) != 0;
    json_decref(here);
    if (is_right)
        form = find_word(progress, strlen(progress), progress_name, PROGRESS_FORMS);
    for (int k = 0; k < CMM_PRODUCTS * CMM_PASSES; k++) {
        tuned_choice(name, text, &made.products, (enum cmm_product)(k / CMM_PASSES),
                     (enum cmm_pass)(k % CMM_PASSES));
        is_right &= take_choice(&made.products.of[k / CMM_PASSES][k % CMM_PASSES],
                                json_string_value(json_object_get(from, name)));
    }
    if (!is_right || form < 0)
        return false;
    made.progress = (enum progress_form)form;
    *t            = made;
    return true;
}
