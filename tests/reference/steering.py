"""Steering as PyTorch computes it: hooks on transformers' GPT-2 against what the command line does.

    python tests/reference/steering.py target/debug/kiln RUN

RUN is a run of Kiln with a GPT-2. Directions are random. Checked are control vectors and a feature of a random autoencoder that is
clamped, added and ablated; a clamp also against the whole autoencoder: the features are decoded, and what the autoencoder misses is
added back. The files are written by gguf and safetensors, not by Kiln.
"""

import json
import pathlib
import subprocess
import sys
import tempfile

import gguf
import numpy as np
import torch
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM

LIMIT = 1e-4
BLOCK = 1
FEATURES = 16


def kiln(*words):
    done = subprocess.run([KILN, *map(str, words)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def write_vector(path, directions):
    writer = gguf.GGUFWriter(path, "controlvector")
    writer.add_string("controlvector.model_hint", "gpt2")
    writer.add_uint32("controlvector.layer_count", max(directions))
    for layer, direction in directions.items():
        writer.add_tensor(f"direction.{layer}", direction.numpy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_autoencoder(folder, weights, mean_norm):
    folder.mkdir()
    save_file(weights, folder / "sae_weights.safetensors")
    d_in, d_sae = weights["W_enc"].shape
    config = {
        "architecture": "jumprelu", "d_in": d_in, "d_sae": d_sae, "dtype": "float32", "device": "cpu",
        "apply_b_dec_to_input": True, "normalize_activations": "none", "reshape_activations": "none",
        "metadata": {"sae_lens_version": "6.54.12", "model_name": "any", "hook_name": f"blocks.{BLOCK}.hook_resid_post",
                     "hook_head_index": None, "context_size": 32, "prepend_bos": False,
                     "kiln": {"mean_norm": mean_norm}},
    }
    (folder / "cfg.json").write_text(json.dumps(config))


def logprobs(model, tokens, hooks):
    """Of each token given those before it, with functions of the stream behind some blocks."""
    handles = [
        model.transformer.h[block].register_forward_hook(
            lambda _module, _input, output, change=change: (change(output[0]), *output[1:])
            if isinstance(output, tuple) else change(output)
        )
        for block, change in hooks.items()
    ]
    with torch.no_grad():
        logits = model(torch.tensor([tokens])).logits[0]
    for handle in handles:
        handle.remove()
    return logits.log_softmax(-1)[:-1].gather(1, torch.tensor(tokens)[1:, None])[:, 0]


def main():
    run, generator = pathlib.Path(sys.argv[2]), torch.Generator().manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(run / "model", attn_implementation="eager").eval()
    config = model.config
    d_model, vocab = config.n_embd, config.vocab_size
    random = lambda *shape: torch.randn(*shape, generator=generator)
    text = torch.randint(0, vocab, (min(30, config.n_positions),), generator=generator).tolist()
    folder = pathlib.Path(tempfile.mkdtemp())
    worst = {}

    def check(name, options, hooks):
        told = kiln("score", "--model", run, "--tokens", ",".join(map(str, text)), "--json", *options)
        ours = torch.tensor(told["logprobs"][1:], dtype=torch.float32)
        theirs, plain = logprobs(model, text, hooks), logprobs(model, text, {})
        off = (ours - theirs).abs().max().item()
        assert (theirs - plain).abs().max() > 100 * LIMIT, f"{name}: it changes nothing, so nothing is compared"
        worst[name] = off
        print(f"{name}: log-probabilities to {off:.1e}")

    layers = {layer: random(d_model) for layer in range(1, config.n_layer)}
    write_vector(folder / "vector.gguf", layers)
    add = {layer: (lambda x, v=vector: x + 2.5 * v) for layer, vector in layers.items()}
    check("control vector", ["--control-vector", f"{folder / 'vector.gguf'}=2.5"], add)

    unit = torch.nn.functional.normalize(random(FEATURES, d_model), dim=1)
    weights = {"W_enc": random(d_model, FEATURES) / d_model**0.5, "b_enc": 0.1 * random(FEATURES), "W_dec": unit,
               "b_dec": 0.1 * random(d_model), "threshold": 0.2 * random(FEATURES).abs()}
    weights = {name: value.contiguous() for name, value in weights.items()}
    write_autoencoder(folder / "sae", weights, mean_norm=3.0)
    feature, strength = 5, 1.5
    value, direction = strength * 3.0, unit[feature]

    def encode(x):
        pre = (x - weights["b_dec"]) @ weights["W_enc"] + weights["b_enc"]
        return torch.where(pre > weights["threshold"], pre.relu(), torch.zeros(()))

    def clamp(x):
        features = encode(x)
        error = x - (features @ unit + weights["b_dec"])
        features[..., feature] = value
        return features @ unit + weights["b_dec"] + error

    turn = ["--sae", folder / "sae", "--steer", f"{feature}={strength}", "--steer-mode"]
    check("clamp, as the whole autoencoder does it", [*turn, "clamp"], {BLOCK: clamp})
    check("add", [*turn, "add"], {BLOCK: lambda x: x + value * direction})
    check("ablate", [*turn, "ablate"], {BLOCK: lambda x: x - (x @ direction)[..., None] * direction})

    # What Kiln writes is what gguf reads.
    subprocess.run([KILN, "steer", "export", folder / "sae", "--feature", str(feature), "--strength", str(strength),
                    "--to", folder / "feature.gguf"], check=True, capture_output=True)
    [tensor] = gguf.GGUFReader(folder / "feature.gguf").tensors
    assert tensor.name == f"direction.{BLOCK}", tensor.name
    off = np.abs(np.array(tensor.data) - (value * direction).numpy()).max()
    print(f"exported direction: {off:.1e}")
    worst["export"] = off

    assert max(worst.values()) <= LIMIT, worst


if __name__ == "__main__":
    KILN = str(pathlib.Path(sys.argv[1]).resolve())
    main()
