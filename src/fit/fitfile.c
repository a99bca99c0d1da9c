/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading a fit's JSON; what is missing or has another type is named. */
#include "config.h"

#include "src/fit/fitfile.h"

#include "src/base/err.h"
#include "src/base/json_file.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static int bad(const struct fitfile *f, const char *name)
{
    return ERR(ERR_DATA, "%s: '%s' is missing or not what vitfit writes", f->path,
               name);
}

static int read_real(double *x, const json_t *o, const char *name,
                     const struct fitfile *f)
{
    const json_t *value = json_object_get(o, name);

    if (!json_is_number(value))
        return bad(f, name);
    *x = json_number_value(value);
    return 0;
}

/* A number, or NaN for null and for a member that is not there. */
static double real_or_nan(const json_t *o, const char *name)
{
    const json_t *value = json_object_get(o, name);

    return json_is_number(value) ? json_number_value(value) : NAN;
}

static int read_text(char text[LAW_NAME], const json_t *o, const char *name,
                     const struct fitfile *f)
{
    const char *value = json_string_value(json_object_get(o, name));

    if (value == NULL || strlen(value) >= LAW_NAME)
        return bad(f, name);
    strcpy(text, value);
    return 0;
}

/* ---- the law --------------------------------------------------------------------- */

/* The place of 'name' among 'count' names, which it joins if it is new. */
static int place_of(char names[][LAW_NAME], int *count, int most, const char *name)
{
    for (int i = 0; i < *count; i++) {
        if (strcmp(names[i], name) == 0)
            return i;
    }
    if (*count == most)
        return -1;
    snprintf(names[*count], LAW_NAME, "%s", name);
    return (*count)++;
}

static int read_factor(struct term *t, struct fitfile *f, double *exps, const char *var,
                       const json_t *o)
{
    struct law *l = &f->law;
    char name[LAW_NAME];
    struct factor *one;
    double sign;

    if (t->factors == 2)
        return bad(f, "factors");
    one = &t->factor[t->factors++];
    TRY(read_text(name, o, "name", f));
    TRY(read_real(&sign, o, "sign", f));
    one->var  = place_of(l->var, &l->vars, LAW_VARS, var);
    one->exp  = place_of(l->exp_name, &l->exps, POWERS_EXPS, name);
    one->sign = sign > 0 ? 1 : -1;
    if (one->var < 0 || one->exp < 0)
        return bad(f, "terms");
    return read_real(&exps[one->exp], o, "value", f);
}

static int read_terms(struct fitfile *f, const json_t *root)
{
    const json_t *terms = json_object_get(root, "terms");
    double exps[POWERS_EXPS];
    struct law *l = &f->law;

    if (!json_is_array(terms) || json_array_size(terms) > POWERS_COEFS)
        return bad(f, "terms");
    for (size_t j = 0; j < json_array_size(terms); j++) {
        const json_t *o = json_array_get(terms, j);
        struct term *t  = &l->term[l->coefs];
        json_t *factors = json_object_get(o, "factors"), *factor;
        const char *var;

        t->arm = LAW_EVERY;
        TRY(read_text(t->name, o, "name", f));
        TRY(read_real(&f->theta[l->coefs++], json_object_get(o, "coef"), "value", f));
        if (!json_is_object(factors))
            return bad(f, "factors");
        json_object_foreach(factors, var, factor)
            TRY(read_factor(t, f, exps, var, factor));
    }
    memcpy(f->theta + l->coefs, exps, (size_t)l->exps * sizeof *exps);
    l->kind    = f->kind;
    f->has_law = true;
    return 0;
}

/* ---- dimensions ------------------------------------------------------------------ */

static int read_constants(struct fitfile *f, int k, const json_t *o)
{
    struct law_dim *d = &f->constants[k];

    if (!json_is_object(o))
        return 0;
    f->has_dim[k] = true;
    TRY(read_real(&d->a, o, "a", f));
    TRY(read_real(&d->b, o, "b", f));
    TRY(read_real(&d->c, o, "c", f));
    TRY(read_real(&d->alpha, o, "alpha", f));
    TRY(read_real(&d->beta, o, "beta", f));
    TRY(read_real(&d->xi, o, "xi", f));
    TRY(read_real(&d->eps, o, "eps", f));
    f->centre[k] = real_or_nan(o, "centre");
    return 0;
}

