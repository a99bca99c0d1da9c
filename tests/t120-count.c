/* SPDX-License-Identifier: BSD-3-Clause */
/* Counts against figures that others have published: the papers' shapes, timm's table,
 * SoViT's table 1, PaLM's MFU.  All come from calling the functions on options.
 */
#include "config.h"

#include "src/plan/count.h"

#include "tests/tap.h"

#include <math.h>

enum { NO_CLASSES = -1 };

/* A spec from options; a published figure without a classifier is one with no class. */
static struct spec make(const char *shape, int image, int patch, enum pool pool,
                        int64_t classes)
{
    const struct spec_options o = { .shape   = shape,
                                    .wiring  = -1,
                                    .qk_norm = -1,
                                    .pool    = pool,
                                    .image   = image,
                                    .patch   = patch,
                                    .classes = classes };
    struct spec s;

    if (spec_make(&s, &o) != 0)
        ok(false, "%s can be made", shape);
    if (classes == NO_CLASSES)
        s.K = 0;
    return s;
}

/* The classifier's bias counts with its classes: none without them. */
static void published_shapes(void)
{
    static const struct {
        const char *shape;
        int patch;
        int64_t none, map, jft; /* parameters */
        double macs;
    } row[] = {
        { "mu", 0, 43648, 56320, 1032889, 10108160 },
        { "Ti", 0, 5524032, 5968704, 11680153, 1261266432 },
        { "S", 0, 21664896, 23438976, 34832281, 4633070592 },
        { "M", 0, 38323712, 41475584, 56656793, 8053460992 },
        { "B", 0, 85797120, 92884224, 115641241, 17708292096 },
        { "B", 14, 85704960, 92792064, 115549081, 23375118336 },
        { "L", 0, 303299584, 315894784, 346227609, 61654310912 },
        { "L", 14, 303176704, 315771904, 346104729, 81232658432 },
        { "So150m", 0, 130184080, 137374240, 163445673, 35700346880 },
        { "So400m", 0, 412442352, 427680704, 461801433, 110176948224 },
        { "H", 0, 630762240, 650438400, 688347033, 167478558720 },
        { "g", 0, 1011199616, 1036448384, 1078144921, 267000053760 },
        { "g-opt", 0, 1134561792, 1162891776, 1208376217, 299426906112 },
        { "G", 0, 1842772352, 1881132416, 1930404761, 483275014144 },
        { "G-opt", 0, 1663302144, 1697925632, 1743410073, 436335280128 },
        { "e", 0, 3805417728, 3873342720, 3926402969, 988476604416 },
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        const struct spec gap =
            make(row[i].shape, 224, row[i].patch, POOL_GAP, NO_CLASSES);
        const struct spec map =
            make(row[i].shape, 224, row[i].patch, POOL_MAP, NO_CLASSES);
        const struct spec jft = make(row[i].shape, 224, row[i].patch, POOL_MAP, 29593);

        ok(count_params(&gap) == row[i].none,
           "%s/%d without a head has %lld parameters", row[i].shape, gap.patch,
           (long long)row[i].none);
        ok(count_params(&map) == row[i].map, "%lld with the MAP head",
           (long long)row[i].map);
        ok(count_params(&jft) == row[i].jft, "%lld with a classifier of 29593",
           (long long)row[i].jft);
        if (row[i].macs > 0)
            ok(count_macs(&map) == row[i].macs, "and %.0f multiply-adds an image",
               row[i].macs);
    }
}

/* The parallel block.  The figures for 22B that were derived with the others
 * (21,750,546,432 without a head) count a bias of attention-out beside the MLP's, as
 * timm's unfused block has it; the fused product has one bias, C less in each block.
 */
