/* SPDX-License-Identifier: BSD-3-Clause */
/* Rows of a program's table of options, text within its braces: what is run (after the
 * program's own row for the shape), where, and how, by the names of base/opts_table.h.
 * Who includes it defines ROWS_TUNE, the default of --tune; or ROWS_FORWARD, if it
 * never trains: then rows of training are left out.
 */
/* clang-format off */
{ "layers", OPT_INT, NULL, "N", "run a slice of N blocks; 0: all of the shape",
  AT(layers), .max = 10000 },
{ "wiring", OPT_CHOICE, "auto", "auto|parallel|sequential",
  "attention and MLP side by side or one after the other; auto: by shape",
  AT(wiring) },
{ "qk-norm", OPT_CHOICE, "auto", "auto|on|off",
  "normalise queries and keys in every head; auto: by shape", AT(qk_norm) },
{ "gelu", OPT_CHOICE, "tanh", "tanh|exact", "form of GELU", AT(gelu) },
{ "pool", OPT_CHOICE, "map", "map|gap|cls",
  "attention pooling, mean over tokens, or class token", AT(pool) },
{ "image", OPT_INT, "224", "PIXELS", "side of an image", AT(image), .min = 1,
  .max = 10000 },
{ "patch", OPT_INT, NULL, "PIXELS",
  "side of a patch; 0: by shape (14; 16 for mu, Ti, S, M, B, L)", AT(patch),
  .max = 10000 },
{ "classes", OPT_INT, "1000", "K", "classes of the classifier", AT(classes),
  .min = 1, .max = 1e6 },
{ "loss", OPT_CHOICE, "sigmoid", "sigmoid|softmax", "form of cross-entropy",
  AT(loss) },
#ifndef ROWS_FORWARD
{ "optimizer", OPT_CHOICE, "adamw", "adamw|adafactor|sgd",
  "what updates the parameters", AT(optimizer) },
#endif

TITLE("Where it runs"),
{ "mesh", OPT_TEXT, "auto", "DxM|auto",
  "data ranks by model ranks; auto: the fewest model ranks with which it fits",
  TEXT(mesh) },
{ "device", OPT_CHOICE, "auto", "auto|cpu:ref|cpu:blis|cpu:onednn|cuda",
  "what computes; cuda needs a GPU and a build with CUDA", AT(device) },
{ "dtype", OPT_CHOICE, "auto", "auto|f64|f32|bf16|bf16:emulate",
  "number format; auto: f32, bf16 with cuda; on CPUs bf16 needs AVX512-BF16, "
  "or is emulated",
  AT(dtype) },
{ "threads", OPT_INT, NULL, "N",
  "threads of a rank; 0: its share of the cores that it may run on", AT(threads),
  .max = 4096 },

TITLE("How it runs"),
{ "overlap", OPT_CHOICE, "auto", "auto|plain|ring|bidir",
  "how messages and products are brought together: one after the other, in a ring, "
  "in a ring both ways; auto: chosen for each product by timing (--tune), else ring",
  AT(overlap) },
{ "progress", OPT_CHOICE, "auto", "auto|poll|thread|none",
  "who moves messages during products; auto: nobody where MPI moves them by itself "
  "(--tune), else poll",
  AT(progress) },
{ "param-shard", OPT_CHOICE, "full", "none|full",
  "full: cut parameters, gradients and moments over the data ranks and fetch a group "
  "ahead; none: all on every rank",
  AT(param_shard) },
#ifndef ROWS_FORWARD
{ "remat", OPT_CHOICE, "none", "none|block",
  "block: keep what blocks are given, and compute the rest again in backward",
  AT(remat) },
{ "micro-batches", OPT_INT, "1", "N",
  "forward and backward passes that add up to one update, each with its share of the "
  "batch",
  AT(micro_batches), .min = 1, .max = 1e6 },
{ "tune", OPT_FLAG, ROWS_TUNE, NULL,
  "let timing at the start choose between equal ways: overlap, progress, products",
  AT(tune) },
#endif
{ "ring-wire", OPT_CHOICE, "auto", "auto|bf16|f32",
  "format in which partial sums of products travel in a bf16 run; auto: bf16",
  AT(ring_wire) },
#ifndef ROWS_FORWARD
{ "grad-wire", OPT_CHOICE, "auto", "auto|f32|bf16",
  "format in which gradients travel over the data ranks in a bf16 run, rounded in "
  "every hop if it is bf16; auto: f32",
  AT(grad_wire) },
#endif
{ "tf32", OPT_FLAG, NULL, NULL,
  "products of f32 round their factors to TF32 (10 bits); on GPUs", AT(tf32) },
{ "graph", OPT_FLAG, "true", NULL,
  "on a GPU: record a step as a CUDA graph, or as one for each part between messages, "
  "and play it from then on",
  AT(graph) },
{ "deterministic", OPT_FLAG, NULL, NULL,
  "the same bits in every run on the same mesh, so without --tune; CPU runs without "
  "it have them anyway",
  AT(deterministic) },
    /* clang-format on */