static int read_dim(struct fitfile *f, const char *name, const json_t *slope,
                    const json_t *root)
{
    const int k = f->dims;

    if (k == LAW_DIMS || strlen(name) >= LAW_NAME)
        return bad(f, "s_k");
    strcpy(f->dim[f->dims++], name);
    f->growth[k] = (struct growth){
        .value         = real_or_nan(slope, "value"),
        .lo            = real_or_nan(slope, "lo"),
        .hi            = real_or_nan(slope, "hi"),
        .is_identified = json_is_true(json_object_get(slope, "identified")),
    };
    if (f->kind != LAW_SOVIT)
        return 0;
    return read_constants(f, k, json_object_get(json_object_get(root, "dims"), name));
}

/* Whatever order --dims had, those of shapes come first, in the order that all else
 * has them in.
 */
static int read_dims(struct fitfile *f, const json_t *root)
{
    json_t *slopes = json_object_get(root, "s_k"), *slope;
    const char *name;
    int known;

    if (f->kind == LAW_ADDITIVE)
        return 0;
    if (!json_is_object(slopes))
        return bad(f, "s_k");
    for (int k = 0; k < LAW_DIMS; k++) {
        slope = json_object_get(slopes, law_dim_name[k]);
        if (slope != NULL)
            TRY(read_dim(f, law_dim_name[k], slope, root));
    }
    known = f->dims;
    json_object_foreach(slopes, name, slope)
    {
        int k = 0;

        while (k < known && strcmp(f->dim[k], name) != 0)
            k++;
        if (k == known)
            TRY(read_dim(f, name, slope, root));
    }
    return 0;
}

static int read_all(struct fitfile *f, const json_t *root)
{
    static const char *const kinds[] = { "sovit", "chinchilla", "additive" };
    char law[LAW_NAME], form[LAW_NAME];
    int kind = 0;

    TRY(read_text(law, root, "law", f));
    TRY(read_text(form, root, "form", f));
    TRY(read_text(f->y, root, "y", f));
    while (kind < 3 && strcmp(law, kinds[kind]) != 0)
        kind++;
    if (kind == 3)
        return bad(f, "law");
    f->kind   = (enum law_kind)kind;
    f->noise  = real_or_nan(root, "noise");
    f->shared = real_or_nan(root, "shared");
    f->level  = real_or_nan(root, "level");
    if (f->noise < 0)
        return bad(f, "noise");
    if (f->shared < 0 || f->shared > 1)
        return bad(f, "shared");
    TRY(read_dims(f, root));
    if (strcmp(form, "arms") == 0 || strcmp(form, "shared-c") == 0)
        return 0;
    return read_terms(f, root);
}

int fitfile_read(struct fitfile *f, const char *path)
{
    json_t *root;
    int rc;

    *f = (struct fitfile){ 0 };
    snprintf(f->path, sizeof f->path, "%s", path);
    TRY(json_file_load(&root, path));
    rc = read_all(f, root);
    json_decref(root);
    return rc;
}

bool fitfile_is_of_shapes(const struct fitfile *f)
{
    bool is = f->kind == LAW_SOVIT && f->dims == LAW_DIMS;

    for (int k = 0; k < LAW_DIMS; k++)
        is = is && strcmp(f->dim[k], law_dim_name[k]) == 0;
    return is;
}

/* The dimension of that name, or -1: it is compute. */
static int dim_of(const struct fitfile *f, const char *name)
{
    int k = f->dims - 1;

    while (k >= 0 && strcmp(f->dim[k], name) != 0)
        k--;
    return k;
}

void fitfile_dim(struct law_dim *d, const struct fitfile *f, int k, const double *x)
{
    const struct law *l = &f->law;

    *d = f->constants[k];
    if (!f->has_law || !fitfile_is_of_shapes(f))
        return;
    d->xi = d->eps = 0;
    for (int j = 0; j < l->coefs; j++) {
        const struct term *t = &l->term[j];
        double part          = f->theta[j];
        bool falls = false, is_own = false;

        for (int i = 0; i < t->factors; i++) {
            const struct factor *one = &t->factor[i];
            const int dim            = dim_of(f, l->var[one->var]);

            falls |= dim < 0;
            is_own |= dim == k;
            if (dim >= 0)
                part *= pow(x[dim], one->sign * f->theta[l->coefs + one->exp]);
        }
        if (!is_own)
            *(falls ? &d->xi : &d->eps) += part;
    }
}

double fitfile_expect(const struct fitfile *f, const double *x, double t)
{
    double at[LAW_VARS];

    if (f == NULL || !f->has_law || !fitfile_is_of_shapes(f))
        return NAN;
    for (int v = 0; v < f->law.vars; v++) {
        at[v] = t;
        for (int k = 0; k < LAW_DIMS; k++) {
            if (strcmp(f->law.var[v], f->dim[k]) == 0)
                at[v] = x[k];
        }
    }
    return law_value(&f->law, f->theta, LAW_EVERY, at);
}
