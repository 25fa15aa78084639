"""Compares what Kiln sees inside a model with TransformerLens: python tests/reference/look.py KILN EXAMPLES

    pip install -r requirements.txt -r requirements-look.txt
    cargo build --workspace --bins --examples
    python look.py ../../target/debug/kiln ../../target/debug/examples

Small models with random weights, a GPT-2 and a Llama with shared keys and values: every recorded value, the logit lens, direct
logit attribution, the scores of heads, and the grids of activation patching, in both directions. What TransformerLens does not
have is compared with PyTorch: gradients for attribution patching, hooks for ablation. EXAMPLES is the folder with the built
example `look`. Exit code 1 if anything differs.
"""

import json
import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

# Nothing here needs the network.
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TQDM_DISABLE", "1")

import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, models, pre_tokenizers
from transformer_lens import patching
from transformer_lens.head_detector import detect_head
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.tools.analysis import logit_lens
from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from transformers.utils import logging

VOCAB, SEQ = 61, 12
CLEAN = [(3 + 7 * place) % VOCAB for place in range(SEQ)]
# A token comes a second time, so that heads have something to find.
CLEAN[9] = CLEAN[3]
CORRUPT = [50 if place == 4 else token for place, token in enumerate(CLEAN)]
ANSWERS = [5, 9]
VALUES, PATTERNS, GRIDS, SCORES, CHANGES = 1e-4, 1e-5, 1e-4, 1e-5, 1e-4


def gpt2():
    return GPT2LMHeadModel(GPT2Config(
        vocab_size=VOCAB, n_positions=32, n_embd=32, n_layer=2, n_head=4, initializer_range=0.2,
        resid_pdrop=0, embd_pdrop=0, attn_pdrop=0, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    ))  # fmt: skip


def llama():
    return LlamaForCausalLM(LlamaConfig(
        vocab_size=VOCAB, hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, max_position_embeddings=32, initializer_range=0.2, pad_token_id=0, bos_token_id=1,
        eos_token_id=2, attn_implementation="eager",
    ))  # fmt: skip


def word(token):
    return f"t{token}" if token > 2 else f"<{token}>"


def made(build, folder):
    """A model, in a folder, whose norms and biases are not those of a new one."""
    torch.manual_seed(1)
    model = build().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    model.save_pretrained(folder)
    words = Tokenizer(models.WordLevel({word(token): token for token in range(VOCAB)}, unk_token=word(0)))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokens = dict(unk_token=word(0), pad_token=word(0), bos_token=word(1), eos_token=word(2))
    PreTrainedTokenizerFast(tokenizer_object=words, **tokens).save_pretrained(folder)
    return model


def bridged(model, folder):
    bridge = TransformerBridge.boot_transformers(str(folder), hf_model=model, tokenizer=AutoTokenizer.from_pretrained(folder))
    bridge.enable_compatibility_mode(no_processing=True, disable_warnings=True)
    bridge.set_use_attn_result(True)
    return bridge


class Checks:
    def __init__(self, family):
        self.family, self.failed = family, False

    def tell(self, name, deviation, bound, detail=""):
        wrong = not deviation <= bound
        self.failed |= wrong
        print(f"{self.family:6} {name:34} {deviation:.1e} of {bound:.0e}{'  WRONG' if wrong else ''}{detail}")

    def near(self, name, ours, theirs, bound):
        ours, theirs = (torch.as_tensor(value, dtype=torch.float64) for value in (ours, theirs))
        assert ours.shape == theirs.shape, f"{name}: {tuple(ours.shape)} and {tuple(theirs.shape)}"
        self.tell(name, (ours - theirs).abs().max().item(), bound)


def difference(logits):
    right, wrong = ANSWERS
    return (logits[:, -1, right] - logits[:, -1, wrong]).mean()


