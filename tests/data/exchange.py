#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Make tests/data/exchange-*: tiny Vision Transformers with random weights as timm and
big_vision save them, images, and the logits that others compute from both.

Usage: exchange.py DIR, with NumPy, PyTorch, timm and safetensors.  No test runs this: it
is here to say where the files come from.  timm's models are timm's own, in double
precision; big_vision's are written down below once more, in NumPy.
"""
import sys

import numpy as np
import torch
from safetensors.torch import save_file
from timm.models.vision_transformer import VisionTransformer

WIDTH, DEPTH, HEADS, MLP, IMAGE, PATCH, CLASSES, IMAGES = 40, 2, 4, 72, 32, 8, 10, 3
HEAD, TOKENS = WIDTH // HEADS, (IMAGE // PATCH) ** 2


def draw(rng, name, shape):
    """Weights that all matter: kernels keep the size of what they multiply."""
    x = rng.standard_normal(shape)
    if len(shape) >= 2 and not any(k in name for k in ("pos_embed", "cls", "bias",
                                                       "probe", "latent")):
        return x / np.sqrt(np.prod(shape) / WIDTH)
    is_scale = name.endswith(("/scale", "norm.weight", "norm1.weight", "norm2.weight"))
    return (1 if is_scale else 0) + 0.3 * x


# ---- timm ---------------------------------------------------------------------------


def make_timm(folder, name, dtype, images, rng, **kw):
    model = VisionTransformer(img_size=IMAGE, patch_size=PATCH, embed_dim=WIDTH,
                              depth=DEPTH, num_heads=HEADS, mlp_ratio=MLP / WIDTH,
                              num_classes=CLASSES, **kw).double().eval()
    state = {k: torch.from_numpy(draw(rng, k, v.shape)).to(dtype)
             for k, v in model.state_dict().items()}
    for k in state:  # which timm has and vitbench not
        if k.endswith(("q_norm.bias", "k_norm.bias")):
            state[k].zero_()
    save_file(state, f"{folder}/exchange-{name}.safetensors")
    model.load_state_dict({k: v.double() for k, v in state.items()})
    with torch.no_grad():
        return model(torch.from_numpy(images).double().permute(0, 3, 1, 2)).numpy()


# ---- big_vision ---------------------------------------------------------------------


def norm(x, p):
    if "bias" in p:
        x = x - x.mean(-1, keepdims=True)
    y = x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6) * p["scale"]
    return y + p.get("bias", 0)


def dense(x, p):
    return x @ p["kernel"] + p.get("bias", 0)


def mlp(x, p):
    x = dense(x, p["Dense_0"])
    x = 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))
    return dense(x, p["Dense_1"])


def attention(x, y, p):
    q, k, v = (np.einsum("btc,che->bthe", z, p[n]["kernel"]) + p[n].get("bias", 0)
               for n, z in (("query", x), ("key", y), ("value", y)))
    if "query_ln" in p:
        q, k = norm(q, p["query_ln"]), norm(k, p["key_ln"])
    w = np.einsum("bqhe,bkhe->bhqk", q, k) / np.sqrt(HEAD)
    w = np.exp(w - w.max(-1, keepdims=True))
    w /= w.sum(-1, keepdims=True)
    z = np.einsum("bhqk,bkhe->bqhe", w, v)
    return np.einsum("bqhe,hec->bqc", z, p["out"]["kernel"]) + p["out"].get("bias", 0)


def block(x, p):
    y = norm(x, p["LayerNorm_0"])
    a = attention(y, y, p["MultiHeadDotProductAttention_0"])
    if "LayerNorm_1" not in p:  # ViT-22B: side by side
        return x + a + mlp(y, p["MlpBlock_0"])
    x = x + a
    return x + mlp(norm(x, p["LayerNorm_1"]), p["MlpBlock_0"])


def forward(p, images):
    side = IMAGE // PATCH
    x = images.reshape(-1, side, PATCH, side, PATCH, 3).transpose(0, 1, 3, 2, 4, 5)
    x = np.einsum("btrsd,rsdc->btc", x.reshape(-1, TOKENS, PATCH, PATCH, 3),
                  p["embedding"]["kernel"])
    x = x + p["embedding"]["bias"] + p["pos_embedding"]
    for i in range(DEPTH):
        x = block(x, p["Transformer"][f"encoderblock_{i}"])
    x = norm(x, p["Transformer"]["encoder_norm"])
    if "MAPHead_0" in p:
        h = p["MAPHead_0"]
        x = attention(np.tile(h["probe"], [len(x), 1, 1]), x,
                      h["MultiHeadDotProductAttention_0"])
        x = (x + mlp(norm(x, h["LayerNorm_0"]), h["MlpBlock_0"]))[:, 0]
    else:
        x = x.mean(1)
    return dense(x, p["head"])


def shapes(is_22b, is_map):
    """Names and shapes of the parameters."""
    attn = {f"{n}/{k}": s for n in ("query", "key", "value")
            for k, s in (("kernel", (WIDTH, HEADS, HEAD)), ("bias", (HEADS, HEAD)))}
    attn |= {"out/kernel": (HEADS, HEAD, WIDTH), "out/bias": (WIDTH,)}
    dense = {"Dense_0/kernel": (WIDTH, MLP), "Dense_0/bias": (MLP,),
             "Dense_1/kernel": (MLP, WIDTH), "Dense_1/bias": (WIDTH,)}
    ln = {"scale": (WIDTH,)} | ({} if is_22b else {"bias": (WIDTH,)})
    all_of = {}

    def put(prefix, group):
        all_of.update({f"{prefix}{k}": s for k, s in group.items()})

    put("embedding/", {"kernel": (PATCH, PATCH, 3, WIDTH), "bias": (WIDTH,)})
    put("", {"pos_embedding": (1, TOKENS, WIDTH)})
    for i in range(DEPTH):
        b = f"Transformer/encoderblock_{i}/"
        mha = b + "MultiHeadDotProductAttention_0/"
        put(b + "LayerNorm_0/", ln)
        put(b + "MlpBlock_0/", dense)
        if is_22b:
            put(mha, {k: s for k, s in attn.items() if k.endswith("kernel")})
            put(mha, {"query_ln/scale": (HEAD,), "key_ln/scale": (HEAD,)})
        else:
            put(mha, attn)
            put(b + "LayerNorm_1/", ln)
    put("Transformer/encoder_norm/", ln)
    if is_map:
        put("MAPHead_0/", {"probe": (1, 1, WIDTH)})
        put("MAPHead_0/LayerNorm_0/", ln)
        put("MAPHead_0/MultiHeadDotProductAttention_0/", attn)
        put("MAPHead_0/MlpBlock_0/", dense)
    put("head/", {"kernel": (WIDTH, CLASSES), "bias": (CLASSES,)})
    return all_of


def tree(flat):
    root = {}
    for name, value in flat.items():
        *path, leaf = name.split("/")
        node = root
        for part in path:
            node = node.setdefault(part, {})
        node[leaf] = value.astype(np.float64)
    return root


def to_bf16(x):
    """Cut to bf16, as JAX saves it, two bytes of no type; and what it is worth."""
    bits = x.astype(np.float32).view(np.uint32) & 0xFFFF0000
    return (bits >> 16).astype(np.uint16).view("V2"), bits.view(np.float32)


def stack(flat):
    """The blocks as flax's scan has them."""
    out = {}
    for name, value in flat.items():
        if "encoderblock_0" in name:
            rows = [flat[name.replace("_0/", f"_{i}/", 1)] for i in range(DEPTH)]
            out[name.replace("encoderblock_0", "encoderblock")] = np.stack(rows)
        elif "encoderblock_" not in name:
            out[name] = value
    return out


