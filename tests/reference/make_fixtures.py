"""Writes what PyTorch and transformers compute, for tests/reference.rs to compare with.

    pip install -r requirements.txt && python make_fixtures.py [CASE…]

Each case is a directory under fixtures/ as `save_pretrained` writes it, plus
  expected.safetensors   tokens, logits; in full cases also the gradient of every parameter, the batches of ten AdamW
                         steps, their losses, and the weights after them
  expected.json          loss, greedy continuation, and the recipe of the ten steps

recipe.json, for tests/recipe, holds clipping, decay groups and schedule alone: gradients go in, and after each step
PyTorch's norm, clipped gradients, learning rate and parameters come out.
"""

import json
import math
import shutil
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from transformers import (GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM,
                          Qwen3Config, Qwen3ForCausalLM)

HERE = Path(__file__).parent / "fixtures"
RECIPE = dict(learning_rate=3e-3, min_learning_rate=3e-4, warmup_steps=3, decay_steps=10, beta1=0.9, beta2=0.95,
              epsilon=1e-8, weight_decay=0.1, grad_clip=0.5, steps=10)

BASE = dict(vocab_size=37, n_positions=24, n_embd=16, n_layer=2, n_head=4)
CASES = {
    "plain": (dict(), torch.float32, True),
    "untied-inner": (dict(tie_word_embeddings=False, n_inner=40, n_head=2), torch.float32, True),
    "exact-gelu": (dict(activation_function="gelu", n_layer=1, n_embd=24, n_head=12), torch.float32, False),
    "relu": (dict(activation_function="relu", n_head=1), torch.float32, False),
    "silu": (dict(activation_function="silu"), torch.float32, False),
    "pytorch-tanh": (dict(activation_function="gelu_pytorch_tanh", layer_norm_epsilon=1e-3), torch.float32, False),
    "layer-scaled": (dict(scale_attn_by_inverse_layer_idx=True, reorder_and_upcast_attn=True, n_layer=3), torch.float32, False),
    "unscaled": (dict(scale_attn_weights=False), torch.float32, False),
    "half": (dict(), torch.float16, False),
    "bfloat": (dict(n_layer=1), torch.bfloat16, False),
}

# Heads that are wider than d_model / n_heads where the class allows it, and longer sequences than `llama3` scaling began with.
SIZES = dict(vocab_size=61, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2, max_position_embeddings=64, rms_norm_eps=1e-3, use_cache=False, bos_token_id=0,
             eos_token_id=0)
LLAMA, QWEN2, QWEN3 = (LlamaConfig, LlamaForCausalLM), (Qwen2Config, Qwen2ForCausalLM), (Qwen3Config, Qwen3ForCausalLM)
rope = lambda kind, **more: dict(rope_parameters=dict(rope_type=kind, rope_theta=500.0, **more))
FAMILIES = {
    "llama": (LLAMA, dict(head_dim=12, **rope("default"))),
    "llama-tied-biases": (LLAMA, dict(tie_word_embeddings=True, attention_bias=True, mlp_bias=True, num_key_value_heads=4)),
    "llama3": (LLAMA, dict(num_key_value_heads=1, **rope("llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
                                                         original_max_position_embeddings=16))),
    "llama-linear": (LLAMA, dict(hidden_act="gelu_pytorch_tanh", **rope("linear", factor=4.0))),
    "qwen2": (QWEN2, rope("default")),
    "qwen3": (QWEN3, dict(head_dim=12, tie_word_embeddings=True, **rope("default"))),
    "qwen3-biases": (QWEN3, dict(head_dim=6, attention_bias=True, num_hidden_layers=1)),
}


def learning_rate(step):
    """nanoGPT's schedule, steps counted from zero."""
    r = RECIPE
    if step < r["warmup_steps"]:
        return r["learning_rate"] * (step + 1) / (r["warmup_steps"] + 1)
    if step >= r["decay_steps"]:
        return r["min_learning_rate"]
    ratio = (step - r["warmup_steps"]) / (r["decay_steps"] - r["warmup_steps"])
    return r["min_learning_rate"] + 0.5 * (1 + math.cos(math.pi * ratio)) * (r["learning_rate"] - r["min_learning_rate"])