static void parallel_shapes(void)
{
    static const struct {
        const char *model, *shape;
        int patch;
        int64_t params;
    } xp[] = {
        { "vit_base_patch16_xp_224", "B", 16, 86512360 },
        { "vit_large_patch14_xp_224", "L", 14, 304057320 },
        { "vit_huge_patch14_xp_224", "H", 14, 631802600 },
    };
    const int64_t second_bias = 48 * 6144;
    const struct spec gap     = make("22B", 224, 14, POOL_GAP, NO_CLASSES);
    const struct spec map     = make("22B", 224, 14, POOL_MAP, NO_CLASSES);
    const struct spec jft     = make("22B", 224, 14, POOL_MAP, 29593);

    ok(count_params(&gap) == INT64_C(21750546432) - second_bias, "22B without a head");
    ok(count_params(&map) == INT64_C(22203598848) - second_bias, "with the MAP head");
    ok(count_params(&jft) == INT64_C(22385447833) - second_bias, "with 29593 classes");

    /* timm's: no patch bias, but a norm before the blocks; two biases of outputs. */
    for (size_t i = 0; i < sizeof xp / sizeof xp[0]; i++) {
        const struct spec_options o = { .shape   = xp[i].shape,
                                        .wiring  = WIRING_PARALLEL,
                                        .qk_norm = 1,
                                        .pool    = POOL_CLS,
                                        .patch   = xp[i].patch };
        struct spec s;

        ok(spec_make(&s, &o) == 0 && count_params(&s) + s.L * s.C == xp[i].params,
           "%s has %lld parameters, a second output bias included", xp[i].model,
           (long long)xp[i].params);
    }
}

/* What timm counts beside products: five operations an element of a LayerNorm. */
static double timm_norms(const struct spec *s)
{
    const double rows = (double)(s->N * (2 * s->L + 1)) + (s->pool == POOL_MAP);

    return 5 * rows * (double)s->C;
}

/* A shape of timm's that no option names is given by its numbers. */
static void timm(void)
{
    static const struct {
        const char *model, *shape;
        int image, patch;
        enum pool pool;
        int64_t classes;
        int64_t params; /* the exact figure behind timm's two decimals */
        double gmacs;
        int own_position; /* of the class token */
    } row[] = {
        { "vit_tiny_patch16_224", "Ti", 224, 16, POOL_CLS, 1000, 5717416, 1.26, 1 },
        { "vit_small_patch16_224", "S", 224, 16, POOL_CLS, 1000, 22050664, 4.61, 1 },
        { "vit_small_patch32_224", "S", 224, 32, POOL_CLS, 1000, 22878952, 1.15, 1 },
        { "vit_base_patch32_224", "B", 224, 32, POOL_CLS, 1000, 88224232, 4.41, 1 },
        { "vit_base_patch16_224", "B", 224, 16, POOL_CLS, 1000, 86567656, 17.58, 1 },
        { "vit_base_patch8_224", "B", 224, 8, POOL_CLS, 1000, 86576872, 78.22, 1 },
        { "vit_base_patch16_384", "B", 384, 16, POOL_CLS, 1000, 86859496, 55.54, 1 },
        { "vit_large_patch16_224", "L", 224, 16, POOL_CLS, 1000, 304326632, 61.60, 1 },
        { "vit_large_patch14_224", "L", 224, 14, POOL_CLS, 1000, 304203752, 81.08, 1 },
        { "vit_large_patch16_384", "L", 384, 16, POOL_CLS, 1000, 304715752, 191.21, 1 },
        { "vit_huge_patch14_224", "H", 224, 14, POOL_CLS, NO_CLASSES, 630764800, 167.40,
          1 },
        { "vit_giant_patch14_224", "g", 224, 14, POOL_CLS, 1000, 1012611432, 267.18,
          1 },
        { "vit_gigantic_patch14_224", "G", 224, 14, POOL_CLS, 1000, 1844440680, 483.95,
          1 },
        { "vit_so400m_patch14_siglip_224", "So400m", 224, 14, POOL_MAP, NO_CLASSES,
          427680704, 110.26, 0 },
        { "vit_so400m_patch14_siglip_gap_224", "So400m", 224, 14, POOL_GAP, NO_CLASSES,
          412442352, 109.57, 0 },
        { "vit_so400m_patch14_siglip_378", "So400m", 378, 14, POOL_MAP, NO_CLASSES,
          428225600, 335.40, 0 },
        { "vit_base_patch16_siglip_224", "B", 224, 16, POOL_MAP, NO_CLASSES, 92884224,
          17.73, 0 },
        { "vit_large_patch16_siglip_256", "L", 256, 16, POOL_MAP, NO_CLASSES, 315956224,
          81.34, 0 },
        { "vit_giantopt_patch16_siglip_256", "g-opt", 256, 16, POOL_MAP, NO_CLASSES,
          1163168256, 299.66, 0 },
        { "flexivit_small", "384/12/1536/6", 240, 16, POOL_CLS, 1000, 22061416, 5.35,
          0 },
        { "flexivit_base", "768/12/3072/12", 240, 16, POOL_CLS, 1000, 86589160, 20.29,
          0 },
        { "flexivit_large", "1024/24/4096/16", 240, 16, POOL_CLS, 1000, 304355304,
          70.99, 0 },
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        const struct spec s =
            make(row[i].shape, row[i].image, row[i].patch, row[i].pool, row[i].classes);
        const int64_t position = row[i].own_position ? s.C : 0;
        const double gmacs     = (count_macs(&s) + timm_norms(&s)) * 1e-9;

        ok(count_params(&s) + position == row[i].params, "%s has %lld parameters",
           row[i].model, (long long)row[i].params);
        close_to(gmacs, row[i].gmacs, 0.0051, "%s has timm's gmacs", row[i].model);
    }
}

