"""Models that `kiln finetune` made, beside transformers, PEFT, TRL and scikit-learn.

    pip install -r requirements.txt
    cargo build
    python finetune.py ../../target/debug/kiln

Small models of two families learn labels, answers and preferences, whole and by an adapter, then
  - AutoModelForSequenceClassification, and PEFT where an adapter learned, give each text the probabilities of
    `kiln classify`, alone and padded beside others; accuracy, F1 and MCC are scikit-learn's;
  - `generate` gives the prompts of `apply_chat_template` the answers of answers.jsonl; the loss is the mean over all targets;
  - the figures of preferences are those of TRL's DPOTrainer, where TRL is installed, and in any case those of the formulas.
Exit code 1 if anything differs.
"""

import argparse
import importlib.util
import json
import math
import sys
import tempfile
import warnings
from pathlib import Path

import sklearn.metrics
import torch
import transformers
from finetune_models import (
    ALPACA,
    CHATML,
    FAMILIES,
    base,
    base_of_transformers,
    check,
    conversation,
    failures,
    in_silence,
    instruction,
    labelled,
    negative_log_probabilities,
    pair,
    parts,
    read,
    run,
    tune,
)
from peft import PeftModel
from torch.nn.functional import logsigmoid
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

# In f32, sums in another order.
PROBABILITY, LOSS, FIGURE = 1e-4, 1e-5, 1e-4


def probabilities(model, tokenizer, texts, batch_size):
    found = []
    for at in range(0, len(texts), batch_size):
        inputs = tokenizer(texts[at : at + batch_size], padding=True, padding_side="right", return_tensors="pt")
        with torch.no_grad():
            found.append(model(**inputs).logits.softmax(-1))
    return torch.cat(found)


def check_classifier(kiln, folder, model, name, classes, *lora):
    print(f"classify: {name}{', adapter' if lora else ''}")
    directory = folder / f"{name}-classify-{len(lora)}"
    data = parts(folder, f"{name}-labels", labelled(classes), (160, 40, 120))
    results = tune(kiln, "classify", model, directory, *data, "--epochs", 3, "--lr", 5e-3,
                   "--set", "model.dropout=0", *lora)
    tuned = directory / "model"
    if lora:
        # Without the adapter there is no head: transformers makes one.
        head = AutoModelForSequenceClassification.from_pretrained(model, num_labels=len(classes))
        tokenizer = AutoTokenizer.from_pretrained(tuned)
        head.config.pad_token_id = tokenizer.pad_token_id or tokenizer.eos_token_id or 0
        theirs = in_silence(lambda: PeftModel.from_pretrained(head, tuned))
    else:
        theirs = in_silence(lambda: AutoModelForSequenceClassification.from_pretrained(tuned))
        tokenizer = AutoTokenizer.from_pretrained(tuned)
        names = [theirs.config.id2label[number] for number in range(len(classes))]
        check(names == results["labels"] == sorted(classes), f"id2label names {', '.join(names)}")
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.convert_ids_to_tokens(theirs.config.pad_token_id)
    examples = read(Path(data[5]))
    texts = [example["text"] for example in examples]
    (folder / "texts.txt").write_text("\n".join(texts))
    told = run(kiln, "classify", "--model", directory, "--file", folder / "texts.txt", "--json", "--batch-size", 7)
    ours = torch.tensor([list(json.loads(line)["probabilities"].values()) for line in told.splitlines()])
    alone, beside = (probabilities(theirs, tokenizer, texts, size) for size in (1, 8))
    spread, padded, error = ours.std(0).max(), (alone - beside).abs().max(), (ours - beside).abs().max()
    check(spread > 0.05, f"the texts differ: σ of a probability {spread:.2f}")
    check(padded <= PROBABILITY / 10, f"alone and padded beside others: {padded:.1e}")
    check(error <= PROBABILITY, f"probabilities of {len(texts)} texts: {error:.1e}")
    truth = [results["labels"].index(example["label"]) for example in examples]
    check_figures(results, truth, beside.argmax(-1).tolist(), rarer_label(results["labels"], data[5::-2]))


def rarer_label(names, files):
    """The number of the rarer of two labels in all texts of a run, which leaves out what a file before has."""
    seen, labels = set(), []
    for file in files:
        fresh = [example for example in read(Path(file)) if example["text"] not in seen]
        labels += [names.index(example["label"]) for example in fresh]
        seen |= {example["text"] for example in fresh}
    return 1 if labels.count(1) <= labels.count(0) else 0


