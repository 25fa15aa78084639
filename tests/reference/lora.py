"""Compares Kiln's LoRA with PEFT's: python tests/reference/lora.py KILN EXAMPLES

PEFT makes adapters of small models of each family. Kiln opens them, computes the same, has the same gradients and merges to
the same weights; what Kiln writes PEFT opens without a warning. EXAMPLES is the folder with the built example `adapter`.
"""

import json
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model, get_peft_model_state_dict
from safetensors.torch import load_file
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    GPT2Config,
    LlamaConfig,
    Qwen2Config,
    Qwen3Config,
)
from transformers.utils import logging

# As in model/examples/adapter.rs.
ROWS, SEQ, VOCAB = 2, 12, 61
TOKENS, TARGETS = (
    torch.tensor([[(row * 31 + (place + shift) * 7 + 3) % VOCAB for place in range(SEQ)] for row in range(ROWS)])
    for shift in (0, 1)
)
# In bf16, a product has 8 bits; everything here is f32.
LOGITS, GRADIENTS, WEIGHTS = 1e-4, 1e-4, 1e-6

LLAMA = dict(
    vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=32, initializer_range=0.2,
)  # fmt: skip
FAMILIES = {
    "gpt2": GPT2Config(
        vocab_size=VOCAB, n_positions=32, n_embd=32, n_layer=2, n_head=4, initializer_range=0.2,
        resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    ),
    "llama": LlamaConfig(**LLAMA, pad_token_id=0),
    "qwen2": Qwen2Config(**LLAMA, pad_token_id=0),
    "qwen3": Qwen3Config(**LLAMA, head_dim=12, pad_token_id=0),
}  # fmt: skip

ADAPTERS = {
    "usual targets": dict(r=8, lora_alpha=8),
    "rank 4, another alpha": dict(r=4, lora_alpha=10, target_modules="all-linear"),
    "rank 64": dict(r=64, lora_alpha=16, target_modules="all-linear"),
    "rslora, dropout": dict(r=8, lora_alpha=12, use_rslora=True, lora_dropout=0.1, target_modules="all-linear"),
    "patterns": dict(r=4, lora_alpha=4, target_modules="all-linear"),
}
# What differs, in each family's names.
PATTERNS = {
    "gpt2": dict(rank_pattern={"h.1.attn.c_attn": 6}, alpha_pattern={"c_fc": 9}),
    "llama": dict(rank_pattern={"layers.1.self_attn.k_proj": 6}, alpha_pattern={"down_proj": 9}),
}


def base(family, folder):
    torch.manual_seed(1)
    AutoModelForCausalLM.from_config(FAMILIES[family]).save_pretrained(folder)
    return AutoModelForCausalLM.from_pretrained(folder).eval()


def learned(model):
    """As if the adapter had learned something: B starts at zero."""
    torch.manual_seed(2)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.1)
    return model.eval()


def distance(ours, theirs):
    assert ours.shape == theirs.shape, f"{tuple(ours.shape)} and {tuple(theirs.shape)}"
    return (ours - theirs).abs().max().item()


def relative(ours, theirs):
    return distance(ours, theirs) / max(theirs.abs().max().item(), 1e-6)


def run(*command):
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
    return result.stdout


def kiln_logits(kiln, folder, model, *options):
    tokens = ",".join(map(str, TOKENS[0].tolist()))
    run(kiln, "score", "--model", model, *options, "--tokens", tokens, "--logits", folder / "logits", "--json")
    return load_file(folder / "logits")["logits"]


