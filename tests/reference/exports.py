"""What Kiln writes, opened by others: transformers, the `gguf` reader, and llama.cpp where it is installed.

    pip install -r requirements.txt          # and, for the last comparison, llama-cpp-python
    cargo build --release
    python exports.py ../../target/release/kiln input.txt

Trains a small model with every tokenizer, and one of every family, on the text, then compares
  - token ids and the greedy continuation of 100 tokens with AutoTokenizer and AutoModelForCausalLM, which must open the
    directory as the class of its family, without a word and with every weight found;
  - every tensor and number of the GGUF file with the model's, in f32, f16 and bf16;
  - the greedy continuation with llama.cpp's.
Exit code 1 if anything differs.
"""

import argparse
import io
import json
import logging
import subprocess
import sys
import tempfile
import warnings
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import gguf
import numpy as np
import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedTokenizerFast

NAMES = {"ln_1": "attn_norm", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output", "ln_2": "ffn_norm",
         "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down"}
# Settings that make a model of each family.
LLAMA = ["model.norm=rms_norm", "model.positions=rotary", "model.feed_forward=gated", "model.activation=silu",
         "model.n_heads=4", "model.n_kv_heads=2", "model.d_ff=96"]
FAMILIES = {
    "GPT2LMHeadModel": ["model.n_heads=4"],
    "LlamaForCausalLM": [*LLAMA, "model.bias=false", "model.tied_head=false", "model.head_dim=24"],
    "Qwen2ForCausalLM": [*LLAMA, 'model.bias=["qkv"]'],
    "Qwen3ForCausalLM": [*LLAMA, "model.bias=false", "model.qk_norm=true", "model.head_dim=24"],
}
failures = []


def check(holds, what):
    if not holds:
        failures.append(what)
    print(("  ok      " if holds else "  FAILED  ") + what, flush=True)