def check_figures(results, truth, predicted, rarer):
    """Accuracy, F1 and MCC of the labels that transformers tells."""
    confusion = sklearn.metrics.confusion_matrix(truth, predicted).tolist()
    check(results["confusion"] == confusion, f"confusion {confusion}")
    f1 = {"pos_label": rarer} if len(results["labels"]) == 2 else {"average": "macro"}
    expected = {
        "accuracy": sklearn.metrics.accuracy_score(truth, predicted),
        "f1": sklearn.metrics.f1_score(truth, predicted, **f1),
        "mcc": sklearn.metrics.matthews_corrcoef(truth, predicted),
    }
    error = max(abs(results["test"][name] - value) for name, value in expected.items())
    check(error <= 1e-12, f"scikit-learn's {', '.join(f'{name} {value:.4f}' for name, value in expected.items())}")


def messages_of(record):
    """An Alpaca record as the turns of a conversation."""
    if "messages" in record:
        return record["messages"]
    asked = record["instruction"] + (f"\n\n### Input:\n{record['input']}" if "input" in record else "")
    return [{"role": "user", "content": asked}, {"role": "assistant", "content": record["output"]}]


def check_answers(kiln, folder, model, name, make, template):
    print(f"instruct: {name}")
    directory = folder / f"{name}-instruct"
    data = parts(folder, f"{name}-answers", make)
    results = tune(kiln, "instruct", model, directory, *data, "--epochs", 12, "--lr", 5e-3,
                   "--set", "generation.max_tokens=64")
    theirs = in_silence(lambda: AutoModelForCausalLM.from_pretrained(directory / "model"))
    tokenizer = AutoTokenizer.from_pretrained(directory / "model")
    ends = theirs.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    wrong, stopped = [], 0
    conversations, answers = [messages_of(record) for record in read(Path(data[5]))], read(directory / "answers.jsonl")
    for messages, answer in zip(conversations, answers, strict=True):
        inputs = tokenizer.apply_chat_template(messages[:-1], add_generation_prompt=True, return_tensors="pt", return_dict=True)
        prompt_length = inputs["input_ids"].shape[1]
        with torch.no_grad():
            written = theirs.generate(**inputs, max_new_tokens=64, do_sample=False, pad_token_id=ends[0])[0].tolist()[prompt_length:]
        by_itself = written[-1] in ends
        stopped += by_itself
        text = tokenizer.decode(written[:-1] if by_itself else written)
        if (tokenizer.decode(inputs["input_ids"][0]), text, by_itself) != (answer["prompt"], answer["answer"], answer["stopped"]):
            wrong.append((answer, text))
    rendered = lambda messages, **options: tokenizer.apply_chat_template(messages, tokenize=False, **options)
    same = all(rendered(messages) == rendered(messages, chat_template=template) for messages in conversations)
    check(same, "the saved template is the published one")
    check(not wrong, f"{len(answers)} answers of `generate`, of which {stopped} end by themselves {wrong[:1] or ''}")
    check(0 < stopped and results["stop_rate"] == stopped / len(answers), f"stop rate {results['stop_rate']}")
    losses = [negative_log_probabilities(theirs, tokenizer, messages, template) for messages in conversations]
    mean = torch.cat(losses).mean().item()
    of_means = torch.stack([loss.mean() for loss in losses]).mean().item()
    check(abs(results["test"]["loss"] - mean) <= LOSS, f"loss of {sum(map(len, losses))} targets: {mean:.6f}")
    check(abs(mean - of_means) > 10 * LOSS, f"the mean of means is another: {of_means:.6f}")


def log_probabilities(model, tokenizer, pairs):
    """Of both answers of each pair: sums over their tokens, and how many those are."""
    both = []
    for side in ("chosen", "rejected"):
        said = [[*turns(record), {"role": "assistant", "content": record[side]}] for record in pairs]
        losses = [negative_log_probabilities(model, tokenizer, messages, CHATML) for messages in said]
        both.append((-torch.stack([loss.sum() for loss in losses]), torch.tensor([len(loss) for loss in losses])))
    return both


def turns(record):
    return [{"role": "user", "content": record["prompt"]}]


def by_formula(tuned, reference, tokenizer, pairs, loss, beta):
    """The figures of direct preference optimisation (https://arxiv.org/abs/2305.18290, https://arxiv.org/abs/2310.12036)."""
    (chosen, chosen_length), (rejected, rejected_length) = log_probabilities(tuned, tokenizer, pairs)
    (chosen_before, _), (rejected_before, _) = log_probabilities(reference, tokenizer, pairs)
    chosen_gain, rejected_gain = chosen - chosen_before, rejected - rejected_before
    delta = chosen_gain - rejected_gain
    if loss != "sigmoid":
        delta = chosen_gain / chosen_length - rejected_gain / rejected_length
    losses = (delta - 1 / (2 * beta)) ** 2 if loss == "ipo" else -logsigmoid(beta * delta)
    return {
        "loss": losses.mean().item(), "logps/chosen": chosen.mean().item(), "logps/rejected": rejected.mean().item(),
        "rewards/chosen": beta * chosen_gain.mean().item(), "rewards/rejected": beta * rejected_gain.mean().item(),
        "rewards/margins": beta * (chosen_gain - rejected_gain).mean().item(),
        "rewards/accuracies": (chosen_gain > rejected_gain).float().mean().item(),
    }  # fmt: skip


