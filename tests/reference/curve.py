"""Two hundred training steps in a plain PyTorch loop and in Kiln: same weights, same data, loss beside loss.

    pip install -r requirements.txt
    cargo build --release
    python curve.py ../../target/release/kiln input.txt --plot ../../docs/fidelity.svg

The recipe is nanoGPT's character model for a CPU: 4 layers, 4 heads, width 128, context 64, batch 12, AdamW 1e-3 with
100 warm-up steps, beta2 0.99, decay 0.1 on matrices, clipping at 1, dropout 0. Data are consecutive windows.
Exit code 1 if a step's loss differs by more than 2e-3 or the last one by more than 5e-3.
"""

import argparse
import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel

STEPS, BATCH, CONTEXT, WARMUP, DECAY_STEPS = 200, 12, 64, 100, 2000
PEAK, FLOOR, BETAS, DECAY, CLIP = 1e-3, 1e-4, (0.9, 0.99), 0.1, 1.0

CONFIG = f"""
[tokenizer]
kind = "char"
[data]
order = "sequential"
valid_fraction = 0.1
[optimizer]
learning_rate = {PEAK}
beta1 = {BETAS[0]}
beta2 = {BETAS[1]}
epsilon = 1e-8
weight_decay = {DECAY}
grad_clip = {CLIP}
[schedule]
warmup_steps = {WARMUP}
decay_steps = {DECAY_STEPS}
min_learning_rate = {FLOOR}
[training]
steps = {STEPS}
batch_size = {BATCH}
eval_interval = {STEPS}
eval_batches = 2
[model]
context_length = {CONTEXT}
dropout = 0.0
"""


def learning_rate(step):
    if step < WARMUP:
        return PEAK * (step + 1) / (WARMUP + 1)
    ratio = min(1.0, (step - WARMUP) / (DECAY_STEPS - WARMUP))
    return FLOOR + 0.5 * (1 + math.cos(math.pi * ratio)) * (PEAK - FLOOR)


def pytorch(model, tokens):
    """The losses of a loop as one writes it by hand."""
    groups = [{"params": [p for p in model.parameters() if p.dim() >= 2], "weight_decay": DECAY},
              {"params": [p for p in model.parameters() if p.dim() < 2], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, betas=BETAS, eps=1e-8)
    losses, position = [], 0
    for step in range(STEPS):
        window = tokens[position:position + BATCH * CONTEXT + 1]
        position += BATCH * CONTEXT
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step)
        logits = model(window[:-1].view(BATCH, CONTEXT)).logits
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), window[1:])
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), CLIP)
        optimizer.step()
        losses.append(loss.item())
    return losses


def train(kiln, backend, text, model, folder):
    """The losses of `kiln train`, from its metrics."""
    model.save_pretrained(folder / "initial")
    (folder / "run.toml").write_text(CONFIG)
    command = [kiln, "train", "--plain", "--config", folder / "run.toml", "--set", f"data.path={text}",
               "--init-from", folder / "initial", "--run-dir", folder / "run"]
    subprocess.run(command + (["--backend", backend] if backend else []), check=True, stdout=subprocess.DEVNULL)
    lines = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    return [line["loss"] for line in lines if line["split"] == "train"]


def plot(ours, theirs, path):
    import matplotlib
    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "kiln"
    import matplotlib.pyplot as plt
    _, (losses, differences) = plt.subplots(2, 1, figsize=(8, 5), sharex=True, height_ratios=[3, 1])
    steps = range(1, STEPS + 1)
    losses.plot(steps, theirs, label="PyTorch", linewidth=3, color="#c8c8c8")
    losses.plot(steps, ours, label="Kiln", linewidth=1, color="#b5532a")
    losses.set_ylabel("loss, nats per character")
    losses.legend()
    differences.semilogy(steps, [max(abs(a - b), 1e-8) for a, b in zip(ours, theirs)], color="#b5532a")
    differences.axhline(2e-3, color="#888", linestyle=":")
    differences.set_ylabel("|difference|")
    differences.set_xlabel("step")
    plt.tight_layout()
    plt.savefig(path, metadata={"Date": None})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kiln", help="the built program")
    parser.add_argument("text", type=Path, help="a text file of at least 200,000 characters, such as tinyshakespeare")
    parser.add_argument("--backend", help="default: the fastest of the build")
    parser.add_argument("--plot", type=Path, help="SVG to draw both curves into")
    arguments = parser.parse_args()

    text = arguments.text.read_text()
    characters = sorted(set(text))
    ids = {character: number for number, character in enumerate(characters)}
    tokens = torch.tensor([ids[character] for character in text[:int(len(text) * 0.9)]])
    torch.manual_seed(1337)
    model = GPT2LMHeadModel(GPT2Config(
        vocab_size=len(characters), n_positions=CONTEXT, n_embd=128, n_layer=4, n_head=4,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, bos_token_id=0, eos_token_id=0))

    with tempfile.TemporaryDirectory() as folder:
        ours = train(arguments.kiln, arguments.backend, arguments.text.resolve(), model, Path(folder))
    theirs = pytorch(model, tokens)
    differences = [abs(a - b) for a, b in zip(ours, theirs, strict=True)]
    for step in [1, 2, 10, 50, 100, 150, STEPS]:
        print(f"step {step:4}  PyTorch {theirs[step - 1]:.6f}  Kiln {ours[step - 1]:.6f}  "
              f"difference {differences[step - 1]:.1e}")
    print(f"largest difference of {STEPS} steps {max(differences):.1e}, of the last {differences[-1]:.1e}")
    if arguments.plot:
        plot(ours, theirs, arguments.plot)
    sys.exit(max(differences) > 2e-3 or differences[-1] > 5e-3)


if __name__ == "__main__":
    main()
