"""Decoding and prefill of a GPT-2 directory in transformers, or of a GGUF file in llama.cpp; prints one JSON object.

Used by generate.py; alone:  python generation_peers.py decode MODEL_DIR|FILE.gguf --context 16 --tokens 64
"""

import argparse
import json
import os
import resource
import statistics
import time


def transformers_model(path, threads):
    import torch
    from transformers import AutoModelForCausalLM

    torch.set_num_threads(threads)
    model = AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32).eval()

    def feed(tokens, cache):
        with torch.inference_mode():
            output = model(torch.tensor([tokens]), past_key_values=cache, use_cache=True, logits_to_keep=1)
        return int(output.logits[0, -1].argmax()), output.past_key_values

    return feed, model.config.vocab_size


def llama_model(path, threads, room):
    from llama_cpp import Llama

    model = Llama(path, n_ctx=room, n_batch=room, n_threads=threads, n_threads_batch=threads, verbose=False)

    def feed(tokens, cache):
        if cache is None:
            model.reset()
        model.eval(tokens)
        return model.sample(temp=0.0), model

    return feed, model.n_vocab()


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("what", choices=["decode", "prefill"])
    arguments.add_argument("model")
    arguments.add_argument("--context", type=int, default=16)
    arguments.add_argument("--tokens", type=int, default=64)
    arguments.add_argument("--threads", type=int, default=os.cpu_count())
    asked = arguments.parse_args()
    room = asked.context + asked.tokens + 1
    if asked.model.endswith(".gguf"):
        feed, vocab = llama_model(asked.model, asked.threads, room)
    else:
        feed, vocab = transformers_model(asked.model, asked.threads)
    prompt = [(index * 7919) % vocab for index in range(asked.context)]
    if asked.what == "decode":
        token, cache = feed(prompt, None)
        rates = []
        for _ in range(asked.tokens):
            began = time.perf_counter()
            token, cache = feed([token], cache)
            rates.append(1 / (time.perf_counter() - began))
    else:
        rates = []
        for _ in range(6):
            began = time.perf_counter()
            feed(prompt, None)
            rates.append(asked.context / (time.perf_counter() - began))
        del rates[0]  # the first one warms up
    print(json.dumps({
        "tokens_per_second": statistics.median(rates), "tokens_per_second_min": min(rates),
        "tokens_per_second_max": max(rates),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }))


if __name__ == "__main__":
    main()
