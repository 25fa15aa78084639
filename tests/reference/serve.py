"""Asks `kiln serve` through OpenAI's own client and through lm-evaluation-harness: python tests/reference/serve.py KILN MODEL

What the client reads whole and what it reads in pieces must be the same text, and the harness must find the
log-likelihoods that `kiln score` computes.
"""

import contextlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy
import openai
from safetensors.numpy import load_file

TASK = """
task: kiln_choices
dataset_path: json
dataset_kwargs:
  data_files:
    test: {data}
output_type: multiple_choice
test_split: test
doc_to_text: "{{{{context}}}}"
doc_to_choice: "{{{{choices}}}}"
doc_to_target: gold
metric_list:
  - metric: acc
"""
DOCUMENTS = [
    {"context": "Once upon a time there was a fox", "choices": [" who lived in the wood.", ".", " a the of"], "gold": 0},
    {"context": "The rain", "choices": [" fell", " ate the moon", "\n\nfell \u00e9 \U0001f98a"], "gold": 0},
    {"context": "Lily and Tom went", "choices": [" home", " to the river, and there they sat"], "gold": 1},
    {"context": "A", "choices": ["b", "<|endoftext|>", " c"], "gold": 0},
]


@contextlib.contextmanager
def serving(kiln, model):
    """A server's address."""
    process = subprocess.Popen([kiln, "serve", model, "--port", "0"], stderr=subprocess.PIPE, text=True)
    try:
        for line in process.stderr:
            if "http://" in line:
                yield "http://" + line.rsplit("http://", 1)[1].strip()
                break
    finally:
        process.terminate()
        process.wait(20)


def joined(pieces, n):
    """The texts of a stream, and why they ended."""
    texts, ends = [""] * n, [None] * n
    for piece in pieces:
        for choice in piece.choices:
            texts[choice.index] += (choice.text if hasattr(choice, "text") else choice.delta.content) or ""
            ends[choice.index] = choice.finish_reason
    return texts, ends


def check_client(client, answers):
    """OpenAI's client: both endpoints, whole, in pieces, several at a time, and errors."""
    [model] = client.models.list().data
    assert client.models.retrieve(model.id).id == model.id
    asked = dict(model="any", prompt="Once upon a time", max_tokens=40, n=3, seed=3, logprobs=2)
    whole = client.completions.create(**asked)
    texts = [choice.text for choice in whole.choices]
    assert len(set(texts)) == 3 and [choice.index for choice in whole.choices] == [0, 1, 2]
    assert joined(client.completions.create(**asked, stream=True), 3) == (texts, [c.finish_reason for c in whole.choices])
    for choice in whole.choices:
        tokens = choice.logprobs.tokens[:-1] if choice.finish_reason == "stop" else choice.logprobs.tokens
        assert all(token.startswith("bytes:") for token in tokens) or "".join(tokens) == choice.text or "\ufffd" in choice.text
    if answers:
        check_chat(client)
    try:
        client.completions.create(model="any", prompt=[0] * 1_000_000, max_tokens=1)
    except openai.BadRequestError as error:
        assert error.code == "context_length_exceeded" and "maximum context length is" in error.message
    else:
        raise AssertionError("a prompt of a million tokens was read")


def check_chat(client):
    messages = [{"role": "user", "content": "Tell me a tale about a fox."}]
    asked = dict(model="any", messages=messages, max_tokens=40, seed=3, logprobs=True, top_logprobs=2)
    whole = client.chat.completions.create(**asked, n=2)
    texts = [choice.message.content for choice in whole.choices]
    pieces = client.chat.completions.create(**asked, n=2, stream=True, stream_options={"include_usage": True})
    pieces = list(pieces)
    assert joined(pieces, 2) == (texts, [choice.finish_reason for choice in whole.choices])
    usage = pieces[-1].usage
    assert (usage.completion_tokens, usage.prompt_tokens) == (whole.usage.completion_tokens, whole.usage.prompt_tokens)
    for choice, text in zip(whole.choices, texts):
        parts = b"".join(bytes(token.bytes) for token in choice.logprobs.content)
        assert parts.decode(errors="replace") == text
    # The client's own way of putting a stream together.
    with client.chat.completions.stream(**asked, n=2) as stream:
        for _ in stream:
            pass
        final = stream.current_completion_snapshot
    assert [choice.message.content for choice in final.choices] == texts
    assert all(choice.message.role == "assistant" for choice in final.choices)


