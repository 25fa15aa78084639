"""GGUF files that Kiln writes of Llama, Qwen 2 and Qwen 3, opened by others: the `gguf` reader, transformers, and llama.cpp
where it is installed.

    pip install -r requirements.txt          # and, for the last comparison, llama-cpp-python
    cargo build --release
    python gguf_write.py ../../target/release/kiln [FILE.gguf]

Random models that transformers saved, with every tensor drawn anew:
  - every tensor of the file, as `gguf_read.py` puts it in order, is transformers' own, bit for bit in f32;
  - transformers' logits of the file are those of the directory. It ignores how positions are scaled, biases, and heads of
    another width, so these it is told;
  - llama.cpp's logits of 40 tokens are within 1e-4 of the largest of transformers'.
With a file, such as SmolLM2's (see gguf_read.py): Kiln writes it in f32, and llama.cpp continues five prompts with the same
64 greedy tokens as Kiln. Exit code 1 if anything differs.
"""

import argparse
import json
import logging
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, Qwen2Config, Qwen3Config
from transformers.utils import logging as transformers_logging

from gguf_read import expected

try:
    import llama_cpp
except ImportError:
    llama_cpp = None

SIZES = dict(vocab_size=288, hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=256, rms_norm_eps=1e-4, tie_word_embeddings=False)
rope = lambda kind, **more: dict(rope_parameters=dict(rope_type=kind, rope_theta=5000.0, **more))
LLAMA3 = rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)
# The second part is what transformers does not read of a GGUF file.
CASES = {
    "llama": (LlamaConfig, dict(head_dim=24, **rope("default")), []),
    "llama-tied-biases": (LlamaConfig, dict(tie_word_embeddings=True, attention_bias=True, mlp_bias=True),
                          ["attention_bias", "mlp_bias"]),
    "llama3": (LlamaConfig, dict(num_key_value_heads=1, **LLAMA3), ["rope_parameters"]),
    "llama-linear": (LlamaConfig, rope("linear", factor=4.0), ["rope_parameters"]),
    "qwen2": (Qwen2Config, rope("default"), []),
    "qwen3": (Qwen3Config, dict(head_dim=24, tie_word_embeddings=True, **rope("default")), ["head_dim"]),
}
PROMPTS = ["Once upon a time", "The capital of France is", "def fibonacci(n):", "In 1905, Albert Einstein",
           "Dear Sir or Madam,"]
failures = []


def check(holds, what):
    if not holds:
        failures.append(what)
    print(("  ok      " if holds else "  FAILED  ") + what, flush=True)


def run(*command):
    return subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout


def relative(ours, theirs):
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def logits_of(model, tokens):
    with torch.no_grad():
        return model(torch.tensor([tokens])).logits[0].numpy()


def open_in_llama_cpp(file, context):
    # Keys and values in f32, as here; by itself, it rounds them to f16.
    return llama_cpp.Llama(str(file), n_ctx=context, logits_all=True, verbose=False, type_k=0, type_v=0)


def saved(name, tokenizer, folder):
    """A model with every tensor drawn anew, and its directory."""
    kind, changes, unread = CASES[name]
    torch.manual_seed(sum(map(ord, name)))
    model = AutoModelForCausalLM.from_config(kind(**{**SIZES, **changes})).eval()
    with torch.no_grad():
        for key, parameter in model.named_parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, 0.2)
            else:
                parameter.normal_(1.0 if "norm" in key else 0.0, 0.3)
    directory = folder / name
    model.save_pretrained(directory)
    for file in tokenizer.iterdir():
        shutil.copy(file, directory)
    return model, directory, {key: getattr(model.config, key) for key in unread}


def compare(kiln, name, tokenizer, folder):
    print(name)
    model, directory, unread = saved(name, tokenizer, folder)
    file = folder / f"{name}.gguf"
    run(kiln, "export", "--model", directory, "--to", file, "--dtype", "f32")

    state, reader = model.state_dict(), gguf.GGUFReader(file)
    tensors = [tensor for tensor in reader.tensors if tensor.name != "rope_freqs.weight"]
    reader.tensors = tensors
    read = {key: values for key, values, _ in expected(reader)}
    names = set(state) - ({"lm_head.weight"} if model.config.tie_word_embeddings else set())
    check(set(read) == names, f"{len(read)} tensors, all by name")
    check(all(read[key].tobytes() == state[key].numpy().tobytes() for key in read), "each bit for bit")

    tokens = torch.randint(0, SIZES["vocab_size"], (40,)).tolist()
    theirs = logits_of(model, tokens)
    opened = AutoModelForCausalLM.from_pretrained(folder, gguf_file=file.name, dtype=torch.float32, **unread).eval()
    difference = relative(logits_of(opened, tokens), theirs)
    check(type(opened) is type(model) and difference < 1e-6,
          f"{type(opened).__name__} of the file{', told ' + ', '.join(unread) if unread else ''}: logits differ by {difference:.1e}")
    if llama_cpp:
        llama = open_in_llama_cpp(file, 256)
        llama.eval(tokens)
        difference = relative(llama.scores[:40], theirs)
        check(difference < 1e-4, f"llama.cpp: logits differ by {difference:.1e}")


def compare_text(kiln, source, folder):
    """A real model, from GGUF to GGUF in f32."""
    print(source.name)
    file = folder / "real.gguf"
    run(kiln, "export", "--model", source, "--to", file, "--dtype", "f32")
    llama = open_in_llama_cpp(file, 256)
    for prompt in PROMPTS:
        ours = json.loads(run(kiln, "generate", "--model", source, "--prompt", prompt, "--max-tokens", 64, "--temperature", 0,
                              "--json"))
        encoded = llama.tokenize(prompt.encode(), special=True)
        theirs = []
        for token in llama.generate(encoded, temp=0.0, top_k=1):
            if token == llama.token_eos() or len(theirs) == len(ours["tokens"]):
                break
            theirs.append(token)
        check(encoded == ours["prompt_tokens"] and theirs == ours["tokens"],
              f"llama.cpp continues {prompt!r} with the same {len(ours['tokens'])} tokens")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kiln", help="the built program")
    parser.add_argument("file", nargs="?", type=Path, help="a GGUF file")
    arguments = parser.parse_args()
    transformers_logging.set_verbosity(logging.ERROR)
    transformers_logging.disable_progress_bar()
    if not llama_cpp:
        print("llama-cpp-python is not installed: nothing is compared with llama.cpp")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        text, tokenizer = folder / "text.txt", folder / "tokenizer"
        text.write_text(Path(__file__).read_text())
        run(arguments.kiln, "tokenize", "train", "--data", text, "--vocab-size", 280, "--out", tokenizer)
        for name in CASES:
            compare(arguments.kiln, name, tokenizer, folder)
        if arguments.file and llama_cpp:
            compare_text(arguments.kiln, arguments.file, folder)
    print(f"{len(failures)} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