def run(*command):
    return subprocess.run(list(map(str, command)), check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout


def gguf_name(name):
    name = name.removeprefix("transformer.")
    if name.startswith("h."):
        _, layer, rest = name.split(".", 2)
        module, kind = rest.rsplit(".", 1)
        return f"blk.{layer}.{NAMES[module]}.{kind}"
    module, kind = name.rsplit(".", 1)
    return {"wte": "token_embd", "wpe": "position_embd", "ln_f": "output_norm", "lm_head": "output"}[module] + f".{kind}"


def compare_gguf(kiln, run_directory, dtype, folder):
    model = run_directory / "model"
    file = folder / f"{run_directory.name}-{dtype}.gguf"
    run(kiln, "export", "--model", run_directory, "--to", file, "--format", "gguf", "--dtype", dtype)
    reader = gguf.GGUFReader(file)
    fields = {key: field.contents() for key, field in reader.fields.items()}
    config = json.loads((model / "config.json").read_text())
    expected = {
        "general.architecture": "gpt2", "gpt2.context_length": config["n_positions"],
        "gpt2.embedding_length": config["n_embd"], "gpt2.block_count": config["n_layer"],
        "gpt2.feed_forward_length": config["n_inner"], "gpt2.attention.head_count": config["n_head"],
        "general.file_type": {"f32": 0, "f16": 1, "bf16": 32}[dtype], "tokenizer.ggml.model": "gpt2",
    }
    wrong = {key: (fields.get(key), value) for key, value in expected.items() if fields.get(key) != value}
    check(not wrong, f"{file.name}: metadata {wrong or ''}")
    check(len(fields["tokenizer.ggml.tokens"]) == config["vocab_size"] == len(set(fields["tokenizer.ggml.tokens"])),
          f"{file.name}: {config['vocab_size']} distinct tokens")

    weights = load_file(model / "model.safetensors")
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    check(set(tensors) == set(map(gguf_name, weights)), f"{file.name}: {len(tensors)} tensors, all by name")
    worst = 0.0
    for name, weight in weights.items():
        tensor = tensors[gguf_name(name)]
        if weight.dim() == 2 and name.startswith("transformer.h."):
            weight = weight.T
        data = np.array(tensor.data)
        if tensor.tensor_type == gguf.GGMLQuantizationType.BF16:
            data = (data.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
        if list(tensor.shape) != list(reversed(weight.shape)):
            check(False, f"{file.name}: shape of {name}")
        worst = max(worst, np.abs(data.astype(np.float32).reshape(weight.shape) - weight.numpy()).max())
    check(worst <= {"f32": 0.0, "f16": 1e-3, "bf16": 8e-3}[dtype], f"{file.name}: tensors differ by at most {worst:.1e}")
    return file


def train(kiln, text, run_directory, *settings):
    settings = [f"data.path={text}", "tokenizer.vocab_size=600", "model.context_length=128", "model.d_model=64",
                "model.n_layers=2", "training.steps=40", "training.eval_batches=4", "training.batch_size=8",
                "schedule.warmup_steps=5", "optimizer.learning_rate=3e-3", *settings]
    run(kiln, "train", "--plain", "--run-dir", run_directory, *(word for setting in settings for word in ("--set", setting)))


def open_in_silence(model):
    """transformers' model and tokenizer; it has to say nothing, and to find every weight."""
    log, warned = io.StringIO(), []
    with redirect_stdout(log), redirect_stderr(log), warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        handler = logging.StreamHandler(log)
        transformers.logging.get_logger().addHandler(handler)
        theirs, report = AutoModelForCausalLM.from_pretrained(model, output_loading_info=True)
        tokenizer = AutoTokenizer.from_pretrained(model)
        transformers.logging.get_logger().removeHandler(handler)
    noise = [line for line in log.getvalue().splitlines() if "Loading weights" not in line and line.strip()]
    noise += [str(warning.message) for warning in warned if not issubclass(warning.category, DeprecationWarning)]
    noise += [f"{key}: {found}" for key, found in report.items() if found]
    check(not noise, f"{type(theirs).__name__} opens it in silence {noise or ''}")
    return theirs.eval(), tokenizer


def compare_ids(kiln, text, run_directory, tokenizer):
    ids = json.loads(run(kiln, "tokenize", "encode", "--tokenizer", run_directory, "--file", text, "--json"))["tokens"]
    check(tokenizer(Path(text).read_text())["input_ids"] == ids, f"{len(ids)} token ids are AutoTokenizer's")
    check(tokenizer.decode(ids[:500]) == run(
        kiln, "tokenize", "decode", "--tokenizer", run_directory, "--tokens", ",".join(map(str, ids[:500])))[:-1].decode(),
        "and so is the text they decode to")


def compare_greedy(kiln, text, run_directory, theirs):
    """The prompt's tokens, and those that Kiln continues it with: transformers' too."""
    prompt = Path(text).read_text()[1000:1040]
    ours = json.loads(run(kiln, "generate", "--model", run_directory, "--prompt", prompt, "--max-tokens", 100,
                          "--temperature", 0, "--json"))
    length = min(100, 128 - len(ours["prompt_tokens"]))
    with torch.no_grad():
        # Without a mask, transformers would take every token 0 of the prompt for padding.
        prompt_tokens = torch.tensor([ours["prompt_tokens"]])
        output = theirs.generate(prompt_tokens, attention_mask=torch.ones_like(prompt_tokens), do_sample=False,
                                 max_new_tokens=length, pad_token_id=0)[0]
    continuation = ours["tokens"][:length]
    check(output.tolist()[len(ours["prompt_tokens"]):][:len(continuation)] == continuation,
          f"greedy continuation of {len(continuation)} tokens is transformers'")
    return prompt, ours["prompt_tokens"], continuation


def compare_llama_cpp(file, prompt, prompt_tokens, expected):
    try:
        import llama_cpp
    except ImportError:
        print("  --      llama-cpp-python is not installed: its text is not compared")
        return
    llama = llama_cpp.Llama(str(file), n_ctx=128, verbose=False)
    encoded = llama.tokenize(prompt.encode(), add_bos=False, special=False)
    check(encoded == prompt_tokens, "llama.cpp's tokens of the prompt")
    continuation = []
    for token in llama.generate(prompt_tokens, temp=0.0, top_k=1):
        continuation.append(token)
        if len(continuation) == len(expected):
            break
    check(continuation == expected, f"greedy continuation of {len(expected)} tokens is llama.cpp's")


def compare(kiln, text, kind, folder):
    print(kind)
    run_directory, tokenizer = folder / kind, kind
    if kind == "learned":
        tokenizer = folder / "tokenizer"
        run(kiln, "tokenize", "train", "--data", text, "--vocab-size", "600", "--out", tokenizer)
    train(kiln, text, run_directory, f"tokenizer.kind={tokenizer}")
    theirs, tokenizer = open_in_silence(run_directory / "model")
    compare_ids(kiln, text, run_directory, tokenizer)
    continued = compare_greedy(kiln, text, run_directory, theirs)
    files = [compare_gguf(kiln, run_directory, dtype, folder) for dtype in ["f32", "f16", "bf16"]]
    compare_llama_cpp(files[0], *continued)


def compare_family(kiln, text, name, folder):
    print(name)
    run_directory, file = folder / name, folder / f"{name}.gguf"
    train(kiln, text, run_directory, "tokenizer.kind=bpe", *FAMILIES[name])
    theirs, tokenizer = open_in_silence(run_directory / "model")
    check(type(theirs).__name__ == name, "the class of its family")
    exported = folder / f"{name}-bf16"
    run(kiln, "export", "--model", run_directory, "--to", exported, "--dtype", "bf16")
    opened, _ = open_in_silence(exported)
    check(opened.dtype == torch.bfloat16, "and so of what is exported in bf16")
    if name == "Qwen2ForCausalLM":
        # AutoTokenizer splits as Qwen does wherever config.json says qwen2, whatever tokenizer.json says.
        tokenizer = PreTrainedTokenizerFast.from_pretrained(run_directory / "model")
    compare_ids(kiln, text, run_directory, tokenizer)
    continued = compare_greedy(kiln, text, run_directory, theirs)
    run(kiln, "export", "--model", run_directory, "--to", file)
    compare_llama_cpp(file, *continued)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kiln", help="the built program")
    parser.add_argument("text", help="a text file of at least 20,000 characters")
    parser.add_argument("--tokenizers", default="char,byte,bpe,learned,gpt2,cl100k_base,o200k_base", metavar="A,B,…",
                        help="bpe: learned by the run; learned: by `kiln tokenize train` before it")
    arguments = parser.parse_args()
    text = str(Path(arguments.text).resolve())
    with tempfile.TemporaryDirectory() as folder:
        for kind in filter(None, arguments.tokenizers.split(",")):
            compare(arguments.kiln, text, kind, Path(folder))
        for name in FAMILIES:
            compare_family(arguments.kiln, text, name, Path(folder))
    print(f"{len(failures)} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
