"""Writes what PyTorch's cross_entropy makes of ignored targets, for model/tests/masked_loss.rs to compare with.

    pip install torch && python masked_loss.py

model/tests/fixtures/masked_loss.json holds hidden vectors and a weight whose numbers f32 holds exactly, and for each
list of targets the loss of `hidden @ weight.T` and its gradients, computed in f64.
"""

import json
from pathlib import Path

import torch

OUTPUT = Path(__file__).parents[2] / "model/tests/fixtures/masked_loss.json"
POSITIONS, D_MODEL, VOCAB, IGNORED = 10, 6, 7, -100


def case(name, hidden, weight, targets):
    hidden, weight = hidden.clone().requires_grad_(), weight.clone().requires_grad_()
    loss = torch.nn.functional.cross_entropy(hidden @ weight.T, targets, ignore_index=IGNORED)
    loss.backward()
    return {"name": name, "targets": targets.tolist(), "loss": loss.item(),
            "d_hidden": hidden.grad.flatten().tolist(), "d_weight": weight.grad.flatten().tolist()}


def main():
    torch.manual_seed(3)
    hidden = torch.randn(POSITIONS, D_MODEL).double()
    weight = torch.randn(VOCAB, D_MODEL).double()
    whole = torch.randint(0, VOCAB, (POSITIONS,))
    some, one = whole.clone(), torch.full_like(whole, IGNORED)
    some[[0, 3, 4, 9]] = IGNORED
    one[6] = whole[6]
    cases = [case("none masked", hidden, weight, whole), case("some masked", hidden, weight, some),
             case("all but one masked", hidden, weight, one)]
    numbers = {"positions": POSITIONS, "d_model": D_MODEL, "vocab": VOCAB,
               "hidden": hidden.flatten().tolist(), "weight": weight.flatten().tolist(), "cases": cases}
    OUTPUT.parent.mkdir(exist_ok=True)
    OUTPUT.write_text(json.dumps(numbers) + "\n")


main()
