"""Training steps of a GPT-2 or a Llama in plain PyTorch, in the manner of nanoGPT: eager, fused attention, no autocast.

Used by train.py; alone, prints one JSON object:  python pytorch_step.py --layers 4 --heads 4 --width 128 ...
"""

import argparse
import json
import resource
import statistics
import time

import torch
import torch.nn as nn
import torch.nn.functional as F


class Block(nn.Module):
    def __init__(self, width, heads):
        super().__init__()
        self.heads = heads
        self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.c_attn, self.attn_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.c_fc, self.mlp_proj = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        batch, seq, width = x.shape
        query, key, value = (
            part.view(batch, seq, self.heads, -1).transpose(1, 2) for part in self.c_attn(self.ln_1(x)).split(width, 2)
        )
        heads = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        x = x + self.attn_proj(heads.transpose(1, 2).reshape(batch, seq, width))
        return x + self.mlp_proj(F.gelu(self.c_fc(self.ln_2(x)), approximate="tanh"))


def rotate(x, cos, sin):
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin


class LlamaBlock(nn.Module):
    def __init__(self, width, heads, kv_heads, hidden):
        super().__init__()
        self.heads, self.kv_heads, self.head_dim = heads, kv_heads, width // heads
        kv_width = kv_heads * self.head_dim
        self.norm_1, self.norm_2 = nn.RMSNorm(width, 1e-5), nn.RMSNorm(width, 1e-5)
        self.q_proj, self.o_proj = nn.Linear(width, width, False), nn.Linear(width, width, False)
        self.k_proj, self.v_proj = nn.Linear(width, kv_width, False), nn.Linear(width, kv_width, False)
        self.gate, self.up = nn.Linear(width, hidden, False), nn.Linear(width, hidden, False)
        self.down = nn.Linear(hidden, width, False)

    def forward(self, x, cos, sin):
        batch, seq, width = x.shape
        normed = self.norm_1(x)
        query, key, value = (
            part(normed).view(batch, seq, -1, self.head_dim).transpose(1, 2)
            for part in (self.q_proj, self.k_proj, self.v_proj)
        )
        query, key = rotate(query, cos, sin), rotate(key, cos, sin)
        heads = F.scaled_dot_product_attention(query, key, value, is_causal=True, enable_gqa=True)
        x = x + self.o_proj(heads.transpose(1, 2).reshape(batch, seq, width))
        normed = self.norm_2(x)
        return x + self.down(F.silu(self.gate(normed)) * self.up(normed))


class Gpt(nn.Module):
    def __init__(self, layers, heads, width, context, vocab):
        super().__init__()
        self.wte, self.wpe = nn.Embedding(vocab, width), nn.Embedding(context, width)
        self.h = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.ln_f = nn.LayerNorm(width)
        start(self)

    def forward(self, tokens, targets):
        x = self.wte(tokens) + self.wpe(torch.arange(tokens.shape[1]))
        for block in self.h:
            x = block(x)
        logits = F.linear(self.ln_f(x), self.wte.weight)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


class Llama(nn.Module):
    def __init__(self, layers, heads, width, context, vocab, kv_heads, hidden):
        super().__init__()
        self.embed = nn.Embedding(vocab, width)
        self.layers = nn.ModuleList(LlamaBlock(width, heads, kv_heads, hidden) for _ in range(layers))
        self.norm = nn.RMSNorm(width, 1e-5)
        half = width // heads // 2
        angles = torch.outer(torch.arange(context), 1e5 ** (-torch.arange(half) / half)).repeat(1, 2)
        self.register_buffer("cos", angles.cos())
        self.register_buffer("sin", angles.sin())
        start(self)

    def forward(self, tokens, targets):
        x = self.embed(tokens)
        for layer in self.layers:
            x = layer(x, self.cos, self.sin)
        logits = F.linear(self.norm(x), self.embed.weight)
        return F.cross_entropy(logits.flatten(0, 1), targets.flatten())


def start(model):
    for parameter in model.parameters():
        if parameter.dim() > 1:
            nn.init.normal_(parameter, std=0.02)


def main():
    arguments = argparse.ArgumentParser()
    for name, default in [("layers", 4), ("heads", 4), ("width", 128), ("context", 64), ("batch", 12), ("vocab", 65)]:
        arguments.add_argument(f"--{name}", type=int, default=default)
    arguments.add_argument("--kv-heads", type=int, help="a Llama with so many heads of keys and values, not a GPT-2")
    arguments.add_argument("--hidden", type=int, help="width of a Llama's feed-forward network")
    arguments.add_argument("--seconds", type=float, default=5.0)
    arguments.add_argument("--fused", action="store_true", help="AdamW(fused=True)")
    arguments.add_argument("--threads", type=int)
    asked = arguments.parse_args()
    if asked.threads:
        torch.set_num_threads(asked.threads)
    torch.manual_seed(1337)
    shape = (asked.layers, asked.heads, asked.width, asked.context, asked.vocab)
    model = Llama(*shape, asked.kv_heads, asked.hidden) if asked.kv_heads else Gpt(*shape)
    groups = [
        {"params": [p for p in model.parameters() if p.dim() > 1], "weight_decay": 0.1},
        {"params": [p for p in model.parameters() if p.dim() == 1], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=1e-4, betas=(0.9, 0.95), fused=asked.fused)
    times = []
    while len(times) < 6 or sum(times[1:]) < asked.seconds:
        tokens = torch.randint(asked.vocab, (asked.batch, asked.context + 1))
        began = time.perf_counter()
        loss = model(tokens[:, :-1], tokens[:, 1:])
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        loss.item()
        times.append(time.perf_counter() - began)
    rates = [asked.batch * asked.context / seconds for seconds in times[1:]]  # the first step warms up
    print(json.dumps({
        "tokens_per_second": statistics.median(rates), "tokens_per_second_min": min(rates),
        "tokens_per_second_max": max(rates), "steps": len(rates),
        "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }))


if __name__ == "__main__":
    main()
