"""Spam or not: a small model that read only the training texts, beside scikit-learn on the same texts.

    cargo build --release
    pip install -r benches/peers/requirements.txt
    python benches/peers/spam.py target/release/kiln sms-spam.tsv [--seeds 5] [--folder DIR]

The file has a label and a text on each line. Repeated texts are left out, and a hash parts the rest, as `kiln finetune` does.
Kiln pretrains a model of 2 million parameters on the training texts, then tunes it for each seed: all of it, and an adapter of
rank 8. The same model after one step of pretraining is the control: what the pretraining is worth. All figures are those of the
test texts, with spam as what is looked for. With --folder, runs that are there are not done again.
"""

import argparse
import hashlib
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile

from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef, precision_score, recall_score
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline

MODEL = {
    "model.context_length": 256, "model.d_model": 192, "model.n_layers": 4, "model.n_heads": 6, "model.dropout": 0.1,
    "tokenizer.kind": "bpe", "tokenizer.vocab_size": 1024, "data.order": "documents", "training.batch_size": 8,
}  # fmt: skip
PRETRAINING = {
    "training.steps": 600, "training.eval_interval": 100, "optimizer.learning_rate": 2e-3, "optimizer.beta2": 0.99,
    "schedule.warmup_steps": 30, "schedule.decay": "linear",
}  # fmt: skip
# One step that moves nothing.
NONE = {"training.steps": 1, "training.eval_interval": 1, "optimizer.learning_rate": 1e-9, "optimizer.muon_learning_rate": 1e-9,
        "schedule.warmup_steps": 0}  # fmt: skip
ARMS = {"all weights": ("pretrained", []), "adapter of rank 8": ("pretrained", ["--lora", "8"]), "not pretrained": ("fresh", [])}
FIGURES = {"accuracy": accuracy_score, "precision": precision_score, "recall": recall_score, "F1": f1_score,
           "MCC": matthews_corrcoef}  # fmt: skip


def parted(file):
    """The texts and labels to train on, to evaluate on and to test; 1 is spam."""
    parts = {"train": ([], []), "valid": ([], []), "test": ([], [])}
    seen = set()
    for line in pathlib.Path(file).read_text().splitlines():
        label, text = line.split("\t", 1)
        if text in seen:
            continue
        seen.add(text)
        bucket = int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) % 10
        texts, labels = parts["train" if bucket < 7 else "valid" if bucket == 7 else "test"]
        texts.append(text)
        labels.append(int(label == "spam"))
    return parts


def run(*command):
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{result.stdout}{result.stderr}")


def pretrain(kiln, text, directory, settings):
    if not (directory / "model").exists():
        sets = [word for key, value in {**MODEL, **settings, "data.path": text}.items() for word in ("--set", f"{key}={value}")]
        run(kiln, "train", "--plain", "--run-dir", directory, *sets)


def tune(kiln, base, data, directory, options, parts):
    """The labels of the test texts and those that a tuned model tells, in no order."""
    results = directory / "results.json"
    if not results.exists():
        run(kiln, "finetune", "classify", "--plain", "--model", base, "--data", data, "--run-dir", directory,
            "--set", "finetune.text_column=2", "--set", "finetune.label_column=1", *options)
    results = json.loads(results.read_text())
    counts = {part: len(texts) for part, (texts, _) in parts.items()}
    assert results["examples"] == counts, f"{results['examples']}, and here {counts}"
    assert results["labels"] == ["ham", "spam"], results["labels"]
    pairs = [(label, told) for label, row in enumerate(results["confusion"]) for told, count in enumerate(row) for _ in range(count)]
    return zip(*pairs)


def figures(truth, told):
    truth, told = list(truth), list(told)
    return [measure(truth, told) for measure in FIGURES.values()]


def print_row(name, runs):
    """Mean and standard deviation of each figure over the runs."""
    cells = [f"{statistics.mean(values):.4f}" + (f" ± {statistics.stdev(values):.4f}" if len(runs) > 1 else "")
             for values in zip(*runs)]
    print(f"{name:<24}{''.join(f'{cell:>18}' for cell in cells)}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kiln", help="the built program")
    parser.add_argument("data", help="the messages: label, tab, text")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folder", type=pathlib.Path, help="where the runs are kept; default: a temporary one")
    asked = parser.parse_args()
    parts = parted(asked.data)
    print(", ".join(f"{part}: {len(texts)} texts, {sum(labels)} spam" for part, (texts, labels) in parts.items()))
    with tempfile.TemporaryDirectory() as temporary:
        folder = asked.folder or pathlib.Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        text = folder / "train.jsonl"
        text.write_text("".join(json.dumps({"text": text}) + "\n" for text in parts["train"][0]))
        print(f"{'':<24}{''.join(f'{name:>18}' for name in FIGURES)}")
        for name, model in {
            "TF-IDF, logistic": make_pipeline(TfidfVectorizer(), LogisticRegression(class_weight="balanced")),
            "naive Bayes": make_pipeline(CountVectorizer(), MultinomialNB()),
        }.items():
            print_row(name, [figures(parts["test"][1], model.fit(*parts["train"]).predict(parts["test"][0]))])
        for name, settings in {"pretrained": PRETRAINING, "fresh": NONE}.items():
            pretrain(asked.kiln, text, folder / name, settings)
        for name, (base, options) in ARMS.items():
            runs = []
            for seed in range(asked.seeds):
                directory = folder / f"{name.replace(' ', '-')}-{seed}"
                seeded = [*options, "--set", f"training.seed={seed}"]
                runs.append(figures(*tune(asked.kiln, folder / base, asked.data, directory, seeded, parts)))
            print_row(name, runs)


if __name__ == "__main__":
    main()