def opened(folder, model):
    """What PEFT makes of a directory that Kiln wrote; a warning is an error."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # PEFT calls what transformers has given another name.
        warnings.simplefilter("ignore", FutureWarning)
        model = PeftModel.from_pretrained(model, folder).eval()
    assert load_file(folder / "adapter_model.safetensors").keys() == get_peft_model_state_dict(model).keys()
    return model


def check_gradients(folder, model):
    model.zero_grad()
    logits = model(TOKENS).logits
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), TARGETS.flatten()).backward()
    theirs = {name.replace(".default", ""): p.grad for name, p in model.named_parameters() if p.requires_grad}
    ours = load_file(folder / "adapter_model.safetensors")
    assert ours.keys() == theirs.keys()
    error = max(relative(ours[name], theirs[name]) for name in theirs)
    assert error <= GRADIENTS, f"gradients: {error}"
    return error


def check_merge(kiln, folder, base_folder, model):
    run(kiln, "export", "--model", base_folder, "--adapter", folder / "peft", "--to", folder / "merged")
    ours = load_file(folder / "merged" / "model.safetensors")
    theirs = model.merge_and_unload().state_dict()
    before = load_file(base_folder / "model.safetensors")
    error = max(relative(ours[name], theirs[name]) for name in ours)
    assert error <= WEIGHTS, f"merged weights: {error}"
    # The check itself must be able to fail: a merge the wrong way round is far off.
    square = [name for name in before if "c_proj" in name or "o_proj" in name]
    square = [name for name in square if before[name].dim() == 2 and len(set(before[name].shape)) == 1]
    changed = [name for name in before if distance(ours[name], before[name]) > 1e-3]
    assert changed, "nothing was merged"
    for name in set(square) & set(changed):
        wrong = before[name] + (theirs[name] - before[name]).T
        assert relative(wrong, theirs[name]) > 100 * WEIGHTS, f"{name}: an untransposed merge passes"
    return error


def check(kiln, examples, family, name, options):
    folder = Path(tempfile.mkdtemp())
    model = base(family, folder / "base")
    options = {**options, **(PATTERNS.get(family, PATTERNS["llama"]) if name == "patterns" else {})}
    fan_in_fan_out = family == "gpt2"
    config = LoraConfig(task_type="CAUSAL_LM", fan_in_fan_out=fan_in_fan_out, **options)
    model = learned(get_peft_model(model, config))
    model.save_pretrained(folder / "peft")
    with torch.no_grad():
        theirs = model(TOKENS[:1]).logits[0]
    ours = kiln_logits(kiln, folder, folder / "base", "--adapter", folder / "peft")
    from_peft = distance(ours, theirs)
    assert from_peft <= LOGITS, f"{family}, {name}: {from_peft}"

    run(examples / "adapter", folder / "base", folder / "peft", folder / "kiln")
    again = opened(folder / "kiln" / "adapter", AutoModelForCausalLM.from_pretrained(folder / "base"))
    with torch.no_grad():
        to_peft = distance(again(TOKENS[:1]).logits[0], theirs)
    assert to_peft <= LOGITS, f"{family}, {name}: {to_peft}"
    # The directory alone names its model.
    assert distance(kiln_logits(kiln, folder, folder / "kiln" / "adapter"), ours) == 0
    # Gradients are those of training, where features are dropped at random.
    dropped = options.get("lora_dropout", 0) > 0
    gradients = 0 if dropped else check_gradients(folder / "kiln" / "gradients", model)
    merged = check_merge(kiln, folder, folder / "base", model)
    print(f"{family:6} {name:22} logits {from_peft:.1e}, back {to_peft:.1e}, gradients {gradients:.1e}, merged {merged:.1e}")


def check_classifier(examples, family):
    folder = Path(tempfile.mkdtemp())
    base(family, folder / "base")
    fresh = lambda: AutoModelForSequenceClassification.from_pretrained(folder / "base", num_labels=3).eval()
    fan_in_fan_out = family == "gpt2"
    config = LoraConfig(task_type="SEQ_CLS", r=4, target_modules="all-linear", fan_in_fan_out=fan_in_fan_out)
    model = learned(get_peft_model(fresh(), config))
    with torch.no_grad():
        model.base_model.model.score.modules_to_save["default"].weight.normal_(std=0.3)
        theirs = model(TOKENS).logits
    model.save_pretrained(folder / "peft")
    ours = json.loads(run(examples / "adapter", folder / "base", folder / "peft", folder / "kiln"))
    error = distance(torch.tensor(ours).view(ROWS, 3), theirs)
    with torch.no_grad():
        back = distance(opened(folder / "kiln" / "adapter", fresh())(TOKENS).logits, theirs)
    assert max(error, back) <= LOGITS, f"{family}, classifier: {error}, {back}"
    print(f"{family:6} {'classifier':22} scores {error:.1e}, back {back:.1e}")


def check_refusals(kiln):
    folder = Path(tempfile.mkdtemp())
    for name, options in {"DoRA": dict(use_dora=True), "biases": dict(bias="all")}.items():
        model = base("gpt2", folder / "base")
        config = LoraConfig(task_type="CAUSAL_LM", target_modules=["c_attn"], fan_in_fan_out=True, **options)
        get_peft_model(model, config).save_pretrained(folder / name)
        command = [kiln, "score", "--model", folder / "base", "--adapter", folder / name, "--tokens", "1,2,3"]
        result = subprocess.run(command, capture_output=True, text=True)
        assert result.returncode == 2 and name in result.stderr, f"{name}: {result.stderr}"
    print("DoRA and biases are refused by name")


def main():
    kiln, examples = (Path(word).resolve() for word in sys.argv[1:3])
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    for family in FAMILIES:
        for name, options in ADAPTERS.items():
            check(kiln, examples, family, name, options)
        check_classifier(examples, family)
    check_refusals(kiln)


if __name__ == "__main__":
    main()
