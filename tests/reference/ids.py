"""Compares the ids of gpt2, cl100k_base and o200k_base with Python tiktoken's.

    cargo build --release -p kiln-datasets --examples
    pip install tiktoken
    python tests/reference/ids.py --folder DIR --rust-megabytes 200 --strings 100000

Every file below --folder, so many megabytes of Rust from the cargo registry, and so many random strings over all of
Unicode's categories, some of them bytes that are not UTF-8. Our side also decodes its ids and must find the input again.

Python tiktoken downloads its ranks, for which TIKTOKEN_CACHE_DIR must be set. Without it they come from tiktoken-rs through
our example, and only their checksum, like the pattern, from Python tiktoken's own source. The script says which it was.
"""

import argparse
import base64
import hashlib
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

import tiktoken
import tiktoken_ext.openai_public as public

from strings import random_strings

ROOT = pathlib.Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "target/release/examples/reference"
NAMES = ["gpt2", "cl100k_base", "o200k_base"]


def reference(name):
    """Python tiktoken's encoding, and where its ranks are from."""
    if os.environ.get("TIKTOKEN_CACHE_DIR"):
        return tiktoken.get_encoding(name), "Python tiktoken"
    lines = subprocess.run([EXAMPLE, "tokens", name], check=True, capture_output=True, text=True).stdout.split("\n")
    special = {"gpt2": 50256, "cl100k_base": 100257, "o200k_base": 199999}[name]
    tokens = [bytes.fromhex(line) for line in lines[:special]]
    ranks = {token: rank for rank, token in enumerate(tokens) if token}

    # The constructors as published, but for the download; the checksum is that of the file they would have downloaded.
    file = b"".join(b"%s %d\n" % (base64.b64encode(token), rank) for token, rank in ranks.items())

    def load(_url, expected_hash):
        if hashlib.sha256(file).hexdigest() != expected_hash:
            sys.exit(f"{name}: the ranks are not those that Python tiktoken would download")
        return ranks

    public.load_tiktoken_bpe = load
    public.data_gym_to_mergeable_bpe_ranks = lambda **_: public.r50k_base()["mergeable_ranks"]
    return tiktoken.Encoding(**getattr(public, name)()), "tiktoken-rs, with the published checksum"


def files_of(folder):
    return sorted(str(path) for path in pathlib.Path(folder).rglob("*") if path.is_file())


def rust_sources(megabytes):
    """Files of the registry in an order of their own, until there are enough bytes."""
    registry = pathlib.Path(os.environ.get("CARGO_HOME", pathlib.Path.home() / ".cargo")) / "registry/src"
    files = sorted(registry.rglob("*.rs"))
    random.Random(1).shuffle(files)
    total, chosen = 0, []
    for file in files:
        if total >= megabytes * 1e6:
            break
        total += file.stat().st_size
        chosen.append(str(file))
    return chosen, total


def expected(encoding, data):
    if isinstance(data, str):
        return encoding.encode_ordinary(data)
    try:
        return encoding.encode_ordinary(data.decode())
    except UnicodeDecodeError:
        return encoding._encode_bytes(data)


def compare(what, encoding, inputs, answers):
    differ = 0
    for data, answer in zip(inputs, answers, strict=True):
        ours = json.loads(answer)
        if ours == "error" or ours != expected(encoding, data):
            differ += 1
            if differ <= 3:
                print(f"  differs: {data[:200]!r}")
    print(f"{encoding.name:12} {what}: {differ} differ" if differ else f"{encoding.name:12} {what}: all equal", flush=True)
    return differ


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--folder", help="folder of files to compare")
    parser.add_argument("--rust-megabytes", type=float, default=0)
    parser.add_argument("--strings", type=int, default=100_000)
    parser.add_argument("--encodings", nargs="+", default=NAMES)
    arguments = parser.parse_args()

    strings = list(random_strings(arguments.strings))
    rust, rust_bytes = rust_sources(arguments.rust_megabytes)
    differ = 0
    for name in arguments.encodings:
        encoding, ranks = reference(name)
        print(f"{name}: tiktoken {tiktoken.__version__}, ranks from {ranks}")
        with tempfile.TemporaryFile("w+") as lines:
            for text in strings:
                lines.write(json.dumps(text if isinstance(text, str) else {"hex": text.hex()}) + "\n")
            lines.seek(0)
            answers = subprocess.run([EXAMPLE, "lines", name], check=True, stdin=lines, capture_output=True, text=True)
        differ += compare(f"{len(strings)} strings", encoding, strings, answers.stdout.split("\n")[:-1])
        for what, files in [(arguments.folder, files_of(arguments.folder) if arguments.folder else []),
                            (f"{rust_bytes / 1e6:.0f} MB of Rust", rust)]:
            if files:
                answers = (answer for start in range(0, len(files), 500) for answer in subprocess.run(
                    [EXAMPLE, "files", name, *files[start:start + 500]], check=True, capture_output=True, text=True,
                ).stdout.splitlines())
                contents = (pathlib.Path(file).read_bytes() for file in files)
                differ += compare(f"{len(files)} files, {what}", encoding, contents, answers)
    sys.exit(1 if differ else 0)


if __name__ == "__main__":
    main()
