"""Conversations as Kiln and as transformers write them: text, tokens, and which tokens are the model's own.

    pip install -r requirements.txt
    cargo build --example render -p kiln-datasets
    python chat_templates.py ../../target/debug/examples/render

Tokenizers with the tokens of a conversation are made by Kiln and opened by AutoTokenizer. Each renders some hundred random
conversations, with systems, tools, quotes, markup, line breaks and all of Unicode, with the ChatML that Kiln saves, and with
templates in the manner of Llama 3, Qwen 2.5 and Phi 3. Where TRL is installed, its chat templates are compared as well.
Exit code 1 if anything differs.
"""

import argparse
import importlib.util
import json
import random
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from strings import random_strings
from transformers import AutoTokenizer

# Each with blocks of generation, which are taken out for the variant without.
TEMPLATES = {
    "headers": """{{- bos_token }}
{%- if tools %}
    {{- '<|head|>system<|text|>\\n\\nTools:' }}
    {%- for tool in tools %}
        {{- '\\n' + (tool | tojson(indent=4)) }}
    {%- endfor %}
    {{- '<|stop|>' }}
{%- endif %}
{%- for message in messages %}
    {{- '<|head|>' + message.role + '<|text|>\\n\\n' }}
    {%- if message.role == 'assistant' %}
        {%- generation %}
        {%- if message.tool_calls %}
            {%- for call in message.tool_calls %}
                {{- {'name': call.function.name, 'arguments': call.function.arguments} | tojson }}
            {%- endfor %}
        {%- else %}
            {{- message['content'] | trim }}
        {%- endif %}
        {{- '<|stop|>' }}
        {%- endgeneration %}
    {%- else %}
        {{- message['content'].strip() + '<|stop|>' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|head|>assistant<|text|>\\n\\n' }}
{%- endif %}
""",
    "calls": """{%- set ns = namespace(asked=0, first=true) %}
{%- if messages[0]['role'] != 'system' %}
    {{- '<|im_start|>system\\nAn assistant.' }}
{%- else %}
    {{- '<|im_start|>system\\n' ~ messages[0]['content'] }}
{%- endif %}
{%- if tools is not none and tools | length > 0 %}
    {{- '\\n\\n# Tools\\n<tools>' }}
    {%- for tool in tools %}{{- '\\n' ~ tool | tojson }}{%- endfor %}
    {{- '\\n</tools>' }}
{%- endif %}
{{- '<|im_end|>\\n' }}
{%- for message in messages %}
    {%- if message.role == 'system' and loop.first %}{% continue %}{% endif %}
    {%- if message.role == 'tool' %}
        {%- if not loop.first and messages[loop.index0 - 1].role != 'tool' %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\\n<answer>\\n' ~ message.content ~ '\\n</answer>' }}
        {%- if loop.last or messages[loop.index0 + 1]['role'] != 'tool' %}{{- '<|im_end|>\\n' }}{%- endif %}
    {%- elif message.role == 'assistant' %}
        {{- '<|im_start|>assistant\\n' }}
        {%- generation %}
        {%- if message.content is string %}{{- message.content }}{%- endif %}
        {%- for call in message.get('tool_calls') or [] %}
            {{- '<call>' }}{{- call['function'] | tojson }}{{- '</call>' }}
        {%- endfor %}
        {{- '<|im_end|>' }}
        {%- endgeneration %}
        {{- '\\n' }}
    {%- else %}
        {%- set ns.asked = ns.asked + 1 %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}""",
    "lines": """{% for message in messages %}
{% if message['role'] == 'tool' or tools %}
{{ raise_exception('No tools, said "' + message.role.upper() + '" ' ~ loop.index) }}
{% endif %}
{% if message['role'] == 'assistant' %}
{{ '<|assistant|>\\n' }}{% generation %}{{ message['content'] + '<|end|>' }}{% endgeneration %}{{ '\\n' }}
{% else %}
{{ '<|' + message['role'] + '|>\\n' + message['content'] + '<|end|>\\n' }}
{% endif %}
{% endfor %}
{% if add_generation_prompt %}
{{- '<|assistant|>\\n' -}}
{% endif %}
""",
}
BLOCK = re.compile(r"\{%-?\s*(?:end)?generation\s*-?%\}")
failures = []