def check_values(checks, cache, ours):
    """Every value that both have; all of TransformerLens' classic names must be there."""
    expected = {name for name in cache if name in CLASSIC or name.split(".", 2)[-1] in CLASSIC}
    missing = {name for name in expected - ours.keys() if "hook_rot" not in name}
    assert not missing, f"not written: {sorted(missing)}"
    worst, patterns = {}, {}
    for name in sorted(expected & ours.keys()):
        own, other = ours[name], cache[name].detach()
        if name.endswith("attn_scores"):
            lower = torch.ones(SEQ, SEQ).tril().bool()
            assert torch.isinf(own[:, :, ~lower]).all(), "scores above the diagonal are masked"
            own, other = own[:, :, lower], other[:, :, lower]
        if name.endswith("hook_k") or name.endswith("hook_v"):
            # Of shared heads, TransformerLens may show each as often as it is shared.
            own = own.repeat_interleave(other.shape[2] // own.shape[2], 2)
        assert own.shape == other.shape, f"{name}: {tuple(own.shape)} and {tuple(other.shape)}"
        (patterns if name.endswith("pattern") else worst)[name] = (own - other).abs().max().item()
    name = max(worst, key=worst.get)
    checks.tell("values", worst[name], VALUES, f"  {len(worst)} places, the worst {name}")
    checks.tell("patterns", max(patterns.values()), PATTERNS)
    upper = torch.ones(SEQ, SEQ).triu(1).bool()
    assert all((ours[name][:, :, upper] == 0).all() for name in patterns), "nobody looks ahead"
    for layer in range(2):
        at = lambda name: ours[f"blocks.{layer}.{name}"]
        checks.near(f"block {layer} is the sum of its parts", at("hook_resid_pre") + at("hook_attn_out") + at("hook_mlp_out"), at("hook_resid_post"), 1e-5)


CLASSIC = {
    "hook_embed", "hook_pos_embed", "ln_final.hook_scale", "ln_final.hook_normalized",
    "hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_attn_out", "hook_mlp_out",
    "attn.hook_q", "attn.hook_k", "attn.hook_v", "attn.hook_z", "attn.hook_attn_scores", "attn.hook_pattern", "attn.hook_result",
    "ln1.hook_scale", "ln1.hook_normalized", "ln2.hook_scale", "ln2.hook_normalized",
    "mlp.hook_pre", "mlp.hook_pre_linear", "mlp.hook_post",
}  # fmt: skip


def check_lens(checks, bridge, lens, report):
    tokens = torch.tensor([CLEAN])
    following = torch.tensor([CLEAN[1:] + [0]])
    theirs = logit_lens(bridge, tokens, positions=None, incl_mid=True, targets=following, return_type="probs")
    whole = logit_lens(bridge, tokens, positions=None, incl_mid=True, return_type="logits").values
    checks.near("lens, all logits", torch.stack(list(lens.values())), whole[:, 0], VALUES)
    with torch.no_grad():
        checks.near("lens, last row", list(lens.values())[-1], bridge(tokens)[0], VALUES)
    rows = report["lens"]["rows"]
    ranks = [[token["rank"] for token in row["next"]] for row in rows]
    assert ranks == theirs.rank_trajectory()[:, 0, :-1].tolist(), "ranks of the lens differ"
    probabilities = [[token["probability"] for token in row["next"]] for row in rows]
    checks.near("lens, probability of the next", probabilities, theirs.values[:, 0, :-1, 0], SCORES)
    best = [[[token["token"] for token in place] for place in row["top"]] for row in rows]
    assert best == whole[:, 0].topk(5).indices.tolist(), "most probable tokens of the lens differ"


def check_attribution(checks, model, cache, report):
    """The formula in PyTorch, by autograd instead of by hand: the final norm with its divisor held still."""
    right, wrong = ANSWERS
    head = model.lm_head.weight
    final = cache["blocks.1.hook_resid_post"][0, -1]
    norm = model.transformer.ln_f if hasattr(model, "transformer") else model.model.norm
    scale = cache["ln_final.hook_scale"][0, -1]
    centred = (lambda x: x - x.mean()) if hasattr(norm, "bias") else (lambda x: x)
    for key, direction in (("attribution", head[right]), ("attribution_of_difference", head[right] - head[wrong])):
        ours = {part["name"]: part["value"] for part in report[key]["components"]}
        vectors = {"embed": cache["hook_embed"][0, -1]}
        if "hook_pos_embed" in cache:
            vectors["pos_embed"] = cache["hook_pos_embed"][0, -1]
        for layer in range(2):
            block = f"blocks.{layer}"
            results = cache[f"{block}.attn.hook_result"][0, -1]
            vectors |= {f"L{layer}H{h}": result for h, result in enumerate(results)}
            rest = cache[f"{block}.hook_attn_out"][0, -1] - results.sum(0)
            if f"{layer}_attn_bias" in ours:
                vectors[f"{layer}_attn_bias"] = rest
            vectors[f"{layer}_mlp_out"] = cache[f"{block}.hook_mlp_out"][0, -1]
        assert list(ours) == list(vectors), f"{list(ours)} and {list(vectors)}"
        theirs = [(centred(vector) / scale * norm.weight) @ direction for vector in vectors.values()]
        checks.near(f"{key}, parts", list(ours.values()), theirs, VALUES)
        checks.near(f"{key}, sum", report[key]["logit"], norm(final) @ direction, VALUES)


def check_heads(checks, bridge, cache, report):
    for text, scores in ((CLEAN, report["heads"]), (report["repeated"]["tokens"], report["repeated"]["scores"])):
        _, patterns = bridge.run_with_cache(torch.tensor([text]), remove_batch_dim=True)
        for head in ("previous_token", "duplicate_token", "induction"):
            # Given as ids, which `detect_head` passes on as they are; it masks patterns in place, hence no exclusions.
            theirs = detect_head(Ids(bridge, text), "", f"{head}_head", cache=patterns)
            checks.near(f"heads, {head}, {len(text)} tokens", scores["detected"][head], theirs, SCORES)
    # The definitions for repeated random tokens, word for word.
    tokens, n = report["repeated"]["tokens"], (len(report["repeated"]["tokens"]) - 1) // 2
    assert tokens[1 : n + 1] == tokens[n + 1 :] and len(set(tokens)) == n + 1
    pattern = torch.stack([patterns["pattern", layer, "attn"] for layer in range(2)])
    second, later = torch.arange(n + 1, 2 * n + 1), torch.arange(1, 2 * n + 1)
    scores = report["repeated"]["scores"]
    checks.near("induction score", scores["induction"], pattern[:, :, second, second - n + 1].mean(-1), SCORES)
    checks.near("duplicate-token score", scores["duplicate_token"], pattern[:, :, second, second - n].mean(-1), SCORES)
    checks.near("previous-token score", scores["previous_token"], pattern[:, :, later, later - 1].mean(-1), SCORES)
    entropy = torch.special.entr(pattern.double()).sum(-1)[:, :, 1:] / torch.log(torch.arange(2, 2 * n + 2).double())
    checks.near("entropy", scores["entropy"], entropy.mean(-1), SCORES)
    with torch.no_grad():
        losses = torch.nn.functional.cross_entropy(bridge(torch.tensor([tokens]))[0, :-1], torch.tensor(tokens[1:]), reduction="none")
    checks.near("loss of the first half", report["repeated"]["first_loss"], losses[:n].mean(), VALUES)
    checks.near("loss of the second", report["repeated"]["second_loss"], losses[n + 1 :].mean(), VALUES)


class Ids:
    """A model for `detect_head` whose only text is one of ids."""

    def __init__(self, bridge, ids):
        self.cfg, self.to_tokens = bridge.cfg, lambda _: torch.tensor([ids])


def check_patching(checks, bridge, report):
    clean, corrupt = torch.tensor([CLEAN]), torch.tensor([CORRUPT])
    with torch.no_grad():
        for name, base, source in (("denoising", corrupt, clean), ("noising", clean, corrupt)):
            ours = report[name]["patching"]
            grids = {grid["value"]: grid for grid in ours["grids"]}
            _, cache = bridge.run_with_cache(source)
            blocks = patching.get_act_patch_block_every(bridge, base, cache, difference)
            for value, theirs in zip(("resid_pre", "attn_out", "mlp_out"), blocks):
                checks.near(f"{name}, {value}", grids[value]["logit_difference"], theirs, GRIDS)
            heads = patching.get_act_patch_attn_head_all_pos_every(bridge, base, cache, difference)
            for value, theirs in zip(("z", "q", "k", "v", "pattern"), heads):
                own = torch.tensor(grids[value]["logit_difference"])
                # Fewer heads of keys and values are filled up with zeros.
                checks.near(f"{name}, {value}", own, theirs[:, : own.shape[1]], GRIDS)
            plain = {text: difference(bridge(tokens)).item() for text, tokens in (("clean", clean), ("corrupt", corrupt))}
            for text, value in plain.items():
                checks.near(f"{name}, {text} text", ours[text]["logit_difference"], value, VALUES)
            logits = bridge.run_with_hooks(base, fwd_hooks=[("blocks.1.hook_attn_out", partial(put, cache=cache, at=SEQ - 1))])[0, -1]
            place = grids["attn_out"]
            checks.near(f"{name}, log-probability", place["logprob"][1][-1], logits.log_softmax(-1)[ANSWERS[0]], VALUES)
            assert place["rank"][1][-1] == (logits > logits[ANSWERS[0]]).sum().item()
            span = plain["clean"] - plain["corrupt"]
            effect = (torch.tensor(place["logit_difference"]) - plain["corrupt"]) / span
            checks.near(f"{name}, effect", place["effect"], effect, CHANGES * 10 / abs(span))
    # The texts differ at one position: the whole stream there is the whole difference.
    effect = {grid["value"]: grid["effect"] for grid in report["denoising"]["patching"]["grids"]}["resid_pre"][0]
    checks.near("the only difference, patched", effect, [float(place == 4) for place in range(SEQ)], GRIDS)


def put(value, hook, cache, at):
    value[:, at] = cache[hook.name][:, at]
    return value


def check_attribution_patching(checks, bridge, report):
    """The gradient at the base run, by PyTorch's hooks."""
    values = {
        "resid_pre": "hook_resid_pre", "attn_out": "hook_attn_out", "mlp_out": "hook_mlp_out", "z": "attn.hook_z",
        "q": "attn.hook_q", "k": "attn.hook_k", "v": "attn.hook_v", "pattern": "attn.hook_pattern",
    }  # fmt: skip
    for name, base, source in (("denoising", CORRUPT, CLEAN), ("noising", CLEAN, CORRUPT)):
        with torch.no_grad():
            _, source = bridge.run_with_cache(torch.tensor([source]))
        kept = {}

        def keep(value, hook, name):
            value = value + torch.zeros_like(value, requires_grad=True)
            value.retain_grad()
            kept[name] = value
            return value

        places = [f"blocks.{layer}.{value}" for layer in range(2) for value in values.values()]
        difference(bridge.run_with_hooks(torch.tensor([base]), fwd_hooks=[(place, partial(keep, name=place)) for place in places])).backward()
        for grid in report[name]["attribution"]:
            theirs = []
            for layer in range(2):
                value = kept[f"blocks.{layer}.{values[grid['value']]}"]
                slope = torch.zeros_like(value) if value.grad is None else value.grad
                product = ((source[f"blocks.{layer}.{values[grid['value']]}"] - value) * slope)[0].detach()
                if grid["value"] == "pattern":
                    theirs.append(product.sum((1, 2)))
                elif grid["columns"] == "head":
                    product = product.sum((0, 2))
                    theirs.append(product.view(len(grid["change"][0]), -1).sum(1))
                else:
                    theirs.append(product.sum(1))
            checks.near(f"{name}, slope of {grid['value']}", grid["change"], torch.stack(theirs), CHANGES)


def check_ablation(checks, bridge, report):
    clean, corrupt = torch.tensor([CLEAN]), torch.tensor([CORRUPT])
    names = {"z": "attn.hook_z", "attn_out": "hook_attn_out", "mlp_out": "hook_mlp_out"}
    loss = lambda logits: torch.nn.functional.cross_entropy(logits[0, :-1], clean[0, 1:])
    with torch.no_grad():
        caches = [bridge.run_with_cache(tokens)[1] for tokens in (clean, corrupt)]
        plain = bridge(clean)
        for how in ("zero", "mean", "resample"):
            for grid in report[how]["grids"]:
                theirs = []
                for layer in range(2):
                    name = f"blocks.{layer}.{names[grid['value']]}"
                    both = torch.cat([cache[name] for cache in caches])
                    filled = {"zero": both[:1] * 0, "mean": both.mean((0, 1), keepdim=True).expand_as(both[:1]), "resample": both[1:]}[how]
                    for head in range(len(grid["loss_change"][layer])):
                        heads = slice(head, head + 1) if grid["value"] == "z" else slice(None)

                        def replace(value, hook):
                            value[:, :, heads] = filled[:, :, heads]
                            return value

                        logits = bridge.run_with_hooks(clean, fwd_hooks=[(name, replace)])
                        theirs.append([(loss(logits) - loss(plain)).item(), (difference(logits) - difference(plain)).item()])
                ours = [grid["loss_change"], grid["logit_difference_change"]]
                ours = torch.tensor(ours).flatten(1).T
                checks.near(f"{how} ablation of {grid['value']}", ours, torch.tensor(theirs), CHANGES)


def run(*command):
    result = subprocess.run([str(word) for word in command], capture_output=True, text=True)
    assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
    return json.loads(result.stdout)


def check_command(checks, kiln, folder, report):
    """`kiln patch` finds what the library does."""
    clean, corrupt = (" ".join(map(word, tokens)) for tokens in (CLEAN, CORRUPT))
    texts = ["--clean", clean, "--corrupt", corrupt, "--answers", ",".join(map(word, ANSWERS))]
    for name, options in (("denoising", []), ("noising", ["--noising"])):
        found = run(kiln, "patch", "--model", folder, *texts, "--heads", "--attribution", "--ablate", "mean", "--json", *options)
        assert (found["clean"]["tokens"], found["corrupt"]["tokens"]) == (CLEAN, CORRUPT)
        for grid in report[name]["patching"]["grids"]:
            checks.near(f"kiln patch, {name}, {grid['value']}", found["grids"][grid["value"]]["logit_difference"], grid["logit_difference"], GRIDS)
        for grid in report["mean"]["grids"]:
            assert torch.tensor(found["ablation"]["grids"][grid["value"]]["loss_change"]).shape == torch.tensor(grid["loss_change"]).shape
        assert found["attribution"].keys() == found["grids"].keys()


def check(kiln, examples, build):
    checks = Checks(build.__name__)
    folder = Path(tempfile.mkdtemp())
    model = made(build, folder / "model")
    ids = (",".join(map(str, tokens)) for tokens in (CLEAN, CORRUPT, ANSWERS))
    report = run(examples / "look", folder / "model", *ids, folder)
    bridge = bridged(model, folder / "model")
    with torch.no_grad():
        _, cache = bridge.run_with_cache(torch.tensor([CLEAN]))
    check_values(checks, cache, load_file(folder / "cache.safetensors"))
    order = [row["site"] for row in report["lens"]["rows"]]
    lens = load_file(folder / "lens.safetensors")
    check_lens(checks, bridge, {site: lens[site] for site in order}, report)
    check_attribution(checks, model, cache, report)
    check_heads(checks, bridge, cache, report)
    check_patching(checks, bridge, report)
    check_attribution_patching(checks, bridge, report)
    check_ablation(checks, bridge, report)
    check_command(checks, kiln, folder / "model", report)
    return checks.failed


def main():
    kiln, examples = (Path(word).resolve() for word in sys.argv[1:3])
    torch.set_num_threads(1)
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    failed = [check(kiln, examples, build) for build in (gpt2, llama)]
    sys.exit(any(failed))


if __name__ == "__main__":
    main()
