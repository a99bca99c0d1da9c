#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Time the same training step in vitbench and in PyTorch, by turns.

    compare.py [--rounds=3] [--steps=5] [--warmup=2] [--threads=N] [--dtype=f32|bf16]
               [VITBENCH OPTIONS]

    compare.py --dtype=bf16 --shape=So400m --layers=4 --batch=16

Both start from the same weights and see the same images: vitbench draws them from
counters, and so does this script.  Pooling is --pool=gap.  PyTorch runs with its fused
attention and its fused or foreach AdamW, where its version has them, and in bf16 under
autocast; where vitbench ran on a GPU, so does PyTorch, compiled; what was in use is
printed.  A round is a run of each, in processes of their own; PyTorch's stays, so that
it compiles once, and starts every round from the first weights.  vitbench's steps have
their input in them, PyTorch's have not.  The ratio of a round is PyTorch's median step to
vitbench's.  Needs PyTorch and NumPy.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

M64 = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
RNG_PARAM, RNG_IMAGE, RNG_LABEL = 1, 2, 3


# ---- vitbench's random numbers ------------------------------------------------------------


def mix(x):
    x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9 & M64
    x = (x ^ x >> 27) * 0x94D049BB133111EB & M64
    return x ^ x >> 31


def hash_of(text):
    h = 0xCBF29CE484222325
    for c in text.encode():
        h = (h ^ c) * 0x100000001B3 & M64
    return mix(h)


def start_of(seed, stream):
    return mix((mix(seed + GOLDEN & M64) + stream + GOLDEN) & M64)


def bits(np, start, first, n):
    i = np.arange(first + 1, first + n + 1, dtype=np.uint64)
    x = np.uint64(start) + i * np.uint64(GOLDEN)
    x = (x ^ x >> np.uint64(30)) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ x >> np.uint64(27)) * np.uint64(0x94D049BB133111EB)
    return x ^ x >> np.uint64(31)


def normal(np, seed, stream, n, first=0):
    """Pairs by Box and Muller: 'first' and 'n' are even, or 'n' is rounded up."""
    b = bits(np, start_of(seed, stream), first, n + n % 2)
    a, b = b[0::2], b[1::2]
    part = np.uint64(0x000FFFFFFFFFFFFF)
    u = 1.0 - (a >> np.uint64(12)).astype(np.float64) * 2.0**-52
    angle = ((b & part).astype(np.float64) * 2.0**-52 - 0.5) * (np.pi / 2)
    radius = np.sqrt(-2.0 * np.log(u))
    c, s = radius * np.cos(angle), radius * np.sin(angle)
    is_swapped = (b >> np.uint64(62) & np.uint64(1)) == 0
    sign = np.where(b >> np.uint64(63) != 0, -1.0, 1.0)
    x = np.empty(len(a) * 2)
    x[0::2] = sign * np.where(is_swapped, c, s)
    x[1::2] = sign * np.where(is_swapped, s, c)
    return x[:n].astype(np.float32)


def uniform(np, seed, stream, n, scale):
    b = bits(np, start_of(seed, stream), 0, n) >> np.uint64(11)
    return (scale * (2 * b.astype(np.float64) * 2.0**-53 - 1)).astype(np.float32)


# ---- the model ----------------------------------------------------------------------------


