"""Fine-tuning steps, of all weights and of an adapter: Kiln beside PEFT and PyTorch, in turn, on this machine.

    cargo build --release
    pip install -r benches/peers/requirements.txt
    python benches/peers/lora.py target/release/kiln [--model SmolLM2.gguf] [--batch 2] [--tokens 256] [--steps 6] [--rounds 3]

Every step of every program is one of the same examples, all tokens of which are learned: forward, backward, clipping to norm 1,
AdamW. Adapters have rank 8 beside all linear maps. Each program runs once a round, in a process of its own and in f32, with two
threads; speeds are medians of steps without the first, then of rounds. Memory is the peak of the process until the last step is
done; Kiln then evaluates, saves and opens what it saved, so "in all" is the peak of its whole run. Without --model, the model is a
new one of SmolLM2-135M's shape, or with --shape gpt2 of GPT-2's.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

import torch
from tokenizers import ByteLevelBPETokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer, GPT2Config, LlamaConfig, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

HERE = pathlib.Path(__file__).parent
SHAPES = {
    "smollm2": LlamaConfig(
        vocab_size=49152, hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
        num_key_value_heads=3, max_position_embeddings=8192, rope_theta=1e5, tie_word_embeddings=True,
        bos_token_id=0, eos_token_id=0, pad_token_id=None,
    ),
    "gpt2": GPT2Config(bos_token_id=0, eos_token_id=0),
}  # fmt: skip
PROGRAMS = ["Kiln", "PyTorch", "Kiln, adapter", "PEFT, adapter"]


def measured(*command, threads, steps_done=lambda: True):
    """What a command prints, and the most memory that it had, in bytes: until its steps are done, and in all."""
    environment = {**os.environ, "RAYON_NUM_THREADS": str(threads), "HF_HUB_OFFLINE": "1"}
    of_steps = None
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(list(map(str, command)), stdout=output, stderr=subprocess.STDOUT, env=environment)
        while True:
            ended, status, usage = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            peak = re.search(r"VmHWM:\s*(\d+)", pathlib.Path(f"/proc/{process.pid}/status").read_text())
            if peak and not (of_steps and steps_done()):
                of_steps = int(peak[1]) * 1024
            time.sleep(0.05)
        output.seek(0)
        text = output.read().decode()
    if status != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{text}")
    return text, of_steps, usage.ru_maxrss * 1024


def new_model(shape, folder):
    """A model with random weights, and a tokenizer of bytes."""
    torch.manual_seed(1)
    AutoModelForCausalLM.from_config(SHAPES[shape]).save_pretrained(folder)
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train_from_iterator([""], vocab_size=257, special_tokens=["<|endoftext|>"], show_progress=False)
    tokenizer.save(str(folder / "tokenizer.json"))
    end = "<|endoftext|>"
    PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"), bos_token=end, eos_token=end
    ).save_pretrained(folder)


def examples(model, batch, tokens):
    """Texts of exactly so many tokens, and the ids of each with the token that ends it."""
    tokenizer = AutoTokenizer.from_pretrained(model)
    words = [tokenizer.decode([token]) for token in range(min(len(tokenizer), 5000))]
    words = [word for word in words if re.fullmatch(" [a-z]+", word)] or list("abcdefgh")
    torch.manual_seed(2)
    texts = ["".join(words[at] for at in torch.randint(len(words), (tokens,))).strip() for _ in range(batch)]
    ids = [tokenizer(text)["input_ids"] for text in texts]
    lengths = {len(row) for row in ids}
    assert len(lengths) == 1 and abs(lengths.pop() - tokens) <= 1, f"{[len(row) for row in ids]} tokens"
    return texts, [[*row, tokenizer.eos_token_id] for row in ids]


def kiln_steps(kiln, folder, model, asked, adapter):
    directory = folder / "run"
    shutil.rmtree(directory, ignore_errors=True)
    metrics = directory / "metrics.jsonl"
    _, memory, whole = measured(
        kiln, "finetune", "instruct", "--plain", "--model", model, "--data", folder / "data.jsonl",
        "--valid", folder / "valid.jsonl", "--run-dir", directory, "--steps", asked.steps, "--batch", asked.batch, "--lr", 1e-5,
        "--set", f"training.micro_batch_size={asked.batch}", "--set", f"training.eval_interval={asked.steps}",
        *(["--lora", 8] if adapter else []), threads=asked.threads,
        steps_done=lambda: metrics.exists() and metrics.read_text().count("\n") >= asked.steps,
    )  # fmt: skip
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    steps = [line for line in lines if line["split"] == "train"]
    assert len(steps) == asked.steps, f"{len(steps)} steps were logged"
    assert steps[0]["tokens"] == asked.batch * asked.targets, f"{steps[0]['tokens']} tokens a step"
    return {"rates": [step["tokens_per_second"] for step in steps], "loss": steps[0]["loss"],
            "memory": memory, "whole": whole}


def peer_steps(folder, model, asked, adapter):
    options = ["--steps", asked.steps, "--threads", asked.threads, *(["--rank", 8] if adapter else [])]
    text, _, memory = measured(sys.executable, HERE / "lora_step.py", model, folder / "ids.json", *options, threads=asked.threads)
    return {**json.loads(text.splitlines()[-1]), "memory": memory, "whole": memory}


def report(results):
    columns = ["tokens/s", "of its peer", "of full", "peak MB", "of its peer", "of full", "in all MB"]
    print(f"{'':<16}{''.join(f'{column:>13}' for column in columns)}  rounds")
    speeds = {name: [statistics.median(run["rates"][1:]) for run in runs] for name, runs in results.items()}
    speed = {name: statistics.median(rounds) for name, rounds in speeds.items()}
    memory, whole = ({name: max(run[key] for run in runs) / 1e6 for name, runs in results.items()} for key in ("memory", "whole"))
    for at, name in enumerate(PROGRAMS):
        peer, full = PROGRAMS[at // 2 * 2 + 1], PROGRAMS[at % 2]
        print(f"{name:<16}{speed[name]:>13.0f}{speed[name] / speed[peer]:>13.2f}{speed[name] / speed[full]:>13.2f}"
              f"{memory[name]:>13.0f}{memory[name] / memory[peer]:>13.2f}{memory[name] / memory[full]:>13.2f}{whole[name]:>13.0f}"
              f"  {' '.join(f'{value:.0f}' for value in speeds[name])}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kiln", help="the built program")
    parser.add_argument("--model", help="a GGUF file or a directory")
    parser.add_argument("--shape", choices=SHAPES, default="smollm2")
    for name, default in [("batch", 2), ("tokens", 256), ("steps", 6), ("rounds", 3), ("threads", 2)]:
        parser.add_argument(f"--{name}", type=int, default=default)
    asked = parser.parse_args()
    disable_progress_bar()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        model = folder / "model"
        if asked.model:
            subprocess.run([asked.kiln, "export", "--model", asked.model, "--to", model], check=True, capture_output=True)
        else:
            new_model(asked.shape, model)
        (*texts, other), (*ids, _) = examples(model, asked.batch + 1, asked.tokens)
        asked.targets = len(ids[0]) - 1
        (folder / "ids.json").write_text(json.dumps(ids))
        (folder / "data.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        (folder / "valid.jsonl").write_text(json.dumps({"text": other}) + "\n")
        results = {name: [] for name in PROGRAMS}
        for _ in range(asked.rounds):
            for name, runs in results.items():
                adapter = "adapter" in name
                runs.append(kiln_steps(asked.kiln, folder, model, asked, adapter) if name.startswith("Kiln")
                            else peer_steps(folder, model, asked, adapter))
        losses = {name: runs[0]["loss"] for name, runs in results.items()}
        print(f"{asked.batch} examples of {asked.targets} targets, first loss "
              + ", ".join(f"{name} {loss:.5f}" for name, loss in losses.items()))
        assert max(losses.values()) - min(losses.values()) < 1e-3, "they do not compute the same"
        report(results)


if __name__ == "__main__":
    main()
