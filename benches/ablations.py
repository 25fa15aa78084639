"""What each choice of the recipe is worth: nanoGPT's character model with one of them at a time, and with all together.

    cargo build --release
    python benches/ablations.py target/release/kiln tinyshakespeare.txt [--steps 1000] [--seeds 5] [--jobs 2]

Each choice is measured twice, over the whole validation split: after as many steps as nanoGPT's recipe, and after as many as fit
into the same seconds. A step's time is the median of some that are timed in turn with the others', with all of the machine;
for the losses, which do not depend on the number of threads, --jobs runs share it.
"""

import argparse
import concurrent.futures
import json
import os
import pathlib
import statistics
import subprocess
import tempfile

NANOGPT = "shakespeare-char-cpu"
RATE = {"optimizer.learning_rate": 3e-3}
LINEAR = {"schedule.decay": "linear", "schedule.min_learning_rate": 0}
MUON = {**LINEAR, "optimizer.muon_learning_rate": 0.02}
ROTARY = {"model.positions": "rotary"}
CHOICES = {
    "nanoGPT's recipe": {},
    "three times its learning rate": RATE,
    "linear to zero": LINEAR,
    "both": {**RATE, **LINEAR},
    "constant, then linear over 40 %": {**RATE, **LINEAR, "schedule.decay_share": 0.4},
    "Muon, linear to zero": MUON,
    "rotary positions": ROTARY,
    "rotary, norms of queries and keys": {**ROTARY, "model.qk_norm": True},
    "relu²": {"model.activation": "relu2"},
    "gated, SiLU": {"model.feed_forward": "gated", "model.activation": "silu", "model.d_ff": 344},
    "projections start at zero": {"model.zero_init": True},
    "a head of its own": {"model.tied_head": False},
    "norm of the embedding, a head of its own": {"model.embedding_norm": True, "model.tied_head": False},
    "soft cap of logits at 15": {"model.logit_softcap": 15.0},
    "scalars for each layer": {"model.residual_scalars": True},
}
TIMED_STEPS = 60


def train(kiln, text, changes, seed, steps, threads):
    """The records of a run."""
    changes = {"data.path": text, "training.seed": seed, "training.steps": steps, "training.eval_interval": steps, **changes}
    with tempfile.TemporaryDirectory() as folder:
        run = pathlib.Path(folder, "run")
        command = [kiln, "train", "--plain", "--config", NANOGPT, "--run-dir", run]
        for key, value in changes.items():
            command += ["--set", f"{key}={value if isinstance(value, (str, pathlib.Path)) else json.dumps(value)}"]
        environment = os.environ | ({"OMP_NUM_THREADS": str(threads)} if threads else {})
        done = subprocess.run([str(word) for word in command], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in open(run / "metrics.jsonl")]


def seconds_per_step(kiln, text, changes):
    records = train(kiln, text, changes, 1, TIMED_STEPS, None)
    speeds = [record["tokens_per_second"] for record in records if record["split"] == "train"]
    return 64 * 12 / statistics.median(speeds[10:])


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("kiln", type=pathlib.Path)
    arguments.add_argument("text", type=pathlib.Path)
    arguments.add_argument("--steps", type=int, default=1000)
    arguments.add_argument("--seeds", type=int, default=5)
    arguments.add_argument("--jobs", type=int, default=2)
    arguments.add_argument("--times", type=pathlib.Path, help="a file that keeps the times of steps: measured if it is not there")
    asked = arguments.parse_args()
    kiln, text = asked.kiln.resolve(), asked.text.resolve()
    # All together: a recipe of its own, whose file says what it is made of.
    choices = CHOICES | {"all of `fast-shakespeare-char`": fast()}
    if asked.times and asked.times.exists():
        times = json.loads(asked.times.read_text())
    else:
        measured = [{name: seconds_per_step(kiln, text, choice) for name, choice in choices.items()} for _ in range(3)]
        times = {name: statistics.median(times[name] for times in measured) for name in choices}
        if asked.times:
            asked.times.write_text(json.dumps(times, indent=1))
    base = next(iter(times.values()))
    threads = max(1, os.cpu_count() // asked.jobs)
    results = {}

    def loss(choice, seed, steps):
        key = (json.dumps(choice), seed, steps)
        if key not in results:
            records = train(kiln, text, choice, seed, steps, threads)
            results[key] = [record["loss"] for record in records if record["split"] == "valid"][-1]
        return results[key]

    print("| choice | time of a step | loss after as many steps | steps in the same time | loss then |\n|---|---:|---:|---:|---:|", flush=True)
    with concurrent.futures.ThreadPoolExecutor(asked.jobs) as jobs:
        for name, choice in choices.items():
            fitting = round(asked.steps * base / times[name])
            # What differs by less than the noise of the clock is not measured twice.
            fitting = asked.steps if abs(fitting - asked.steps) <= 0.02 * asked.steps else fitting
            cells = [f"{times[name] / base:.2f}"]
            for steps in (asked.steps, fitting):
                losses = list(jobs.map(lambda seed: loss(choice, seed, steps), range(1, asked.seeds + 1)))
                spread = statistics.stdev(losses) if len(losses) > 1 else 0.0
                cells.append(f"{statistics.mean(losses):.4f} ± {spread:.4f}")
            cells.insert(2, str(fitting))
            print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def fast():
    """Every key of configs/fast-shakespeare-char.toml in which it may differ from nanoGPT's."""
    import tomllib

    path = pathlib.Path(__file__).parent.parent / "configs" / "fast-shakespeare-char.toml"
    sections = tomllib.loads(path.read_text())
    # Those that it leaves out and nanoGPT's has.
    keys = {"schedule.min_learning_rate": 0}
    return keys | {f"{section}.{key}": value for section in ("model", "optimizer", "schedule") for key, value in sections[section].items()}


if __name__ == "__main__":
    main()
