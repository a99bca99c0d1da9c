/* SPDX-License-Identifier: BSD-3-Clause */
/* The fit as one JSON object: what 'shape', 'plan' and 'plot' read with --fit. */
#include "config.h"

#include "src/base/json.h"
#include "src/fit/study.h"

#include <math.h>
#include <string.h>

static json_t *estimate_json(const struct estimate *e)
{
    json_t *is_identified = e->identified == VERDICT_NONE
                                ? json_null()
                                : json_boolean(e->identified == VERDICT_YES);

    return json_pack("{so so so so so so}", "value", json_finite(e->value), "lo",
                     json_finite(e->lo), "hi", json_finite(e->hi), "profile_lo",
                     json_finite(e->profile_lo), "profile_hi",
                     json_finite(e->profile_hi), "identified", is_identified);
}

static json_t *form_json(const struct study *s)
{
    static const char *const name[] = { [FORM_ARMS]   = "arms",
                                        [FORM_SHARED] = "shared-c",
                                        [FORM_JOINT]  = "joint",
                                        [FORM_PLAIN]  = "plain" };

    return json_string(name[s->form]);
}

/* A term is its coefficient times the powers in 'factors'. */
static json_t *term_json(const struct fit *f, int j)
{
    const struct term *t = &f->law.term[j];
    json_t *factors      = json_object();
    json_t *o;

    for (int i = 0; i < t->factors; i++) {
        json_t *e = estimate_json(&f->param[f->law.coefs + t->factor[i].exp]);

        json_object_set_new(e, "sign", json_integer(t->factor[i].sign));
        json_object_set_new(e, "name", json_string(f->law.exp_name[t->factor[i].exp]));
        json_object_set_new(factors, f->law.var[t->factor[i].var], e);
    }
    o = json_pack(
        "{ss so so so}", "name", t->name, "coef", estimate_json(&f->param[j]), "exp",
        t->factors > 0 ? estimate_json(&f->param[f->law.coefs + t->factor[0].exp])
                       : json_null(),
        "factors", factors);
    return o;
}

static json_t *terms_json(const struct study *s)
{
    json_t *all = json_array();

    for (int i = 0; i < s->fits; i++) {
        for (int j = 0; j < s->fit[i].law.coefs && s->fit[i].model.rows > 0; j++)
            json_array_append_new(all, term_json(&s->fit[i], j));
    }
    return all;
}

/* The constant of a law of one fit; of separate arms there is none of the whole. */
static json_t *floor_json(const struct study *s)
{
    if (s->form == FORM_ARMS || s->form == FORM_SHARED)
        return json_null();
    return estimate_json(&s->fit[0].param[s->fit[0].law.coefs - 1]);
}

static json_t *dim_json(const struct study *s, int k)
{
    int slope;
    const struct fit *f = study_fit_of(s, k, &slope);
    double x[LAW_VARS];
    struct law_dim d;

    if (f == NULL)
        return json_null();
    memcpy(x, s->centre, sizeof x);
    law_dim_of(&d, &f->law, f->raw, k, x);
    return json_pack("{sf sf sf sf sf sf sf so}", "a", d.a, "b", d.b, "c", d.c, "alpha",
                     d.alpha, "beta", d.beta, "xi", d.xi, "eps", d.eps, "centre",
                     json_finite(s->centre[k]));
}

static json_t *slopes_json(const struct study *s, int slopes)
{
    json_t *all = json_object();

    for (int k = 0; k < slopes; k++) {
        int slope;
        const struct fit *f = study_fit_of(s, k, &slope);

        json_object_set_new(all, s->dim[k],
                            f != NULL
                                ? estimate_json(&f->slope[slope])
                                : json_pack("{sn sn sn sb ss}", "value", "lo", "hi",
                                            "identified", 0, "why", s->why[k]));
    }
    return all;
}

static json_t *errors_json(const struct errors *e)
{
    if (e->n == 0)
        return json_null();
    return json_pack("{si sf sf sf}", "n", e->n, "rms", e->rms, "mean", e->mean,
                     "worst", e->worst);
}

static json_t *certificate_json(const struct study *s)
{
    double gradient = 0;
    int starts = 0, agreeing = 1 << 30;

    for (int i = 0; i < s->fits; i++) {
        const struct fit *f = &s->fit[i];

        if (f->model.rows == 0)
            continue;
        gradient = fmax(gradient, f->end.gradient);
        starts += f->starts;
        if (f->agreeing < agreeing)
            agreeing = f->agreeing;
    }
    return json_pack("{sf si si}", "gradient_norm", gradient, "starts", starts,
                     "agreeing", agreeing);
}

json_t *study_json(const struct study *s)
{
    static const char *const law[] = { "sovit", "chinchilla", "additive" };
    const int kind                 = s->options->law;
    const int slopes = kind == LAW_SOVIT ? s->dims : kind == LAW_CHINCHILLA ? 2 : 0;
    double value = 0, noise = 0, shared = NAN;
    json_t *o, *dims;

    for (int i = 0; i < s->fits; i++) {
        const struct fit *f = &s->fit[i];

        value += f->end.value;
        if (f->noise > noise && f->shapes < f->model.rows)
            shared = f->parts.shared / (f->parts.own + f->parts.shared);
        noise = fmax(noise, f->noise);
    }
    o = json_pack("{ss so ss si sf ss sf so sf so so}", "law", law[kind], "form",
                  form_json(s), "y", s->y, "n", s->points.rows, "objective", value,
                  "objective_form",
                  s->objective == OBJECTIVE_HUBER ? "huber" : "relative", "noise",
                  noise, "shared", json_finite(shared), "level", s->options->level,
                  "floor", floor_json(s), "terms", terms_json(s));
    if (kind == LAW_SOVIT) {
        dims = json_object();
        for (int k = 0; k < s->dims; k++)
            json_object_set_new(dims, s->dim[k], dim_json(s, k));
        json_object_set_new(o, "dims", dims);
    }
    if (slopes > 0)
        json_object_set_new(o, "s_k", slopes_json(s, slopes));
    json_object_set_new(o, "certificate", certificate_json(s));
    json_object_set_new(o, "hold_out", errors_json(&s->held_errors));
    json_object_set_new(o, "centre_error", errors_json(&s->middle_errors));
    json_object_set_new(o, "seconds", json_real(s->seconds));
    return o;
}