def build(torch, np, s, seed):
    """A module with vitbench's weights for the shape 's' of its JSON."""
    nn, F = torch.nn, torch.nn.functional
    C, L, MLP, H = s["width"], s["layers"], s["mlp"], s["heads"]
    P, T, K = s["patch"], s["tokens"], s["classes"]
    is_parallel, eps = s["wiring"] == "parallel", 1e-6
    fused = getattr(F, "scaled_dot_product_attention", None)

    def draw(name, shape, kind, scale=0.0):
        n, stream = int(np.prod(shape)), (RNG_PARAM + hash_of(name)) & M64
        if kind == "normal":
            x = np.float32(1) * normal(np, seed, stream, n)
            x = (scale * x.astype(np.float64)).astype(np.float32)
        else:
            x = uniform(np, seed, stream, n, scale)
        return torch.from_numpy(x.reshape(shape))

    def kernel(name, rows, cols):
        return draw(name, (rows, cols), "uniform", (6.0 / (rows + cols)) ** 0.5)

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            p = {}
            p["patch"] = draw("embedding/kernel", (3 * P * P, C), "normal",
                              (3 * P * P) ** -0.5)
            p["patch_bias"] = torch.zeros(C)
            p["pos"] = draw("pos_embedding", (T, C), "normal", C**-0.5)
            for i in range(L):
                self.add_block(p, i, f"Transformer/encoderblock_{i}/")
            p["norm"] = torch.ones(C)
            if not is_parallel:
                p["norm_bias"] = torch.zeros(C)
            p["head"] = draw("head/kernel", (C, K), "normal", C**-0.5)
            p["head_bias"] = torch.zeros(K)
            self.p = nn.ParameterDict({k: nn.Parameter(v.clone()) for k, v in p.items()})

        def add_block(self, p, i, prefix):
            attn, mlp = prefix + "MultiHeadDotProductAttention_0/", prefix + "MlpBlock_0/"
            qkv = [kernel(attn + w + "/kernel", C, C) for w in ("query", "key", "value")]
            p[f"n0_{i}"], p[f"n1_{i}"] = torch.ones(C), torch.ones(C)
            p[f"qkv_{i}"] = torch.cat(qkv, 1)
            p[f"out_{i}"] = kernel(attn + "out/kernel", C, C)
            p[f"up_{i}"] = kernel(mlp + "Dense_0/kernel", C, MLP)
            p[f"down_{i}"] = kernel(mlp + "Dense_1/kernel", MLP, C)
            p[f"up_bias_{i}"] = draw(mlp + "Dense_0/bias", (MLP,), "normal", 1e-6)
            p[f"down_bias_{i}"] = draw(mlp + "Dense_1/bias", (C,), "normal", 1e-6)
            if is_parallel:
                del p[f"n1_{i}"]
                p[f"q_{i}"], p[f"k_{i}"] = torch.ones(C // H), torch.ones(C // H)
            else:
                for b in ("n0", "n1", "out"):
                    p[f"{b}_bias_{i}"] = torch.zeros(C)
                p[f"qkv_bias_{i}"] = torch.zeros(3 * C)

        def norm(self, x, name, bias):
            if is_parallel:
                return x * torch.rsqrt(x.float().pow(2).mean(-1, keepdim=True) + eps).to(
                    x.dtype) * self.p[name]
            return F.layer_norm(x, x.shape[-1:], self.p[name], self.p[bias], eps)

        def attention(self, x, i):
            bias = None if is_parallel else self.p[f"qkv_bias_{i}"]
            qkv = F.linear(x, self.p[f"qkv_{i}"].t(), bias)
            q, k, v = qkv.view(*x.shape[:2], 3, H, C // H).permute(2, 0, 3, 1, 4)
            if is_parallel and s["qk_norm"]:
                q, k = self.norm(q, f"q_{i}", None), self.norm(k, f"k_{i}", None)
                q, k = q.to(v.dtype), k.to(v.dtype)
            if fused is not None:
                o = fused(q, k, v)
            else:
                o = F.softmax(q @ k.transpose(-1, -2) * (C // H) ** -0.5, -1) @ v
            o = o.transpose(1, 2).reshape(x.shape)
            out_bias = None if is_parallel else self.p[f"out_bias_{i}"]
            return F.linear(o, self.p[f"out_{i}"].t(), out_bias)

        def mlp(self, x, i):
            x = F.linear(x, self.p[f"up_{i}"].t(), self.p[f"up_bias_{i}"])
            x = F.gelu(x, approximate="tanh")
            return F.linear(x, self.p[f"down_{i}"].t(), self.p[f"down_bias_{i}"])

        def forward(self, images):
            side = s["image"] // P
            x = images[:, : side * P, : side * P].reshape(-1, side, P, side, P, 3)
            x = x.permute(0, 1, 3, 2, 4, 5).reshape(-1, T, 3 * P * P)
            x = F.linear(x, self.p["patch"].t(), self.p["patch_bias"]) + self.p["pos"]
            for i in range(L):
                n = self.norm(x, f"n0_{i}", f"n0_bias_{i}")
                if is_parallel:
                    x = x + self.attention(n, i) + self.mlp(n, i)
                else:
                    x = x + self.attention(n, i)
                    x = x + self.mlp(self.norm(x, f"n1_{i}", f"n1_bias_{i}"), i)
            x = self.norm(x, "norm", "norm_bias").mean(1)
            return F.linear(x, self.p["head"].t(), self.p["head_bias"])

    return Model()


def optimizer_of(torch, model):
    kernels = [v for v in model.parameters() if v.dim() == 2]
    rest = [v for v in model.parameters() if v.dim() != 2]
    pos = model.p["pos"]
    kernels = [v for v in kernels if v is not pos]
    groups = [{"params": kernels, "weight_decay": 0.03},
              {"params": rest + [pos], "weight_decay": 0.0}]
    for how in ({"fused": True}, {"foreach": True}, {}):
        try:
            made = torch.optim.AdamW(groups, lr=1e-6, betas=(0.9, 0.999), eps=1e-8, **how)
            return made, next(iter(how), "plain")
        except (RuntimeError, TypeError, ValueError):
            continue
    raise SystemExit("compare.py: no AdamW in this PyTorch")


class Torch:
    """PyTorch's side: the model, and rounds of it from the same start."""

    def __init__(self, job):
        import numpy
        import torch

        self.np, self.torch, self.job = numpy, torch, job
        torch.set_num_threads(job["threads"])
        self.model = build(torch, numpy, job["shape"], job["seed"]).to(job["device"])
        self.start = [p.detach().to("cpu", copy=True) for p in self.model.parameters()]
        self.optimizer, how = optimizer_of(torch, self.model)
        where = f"{torch.get_num_threads()} threads"
        if job["device"] == "cuda":
            where = f"compiled, {torch.cuda.get_device_name()}"
            self.model = torch.compile(self.model)
        fused = hasattr(torch.nn.functional, "scaled_dot_product_attention")
        attention = "scaled_dot_product_attention" if fused else "softmax(q k) v"
        self.about = f"PyTorch {torch.__version__}, {attention}, AdamW {how}, {where}"

    def batch(self, step):
        np, torch, job = self.np, self.torch, self.job
        s, B, seed = job["shape"], job["batch"], job["seed"]
        pixels = 3 * s["image"] ** 2
        images = normal(np, seed, RNG_IMAGE, B * pixels, step * B * pixels)
        images = torch.from_numpy(images.reshape(B, s["image"], s["image"], 3))
        classes = bits(np, start_of(seed, RNG_LABEL), step * B, B) % np.uint64(s["classes"])
        targets = torch.nn.functional.one_hot(
            torch.from_numpy(classes.astype(np.int64)), s["classes"]).float()
        return images.to(job["device"]), targets.to(job["device"])

    def step(self, images, targets):
        torch, job = self.torch, self.job
        with torch.autocast(job["device"], dtype=torch.bfloat16,
                            enabled=job["dtype"] == "bf16"):
            logits = self.model(images)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            logits.float(), targets, reduction="sum") / job["batch"]
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        return float(loss.detach())

    def round(self):
        seconds, losses = [], []
        with self.torch.no_grad():
            for p, first in zip(self.model.parameters(), self.start):
                p.copy_(first)
        self.optimizer.state.clear()
        for step in range(self.job["warmup"] + self.job["steps"]):
            images, targets = self.batch(step)
            if self.job["device"] == "cuda":
                self.torch.cuda.synchronize()
            start = time.perf_counter()
            losses.append(self.step(images, targets))
            seconds.append(time.perf_counter() - start)
        warmup = self.job["warmup"]
        return {"seconds": seconds[warmup:], "losses": losses[warmup:],
                "about": self.about}


def serve_torch(job):
    """In a process of its own: a round for every line that comes, as a line of JSON."""
    torch = Torch(job)
    for _ in sys.stdin:
        print(json.dumps(torch.round()), flush=True)


# ---- rounds -------------------------------------------------------------------------------


def run_vitbench(args, rest):
    with tempfile.TemporaryDirectory() as folder:
        result, lines = os.path.join(folder, "r.json"), os.path.join(folder, "r.jsonl")
        command = [args.vitbench, "--case=step", "--pool=gap", f"--dtype={args.dtype}",
                   f"--threads={args.threads}", f"--warmup={args.warmup}",
                   f"--steps={args.steps}", f"--seed={args.seed}", "--no-check",
                   f"--json={result}", f"--jsonl={lines}", *rest]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"compare.py: vitbench ended with {done.returncode}")
        with open(result, encoding="utf-8") as file:
            case = json.load(file)["cases"][0]
        if case["status"] != "pass":
            raise SystemExit(f"compare.py: vitbench: {case['status']}: {case['reason']}")
        with open(lines, encoding="utf-8") as file:
            steps = [json.loads(line) for line in file]
    shape = dict(case["shape"], layers=case["layers_run"])
    return case, shape, [s["seconds"] for s in steps], [s["loss"] for s in steps]


def start_torch(args, case, shape):
    job = {"shape": shape, "batch": case["batch"], "threads": args.threads,
           "steps": args.steps, "warmup": args.warmup, "seed": args.seed,
           "dtype": args.dtype,
           "device": "cuda" if case["device"] == "cuda" else "cpu"}
    return subprocess.Popen([sys.executable, os.path.abspath(__file__), "--as-torch",
                             json.dumps(job)], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--dtype", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--vitbench", default="vitbench", help="the program")
    parser.add_argument("--as-torch", help=argparse.SUPPRESS)
    args, rest = parser.parse_known_args()

    if args.as_torch:
        serve_torch(json.loads(args.as_torch))
        return
    for module in ("numpy", "torch"):
        if subprocess.run([sys.executable, "-c", f"import {module}"], check=False,
                          stderr=subprocess.DEVNULL).returncode != 0:
            raise SystemExit(f"compare.py: {module} is not installed")
    ratios, peer = [], None
    for number in range(args.rounds):
        case, shape, ours, our_losses = run_vitbench(args, rest)
        if peer is None:
            peer = start_torch(args, case, shape)
        print("round", file=peer.stdin, flush=True)
        line = peer.stdout.readline()
        if not line:
            raise SystemExit(f"compare.py: PyTorch ended with {peer.wait()}")
        theirs = json.loads(line)
        if number == 0:
            print(f"vitbench  {case['device']}, {args.threads} threads, {args.dtype}")
            print(f"peer      {theirs['about']}", flush=True)
        gap = max(abs(a - b) / abs(a) for a, b in zip(our_losses, theirs["losses"]))
        ratios.append(statistics.median(theirs["seconds"]) / statistics.median(ours))
        print(f"round {number + 1}   vitbench {statistics.median(ours):.4f} s, peer "
              f"{statistics.median(theirs['seconds']):.4f} s, ratio {ratios[-1]:.3f} "
              f"(single steps {min(theirs['seconds']) / max(ours):.3f} to "
              f"{max(theirs['seconds']) / min(ours):.3f}), "
              f"losses {our_losses[-1]:.6g} and {theirs['losses'][-1]:.6g}, "
              f"largest gap {gap:.1e}", flush=True)
    peer.stdin.close()
    peer.wait()
    spread = max(ratios) - min(ratios)
    print(f"ratio     {statistics.median(ratios):.3f}, spread {spread:.3f} over "
          f"{args.rounds} rounds")


if __name__ == "__main__":
    main()
