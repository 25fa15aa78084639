"""llm.c's ten steps on a random GPT-2 124M, in PyTorch and in `kiln verify gpt2`: the same losses, whatever the weights.

    pip install -r requirements.txt
    cargo build --release
    python llm_c.py ../../target/release/kiln tinyshakespeare.txt

The published losses are those of OpenAI's weights; this script shows, without them, that Kiln runs the same check.
Exit code 1 if a loss differs by more than 1e-3.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from transformers import GPT2Config, GPT2LMHeadModel

BATCH, CONTEXT, STEPS = 4, 64, 10


def tokens_of(text, encode, end_of_text=50256):
    """End-of-text before every paragraph, the blank line after it kept, as llm.c prepares the text."""
    tokens = []
    sections = text.split("\n\n")
    for number, section in enumerate(sections):
        tokens.append(end_of_text)
        tokens.extend(encode(section + "\n\n" if number < len(sections) - 1 else section))
        if len(tokens) > BATCH * CONTEXT:
            return torch.tensor(tokens[:BATCH * CONTEXT + 1])
    raise SystemExit("the text is too short")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kiln", help="the built program")
    parser.add_argument("text", type=Path, help="a text file, such as tinyshakespeare")
    parser.add_argument("--backend", help="default: the fastest of the build")
    arguments = parser.parse_args()

    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config(resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0))
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        backend = ["--backend", arguments.backend] if arguments.backend else []
        output = subprocess.run([arguments.kiln, "verify", "gpt2", "--model", folder, "--data", arguments.text, "--json",
                                 *backend], stdout=subprocess.PIPE)
        ours = json.loads(output.stdout)["losses"]

    def encode(section):
        command = [arguments.kiln, "tokenize", "encode", "--tokenizer", "gpt2", "--text", section, "--json"]
        return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)["tokens"]

    tokens = tokens_of(arguments.text.read_text(), encode)
    inputs, targets = tokens[:-1].view(BATCH, CONTEXT), tokens[1:]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
    differences = []
    for step in range(STEPS):
        loss = torch.nn.functional.cross_entropy(model(inputs).logits.flatten(0, 1), targets)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        differences.append(abs(loss.item() - ours[step]))
        print(f"step {step}  PyTorch {loss.item():.6f}  Kiln {ours[step]:.6f}  difference {differences[-1]:.1e}")
    sys.exit(max(differences) > 1e-3)


if __name__ == "__main__":
    main()