def make_big_vision(folder, images, rng):
    flat = {k: draw(rng, k, s).astype(np.float32) for k, s in shapes(False, True).items()}
    np.savez(f"{folder}/exchange-jax.npz", **{f"params/{k}": v for k, v in flat.items()},
             **{"opt/0/mu/head/bias": flat["head/bias"], "chrono/steps": np.int64(7)})
    return forward(tree(flat), images.astype(np.float64))


def make_22b(folder, images, rng):
    """Stacked, compressed, and in four types."""
    flat, saved = {}, {}
    for name, shape in shapes(True, True).items():
        x = draw(rng, name, shape)
        if name.endswith("kernel") and "encoderblock" in name:
            x = x.astype(np.float16)
        elif name.startswith("head"):
            saved[name], x = to_bf16(x)
        elif "MAPHead" not in name:
            x = x.astype(np.float32).astype(np.float64)
        else:
            x = x.astype(np.float32)
        flat[name] = x
    saved = {f"params/{k}": saved.get(k, v) for k, v in stack(flat).items()}
    np.savez_compressed(f"{folder}/exchange-22b.npz", **saved)
    return forward(tree(flat), images.astype(np.float64))


def main(folder):
    rng = np.random.default_rng(7)
    images = rng.uniform(-1, 1, (IMAGES, IMAGE, IMAGE, 3)).astype(np.float32)
    logits = {
        "cls": make_timm(folder, "cls", torch.float32, images, rng),
        "gap": make_timm(folder, "gap", torch.float16, images, rng, class_token=False,
                         global_pool="avg", fc_norm=False),
        "map": make_timm(folder, "map", torch.bfloat16, images, rng, class_token=False,
                         global_pool="map", act_layer="gelu_tanh"),
        "qk": make_timm(folder, "qk", torch.float16, images, rng, class_token=True,
                        no_embed_class=True, qk_norm=True),
        "jax": make_big_vision(folder, images, rng),
        "22b": make_22b(folder, images, rng),
    }
    save_file({"images": torch.from_numpy(images)} |
              {k: torch.from_numpy(np.ascontiguousarray(v)) for k, v in logits.items()},
              f"{folder}/exchange-expected.safetensors")


main(sys.argv[1])
