"""Fine-tuning steps of transformers and PEFT in plain PyTorch, all in f32. Used by lora.py; alone, prints one JSON object:

    python lora_step.py MODEL IDS.json [--rank 8] [--steps 6] [--threads 2]
"""

import argparse
import json
import time

import torch
from peft import LoraConfig, get_peft_model
from torch.nn.functional import cross_entropy
from transformers import AutoModelForCausalLM


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model")
    parser.add_argument("ids", help="a JSON list of equally long lists of token ids: a batch")
    parser.add_argument("--rank", type=int, help="learn an adapter of this rank, not all weights")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--threads", type=int, default=2)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    torch.manual_seed(1)
    model = AutoModelForCausalLM.from_pretrained(asked.model, dtype=torch.float32, attn_implementation="sdpa").train()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    if asked.rank:
        fan_in_fan_out = model.config.model_type == "gpt2"
        model = get_peft_model(model, LoraConfig(
            r=asked.rank, lora_alpha=2 * asked.rank, target_modules="all-linear", fan_in_fan_out=fan_in_fan_out))
    learned = [parameter for parameter in model.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(learned, lr=1e-5, betas=(0.9, 0.99), weight_decay=0.1, fused=True)
    ids = torch.tensor(json.loads(open(asked.ids).read()))
    rates, losses = [], []
    for _ in range(asked.steps):
        began = time.perf_counter()
        logits = model(input_ids=ids[:, :-1], use_cache=False).logits
        loss = cross_entropy(logits.flatten(0, 1), ids[:, 1:].flatten())
        loss.backward()
        torch.nn.utils.clip_grad_norm_(learned, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(loss.item())
        rates.append(ids[:, 1:].numel() / (time.perf_counter() - began))
    print(json.dumps({"rates": rates, "loss": losses[0], "parameters": sum(parameter.numel() for parameter in learned)}))


if __name__ == "__main__":
    main()
