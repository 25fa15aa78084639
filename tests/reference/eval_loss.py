"""The loss of a real model on a text, by `kiln eval` and by transformers.

    pip install -r requirements.txt accelerate
    cargo build --release
    python eval_loss.py ../../target/release/kiln SmolLM2-135M-Instruct.Q4_1.gguf [TEXT…]

Without a text, takes both licences of this repository. gguf_read.py says where the model comes from. Kiln's protocol: every
token but the first, in consecutive windows of the context's length that do not overlap. Exit code 1 if a loss differs by more
than 1e-4.
"""

import argparse
import json
import logging
import subprocess
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging as transformers_logging

ROOT = Path(__file__).resolve().parents[2]


def kiln(program, *command):
    command = [program, *map(str, command), "--json"]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)


def loss_of(model, tokens):
    context, total = model.config.max_position_embeddings, 0.0
    tokens = torch.tensor(tokens)
    for start in range(0, len(tokens) - 1, context):
        window = tokens[start:start + context + 1]
        with torch.no_grad():
            logits = model(window[None, :-1]).logits[0]
        total += torch.nn.functional.cross_entropy(logits, window[1:], reduction="sum").item()
    return total / (len(tokens) - 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kiln", help="the built program")
    parser.add_argument("model", type=Path, help="a GGUF file")
    parser.add_argument("texts", nargs="*", type=Path)
    arguments = parser.parse_args()
    transformers_logging.set_verbosity(logging.ERROR)
    transformers_logging.disable_progress_bar()
    model = AutoModelForCausalLM.from_pretrained(
        arguments.model.parent, gguf_file=arguments.model.name, dtype=torch.float32).eval()
    differ = False
    for text in arguments.texts or [ROOT / "LICENSE-APACHE", ROOT / "LICENSE-MIT"]:
        tokens = kiln(arguments.kiln, "tokenize", "encode", "--tokenizer", arguments.model, "--file", text)["tokens"]
        ours = kiln(arguments.kiln, "eval", "--model", arguments.model, "--data", text)
        theirs = loss_of(model, tokens)
        difference = abs(ours["loss"] - theirs)
        differ |= not difference <= 1e-4 or ours["tokens"] != len(tokens) - 1
        print(f"{text.name}: {ours['tokens']} tokens, loss {ours['loss']:.6f}, transformers {theirs:.6f}: {difference:.1e} apart")
    sys.exit(differ)


if __name__ == "__main__":
    main()