def harness(address, folder, context_length, batch, concurrent):
    """The log-likelihoods that the harness finds: by context and continuation."""
    data, tasks, results = folder / "choices.jsonl", folder / "tasks", folder / f"results-{batch}-{concurrent}"
    data.write_text("".join(json.dumps(document) + "\n" for document in DOCUMENTS))
    tasks.mkdir(exist_ok=True)
    (tasks / "choices.yaml").write_text(TASK.format(data=data))
    arguments = (
        f"base_url={address}/v1/completions,model=kiln,max_length={context_length},tokenizer_backend=remote,"
        f"num_concurrent={concurrent}"
    )
    command = ["lm_eval", "--model", "local-completions", "--model_args", arguments, "--tasks", "kiln_choices"]
    command += ["--include_path", str(tasks), "--batch_size", str(batch), "--log_samples", "--output_path", str(results)]
    environment_bin = Path(sys.executable).parent
    command[0] = str(environment_bin / "lm_eval")
    subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder)
    found = {}
    [samples] = results.rglob("samples_*.jsonl")
    for line in samples.read_text().splitlines():
        sample = json.loads(line)
        arguments = sample["arguments"]
        arguments = arguments.values() if isinstance(arguments, dict) else arguments
        for argument, response in zip(arguments, sample["filtered_resps"]):
            parts = list(argument.values()) if isinstance(argument, dict) else argument
            found[parts[0], parts[1]] = (float(response[0]), str(response[1]) == "True")
    assert len(found) == sum(len(document["choices"]) for document in DOCUMENTS), found
    return found


def scored(kiln, model, address, folder, context, continuation):
    """The same by `kiln score`."""
    def tokens(text):
        body = json.dumps({"prompt": text, "add_special_tokens": False})
        command = ["curl", "-s", f"{address}/tokenize", "--json", body]
        return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["tokens"]

    whole, start = tokens(context + continuation), len(tokens(context))
    command = [kiln, "score", "--model", model, "--json", "--tokens", ",".join(map(str, whole))]
    command += ["--logits", str(folder / "logits.safetensors")]
    score = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    best = numpy.argmax(load_file(folder / "logits.safetensors")["logits"], axis=-1)
    return sum(score["logprobs"][start:]), list(best[start - 1 : -1]) == whole[start:]


def main():
    kiln, model = str(Path(sys.argv[1]).resolve()), str(Path(sys.argv[2]).resolve())
    with serving(kiln, model) as address, tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
        [served] = client.models.list().data
        info = client.with_options(base_url=address).get("/tokenizer_info", cast_to=object)
        check_client(client, answers=info["chat_template"] is not None)
        print("openai: whole, streamed, several, errors")
        worst = 0.0
        for batch, concurrent in [(1, 1), (8, 1), (1, 8)]:
            for (context, continuation), (found, is_greedy) in harness(
                address, folder, served.max_model_len, batch, concurrent
            ).items():
                expected, greedy = scored(kiln, model, address, folder, context, continuation)
                worst = max(worst, abs(found - expected))
                close = abs(found - expected) < 1e-4 + 1e-5 * abs(expected)
                assert close and is_greedy == greedy, (context, continuation, found, expected)
        print(f"lm-eval: log-likelihoods within {worst:.1e} of kiln score")


if __name__ == "__main__":
    main()
