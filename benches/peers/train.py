"""Whole training steps: Kiln beside PyTorch, in turn, on this machine.

    cargo build --release
    pip install -r benches/peers/requirements.txt
    python benches/peers/train.py target/release/kiln [--cases A,B,C,SmolLM2] [--backends ndarray] [--rounds 3]

Every round runs each program once, each in a process of its own; what is compared is the median of the rounds. Both
sides do the same: forward, backward, clipping to norm 1, AdamW that decays matrices.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys

CASES = {
    "A": dict(layers=4, heads=4, width=128, context=64, batch=12, vocab=65),
    "B": dict(layers=6, heads=6, width=384, context=256, batch=8, vocab=65),
    "C": dict(layers=12, heads=12, width=768, context=64, batch=4, vocab=50257),
    "D": dict(layers=12, heads=12, width=768, context=1024, batch=1, vocab=50257),
    "SmolLM2": dict(layers=30, heads=9, width=576, context=256, batch=2, vocab=49152),
}
# The same as Kiln and as PyTorch call it, where the sizes alone do not say it.
LIKE = {"SmolLM2": (["--preset", "smollm2-135m", "--context", "256", "--batch", "2"], ["--kv-heads", "3", "--hidden", "1536"])}
HERE = pathlib.Path(__file__).parent


def measure(command):
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(output.splitlines()[-1])


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("kiln")
    arguments.add_argument("--cases", default="A,B,C")
    arguments.add_argument("--backends", default="ndarray")
    arguments.add_argument("--rounds", type=int, default=3)
    asked = arguments.parse_args()
    for case in asked.cases.split(","):
        shape = [word for name, value in CASES[case].items() for word in (f"--{name}", str(value))]
        own, peers = LIKE.get(case, (shape, []))
        pytorch = [sys.executable, HERE / "pytorch_step.py", *shape, *peers]
        programs = {"PyTorch": pytorch, "PyTorch, fused AdamW": [*pytorch, "--fused"]}
        for backend in asked.backends.split(","):
            programs[f"Kiln, {backend}"] = [asked.kiln, "bench", "train", *own, "--json", "--backend", backend]
        results = {name: [] for name in programs}
        for _ in range(asked.rounds):
            for name, command in programs.items():
                results[name].append(measure(command))
        speeds = {name: [run["tokens_per_second"] for run in runs] for name, runs in results.items()}
        best = max(statistics.median(speeds[name]) for name in list(programs)[:2])
        least = min(max(run["peak_memory_bytes"] for run in results[name]) for name in list(programs)[:2])
        print(f"\n{case}: {CASES[case]}\n{'':<22}{'tokens/s':>10}{'rounds':>26}{'ratio':>8}{'peak MB':>10}{'ratio':>8}")
        for name, runs in results.items():
            median = statistics.median(speeds[name])
            memory = max(run["peak_memory_bytes"] for run in runs)
            rounds = " ".join(f"{speed:.0f}" for speed in speeds[name])
            print(f"{name:<22}{median:>10.0f}{rounds:>26}{median / best:>8.2f}{memory / 1e6:>10.0f}{memory / least:>8.2f}")


if __name__ == "__main__":
    main()