static void sovit_table_1(void)
{
    static const struct {
        const char *shape;
        int image, patch;
        double gflops, params; /* published; in 1e9 and 1e6 */
        enum pool pool;        /* what the published parameters count, */
        int image_of_params;   /* and at which size; no classifier */
    } row[] = {
        { "So400m", 224, 14, 221, 428, POOL_MAP, 224 },
        { "L", 384, 16, 383, 303, POOL_GAP, 224 },
        { "So400m", 384, 14, 672, 428, POOL_MAP, 384 },
        { "g", 518, 14, 3208, 1011, POOL_GAP, 224 },
        { "So400m", 518, 14, 1374, 428, POOL_MAP, 224 },
        { "G", 518, 14, 5668, 1882, POOL_MAP, 518 },
    };

    for (size_t i = 0; i < sizeof row / sizeof row[0]; i++) {
        const struct spec s =
            make(row[i].shape, row[i].image, row[i].patch, POOL_MAP, 1000);
        const struct spec p = make(row[i].shape, row[i].image_of_params, row[i].patch,
                                   row[i].pool, NO_CLASSES);

        close_to(count_flops_forward(&s) * 1e-9, row[i].gflops, 0.005 * row[i].gflops,
                 "%s/%d at %d has SoViT's GFLOPs within 0.5 %%", row[i].shape, s.patch,
                 row[i].image);
        close_to((double)count_params(&p) * 1e-6, row[i].params, 1,
                 "and its parameters in millions");
    }
}

/* Training GFLOPs per token. */
static double per_token(const char *shape, int64_t layers)
{
    const struct spec_options o = {
        .shape = shape, .layers = layers, .wiring = -1, .qk_norm = -1
    };
    struct spec s;

    if (spec_make(&s, &o) != 0)
        return NAN;
    return count_flops_train(&s) / (double)s.T * 1e-9;
}

static void training(void)
{
    close_to(per_token("22B", 1), 3.21, 0.005, "22B with one block: GFLOP per token");
    close_to(per_token("22B", 0), 131.8, 0.05, "22B");
    close_to(per_token("So400m", 4), 0.399, 0.0005, "So400m with four blocks");
    close_to(per_token("608/10/928/16", 0), 0.181, 0.0005,
             "the best of the small shapes");

    const struct spec s = make("22B", 224, 14, POOL_MAP, 1000);

    const struct spec bare = make("22B", 224, 14, POOL_GAP, NO_CLASSES);

    ok(count_params_matmul(&s) == INT64_C(21743271936),
       "22B's 21743 million are its block kernels");
    close_to(count_flops_forward(&bare) * 1e-12, 11.21, 0.005,
             "a forward of 22B without a head is 11.21 TFLOP");

    /* A block's backward is twice its forward; images need no gradient. */
    struct spec more = s;

    more.L++;
    close_to(count_flops_train(&more) - count_flops_train(&s), count_flops_block(&s),
             1e-9 * count_flops_block(&s), "a block more costs a block");
    more.L = 0;
    close_to(count_flops_train(&more) + 48 * count_flops_block(&s),
             count_flops_train(&s), 1e-9 * count_flops_train(&s),
             "blocks and rest are the whole");
    close_to(3 * count_flops_forward(&s) - count_flops_train(&s),
             2.0 * (double)s.P * (double)s.C * (double)s.T,
             1e-12 * count_flops_train(&s),
             "training is three forwards but for the patch embedding");
}

