"""What `kiln serve` must stand: python tests/stress/serve.py KILN MODEL [CHECK ...] [--cases 200] [--minutes 30]

    pip install -r tests/reference/requirements.txt
    python tests/stress/serve.py target/release/kiln runs/instruct

Each check starts servers of its own, says what it saw, and fails where a limit of docs/serving.md is passed.

- seeds: a request answered alone, and among others by a server that has read its prompt before, in three number formats;
- kills: clients that vanish while they wait, while their prompt is read, and while their text is written;
- queue: how soon a full server refuses, and how soon it says that it is healthy;
- drain: a signal while texts are written, a second one, and one with nothing to do;
- heads: two hundred connections that send their heads a byte at a time, and one client who wants an answer;
- bodies: requests that make no sense, in thousands;
- soak: clients that come, go and break off for a long time, and the memory of the server before and after.
"""

import argparse
import asyncio
import contextlib
import json
import os
import random
import re
import signal
import statistics
import subprocess
import time

import httpx


@contextlib.contextmanager
def serving(kiln, model, *options):
    """A server: its process and its address."""
    command = [kiln, "serve", "--model", model, "--port", "0", *map(str, options)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        address = next(found.group() for line in process.stderr if (found := re.search(r"http://[\d.]+:\d+", line)))
        yield process, address
    finally:
        process.kill()
        said = process.stderr.read()
        assert "panicked" not in said, said
        process.wait(20)


def client_of(address, **options):
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    return httpx.AsyncClient(base_url=address, timeout=600, limits=limits, **options)


async def load_of(client):
    """Texts that run or wait."""
    metrics = (await client.get("/metrics")).text
    return sum(float(value) for value in re.findall(r"^kiln_requests_(?:running|waiting)(?:{.*})? (\S+)", metrics, re.MULTILINE))


async def has_load(client):
    return await load_of(client) > 0


async def is_free(client):
    return await load_of(client) == 0


async def until(condition, seconds):
    """Seconds until a condition holds."""
    began = time.perf_counter()
    while not await condition():
        assert time.perf_counter() - began < seconds, f"not within {seconds} s"
        await asyncio.sleep(0.01)
    return time.perf_counter() - began


def milliseconds(seconds):
    return f"{statistics.median(seconds) * 1e3:.1f} ms, {max(seconds) * 1e3:.1f} at most"


# --- one check each -----------------------------------------------------------------------------------------------------


def some_request(draw, vocabulary, context):
    """A request with a seed. One in three starts like others."""
    if draw.random() < 0.33:
        prompt = list(range(1, min(draw.choice([64, 70, 128]), context // 2)))
    else:
        prompt = [draw.randrange(vocabulary) for _ in range(draw.randint(1, context // 2))]
    settings = {"temperature": draw.choice([0, 0.7, 1, 1.3]), "top_k": draw.choice([0, 20]), "top_p": draw.choice([1, 0.9]),
                "min_p": draw.choice([0, 0.05]), "presence_penalty": draw.choice([0, 0.5]), "n": draw.choice([1, 1, 3])}  # fmt: skip
    return {"prompt": prompt, "max_tokens": draw.randint(1, 24), "seed": draw.randrange(2**31), "logprobs": 3, **settings}


async def answer(client, request):
    response = await client.post("/v1/completions", json=request)
    assert response.status_code == 200, response.text
    return response.json()["choices"]


async def seeds(arguments):
    for dtype in ["f32", "bf16", "int8"]:
        draw, alone, cached = random.Random(dtype), [], 0
        with serving(arguments.kiln, arguments.model, "--dtype", dtype) as (_, address):
            async with client_of(address) as client:
                context = (await client.get("/v1/models")).json()["data"][0]["max_model_len"]
                requests = [some_request(draw, 200, context) for _ in range(-(-arguments.cases // 3))]
                # A prompt that nobody reads twice is read as if it were the first.
                for request in requests:
                    alone.append(await answer(client, request))
        with serving(arguments.kiln, arguments.model, "--dtype", dtype) as (_, address):
            async with client_of(address) as client:
                at_once = asyncio.Semaphore(8)

                async def beside(index):
                    async with at_once:
                        return index, await answer(client, requests[index])

                for _ in range(2):
                    order = draw.sample(range(len(requests)), len(requests))
                    for index, choices in await asyncio.gather(*map(beside, order)):
                        assert choices == alone[index], (dtype, requests[index], alone[index], choices)
                cached = int(re.search(r"^kiln_cached_prompt_tokens_total (\d+)", (await client.get("/metrics")).text, re.M)[1])
        print(f"seeds, {dtype}: {len(requests)} requests alone, then twice among eight: texts and log-probabilities are the same "
              f"({cached} tokens of prompts had been read before)")  # fmt: skip


async def kills(arguments):
    draw = random.Random(1)
    with serving(arguments.kiln, arguments.model, "--slots", 4, "--queue", 256) as (_, address):
        async with client_of(address) as client:
            request = {"prompt": "Once upon a time", "max_tokens": 20, "seed": 7, "logprobs": 2}
            before = await answer(client, request)
            context = (await client.get("/v1/models")).json()["data"][0]["max_model_len"]

            async def vanish(seconds):
                prompt = [draw.randrange(200) for _ in range(context * 3 // 4)]
                body = {"prompt": prompt, "max_tokens": context, "ignore_eos": True, "stream": draw.random() < 0.5}
                with contextlib.suppress(asyncio.TimeoutError, httpx.HTTPError):
                    await asyncio.wait_for(client.post("/v1/completions", json=body), seconds)

            # With four slots, most of them wait; the first ones read and write.
            await asyncio.gather(*(vanish(0.05 + 2.5 * index / 50) for index in range(50)))
            seconds = await until(lambda: is_free(client), 1)
            assert await answer(client, request) == before
    print(f"kills: 50 clients vanished, nothing ran or waited after {seconds * 1e3:.0f} ms; the next answer is the one before")


async def queue(arguments):
    with serving(arguments.kiln, arguments.model, "--slots", 4, "--queue", 4) as (_, address):
        async with client_of(address) as client:
            body = {"prompt": [1, 2, 3], "max_tokens": 10_000, "ignore_eos": True}
            context = (await client.get("/v1/models")).json()["data"][0]["max_model_len"]
            body["max_tokens"] = context
            busy = [asyncio.create_task(client.post("/v1/completions", json=body)) for _ in range(8)]
            while await load_of(client) < 8:
                await asyncio.sleep(0.01)
            refused, healthy = [], []
            while len(refused) < 50 and not any(task.done() for task in busy):
                began = time.perf_counter()
                response = await client.post("/v1/completions", json=body)
                refused.append(time.perf_counter() - began)
                assert response.status_code == 429 and int(response.headers["retry-after"]) > 0, response.text
                began = time.perf_counter()
                assert (await client.get("/health")).status_code == 200
                healthy.append(time.perf_counter() - began)
            for task in busy:
                task.cancel()
            await asyncio.gather(*busy, return_exceptions=True)
    print(f"queue: {len(refused)} times 429 in {milliseconds(refused)}; /health beside it in {milliseconds(healthy)}")
    assert len(refused) >= 5 and statistics.median(refused) < 0.02 and statistics.median(healthy) < 0.02


async def told_to_end(process):
    """Seconds from a signal to the end of a process."""
    began = time.perf_counter()
    process.send_signal(signal.SIGTERM)
    while process.poll() is None:
        await asyncio.sleep(0.005)
    return time.perf_counter() - began


async def drain(arguments):
    options = ["--drain-seconds", 2, "--queue", 1024]
    with serving(arguments.kiln, arguments.model, *options) as (process, address):
        idle = await told_to_end(process)
    with serving(arguments.kiln, arguments.model, *options) as (process, address):
        async with client_of(address) as client:
            body = {"prompt": [[1]] * 128, "ignore_eos": True, "stream": True}
            body |= {"max_tokens": (await client.get("/v1/models")).json()["data"][0]["max_model_len"]}

            async def stream():
                text = ""
                with contextlib.suppress(httpx.HTTPError):
                    async with client.stream("POST", "/v1/completions", json=body) as response:
                        async for piece in response.aiter_text():
                            text += piece
                return text

            streams = [asyncio.create_task(stream()) for _ in range(4)]
            await until(lambda: has_load(client), 10)
            await asyncio.sleep(0.3)
            drained = await told_to_end(process)
            ends = [await task for task in streams]
            for end in ends:
                last = [line for line in end.splitlines() if line.startswith("data:")][-1:]
                assert last and ("error" in last[0] or "[DONE]" in last[0]), end[-300:]
    with serving(arguments.kiln, arguments.model, *options) as (process, address):
        async with client_of(address) as client:
            task = asyncio.create_task(client.post("/v1/completions", json=body | {"stream": False}))
            await until(lambda: has_load(client), 10)
            process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.3)
            second = await told_to_end(process)
            await asyncio.gather(task, return_exceptions=True)
    print(f"drain: ended after {drained:.2f} s with 4 streams and 2 s to drain, {second * 1e3:.0f} ms after a second signal, "
          f"{idle * 1e3:.0f} ms with nothing to do")  # fmt: skip
    assert drained < 3 and second < 0.2 and idle < 0.2


async def heads(arguments):
    with serving(arguments.kiln, arguments.model) as (_, address):
        host, port = address.removeprefix("http://").split(":")
        served = []

        async def trickle():
            began = time.perf_counter()
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\n")
            closed = asyncio.create_task(reader.read())
            while not closed.done():
                with contextlib.suppress(OSError):
                    writer.write(b"X-A: b\r\n")
                    await writer.drain()
                await asyncio.wait([closed], timeout=1)
            writer.close()
            return time.perf_counter() - began

        async def ask():
            async with client_of(address) as client:
                while True:
                    began = time.perf_counter()
                    await answer(client, {"prompt": [1, 2, 3], "max_tokens": 1})
                    served.append(time.perf_counter() - began)
                    await asyncio.sleep(0.2)

        asking = asyncio.create_task(ask())
        closed = await asyncio.gather(*(trickle() for _ in range(200)))
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
    print(f"heads: 200 slow connections were closed after {min(closed):.1f} to {max(closed):.1f} s; {len(served)} answers beside them "
          f"in {milliseconds(served)}")  # fmt: skip
    assert max(closed) < 15 and served


FIELDS = ["prompt", "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "min_p", "n", "best_of", "stop",
          "seed", "stream", "stream_options", "logprobs", "top_logprobs", "echo", "logit_bias", "frequency_penalty", "model",
          "presence_penalty", "repetition_penalty", "ignore_eos", "response_format", "tools", "tokens", "content", "user"]  # fmt: skip
ROUTES = ["/v1/completions", "/v1/chat/completions", "/tokenize", "/detokenize", "/completions", "/chat/completions"]


def some_value(draw, depth=0):
    """Anything that JSON can say."""
    kinds = [
        lambda: None,
        lambda: draw.random() < 0.5,
        lambda: draw.choice([0, -1, 1, 2**31, 2**63, 2**64, -(2**63), 10**30, 1.5, 1e308, -1e-300, 0.0, 16, 5]),
        lambda: draw.choice(["", "a", "\x00", "\ud7ff\U0001f98a", "<|endoftext|>", "user", "assistant", "text", "x" * 5000, "auto"]),
        lambda: [some_value(draw, depth + 1) for _ in range(draw.randrange(4))],
        lambda: {draw.choice(FIELDS + ["role", "type", "text", "1", "-1", "include_usage"]): some_value(draw, depth + 1) for _ in range(draw.randrange(4))},
    ]
    return draw.choice(kinds if depth < 4 else kinds[:4])()


def some_body(draw):
    """A request that is nearly right, or one that never was."""
    if draw.random() < 0.1:
        return draw.randbytes(draw.randrange(200))
    good = {"prompt": "Once", "messages": [{"role": "user", "content": "Hello"}], "max_tokens": 2, "tokens": [1, 2], "content": "a"}
    body = dict(good) if draw.random() < 0.8 else {}
    for _ in range(draw.randrange(4)):
        body[draw.choice(FIELDS)] = some_value(draw)
    text = json.dumps(body)
    kind = draw.random()
    if kind < 0.05:
        return text[: draw.randrange(len(text))].encode()
    if kind < 0.08:
        return b"[" * draw.choice([10, 1000, 100_000])
    if kind < 0.12:
        spoilt = bytearray(text.encode())
        spoilt[draw.randrange(len(spoilt))] = draw.randrange(256)
        return bytes(spoilt)
    return text.encode()


async def bodies(arguments):
    draw, seen = random.Random(3), {}
    with serving(arguments.kiln, arguments.model) as (process, address):
        async with client_of(address) as client:
            request = {"prompt": "Once upon a time", "max_tokens": 20, "seed": 7, "logprobs": 2}
            before = await answer(client, request)

            async def throw(route, body):
                # What asks for long texts is given up: only how it begins is judged.
                async with client.stream("POST", route, content=body, headers={"content-type": "application/json"}) as response:
                    status = response.status_code
                    assert 200 <= status < 300 or 400 <= status < 500, (route, body, status, await response.aread())
                    if status >= 400:
                        error = json.loads(await response.aread())["error"]
                        assert set(error) == {"message", "type", "param", "code"} and error["message"], (body, error)
                return status

            for _ in range(arguments.cases * 50 // 16):
                for status in await asyncio.gather(*(throw(draw.choice(ROUTES), some_body(draw)) for _ in range(16))):
                    seen[status] = seen.get(status, 0) + 1

            await until(lambda: is_free(client), 60)
            assert await answer(client, request) == before and process.poll() is None
            large = await client.post("/v1/completions", content=b'{"prompt": "' + b"a" * 5_000_000 + b'"}')
            assert large.status_code == 413 and large.json()["error"]["message"], large.text
    print(f"bodies: {sum(seen.values())} requests: {dict(sorted(seen.items()))}, every error in its shape; 5 MB: 413")


def memory(process):
    """Resident memory of a process, MB."""
    with open(f"/proc/{process.pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


async def soak(arguments):
    draw, seen = random.Random(5), {}
    with serving(arguments.kiln, arguments.model, "--queue", 8) as (process, address):
        async with client_of(address) as client:
            context = (await client.get("/v1/models")).json()["data"][0]["max_model_len"]
            end = time.monotonic() + arguments.minutes * 60

            async def one():
                while time.monotonic() < end:
                    body = some_request(draw, 200, context) | {"stream": draw.random() < 0.5, "ignore_eos": draw.random() < 0.5}
                    body["max_tokens"] = draw.randint(1, context)
                    patience = draw.choice([600, 600, draw.random(), draw.random() * 5])
                    try:
                        response = await asyncio.wait_for(client.post("/v1/completions", json=body), patience)
                        end_of = response.text.rstrip()[-6:] if body["stream"] and response.status_code == 200 else None
                        assert end_of in (None, "[DONE]"), response.text
                        how = response.status_code
                    except asyncio.TimeoutError:
                        how = "left"
                    seen[how] = seen.get(how, 0) + 1
                    if how == 429:
                        await asyncio.sleep(draw.random())

            async def watch():
                sizes = []
                while time.monotonic() < end:
                    await asyncio.sleep(min(arguments.minutes, 1) * 60 / 10)
                    sizes.append(memory(process))
                return sizes

            *_, sizes = await asyncio.gather(*(one() for _ in range(16)), watch())
            assert process.poll() is None and set(seen) <= {200, 429, "left"}, seen
            # What it holds for the first texts, and what stays of prompts, is there after a third of the time.
            early = max(sizes[: len(sizes) // 3])
            grown = max(sizes[len(sizes) // 3 :]) - early
    print(f"soak: {arguments.minutes} minutes, 16 clients: {seen}; {early:.0f} MB at most in the first third, {grown:+.0f} MB at most after")
    assert grown <= 20


CHECKS = {check.__name__: check for check in [seeds, kills, queue, drain, heads, bodies, soak]}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kiln")
    parser.add_argument("model")
    parser.add_argument("checks", nargs="*", metavar="CHECK")
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=30)
    arguments = parser.parse_args()
    for check in arguments.checks or CHECKS:
        asyncio.run(CHECKS[check](arguments))


if __name__ == "__main__":
    main()
