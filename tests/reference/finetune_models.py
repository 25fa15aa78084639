"""What finetune.py compares with: small models, their examples, and templates that mark what is learned."""

import json
import logging
import random
import subprocess
import sys
import warnings

import torch
import transformers
from tokenizers import ByteLevelBPETokenizer
from transformers import AutoModelForCausalLM, GPT2Config, PreTrainedTokenizerFast

SMALL = ["model.n_layers=2", "model.d_model=48", "model.n_heads=4", "model.context_length=192", "training.steps=20",
         "training.batch_size=4", "training.eval_interval=20", "training.eval_batches=1", "optimizer.learning_rate=3e-3"]
FAMILIES = {
    "GPT2": [],
    "Llama": ["model.norm=rms_norm", "model.positions=rotary", "model.feed_forward=gated", "model.activation=silu",
              "model.n_kv_heads=2", "model.d_ff=96", "model.bias=false", "model.tied_head=false"],
}
WORDS = "sun moon river stone apple bread green quiet seven naïve 東京 🙂 don't tea, old-time".split()
# What counts is marked, which Kiln finds by itself.
CHATML = """{% for message in messages %}
    {{- '<|im_start|>' + message.role + '\\n' }}
    {%- if message.role == 'assistant' %}
        {%- generation %}
        {{- message.content + '<|im_end|>' }}
        {%- endgeneration %}
    {%- else %}
        {{- message.content + '<|im_end|>' }}
    {%- endif %}
    {{- '\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}"""
ALPACA = """
{{- 'Below is an instruction that describes a task. Write a response that appropriately completes the request.' }}
{%- for message in messages %}
    {%- if message.role == 'user' %}
        {{- '\\n\\n### Instruction:\\n' + message.content + '\\n\\n### Response:\\n' }}
    {%- else %}
        {%- generation %}
        {{- message.content + eos_token }}
        {%- endgeneration %}
    {%- endif %}
{%- endfor %}"""
failures = []


def check(holds, what):
    if not holds:
        failures.append(what)
    print(("  ok      " if holds else "  FAILED  ") + what, flush=True)


def run(*command):
    result = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}\n{result.stdout}{result.stderr}")
    return result.stdout


def write(file, records):
    file.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))


def read(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def parts(folder, name, make, counts=(96, 16, 40)):
    """Three files of examples, and the options that name them."""
    chance = random.Random(name)
    options = []
    for option, count in zip(["data", "valid", "test"], counts):
        file = folder / f"{name}-{option}.jsonl"
        write(file, [make(chance) for _ in range(count)])
        options += [f"--{option}", file]
    return options


def some_words(chance, least=1, most=12):
    return " ".join(chance.choices(WORDS, k=chance.randint(least, most)))


def labelled(classes):
    """A text with a word that tells its label; one in five has another label."""
    def make(chance):
        label = chance.choice(classes)
        words = [*some_words(chance).split(), *[f"about-{label}"] * chance.randint(1, 2)]
        chance.shuffle(words)
        return {"text": " ".join(words), "label": label if chance.random() < 0.8 else chance.choice(classes)}
    return make


def conversation(chance):
    messages = [{"role": "system", "content": "Repeat."}] if chance.random() < 0.3 else []
    for _ in range(chance.randint(1, 2)):
        said = some_words(chance, 1, 5)
        messages += [{"role": "user", "content": said}, {"role": "assistant", "content": f"You say: {said}"}]
    return {"messages": messages}


def instruction(chance):
    said = some_words(chance, 1, 5)
    record = {"instruction": f"Repeat {said}", "output": f"You say: {said}"}
    return {**record, "input": some_words(chance, 1, 3)} if chance.random() < 0.4 else record


def pair(chance):
    said = some_words(chance, 1, 6)
    return {"prompt": said, "chosen": f"Please: {some_words(chance, 1, 8)}", "rejected": f"No. {some_words(chance, 1, 8)}"}


def base(kiln, folder, name, *changes):
    """A model that has hardly learned anything, of the texts of all tasks."""
    text = folder / "text.txt"
    if not text.exists():
        chance = random.Random(0)
        tasks = [labelled(["ham", "spam", "news"]), conversation, instruction, pair]
        text.write_text("\n".join(json.dumps(make(chance), ensure_ascii=False) for _ in range(150) for make in tasks))
    settings = [f"data.path={text}", *SMALL, *changes]
    sets = [word for change in settings for word in ("--set", change)]
    run(kiln, "train", "--plain", "--run-dir", folder / name, *sets)
    return folder / name / "model"


def base_of_transformers(folder):
    """A new model whose tokenizer knows the end of a text alone."""
    tokenizer = ByteLevelBPETokenizer()
    tokenizer.train([str(folder / "text.txt")], vocab_size=400, special_tokens=["<|endoftext|>"], show_progress=False)
    tokenizer.save(str(folder / "tokenizer.json"))
    end = "<|endoftext|>"
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(folder / "tokenizer.json"), bos_token=end, eos_token=end)
    tokenizer.save_pretrained(folder / "base")
    torch.manual_seed(1)
    config = GPT2Config(vocab_size=400, n_positions=192, n_embd=48, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0)
    AutoModelForCausalLM.from_config(config).save_pretrained(folder / "base")
    return folder / "base"


def tune(kiln, task, model, directory, *options):
    run(kiln, "finetune", task, "--plain", "--model", model, "--run-dir", directory, *options)
    return json.loads((directory / "results.json").read_text())


def in_silence(open_it):
    """What `open_it` returns; any warning is a failure."""
    told = []
    transformers.utils.logging.set_verbosity_warning()
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())
    transformers.utils.logging.add_handler(handler)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        opened = open_it()
    transformers.utils.logging.remove_handler(handler)
    transformers.utils.logging.set_verbosity_error()
    told += [str(warning.message) for warning in warned if not issubclass(warning.category, (DeprecationWarning, FutureWarning))]
    check(not told, f"{type(opened).__name__} opens in silence {told or ''}")
    return opened.eval()


def negative_log_probabilities(model, tokenizer, messages, template):
    """Negative log-probabilities of the tokens that the template marks."""
    encoded = tokenizer.apply_chat_template(
        messages, chat_template=template, return_dict=True, return_assistant_tokens_mask=True
    )
    tokens, mask = torch.tensor(encoded["input_ids"]), torch.tensor(encoded["assistant_masks"], dtype=torch.bool)
    with torch.no_grad():
        log_probabilities = model(tokens[None, :-1]).logits[0].log_softmax(-1)
    return -log_probabilities.gather(1, tokens[1:, None])[:, 0][mask[1:]]
