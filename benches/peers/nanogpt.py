"""nanoGPT's recipe for a CPU in plain PyTorch, and a recipe of Kiln, in turn on this machine: what each has learned of a text
in the same seconds, and in half of them.

    cargo build --release
    pip install -r benches/peers/requirements.txt
    python benches/peers/nanogpt.py target/release/kiln tinyshakespeare.txt [--config fast-shakespeare-char] [--seeds 5]

PyTorch trains as https://github.com/karpathy/nanoGPT says for a laptop: 4 layers of 128, windows of 64 characters, 12 of them
a step, 2,000 steps. Its seconds are those of its training steps alone; Kiln's include evaluations. Both losses are over
the whole validation split, the last tenth of the text, in consecutive windows. (nanoGPT has the exact GELU; this one has the
cheaper one of GPT-2.)
"""

import argparse
import json
import math
import pathlib
import statistics
import subprocess
import tempfile
import time

import torch

from pytorch_step import Gpt

CONTEXT, BATCH, STEPS, WARMUP = 64, 12, 2000, 100
PEAK, FLOOR = 1e-3, 1e-4


def learning_rate(step):
    if step < WARMUP:
        return PEAK * (step + 1) / (WARMUP + 1)
    return FLOOR + (PEAK - FLOOR) * 0.5 * (1 + math.cos(math.pi * (step - WARMUP) / (STEPS - WARMUP)))


def new_model(vocab):
    """Without biases, and with smaller projections onto the residual stream, as in nanoGPT."""
    model = Gpt(4, 4, 128, CONTEXT, vocab)
    for name, module in model.named_modules():
        if isinstance(module, (torch.nn.Linear, torch.nn.LayerNorm)):
            module.register_parameter("bias", None)
        if name.endswith("_proj"):
            torch.nn.init.normal_(module.weight, std=0.02 / math.sqrt(2 * 4))
    return model


@torch.no_grad()
def validation_loss(model, tokens):
    """The mean over all windows, of which the last may be shorter."""
    losses = []
    for first in range(0, len(tokens) - 1, CONTEXT):
        window = tokens[first:first + CONTEXT + 1]
        losses.append((model(window[None, :-1], window[None, 1:]).item(), len(window) - 1))
    return sum(loss * count for loss, count in losses) / sum(count for _, count in losses)


def pytorch(train, valid, vocab, seed):
    """Seconds of training and the loss then, from time to time and at the end."""
    torch.manual_seed(seed)
    model = new_model(vocab)
    groups = [
        {"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.dim() == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.99), fused=True)
    curve, seconds, started = [], 0.0, time.perf_counter()
    for step in range(STEPS):
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        starts = torch.randint(len(train) - CONTEXT, (BATCH,)).tolist()
        windows = torch.stack([train[start:start + CONTEXT + 1] for start in starts])
        model(windows[:, :-1], windows[:, 1:]).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        if (step + 1) % (STEPS // 10) == 0:
            seconds += time.perf_counter() - started
            curve.append((seconds, validation_loss(model, valid)))
            started = time.perf_counter()
    return curve


def kiln(program, text, config, seed, seconds):
    """Seconds of training and the loss then, by the run's own clock, which does not stop for evaluations."""
    with tempfile.TemporaryDirectory() as folder:
        run = pathlib.Path(folder, "run")
        command = [program, "train", "--plain", "--config", config, "--run-dir", run, "--set", f"training.seed={seed}"]
        command += ["--set", f"data.path={text}", "--set", f"training.max_minutes={seconds / 60}"]
        subprocess.run([str(word) for word in command], check=True, capture_output=True)
        lines = [json.loads(line) for line in open(run / "metrics.jsonl")]
        return [(line["seconds"], line["loss"]) for line in lines if line["split"] == "valid"]


def pyplot():
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "kiln"
    import matplotlib.pyplot

    return matplotlib.pyplot


def plot(curves, path):
    plt = pyplot()
    plt.figure(figsize=(8, 4.5))
    for name, color, runs in curves:
        for index, run in enumerate(runs):
            plt.plot(*zip(*run), color=color, linewidth=1, marker="o", markersize=2, label=None if index else name)
    plt.xlabel("seconds of training")
    plt.ylabel("validation loss")
    plt.ylim(1.5, 2.6)
    plt.grid(alpha=0.3)
    plt.legend()
    plt.tight_layout()
    plt.savefig(path, metadata={"Date": None})


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("kiln", type=pathlib.Path)
    arguments.add_argument("text", type=pathlib.Path)
    arguments.add_argument("--config", default="fast-shakespeare-char")
    arguments.add_argument("--seeds", type=int, default=5)
    arguments.add_argument("--plot", type=pathlib.Path, help="where to draw the losses over time")
    asked = arguments.parse_args()
    if asked.plot:
        pyplot()  # What is missing is told before half an hour of training.
    program, path = asked.kiln.resolve(), asked.text.resolve()
    text = path.read_text()
    ids = {character: id for id, character in enumerate(sorted(set(text)))}
    tokens = torch.tensor([ids[character] for character in text])
    train, valid = tokens[:len(text) * 9 // 10], tokens[len(text) * 9 // 10:]
    print(f"{'seed':>5}{'PyTorch':>18}{'Kiln, same time':>18}{'Kiln, half':>18}")
    runs = []
    for seed in range(1, asked.seeds + 1):
        theirs = pytorch(train, valid, len(ids), seed)
        ours = [kiln(program, path, asked.config, seed, theirs[-1][0] * share) for share in (1, 0.5)]
        runs.append([theirs, *ours])
        print(f"{seed:>5}" + "".join(f"{run[-1][1]:>10.4f}{run[-1][0]:>6.0f} s" for run in runs[-1]), flush=True)
    print(f"{'mean':>5}", end="")
    for column in zip(*runs):
        seconds, loss = (statistics.mean(values) for values in zip(*(run[-1] for run in column)))
        print(f"{loss:>10.4f}{seconds:>6.0f} s", end="")
    print()
    if asked.plot:
        names = ["nanoGPT's recipe, PyTorch", "Kiln, the same time", "Kiln, half of it"]
        plot([(name, color, column) for name, color, column in zip(names, ("C0", "C1", "C2"), zip(*runs))], asked.plot)


if __name__ == "__main__":
    main()