def check(holds, what):
    if not holds:
        failures.append(what)
    print(("  ok      " if holds else "  FAILED  ") + what, flush=True)


def conversations(count, seed, tools):
    """Random ones; `tools` adds calls and their answers. No answer begins with white space: Kiln encodes it apart."""
    draw = random.Random(seed)
    strings = [string for string in random_strings(4 * count, seed, damaged=False) if string.strip()]
    further = ["\"quoted\" and 'single' \\ back", "<b>&amp; 1 < 2 > 0</b>", "naïve 火 🦀 don't", "two\n\nparagraphs\n", "  indented"]

    def content(answer=False):
        text = draw.choice(further) if draw.random() < 0.3 else draw.choice(strings)
        text = "".join(character for character in text if not "\ufdd0" <= character <= "\ufdef")
        return (text.lstrip() if answer else text) or "so"

    for _ in range(count):
        messages = [{"role": "system", "content": content()}] if draw.random() < 0.5 else []
        for _ in range(draw.randrange(1, 4)):
            messages.append({"role": "user", "content": content()})
            if tools and draw.random() < 0.5:
                arguments = {"b": content(), "a": [1, 2.5, None, True, {"é": "<&>"}], "empty": {}}
                call = {"type": "function", "function": {"name": "look_up", "arguments": arguments}}
                messages += [{"role": "assistant", "content": "", "tool_calls": [call] * draw.randrange(1, 3)},
                             {"role": "tool", "name": "look_up", "content": content()}]
            messages.append({"role": "assistant", "content": content(answer=True)})
        conversation = {"messages": messages}
        if tools:
            parameters = {"type": "object", "properties": {"q": {"type": "string", "description": content()}}, "required": ["q"]}
            function = {"name": "look_up", "description": content(), "parameters": parameters}
            conversation["tools"] = [{"type": "function", "function": function}]
        yield conversation


def kiln(render, *arguments):
    run = subprocess.run([render, *map(str, arguments)], capture_output=True, text=True)
    if run.returncode:
        raise SystemExit(f"{' '.join(map(str, arguments))}: {run.stderr}")
    return [json.loads(line) for line in run.stdout.split("\n") if line]


def theirs(tokenizer, conversation, template, masked):
    """Text, the text up to the last answer, tokens and mask; nothing where the template refuses."""
    messages, tools = conversation["messages"], conversation.get("tools")
    options = {"chat_template": template, "tools": tools}
    try:
        text = tokenizer.apply_chat_template(messages, tokenize=False, **options)
        prompt = tokenizer.apply_chat_template(messages[:-1], tokenize=False, add_generation_prompt=True, **options)
        encoded = tokenizer.apply_chat_template(messages, return_dict=True, return_assistant_tokens_mask=masked, **options)
    except Exception:
        return None
    return text, prompt, list(encoded["input_ids"]), encoded.get("assistant_masks")


def compare(render, folder, tokenizer, name, template, data, own, single=False):
    """`own`: every answer must be found, and every token be equal; of others only what both can do is compared. `single`:
    no tokens join, so that special tokens that someone wrote are equal, too."""
    masked = bool(BLOCK.search(template or ""))
    path = "-"
    if template is not None:
        path = folder / "compared.jinja"
        path.write_text(template)
    file = folder / "compared.jsonl"
    file.write_text("".join(json.dumps(conversation) + "\n" for conversation in data))
    counts = dict.fromkeys(["equal", "refused by both", "text alone"], 0)
    special = [str(token) for token in tokenizer.all_special_tokens]
    for conversation, ours in zip(data, kiln(render, "chat", folder, path, file), strict=True):
        expected = theirs(tokenizer, conversation, template, masked)
        if expected is None or "refused" in ours:
            if (expected is None) != ("refused" in ours):
                return check(False, f"{name}: one refuses it: {ours.get('refused')}: {conversation}")
            counts["refused by both"] += 1
            continue
        text, prompt, ids, mask = expected
        for what, got, wanted in [("text", ours["text"], text), ("prompt", ours["prompt"], prompt)]:
            if got != wanted:
                at = next((at for at, (a, b) in enumerate(zip(got, wanted)) if a != b), min(len(got), len(wanted)))
                around = slice(max(at - 60, 0), at + 60)
                return check(False, f"{name}: the {what} has {got[around]!r}, not {wanted[around]!r}")
        # transformers cuts texts at special tokens that someone wrote, and takes them for text on request only.
        written = any(token in json.dumps(conversation, ensure_ascii=False) for token in special)
        if written and single:
            ids = tokenizer.apply_chat_template(conversation["messages"], return_dict=False, sanitize_control_tokens=True)
        if "unmasked" in ours or (written and not single):
            if own and not written:
                return check(False, f"{name}: {ours['unmasked']}")
            counts["text alone"] += 1
            continue
        if ours["tokens"] != ids:
            if own:
                return check(False, f"{name}: tokens of {text!r}: {ours['tokens']} is not {ids}")
            counts["text alone"] += 1
            continue
        if masked and [int(learned) for learned in ours["trained"]] != mask:
            return check(False, f"{name}: mask of {text!r}: {ours['trained']} is not {mask}")
        counts["equal"] += 1
    told = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    check(counts["equal"] > 0 or not own, f"{name}: {told}")


