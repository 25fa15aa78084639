"""Many clients of one model: `kiln serve` beside llama.cpp's server, in turn, on this machine.

    cargo build --release
    pip install -r benches/peers/requirements.txt && pip install xllamacpp gguf
    python benches/peers/serve.py target/release/kiln [--clients 8] [--rounds 3] [--requests 2]
    python benches/peers/serve.py target/release/kiln --gguf SmolLM2-135M-Instruct.Q4_1.gguf

Without --gguf it is a GPT-2 of 124M parameters after one step of training; speed does not depend on the weights. Every request has
a prompt of its own, of 64 tokens, and asks for 128 greedy ones, streamed, whatever they are. Each server runs with two threads, in
a process of its own, once a round in each number format; all figures are medians of the rounds. Speed is that of all clients
together, from the first request to the last token. "of decode" is the speed of one client's tokens after the first beside
`kiln bench decode` in the same round. "long" is the time until the first token after a prompt of 900 tokens that comes while the
other clients' texts are written, and "beside" the 99th percentile of the times between the others' tokens meanwhile.
"""

import argparse
import asyncio
import contextlib
import itertools
import json
import os
import pathlib
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time

import gguf
import numpy
from gguf.quants import quantize

from generate import GPT2, ONE_STEP

HERE = pathlib.Path(__file__).parent
# Kiln's number format, and the nearest one of llama.cpp.
FORMATS = [("f32", "f32"), ("bf16", "f16"), ("int8", "q8_0")]


def converted(source, target, dtype):
    """Copies a GGUF file in f32 to one with its matrices in q8_0 or f16."""
    reader = gguf.GGUFReader(source)
    architecture = reader.get_field("general.architecture").contents()
    writer = gguf.GGUFWriter(target, architecture)
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name in ("general.architecture", "general.file_type"):
            continue
        kind, inner = field.types[0], field.types[-1] if len(field.types) > 1 else None
        writer.add_key_value(field.name, field.contents(), kind, sub_type=inner)
    for tensor in reader.tensors:
        data = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        wanted = gguf.GGMLQuantizationType[dtype.upper()] if data.ndim > 1 else gguf.GGMLQuantizationType.F32
        writer.add_tensor(tensor.name, quantize(data, wanted), raw_dtype=wanted)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def models(kiln, source, folder):
    """What Kiln serves, and what llama.cpp serves in each of its formats."""
    if source is None:
        run = folder / "run"
        settings = [word for setting in GPT2 + ONE_STEP for word in ("--set", setting)]
        subprocess.run([kiln, "train", "--plain", "--run-dir", run, *settings], check=True, capture_output=True)
        source = run
    whole = folder / "f32.gguf"
    subprocess.run([kiln, "export", "--model", source, "--to", whole], check=True, capture_output=True)
    files = {"f32": whole}
    for dtype in ["f16", "q8_0"]:
        files[dtype] = folder / f"{dtype}.gguf"
        converted(whole, files[dtype], dtype)
    return source, files


@contextlib.contextmanager
def served(*command):
    """Starts a server; gives its address."""
    environment = {**os.environ, "RAYON_NUM_THREADS": "2"}
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    address, said = None, ""
    for line in process.stdout:
        said += line
        if found := re.search(r"http://[\d.]+:\d+", line):
            address = found.group()
            break
    assert address, said
    # What it says later must not fill the pipe.
    drain = subprocess.Popen(["cat"], stdin=process.stdout, stdout=subprocess.DEVNULL)
    try:
        yield address
    finally:
        process.terminate()
        process.wait(30)
        drain.wait()


async def ask(address, prompt, tokens):
    """One request: when it was sent, when each piece came, and how many tokens came in all. By hand, since a client library takes as
    much of the processor as the servers do."""
    body = {"model": "any", "prompt": prompt, "max_tokens": tokens, "temperature": 0, "stream": True, "ignore_eos": True,
            "seed": 1, "stream_options": {"include_usage": True}}  # fmt: skip
    body = json.dumps(body).encode()
    host, port = address.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, port)
    head = f"POST /v1/completions HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n"
    moments, count, sent = [], 0, time.perf_counter()
    writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
    status = await reader.readline()
    assert b" 200 " in status, status + await reader.read()
    async for line in reader:
        if not line.startswith(b"data: {"):
            continue
        chunk = json.loads(line[6:])
        assert "error" not in chunk, chunk
        if chunk.get("usage"):
            count = chunk["usage"]["completion_tokens"]
        if any(choice.get("text") for choice in chunk["choices"]):
            moments.append(time.perf_counter())
    writer.close()
    assert count == tokens, f"{count} tokens came, {tokens} were asked for"
    return sent, moments, count


