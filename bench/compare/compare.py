#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Time the same training step in vitbench and in PyTorch, by turns.

    compare.py [--rounds=3] [--steps=5] [--warmup=2] [--threads=N] [--dtype=f32|bf16]
               [--tf32] [--compile] [--attention=own|flash|mem_efficient|cudnn]
               [--seconds=S] [VITBENCH OPTIONS]

    compare.py --dtype=bf16 --shape=So400m --layers=4 --batch=16

Both start from the same weights and see the same images: vitbench draws them from
counters, and so does this script.  Pooling is --pool=gap.  PyTorch runs with its fused
attention and its fused or foreach AdamW, where its version has them, and in bf16 under
autocast, with x in bf16 between blocks; where vitbench ran on a GPU, so does PyTorch,
compiled block by block (--compile: on CPUs too), with the attention that it chooses
itself or the one that is named; what was in use is printed.  Where the compiler fails,
PyTorch goes on without it and says so.  A round is a run of each, in processes of their
own; PyTorch's stays, so that it compiles once, and starts every round from the first
weights.  vitbench's steps have their input in them, PyTorch's have not, and a GPU is not
waited for between them.  The ratio of a round is PyTorch's median step to vitbench's.
With --seconds=S rounds end when that is over.
Needs PyTorch.
"""
import argparse
import importlib.util
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time

M64 = (1 << 64) - 1
GOLDEN = 0x9E3779B97F4A7C15
RNG_PARAM, RNG_IMAGE, RNG_LABEL = 1, 2, 3
CHUNK = 1 << 22
EPS = 1e-6


# ---- vitbench's random numbers ------------------------------------------------------------
#
# In PyTorch, on the device: its integers wrap as those of C do, but are shifted with sign.


def wrapped(x):
    """The same 64 bits as a signed number."""
    x &= M64
    return x - (1 << 64) if x >> 63 else x


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


def shifted(x, by):
    return x >> by & (1 << 64 - by) - 1


def bits(torch, start, first, n, device):
    x = torch.arange(first + 1, first + n + 1, dtype=torch.int64, device=device)
    x = x * wrapped(GOLDEN) + wrapped(start)
    x = (x ^ shifted(x, 30)) * wrapped(0xBF58476D1CE4E5B9)
    x = (x ^ shifted(x, 27)) * wrapped(0x94D049BB133111EB)
    return x ^ shifted(x, 31)


def normal_some(torch, start, first, n, device):
    """Pairs by Box and Muller; 'first' and 'n' are even."""
    b = bits(torch, start, first, n, device)
    a, b = b[0::2], b[1::2]
    u = 1.0 - shifted(a, 12).double() * 2.0**-52
    angle = ((b & 0x000FFFFFFFFFFFFF).double() * 2.0**-52 - 0.5) * (math.pi / 2)
    radius = torch.sqrt(-2.0 * torch.log(u))
    c, s = radius * torch.cos(angle), radius * torch.sin(angle)
    is_swapped = b >> 62 & 1 == 0
    sign = torch.where(b < 0, -1.0, 1.0).double()
    pair = torch.stack((sign * torch.where(is_swapped, c, s),
                        sign * torch.where(is_swapped, s, c)), 1)
    return pair.flatten().float()


def uniform_some(torch, start, first, n, device):
    b = shifted(bits(torch, start, first, n, device), 11)
    return 2 * b.double() * 2.0**-53 - 1


def draw(torch, some, seed, stream, n, device, scale=1.0, first=0):
    """'n' numbers by 'some' times 'scale', through memory for a few of them."""
    start, x = start_of(seed, stream), torch.empty(n, device=device)
    for lo in range(0, n, CHUNK):
        size = min(CHUNK, n - lo)
        x[lo:lo + size] = scale * some(torch, start, first + lo, size + size % 2,
                                       device)[:size].double()
    return x


# ---- the model ----------------------------------------------------------------------------


class Layers:
    """The shape 's' of vitbench's JSON in operations of PyTorch: what it does with images,
    and in every block, is a function of its own, so that the compiler sees one block and
    not all of them.  Between blocks, x has the format of products, as in vitbench.
    """

    def __init__(self, torch, s, dtype):
        self.F, self.torch, self.s, self.dtype = torch.nn.functional, torch, s, dtype
        self.is_parallel = s["wiring"] == "parallel"
        self.fused = getattr(self.F, "scaled_dot_product_attention", None)

    def norm(self, x, p, name):
        if self.is_parallel:
            size = x.float().pow(2).mean(-1, keepdim=True)
            return (x.float() * self.torch.rsqrt(size + EPS) * p[name]).to(self.dtype)
        return self.F.layer_norm(x.float(), x.shape[-1:], p[name], p[name + "_bias"],
                                 EPS).to(self.dtype)

    def attention(self, x, p):
        s, C = self.s, self.s["width"]
        H = s["heads"]
        qkv = self.F.linear(x, p["qkv"].t(), p.get("qkv_bias"))
        q, k, v = qkv.view(*x.shape[:2], 3, H, C // H).permute(2, 0, 3, 1, 4)
        if self.is_parallel and s["qk_norm"]:
            q, k = self.norm(q, p, "q"), self.norm(k, p, "k")
        if self.fused is not None:
            o = self.fused(q, k, v)
        else:
            o = self.F.softmax(q @ k.transpose(-1, -2) * (C // H) ** -0.5, -1) @ v
        o = o.transpose(1, 2).reshape(x.shape)
        return self.F.linear(o, p["out"].t(), p.get("out_bias"))

    def mlp(self, x, p):
        x = self.F.linear(x, p["up"].t(), p["up_bias"])
        x = self.F.gelu(x, approximate="tanh")
        return self.F.linear(x, p["down"].t(), p["down_bias"])

    def block(self, x, p):
        n = self.norm(x, p, "n0")
        if self.is_parallel:
            return x + self.attention(n, p) + self.mlp(n, p)
        x = x + self.attention(n, p)
        return x + self.mlp(self.norm(x, p, "n1"), p)

    def embed(self, images, p):
        P, T = self.s["patch"], self.s["tokens"]
        side = self.s["image"] // P
        x = images[:, : side * P, : side * P].reshape(-1, side, P, side, P, 3)
        x = x.permute(0, 1, 3, 2, 4, 5).reshape(-1, T, 3 * P * P)
        x = self.F.linear(x, p["patch"].t(), p["patch_bias"]) + p["pos"]
        return x.to(self.dtype)

    def head(self, x, p):
        x = self.norm(x, p, "norm").float().mean(1)
        return self.F.linear(x, p["head"].t(), p["head_bias"])


def start_values(torch, s, seed, device):
    """Functions that give the first weights: of what is not a block's, and of each block."""
    C, L, MLP, H = s["width"], s["layers"], s["mlp"], s["heads"]
    P, T, K = s["patch"], s["tokens"], s["classes"]
    is_parallel = s["wiring"] == "parallel"

    def some(function, name, shape, scale):
        stream = RNG_PARAM + hash_of(name) & M64
        return lambda: draw(torch, function, seed, stream, math.prod(shape), device,
                            scale).reshape(shape)

    def normal(name, shape, scale):
        return some(normal_some, name, shape, scale)

    def kernel(name, rows, cols):
        return some(uniform_some, name, (rows, cols), (6.0 / (rows + cols)) ** 0.5)

    def ones(n):
        return lambda: torch.ones(n, device=device)

    def zeros(n):
        return lambda: torch.zeros(n, device=device)

    def block(prefix):
        attn, mlp = prefix + "MultiHeadDotProductAttention_0/", prefix + "MlpBlock_0/"
        qkv = [kernel(attn + w + "/kernel", C, C) for w in ("query", "key", "value")]
        p = {"n0": ones(C), "qkv": lambda: torch.cat([w() for w in qkv], 1),
             "out": kernel(attn + "out/kernel", C, C),
             "up": kernel(mlp + "Dense_0/kernel", C, MLP),
             "down": kernel(mlp + "Dense_1/kernel", MLP, C),
             "up_bias": normal(mlp + "Dense_0/bias", (MLP,), 1e-6),
             "down_bias": normal(mlp + "Dense_1/bias", (C,), 1e-6)}
        if is_parallel:
            return dict(p, q=ones(C // H), k=ones(C // H))
        return dict(p, n1=ones(C), n0_bias=zeros(C), n1_bias=zeros(C), out_bias=zeros(C),
                    qkv_bias=zeros(3 * C))

    rest = {"patch": normal("embedding/kernel", (3 * P * P, C), (3 * P * P) ** -0.5),
            "patch_bias": zeros(C), "pos": normal("pos_embedding", (T, C), C**-0.5),
            "norm": ones(C), "head": normal("head/kernel", (C, K), C**-0.5),
            "head_bias": zeros(K)}
    if not is_parallel:
        rest["norm_bias"] = zeros(C)
    return [rest] + [block(f"Transformer/encoderblock_{i}/") for i in range(L)]


def optimizer_of(torch, groups):
    everything = [(k, v) for group in groups for k, v in group.items()]
    is_kernel = {True: [], False: []}
    for name, v in everything:
        is_kernel[v.dim() == 2 and name != "pos"].append(v)
    sets = [{"params": is_kernel[True], "weight_decay": 0.03},
            {"params": is_kernel[False], "weight_decay": 0.0}]
    for how in ({"fused": True}, {"foreach": True}, {}):
        try:
            made = torch.optim.AdamW(sets, lr=1e-6, betas=(0.9, 0.999), eps=1e-8, **how)
            return made, next(iter(how), "plain")
        except (RuntimeError, TypeError, ValueError):
            continue
    raise SystemExit("compare.py: no AdamW in this PyTorch")


class Torch:
    """PyTorch's side: the model, and rounds of it from the same start.  Masters, gradients
    and moments are f32; products of bf16 are autocast's.
    """

    def __init__(self, job):
        import torch

        self.torch, self.job, s = torch, job, job["shape"]
        torch.set_num_threads(job["threads"])
        torch.set_float32_matmul_precision("high" if job["tf32"] else "highest")
        self.is_gpu = job["device"] == "cuda"
        is_bf16 = job["dtype"] == "bf16"
        self.layers = Layers(torch, s, torch.bfloat16 if is_bf16 else torch.float32)
        self.values = start_values(torch, s, job["seed"], job["device"])
        self.groups = [{k: value().requires_grad_() for k, value in group.items()}
                       for group in self.values]
        self.all = [v for group in self.groups for v in group.values()]
        self.optimizer, how = optimizer_of(torch, self.groups)
        where = f"{torch.get_num_threads()} threads"
        if self.is_gpu:
            where = torch.cuda.get_device_name()
        if job["attention"] != "own":
            for backend in ("flash", "mem_efficient", "cudnn", "math"):
                getattr(torch.backends.cuda, f"enable_{backend}_sdp")(
                    backend == job["attention"])
        if self.is_gpu or job["compile"]:
            where = f"{self.compile_parts()}, {where}"
        self.about = (f"PyTorch {torch.__version__}, {self.attention()}, AdamW {how}, "
                      f"{where}")

    def attention(self):
        """The name of what computes it, with PyTorch's choice where it tells."""
        torch, job, s = self.torch, self.job, self.job["shape"]
        if self.layers.fused is None:
            return "softmax(q k) v"
        q = torch.empty((job["batch"], s["heads"], s["tokens"], s["width"] // s["heads"]),
                        dtype=self.layers.dtype, device=job["device"], requires_grad=True)
        try:
            choice = torch.nn.attention.SDPBackend(torch._fused_sdp_choice(q, q, q))
            return f"scaled_dot_product_attention ({choice.name.lower()})"
        except (AttributeError, RuntimeError, TypeError):
            return "scaled_dot_product_attention"

    def compile_parts(self):
        """Have them compiled by a first step; undo it if that fails."""
        parts = ("embed", "block", "head")
        plain = {part: getattr(self.layers, part) for part in parts}
        for part in parts:
            setattr(self.layers, part, self.torch.compile(plain[part], dynamic=False))
        try:
            self.step(*self.batch(0))
            return "compiled by blocks"
        except Exception as why:  # whatever a compiler may raise
            if "out of memory" in str(why):
                raise
            for part in parts:
                setattr(self.layers, part, plain[part])
            print(f"compare.py: PyTorch is not compiled: {why}", file=sys.stderr)
            return "not compiled"

    def batch(self, step):
        torch, job = self.torch, self.job
        s, B, seed, device = job["shape"], job["batch"], job["seed"], job["device"]
        pixels = 3 * s["image"] ** 2
        images = draw(torch, normal_some, seed, RNG_IMAGE, B * pixels, device,
                      first=step * B * pixels)
        label = bits(torch, start_of(seed, RNG_LABEL), step * B, B, device)
        K = s["classes"]
        label = (shifted(label, 1) % K * 2 + (label & 1)) % K  # of an unsigned number
        targets = torch.nn.functional.one_hot(label, K).float()
        return images.reshape(B, s["image"], s["image"], 3), targets

    def step(self, images, targets):
        torch, job = self.torch, self.job
        with torch.autocast(job["device"], dtype=torch.bfloat16,
                            enabled=job["dtype"] == "bf16"):
            x = self.layers.embed(images, self.groups[0])
            for group in self.groups[1:]:
                x = self.layers.block(x, group)
            logits = self.layers.head(x, self.groups[0])
        loss = torch.nn.functional.binary_cross_entropy_with_logits(
            logits.float(), targets, reduction="sum") / job["batch"]
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.all, 1.0)
        self.optimizer.step()
        return loss.detach()

    def start_again(self):
        with self.torch.no_grad():
            for group, values in zip(self.groups, self.values):
                for name, value in values.items():
                    group[name].copy_(value())
        self.forget()

    def forget(self):
        """Leave the memory to vitbench but for the weights."""
        self.optimizer.zero_grad(set_to_none=True)
        self.optimizer.state.clear()
        if self.is_gpu:
            self.torch.cuda.empty_cache()

    def time_steps(self, batches):
        """Seconds and losses.  A GPU is not waited for until the last step is on its way:
        its own clock tells the ends of steps.
        """
        cuda, ends, losses = self.torch.cuda, [], []

        def mark():
            if not self.is_gpu:
                return time.perf_counter()
            event = cuda.Event(enable_timing=True)
            event.record()
            return event

        ends.append(mark())
        for images, targets in batches:
            losses.append(self.step(images, targets))
            ends.append(mark())
        if self.is_gpu:
            cuda.synchronize()
            return ([a.elapsed_time(b) / 1e3 for a, b in zip(ends, ends[1:])],
                    [float(x) for x in losses])
        return [b - a for a, b in zip(ends, ends[1:])], [float(x) for x in losses]

    def round(self):
        warmup, steps = self.job["warmup"], self.job["steps"]
        self.start_again()
        if self.is_gpu:
            self.torch.cuda.reset_peak_memory_stats()
        batches = [self.batch(step) for step in range(warmup + steps)]
        if warmup > 0:
            self.time_steps(batches[:warmup])
        seconds, losses = self.time_steps(batches[warmup:])
        memory = self.torch.cuda.max_memory_allocated() if self.is_gpu else None
        del batches
        self.forget()
        return {"seconds": seconds, "losses": losses, "about": self.about,
                "memory": memory}


def serve_torch(job):
    """In a process of its own: a round for every line that comes, as a line of JSON."""
    torch = Torch(job)
    for _ in sys.stdin:
        print(json.dumps(torch.round()), flush=True)


# ---- rounds -------------------------------------------------------------------------------


def refuse_others(options, shape):
    """The step that PyTorch takes here is of one kind."""
    for name, value in (("pool", "gap"), ("gelu", "tanh"), ("loss", "sigmoid"),
                        ("optimizer", "adamw")):
        if options[name]["value"] != value:
            raise SystemExit(f"compare.py: PyTorch is compared with --{name}={value} alone")
    if shape["qk_norm"] and shape["wiring"] != "parallel":
        raise SystemExit("compare.py: PyTorch has QK-norm in parallel blocks alone")


def run_vitbench(args, rest):
    with tempfile.TemporaryDirectory() as folder:
        result, lines = os.path.join(folder, "r.json"), os.path.join(folder, "r.jsonl")
        command = [args.vitbench, "--case=step", "--pool=gap", f"--dtype={args.dtype}",
                   f"--threads={args.threads}", f"--warmup={args.warmup}",
                   f"--steps={args.steps}", f"--seed={args.seed}", "--no-check",
                   f"--json={result}", f"--jsonl={lines}",
                   *(["--tf32"] if args.tf32 else []), *rest]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"compare.py: vitbench ended with {done.returncode}")
        with open(result, encoding="utf-8") as file:
            whole = json.load(file)
        case = whole["cases"][0]
        if case["status"] != "pass":
            raise SystemExit(f"compare.py: vitbench: {case['status']}: {case['reason']}")
        with open(lines, encoding="utf-8") as file:
            steps = [json.loads(line) for line in file]
    refuse_others(whole["options"], case["shape"])
    shape = dict(case["shape"], layers=case["layers_run"])
    return case, shape, [s["seconds"] for s in steps], [s["loss"] for s in steps]


def start_torch(args, case, shape):
    job = {"shape": shape, "batch": case["batch"], "threads": args.threads,
           "steps": args.steps, "warmup": args.warmup, "seed": args.seed,
           "dtype": args.dtype, "compile": args.compile, "tf32": args.tf32,
           "attention": args.attention,
           "device": "cuda" if case["device"] == "cuda" else "cpu"}
    return subprocess.Popen([sys.executable, os.path.abspath(__file__), "--as-torch",
                             json.dumps(job)], stdin=subprocess.PIPE,
                            stdout=subprocess.PIPE, text=True)


def tell_own(args, case, seconds):
    """What vitbench has measured, before PyTorch is asked for anything."""
    mfu = case["mfu_spec"]
    of_peak = f", MFU {100 * mfu:.1f} % of the data sheet" if mfu is not None else ""
    print(f"vitbench  {case['device']}, {args.threads} threads, {args.dtype}, "
          f"{statistics.median(seconds):.4f} s{of_peak}", flush=True)


def main():
    parser = argparse.ArgumentParser(usage=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--dtype", choices=("f32", "bf16"), default="f32")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--vitbench", default="vitbench", help="the program")
    parser.add_argument("--tf32", action="store_true", help="f32 by TF32, both")
    parser.add_argument("--compile", action="store_true", help="PyTorch, on CPUs too")
    parser.add_argument("--attention", default="own",
                        choices=("own", "flash", "mem_efficient", "cudnn"),
                        help="PyTorch's, on GPUs")
    parser.add_argument("--seconds", type=float, default=math.inf,
                        help="no round begins that would end later")
    parser.add_argument("--as-torch", help=argparse.SUPPRESS)
    args, rest = parser.parse_known_args()

    if args.as_torch:
        serve_torch(json.loads(args.as_torch))
        return
    if importlib.util.find_spec("torch") is None:
        raise SystemExit("compare.py: PyTorch is not installed")
    ratios, peer = [], None
    start, longest = time.monotonic(), 0.0
    for number in range(args.rounds):
        before = time.monotonic()
        if before + longest - start > args.seconds:
            break
        case, shape, ours, our_losses = run_vitbench(args, rest)
        if peer is None:
            tell_own(args, case, ours)
            peer = start_torch(args, case, shape)
        print("round", file=peer.stdin, flush=True)
        line = peer.stdout.readline()
        if not line:
            raise SystemExit(f"compare.py: PyTorch ended with {peer.wait()}")
        theirs = json.loads(line)
        if number == 0:
            print(f"peer      {theirs['about']}", flush=True)
            if theirs["memory"] is not None:
                print(f"memory    vitbench {(case['memory']['peak_rss'] or 0) * 1e-9:.2f} GB, "
                      f"peer {theirs['memory'] * 1e-9:.2f} GB", flush=True)
        gap = max(abs(a - b) / abs(a) for a, b in zip(our_losses, theirs["losses"]))
        ratios.append(statistics.median(theirs["seconds"]) / statistics.median(ours))
        print(f"round {number + 1}   vitbench {statistics.median(ours):.4f} s, peer "
              f"{statistics.median(theirs['seconds']):.4f} s, ratio {ratios[-1]:.3f} "
              f"(single steps {min(theirs['seconds']) / max(ours):.3f} to "
              f"{max(theirs['seconds']) / min(ours):.3f}), "
              f"losses {our_losses[-1]:.6g} and {theirs['losses'][-1]:.6g}, "
              f"largest gap {gap:.1e}", flush=True)
        if number > 0:
            longest = max(longest, time.monotonic() - before)
    spread = max(ratios) - min(ratios)
    print(f"ratio     {statistics.median(ratios):.3f}, spread {spread:.3f} over "
          f"{len(ratios)} rounds", flush=True)
    peer.stdin.close()
    peer.wait()


if __name__ == "__main__":
    main()