def with_special_tokens(tokenizer, template, folder):
    """A tokenizer that knows the tokens of a template, saved by transformers."""
    tokens = sorted(set(re.findall(r"<[|｜]?[a-z_▁｜]+[|｜]?>", template)) - {"<b>"})
    tokens = [token for token in tokens if "|" in token or "｜" in token or token in ("<start_of_turn>", "<end_of_turn>")]
    tokenizer.add_special_tokens({"additional_special_tokens": tokens})
    tokenizer.save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("render")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    plain = list(conversations(arguments.count, arguments.seed, tools=False))
    tools = list(conversations(arguments.count, arguments.seed + 1, tools=True))
    written = {"role": "user", "content": "<|im_start|>system\n<|im_end|> <|endoftext|>"}
    plain.append({"messages": [written, {"role": "assistant", "content": "no"}]})

    with tempfile.TemporaryDirectory() as root:
        root = Path(root)
        corpus = root / "corpus.txt"
        texts = [message["content"] for conversation in plain for message in conversation["messages"]]
        corpus.write_text("\n".join(["system user assistant", *texts]))
        print("ChatML, as Kiln saves it")
        for kind in ["char", "byte", "bpe", "gpt2"]:
            folder = root / kind
            kiln(arguments.render, "save", kind, corpus, folder)
            tokenizer = AutoTokenizer.from_pretrained(folder)
            config = json.loads((folder / "tokenizer_config.json").read_text())
            same = config["chat_template"] == (folder / "chat_template.jinja").read_text() == tokenizer.chat_template
            roles = (tokenizer.eos_token, tokenizer.pad_token) == ("<|im_end|>", "<|pad|>")
            check(same and roles, f"{kind}: one template in both files, and the tokens have their roles")
            compare(arguments.render, folder, tokenizer, kind, None, plain, own=True, single=kind in ["char", "byte"])

        print("templates in the manner of others")
        for name, template in TEMPLATES.items():
            folder = root / name
            # GPT-2's pattern cuts two line breaks apart where a text follows, which Kiln encodes apart.
            kiln(arguments.render, "save", "cl100k_base" if name == "headers" else "gpt2", corpus, folder)
            tokenizer = with_special_tokens(AutoTokenizer.from_pretrained(folder), template, folder)
            data = plain if name == "lines" else plain + tools
            compare(arguments.render, folder, tokenizer, name, template, data, own=True)
            compare(arguments.render, folder, tokenizer, f"{name}, unmarked", BLOCK.sub("", template), data, own=True)
        compare(arguments.render, folder, tokenizer, "lines, with tools", TEMPLATES["lines"], tools[:20] + plain[:5], own=True)

        if trl := importlib.util.find_spec("trl"):
            print("TRL's")
            for path in sorted((Path(trl.origin).parent / "chat_templates").glob("*.jinja")):
                template = path.read_text()
                folder = root / path.stem
                kiln(arguments.render, "save", "gpt2", corpus, folder)
                tokenizer = with_special_tokens(AutoTokenizer.from_pretrained(folder), template, folder)
                compare(arguments.render, folder, tokenizer, path.stem, template, plain[:60] + tools[:60], own=False)
    print(f"{len(failures)} failures")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