async def load(address, prompts, clients, requests, tokens):
    """Tokens a second of all clients together, time to the first token, and times between pieces."""

    async def one():
        return [await ask(address, next(prompts), tokens) for _ in range(requests)]

    began = time.perf_counter()
    answers = await asyncio.gather(*(one() for _ in range(clients)))
    seconds = time.perf_counter() - began
    answers = list(itertools.chain(*answers))
    gaps = [after - before for _, moments, _ in answers for before, after in itertools.pairwise(moments)]
    firsts = [moments[0] - sent for sent, moments, _ in answers]
    steady = [(count - 1) / (moments[-1] - moments[0]) for _, moments, count in answers]
    return {"tokens/s": sum(count for *_, count in answers) / seconds, "first": statistics.median(firsts),
            "steady": statistics.median(steady), "p99": sorted(gaps)[int(len(gaps) * 0.99)]}  # fmt: skip


async def long_prompt(address, draw, others):
    """A prompt of 900 tokens beside texts that are being written: seconds to its first token, and the 99th percentile of the times
    between the others' tokens meanwhile."""
    prompt = [draw.randrange(1000, 40000) for _ in range(900)]
    writing = [asyncio.create_task(ask(address, prompt[place : place + 64], 320)) for place in range(others)]
    await asyncio.sleep(2)
    sent, moments, _ = await ask(address, prompt, 8)
    gaps = []
    for _, times, _ in await asyncio.gather(*writing):
        assert times[0] < sent and times[-1] > moments[0], "the others were not writing all the time"
        gaps += [after - before for before, after in itertools.pairwise(times) if sent < after < moments[0]]
    return moments[0] - sent, sorted(gaps)[int(len(gaps) * 0.99)]


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("kiln")
    arguments.add_argument("--gguf")
    arguments.add_argument("--clients", type=int, default=8)
    arguments.add_argument("--requests", type=int, default=2)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--prompt", type=int, default=64)
    arguments.add_argument("--tokens", type=int, default=128)
    asked = arguments.parse_args()
    kiln = pathlib.Path(asked.kiln).resolve()
    rows = {}
    with tempfile.TemporaryDirectory() as folder:
        source, files = models(kiln, asked.gguf, pathlib.Path(folder))
        draw = random.Random(1)
        prompts = iter(lambda: [draw.randrange(1000, 40000) for _ in range(asked.prompt)], None)
        for _ in range(asked.rounds):
            for ours, theirs in FORMATS:
                command = [kiln, "bench", "decode", "--model", source, "--dtype", ours, "--context", asked.prompt,
                           "--tokens", asked.tokens, "--json"]  # fmt: skip
                alone = json.loads(subprocess.run(list(map(str, command)), check=True, capture_output=True).stdout)
                servers = {
                    f"Kiln {ours}": [kiln, "serve", "--model", source, "--dtype", ours, "--port", 0, "--slots", asked.clients],
                    f"llama.cpp {theirs}": [sys.executable, HERE / "llama_server.py", files[theirs], asked.clients,
                                            asked.clients * (900 + 8)],
                }  # fmt: skip
                for name, command in servers.items():
                    with served(*command) as address:
                        asyncio.run(load(address, prompts, 1, 1, 16))
                        one = asyncio.run(load(address, prompts, 1, asked.requests, asked.tokens))
                        many = asyncio.run(load(address, prompts, asked.clients, asked.requests, asked.tokens))
                        long, beside = asyncio.run(long_prompt(address, draw, asked.clients - 1))
                    figures = {"one": one["tokens/s"], "all": many["tokens/s"], "first": many["first"] * 1e3,
                               "p99": many["p99"] * 1e3, "of decode": one["steady"] / alone["tokens_per_second"],
                               "long": long, "beside": beside * 1e3}  # fmt: skip
                    rows.setdefault(name, []).append(figures)
                    print(name, {key: round(value, 2) for key, value in figures.items()}, file=sys.stderr)
    medians = {name: {key: statistics.median(row[key] for row in found) for key in found[0]} for name, found in rows.items()}
    print(f"{'':16} one client  {asked.clients} clients    ratio  of peer  first ms   p99 ms  of decode   long s  beside ms")
    for ours, theirs in FORMATS:
        peer = medians[f"llama.cpp {theirs}"]
        for name in [f"Kiln {ours}", f"llama.cpp {theirs}"]:
            row = medians[name]
            part = f"{row['of decode']:9.2f}" if name.startswith("Kiln") else " " * 9
            print(f"{name:16} {row['one']:10.1f} {row['all']:10.1f} {row['all'] / row['one']:8.2f} {row['all'] / peer['all']:8.2f} "
                  f"{row['first']:9.0f} {row['p99']:8.0f}  {part} {row['long']:8.2f} {row['beside']:10.0f}")  # fmt: skip


if __name__ == "__main__":
    main()