def loss_of(model, tokens, targets):
    logits = model(tokens).logits
    return torch.nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def write_gpt2(name, changes, dtype, full):
    torch.manual_seed(sum(map(ord, name)))
    config = GPT2Config(**{**BASE, **changes}, resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0,
                        bos_token_id=0, eos_token_id=0)
    config._attn_implementation = "eager"
    model = GPT2LMHeadModel(config).eval()
    with torch.no_grad():  # far from the initialisation, so that biases, norms and attention matter
        for parameter in model.parameters():
            parameter.normal_(0.1 if parameter.dim() == 1 else 0.0, 0.25)
    write(name, model, dtype, full, 20)


def write_family(name, classes, changes):
    torch.manual_seed(sum(map(ord, name)))
    config = classes[0](**{**SIZES, **changes})
    config._attn_implementation = "eager"
    model = classes[1](config).eval()
    with torch.no_grad():  # a norm or a bias that is forgotten must show
        for key, parameter in model.named_parameters():
            if parameter.dim() > 1:
                parameter.normal_(0.0, 0.2)
            else:
                parameter.normal_(1.0 if "norm" in key else 0.0, 0.3)
    write(name, model, torch.float32, True, 40)


def write(name, model, dtype, full, length):
    config = model.config
    shutil.rmtree(HERE / name, ignore_errors=True)
    model.to(dtype)
    directory = HERE / name
    model.save_pretrained(directory)
    model.float()  # the weights as the file rounded them, computed in f32

    tokens = torch.randint(0, config.vocab_size, (2, length))
    targets = torch.randint(0, config.vocab_size, (2, length))
    tensors = {"tokens": tokens, "targets": targets}
    with torch.no_grad():
        tensors["logits"] = model(tokens).logits.clone()
        greedy = tokens[:1, :4]
        while greedy.shape[1] < config.max_position_embeddings:
            greedy = torch.cat([greedy, model(greedy).logits[:, -1:].argmax(-1)], dim=1)
    loss = loss_of(model, tokens, targets)
    numbers = {"loss": loss.item(), "greedy": greedy[0].tolist()}

    if full:
        loss.backward()
        for key, parameter in model.named_parameters():
            tensors[f"gradient.{key}"] = parameter.grad.clone()
        model.zero_grad()
        decay = [p for p in model.parameters() if p.dim() >= 2]
        plain = [p for p in model.parameters() if p.dim() < 2]
        optimizer = torch.optim.AdamW(
            [{"params": decay, "weight_decay": RECIPE["weight_decay"]}, {"params": plain, "weight_decay": 0.0}],
            betas=(RECIPE["beta1"], RECIPE["beta2"]), eps=RECIPE["epsilon"])
        losses, norms = [], []
        batches = torch.randint(0, config.vocab_size, (RECIPE["steps"], 2, 21))
        tensors["batches"] = batches
        for step in range(RECIPE["steps"]):
            for group in optimizer.param_groups:
                group["lr"] = learning_rate(step)
            optimizer.zero_grad()
            loss = loss_of(model, batches[step, :, :-1], batches[step, :, 1:])
            loss.backward()
            norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), RECIPE["grad_clip"]).item())
            optimizer.step()
            losses.append(loss.item())
        numbers |= {"losses": losses, "grad_norms": norms, "recipe": RECIPE}
        for key, parameter in model.named_parameters():
            tensors[f"final.{key}"] = parameter.detach().clone()

    save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, directory / "expected.safetensors")
    (directory / "expected.json").write_text(json.dumps(numbers, indent=1) + "\n")


