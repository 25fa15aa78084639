"""Random GPT-2 models over a grid of architectures: logits and log-probabilities of transformers against `kiln score`.

    pip install -r requirements.txt
    cargo build --release
    python grid.py ../../target/release/kiln --backend ndarray

Every model is saved by `save_pretrained`, read by Kiln, and compared in f32 on one sequence as long as its context.
Exit code 1 if any logit differs by more than --tolerance.
"""

import argparse
import itertools
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import transformers
from safetensors.torch import load_file
from transformers import GPT2Config, GPT2LMHeadModel


def grid():
    """Name and configuration of each model, the dtype of its file, and the largest size of a shard of it."""
    activations = ["gelu_new", "gelu", "gelu_pytorch_tanh", "relu", "silu"]
    heads = [1, 2, 3, 4, 6, 12]
    for number, (layers, n_head) in enumerate(itertools.product([1, 2, 3], heads)):
        for inner in [None, 20 + 7 * number]:
            config = dict(
                n_layer=layers, n_head=n_head, n_embd=n_head * (3 + number % 5), n_inner=inner,
                vocab_size=[11, 65, 257, 1001, 50257][number % 5], n_positions=[9, 32, 65][number % 3],
                activation_function=activations[number % 5], tie_word_embeddings=number % 2 == 0,
                scale_attn_by_inverse_layer_idx=number % 4 == 3, scale_attn_weights=number % 7 != 6,
                reorder_and_upcast_attn=number % 4 == 3, layer_norm_epsilon=[1e-5, 1e-3][number % 2])
            dtype = [torch.float32, torch.float16, torch.bfloat16][(number + (inner is None)) % 3]
            shard = "20KB" if number % 4 == 1 else "5GB"
            yield f"l{layers}-h{n_head}-{'inner' if inner else '4x'}", config, dtype, shard
    yield "gpt2-124M", dict(), torch.float32, "5GB"
    yield "gpt2-124M-f16-shards", dict(), torch.float16, "100MB"


def compare(kiln, backend, name, settings, dtype, shard, folder):
    torch.manual_seed(sum(map(ord, name)))
    config = GPT2Config(**settings, bos_token_id=0, eos_token_id=0)
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():  # far from the initialisation, so that biases, norms and attention matter
        spread = 0.25 if config.n_embd < 100 else 0.05
        for parameter in model.parameters():
            parameter.normal_(0.1 if parameter.dim() == 1 else 0.0, spread)
    model.to(dtype).save_pretrained(folder, max_shard_size=shard)
    model.float()  # the weights as the file rounded them, computed in f32

    tokens = torch.randint(0, config.vocab_size, (1, min(config.n_positions, 128)))
    with torch.no_grad():
        logits = model(tokens).logits[0]
    logprobs = torch.log_softmax(logits[:-1], -1).gather(1, tokens[0, 1:, None])[:, 0]

    file = folder / "logits.safetensors"
    command = [kiln, "score", "--model", folder, "--tokens", ",".join(map(str, tokens[0].tolist())), "--json",
               "--logits", file, *(["--backend", backend] if backend else [])]
    score = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    ours = load_file(file)["logits"]
    assert score["logprobs"][0] is None and ours.shape == logits.shape
    return ((ours - logits).abs().max().item(),
            (torch.tensor(score["logprobs"][1:]) - logprobs).abs().max().item(), logits.abs().max().item())


def main():
    transformers.logging.disable_progress_bar()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kiln", help="the built program")
    parser.add_argument("--backend", help="default: the fastest of the build")
    parser.add_argument("--tolerance", type=float, default=1e-4)
    parser.add_argument("--small", action="store_true", help="leave out the models of 124M parameters")
    arguments = parser.parse_args()

    worst, count, failed = 0.0, 0, []
    for name, settings, dtype, shard in grid():
        if arguments.small and name.startswith("gpt2"):
            continue
        with tempfile.TemporaryDirectory() as folder:
            logits, logprobs, largest = compare(
                arguments.kiln, arguments.backend, name, settings, dtype, shard, Path(folder))
        difference = max(logits, logprobs)
        verdict = "" if difference <= arguments.tolerance else "  TOO MUCH"
        print(f"{name:24} {str(dtype):16} logits up to {largest:8.3f}  max |difference| {logits:.1e}  "
              f"logprobs {logprobs:.1e}{verdict}", flush=True)
        worst, count = max(worst, difference), count + 1
        if verdict:
            failed.append(name)
    print(f"{count} models, largest difference {worst:.1e}, {len(failed)} beyond {arguments.tolerance:.0e}")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
