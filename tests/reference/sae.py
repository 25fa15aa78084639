"""Sparse autoencoders that `kiln sae` made, beside SAELens, and the other way round.

    pip install -r requirements-sae.txt
    cargo build
    python sae.py ../../target/debug/kiln

A small model and an autoencoder of it are trained, then
  - `SAE.load_from_disk` opens the autoencoder, and encodes and decodes the vectors as `kiln sae eval --vectors` wrote them;
    `fold_W_dec_norm` changes nothing, and the metadata names the place;
  - Kiln opens what SAELens saved of each architecture that it reads, and refuses the others by name;
  - the figures of `kiln sae eval` are those of SAELens' formulas on the same vectors, and its losses those of transformers with
    what SAELens decodes in place of a block's output.
Exit code 1 if anything differs.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import torch
from safetensors.torch import load_file
from sae_lens import SAE
from sae_lens.saes.gated_sae import GatedSAE, GatedSAEConfig
from sae_lens.saes.jumprelu_sae import JumpReLUSAE, JumpReLUSAEConfig
from sae_lens.saes.standard_sae import StandardSAE, StandardSAEConfig
from sae_lens.saes.topk_sae import TopKSAE, TopKSAEConfig
from transformers import AutoModelForCausalLM

# In f32, sums in another order.
VALUE, FIGURE = 1e-5, 1e-4
D_SAE, K = 64, 4
MODEL = [
    "--set", "schedule.warmup_steps=4", "--set", "data.tales_bytes=60000", "--set", "model.context_length=32",
    "--set", "model.d_model=32", "--set", "model.n_layers=2", "--set", "training.batch_size=4",
    "--set", "training.eval_batches=2", "--set", "generation.max_tokens=8", "--set", "tokenizer.kind=bpe",
    "--set", "tokenizer.vocab_size=300", "--set", "tokenizer.chat=false", "--set", "training.steps=60",
]  # fmt: skip

failures = []


def check(name, holds, found=""):
    print(f"{'ok  ' if holds else 'FAIL'} {name} {found}")
    if not holds:
        failures.append(name)


def close(name, ours, theirs, tolerance):
    scale = max(1.0, float(theirs.abs().max()))
    difference = float((ours - theirs).abs().max()) / scale
    check(name, difference <= tolerance, f"{difference:.2e}")


def vectors(kiln, sae, folder):
    """What Kiln encodes and decodes, and its figures."""
    path = folder / "vectors.safetensors"
    command = [kiln, "sae", "eval", sae, "--model", folder / "base", "--tokens", "4096", "--json", "--vectors", path]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return load_file(path), json.loads(printed)


def figures(name, tensors, report):
    x, y, f = tensors["input"].double(), tensors["output"].double(), tensors["features"]
    residual = (x - y).pow(2).sum(-1)
    expected = {
        "l0": (f != 0).sum(-1).double().mean(),
        "explained_variance": 1 - residual.mean() / (x - x.mean(0)).pow(2).sum(-1).mean(),
        "cossim": torch.nn.functional.cosine_similarity(x, y, dim=-1).mean(),
        "l2_ratio": (y.norm(dim=-1) / x.norm(dim=-1)).mean(),
        "relative_reconstruction_bias": y.norm(dim=-1).pow(2).mean() / (x * y).sum(-1).mean(),
        "mse": residual.mean(),
        "frac_alive": (f != 0).any(0).double().mean(),
    }
    for key, value in expected.items():
        difference = abs(report[key] - float(value)) / max(1.0, abs(float(value)))
        check(f"{name}: {key}", difference <= FIGURE, f"{report[key]:.6f} and {float(value):.6f}")


def losses(tensors, report, sae, folder):
    """The figures of predictions, by transformers with a hook on the block."""
    model = AutoModelForCausalLM.from_pretrained(folder / "base" / "model").eval()
    tokens, targets = tensors["tokens"].long(), tensors["targets"].long()
    counts = targets >= 0

    def predictions(change):
        def hook(_module, _inputs, output):
            stream = output[0] if isinstance(output, tuple) else output
            stream = torch.where(counts.unsqueeze(-1), change(stream), stream)
            return (stream, *output[1:]) if isinstance(output, tuple) else stream

        handle = model.transformer.h[1].register_forward_hook(hook)
        with torch.no_grad():
            logits = model(tokens).logits[counts].double()
        handle.remove()
        return logits.log_softmax(-1)

    clean, rebuilt, zeros = map(predictions, (lambda x: x, lambda x: sae(x), torch.zeros_like))
    ce = [float(torch.nn.functional.nll_loss(one, targets[counts])) for one in (clean, rebuilt, zeros)]
    kl = [float((clean.exp() * (clean - one)).sum(-1).mean()) for one in (rebuilt, zeros)]
    expected = {
        "ce_loss_without_sae": ce[0],
        "ce_loss_with_sae": ce[1],
        "ce_loss_with_ablation": ce[2],
        "ce_loss_score": (ce[2] - ce[1]) / (ce[2] - ce[0]),
        "kl_div_score": (kl[1] - kl[0]) / kl[1],
    }
    for key, value in expected.items():
        check(key, abs(report[key] - value) <= FIGURE, f"{report[key]:.6f} and {value:.6f}")


def opened_by_sae_lens(kiln, folder):
    directory = folder / "sae" / "model"
    sae = SAE.load_from_disk(directory)
    tensors, report = vectors(kiln, folder / "sae", folder)
    with torch.no_grad():
        features = sae.encode(tensors["input"])
        close("SAELens encodes what Kiln wrote", tensors["features"], features, VALUE)
        close("SAELens decodes what Kiln wrote", tensors["output"], sae.decode(features), VALUE)
        before = sae.W_dec.clone()
        sae.fold_W_dec_norm()
        close("fold_W_dec_norm changes no direction", sae.W_dec, before, VALUE)
        close("fold_W_dec_norm changes no feature", sae.encode(tensors["input"]), features, VALUE)
    check("the place survives", sae.cfg.metadata.hook_name == "blocks.1.hook_resid_post")
    sparsity = load_file(directory / "sparsity.safetensors")["sparsity"]
    check("log10 of the densities", sparsity.shape == (D_SAE,) and bool((sparsity <= 0).all()))
    figures("jumprelu of Kiln", tensors, report)
    losses(tensors, report, SAE.load_from_disk(directory), folder)


def opened_by_kiln(kiln, folder):
    torch.manual_seed(5)
    common = {"d_in": 32, "d_sae": D_SAE}
    kinds = {
        "standard": StandardSAE(StandardSAEConfig(**common)),
        "standard that keeps b_dec": StandardSAE(StandardSAEConfig(**common, apply_b_dec_to_input=False)),
        "jumprelu": JumpReLUSAE(JumpReLUSAEConfig(**common)),
        "topk": TopKSAE(TopKSAEConfig(**common, k=K)),
        "topk of scaled features": TopKSAE(TopKSAEConfig(**common, k=K, rescale_acts_by_decoder_norm=True)),
    }
    for name, sae in kinds.items():
        sae.cfg.metadata.hook_name = "blocks.0.hook_resid_post"
        sae.cfg.metadata.model_name = "base"
        with torch.no_grad():
            for parameter in sae.parameters():
                parameter.add_(0.1 * torch.randn_like(parameter))
            if hasattr(sae, "threshold"):
                sae.threshold.abs_()
        directory = folder / name.replace(" ", "-")
        sae.save_model(directory)
        tensors, report = vectors(kiln, directory, folder)
        with torch.no_grad():
            reference = SAE.load_from_disk(directory)
            features = reference.encode(tensors["input"])
            output = reference.decode(features)
        close(f"Kiln encodes SAELens' {name}", tensors["features"], features, VALUE)
        close(f"Kiln decodes SAELens' {name}", tensors["output"], output, VALUE)
        figures(name, tensors, report)
    gated = GatedSAE(GatedSAEConfig(**common))
    gated.cfg.metadata.hook_name = "blocks.0.hook_resid_post"
    gated.save_model(folder / "gated")
    command = [kiln, "sae", "eval", folder / "gated", "--model", folder / "base"]
    refused = subprocess.run(command, capture_output=True, text=True)
    named = 'architecture = "gated"' in refused.stderr
    check("gated is refused by name", refused.returncode == 2 and named, refused.stderr.strip())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kiln", type=Path)
    kiln = parser.parse_args().kiln.resolve()
    warnings.filterwarnings("ignore")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        quiet = {"check": True, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run([kiln, "train", "--plain", "--run-dir", folder / "base", *MODEL], **quiet)
        train = [kiln, "sae", "train", "--plain", "--model", folder / "base", "--out", folder / "sae"]
        size = ["--d-sae", str(D_SAE), "--k", str(K), "--steps", "40", "--set", "training.batch_size=256"]
        subprocess.run([*train, *size], **quiet)
        opened_by_sae_lens(kiln, folder)
        opened_by_kiln(kiln, folder)
    if failures:
        sys.exit(f"{len(failures)} failed: {', '.join(failures)}")


if __name__ == "__main__":
    main()