def by_trl(tuned, reference, tokenizer, pairs, loss, beta, folder):
    import datasets
    from transformers.trainer_callback import PrinterCallback
    from trl import DPOConfig, DPOTrainer

    datasets.disable_progress_bars()
    warnings.simplefilter("ignore", FutureWarning)
    # As texts: TRL would take the line break after `<|im_end|>` for a part of the answer.
    prompts = [tokenizer.apply_chat_template(turns(p), add_generation_prompt=True, tokenize=False) for p in pairs]
    examples = datasets.Dataset.from_list([{**p, "prompt": prompt} for p, prompt in zip(pairs, prompts)])
    config = DPOConfig(
        output_dir=folder, loss_type=[loss], beta=beta, max_length=None, per_device_eval_batch_size=len(pairs),
        use_cpu=True, bf16=False, fp16=False, report_to="none", disable_tqdm=True,
    )  # fmt: skip
    trainer = DPOTrainer(
        model=tuned, ref_model=reference, args=config, train_dataset=examples, eval_dataset=examples, processing_class=tokenizer,
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    return {name.removeprefix("eval_"): value for name, value in trainer.evaluate().items()}


def check_preferences(kiln, folder, model, name, loss, beta, *lora):
    print(f"dpo: {name}, {loss}{', adapter' if lora else ''}")
    directory = folder / f"{name}-{loss}-{len(lora)}"
    data = parts(folder, f"{name}-pairs", pair, (48, 8, 16))
    results = tune(kiln, "dpo", model, directory, *data, "--epochs", 3, "--lr", 3e-3, "--loss", loss, "--beta", beta, *lora)
    opened = lambda: AutoModelForCausalLM.from_pretrained(model).eval()
    if lora:
        tuned = PeftModel.from_pretrained(opened(), directory / "model").eval()
    else:
        tuned = AutoModelForCausalLM.from_pretrained(directory / "model").eval()
    tokenizer, pairs = AutoTokenizer.from_pretrained(directory / "model"), read(Path(data[5]))
    start = (1 / (2 * beta)) ** 2 if loss == "ipo" else math.log(2)
    first = read(directory / "metrics.jsonl")[0]["loss"]
    error = max(abs(results["before"]["loss"] - start), abs(first - start))
    check(error <= 1e-6 * max(start, 1), f"the first loss is {start:.6f}: {error:.1e}")
    peers = {"the formulas": by_formula(tuned, opened(), tokenizer, pairs, loss, beta)}
    if importlib.util.find_spec("trl"):
        peers["TRL"] = by_trl(tuned, opened(), tokenizer, pairs, loss, beta, folder / "trl")
    for peer, expected in peers.items():
        figures = {key: value for key, value in results["test"].items() if key in expected}
        error, worst = max((abs(value - expected[key]) / max(abs(expected[key]), 1e-2), key) for key, value in figures.items())
        moved = abs(expected["rewards/margins"]) > 0.01
        check(len(figures) == 7 and moved and error <= FIGURE, f"7 figures of {peer}: {error:.1e} ({worst}), "
              f"loss {expected['loss']:.4f}, margin {expected['rewards/margins']:.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kiln", help="the built program")
    kiln = Path(parser.parse_args().kiln).resolve()
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    # Models as small as these make several threads wait for each other.
    torch.set_num_threads(1)
    if not importlib.util.find_spec("trl"):
        print("  --      TRL is not installed: preferences are compared with their formulas alone")
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        bases = {}
        for name, changes in FAMILIES.items():
            bases[name] = base(kiln, folder, name, "tokenizer.kind=bpe", "tokenizer.vocab_size=320", "tokenizer.chat=true", *changes)
        check_classifier(kiln, folder, bases["GPT2"], "GPT2", ["ham", "spam"])
        check_classifier(kiln, folder, bases["Llama"], "Llama", ["ham", "news", "spam"])
        check_classifier(kiln, folder, bases["GPT2"], "GPT2", ["ham", "news", "spam"], "--lora", 4)
        check_classifier(kiln, folder, bases["Llama"], "Llama", ["ham", "spam"], "--lora", 4)
        check_answers(kiln, folder, bases["GPT2"], "ChatML", conversation, CHATML)
        check_answers(kiln, folder, base_of_transformers(folder), "Alpaca", instruction, ALPACA)
        for loss, beta in [("sigmoid", 0.1), ("sigmoid_norm", 0.5), ("ipo", 0.2)]:
            check_preferences(kiln, folder, bases["GPT2"], "GPT2", loss, beta)
        check_preferences(kiln, folder, bases["Llama"], "Llama", "sigmoid", 0.1, "--lora", 4)
    print(f"{len(failures)} failures")
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