def write_llm_c():
    """The ten steps of llm.c's test_gpt2 on a small random model: one batch, decay on every parameter, no clipping."""
    torch.manual_seed(7)
    config = GPT2Config(vocab_size=41, n_positions=64, n_embd=16, n_layer=2, n_head=2, resid_pdrop=0.0, embd_pdrop=0.0,
                        attn_pdrop=0.0, bos_token_id=0, eos_token_id=0)
    model = GPT2LMHeadModel(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0.1 if parameter.dim() == 1 else 0.0, 0.25)
    directory = HERE.parent / "llm_c"
    shutil.rmtree(directory, ignore_errors=True)
    model.save_pretrained(directory)
    tokens = torch.randint(0, config.vocab_size, (4 * 64 + 1,))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.01)
    losses = []
    for _ in range(10):
        optimizer.zero_grad()
        loss = loss_of(model, tokens[:-1].view(4, 64), tokens[1:])
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    expected = {"tokens": tokens.tolist(), "losses": losses}
    (directory / "expected.json").write_text(json.dumps(expected) + "\n")


def write_recipe():
    """Fifteen steps of `clip_grad_norm_`, AdamW with decay groups, linear warm-up and cosine, all of them PyTorch's own."""
    torch.manual_seed(11)
    numbers = dict(learning_rate=2e-2, min_learning_rate=2e-3, warmup_steps=4, decay_steps=14, beta1=0.9, beta2=0.95,
                   epsilon=1e-8, weight_decay=0.1, grad_clip=1.0)
    parameters = {"embedding": torch.randn(7, 4), "projection": torch.randn(4, 6), "bias": torch.randn(6)}
    parameters = {name: torch.nn.Parameter(value) for name, value in parameters.items()}
    listed = lambda tensors: {name: tensor.flatten().tolist() for name, tensor in tensors.items()}
    expected = numbers | {"shapes": {name: list(value.shape) for name, value in parameters.items()},
                          "initial": listed({name: value.detach() for name, value in parameters.items()}), "steps": []}
    optimizer = torch.optim.AdamW(
        [{"params": [parameters["embedding"], parameters["projection"]], "weight_decay": numbers["weight_decay"]},
         {"params": [parameters["bias"]], "weight_decay": 0.0}],
        lr=numbers["learning_rate"], betas=(numbers["beta1"], numbers["beta2"]), eps=numbers["epsilon"])
    warmup, decay = numbers["warmup_steps"], numbers["decay_steps"]
    schedule = torch.optim.lr_scheduler.SequentialLR(optimizer, [
        torch.optim.lr_scheduler.LinearLR(optimizer, 1 / (warmup + 1), 1.0, warmup),
        torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, decay - warmup, numbers["min_learning_rate"])], [warmup])
    for step in range(decay + 1):
        # Norms from a twentieth of the limit to twenty times it.
        scale = numbers["grad_clip"] * 20 ** (2 * torch.rand(()) - 1) / 8
        gradients = {name: torch.randn_like(value) * scale for name, value in parameters.items()}
        for name, value in parameters.items():
            value.grad = gradients[name].clone()
        norm = torch.nn.utils.clip_grad_norm_(parameters.values(), numbers["grad_clip"]).item()
        clipped = {name: value.grad.clone() for name, value in parameters.items()}
        learning_rate = optimizer.param_groups[0]["lr"]
        optimizer.step()
        schedule.step()
        expected["steps"].append({
            "gradients": listed(gradients), "norm": norm, "clipped": listed(clipped), "learning_rate": learning_rate,
            "parameters": listed({name: value.detach() for name, value in parameters.items()})})
    (HERE.parent / "recipe.json").write_text(json.dumps(expected) + "\n")


if __name__ == "__main__":
    wanted = set(sys.argv[1:]) or CASES.keys() | FAMILIES.keys()
    if len(sys.argv) == 1:
        write_recipe()
        write_llm_c()
        shutil.rmtree(HERE, ignore_errors=True)
    for name, (changes, dtype, full) in CASES.items():
        if name in wanted:
            write_gpt2(name, changes, dtype, full)
    for name, (classes, changes) in FAMILIES.items():
        if name in wanted:
            write_family(name, classes, changes)
    print(sum(file.stat().st_size for file in HERE.rglob("*")), "bytes")