static void terms(void)
{
    for (int pool = POOL_MAP; pool <= POOL_CLS; pool++) {
        const struct spec s = make("So150m", 224, 14, (enum pool)pool, 1000);
        struct count_term t[COUNT_TERMS];
        const int n    = count_terms(t, &s);
        int64_t params = 0;
        double macs = 0, train = 0;

        for (int i = 0; i < n; i++) {
            params += t[i].params;
            macs += t[i].macs;
            train += t[i].train_flops;
        }
        ok(n <= COUNT_TERMS && params == count_params(&s) && macs == count_macs(&s) &&
               train == count_flops_train(&s) && 2 * macs == count_flops_forward(&s),
           "the terms sum up with %s pooling", pool_name((enum pool)pool));
    }
}

/* What the ranks of uneven meshes do, all together, is what there is to do. */
static void ranks(void)
{
    static const int mesh[][2] = { { 1, 1 }, { 2, 1 }, { 3, 2 }, { 2, 3 }, { 5, 4 } };
    const int64_t B            = 7;

    for (size_t i = 0; i < sizeof mesh / sizeof mesh[0]; i++) {
        const int D = mesh[i][0], M = mesh[i][1];
        const struct spec s = make("S", 224, 16, POOL_MAP, 1000);
        double sum = 0, least = INFINITY, most = 0;

        for (int rank = 0; rank < D * M; rank++) {
            struct local l;
            double flops;

            spec_local(&l, &s, B, D, M, rank / M, rank % M);
            flops = count_flops_rank(&s, &l);
            sum += flops;
            least = fmin(least, flops);
            most  = fmax(most, flops);
        }
        close_to(sum / ((double)B * count_flops_train(&s)), 1, 1e-14,
                 "the work of %dx%d ranks sums up", D, M);
        ok(D * M == 1 ? least == most : least < most, "and is not even");
    }
}

/* MFU in percent of 'tokens' a second. */
static double mfu(double tokens, double per_token_flops, int devices, double peak)
{
    return 100 * count_mfu(tokens * per_token_flops, 1, devices, peak);
}

static void palm(void)
{
    const struct spec s = make("22B", 224, 14, POOL_MAP, 1000);
    const double mt_nlg = 1920.0 * 2048 / 60.1;

    close_to(mfu(238.3e3, count_palm_per_token(540e9, 0, 0, 0, 0), 6144, 275e12), 45.70,
             0.005, "PaLM 540B without attention");
    close_to(
        mfu(238.3e3, count_palm_per_token(540e9, 118, 48, 256, 2048), 6144, 275e12),
        46.20, 0.005, "PaLM 540B");
    close_to(mfu(mt_nlg, count_palm_per_token(530e9, 0, 0, 0, 0), 2240, 312e12), 29.77,
             0.005, "MT-NLG 530B without attention");
    close_to(
        mfu(mt_nlg, count_palm_per_token(530e9, 105, 1, 20480, 2048), 2240, 312e12),
        30.26, 0.005, "MT-NLG 530B");
    close_to(mfu(1150, count_palm_per_token(21.743e9, 0, 0, 0, 0), 1, 275e12), 54.56,
             0.005, "ViT-22B without attention");
    close_to(mfu(1150, count_palm(&s), 1, 275e12), 54.93, 0.005,
             "ViT-22B, by its shape");
    ok(isnan(count_mfu(1e12, 1, 1, 0)) && isnan(count_mfu(1e12, 1, 1, -1)) &&
           isnan(count_mfu(1e12, 1, 1, NAN)),
       "without a peak there is no MFU");
    ok(count_mfu(8e12, 2, 4, 2e12) == 0.5, "MFU divides by seconds, devices and peak");
}

/* Blocks that are made again are forward passes but for what nothing reads: the last
 * product, of the parallel block both that end it.
 */
static void made_again(void)
{
    for (int wiring = WIRING_PARALLEL; wiring <= WIRING_SEQUENTIAL; wiring++) {
        const struct spec_options o = {
            .shape = "So150m", .wiring = wiring, .qk_norm = -1, .pool = POOL_MAP
        };
        struct spec s, none;
        double last;

        ok(spec_make(&s, &o) == 0, "%s blocks", wiring_name((enum wiring)wiring));
        none   = s;
        none.L = 0;
        last   = 2 * (double)(s.L * s.N) *
               (double)(s.C * s.F + (wiring == WIRING_PARALLEL ? s.C * s.C : 0));
        close_to(count_flops_again(&s) /
                     (count_flops_forward(&s) - count_flops_forward(&none) - last),
                 1, 1e-12, "are made again without their last product");
    }
}

int main(void)
{
    published_shapes();
    parallel_shapes();
    timm();
    sovit_table_1();
    training();
    terms();
    ranks();
    palm();
    made_again();
    return tap_done();
}
