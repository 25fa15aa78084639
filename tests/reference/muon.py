"""Writes muon.json, for tests/recipe: ten steps of Muon and AdamW on a few small matrices, in double precision.

Muon's matrix products are not repeated here. Their result is known from the singular values: what the polynomial makes of
each, between the same singular vectors. Beside it runs `torch.optim.Muon`, which works in bfloat16, so that only its
directions can be compared.

    pip install -r requirements.txt
    python tests/reference/muon.py
"""

import json
from pathlib import Path

import torch

LEARNING_RATE = 0.01
MUON = {"muon_learning_rate": 0.05, "muon_momentum": 0.9}
ADAMW = {"beta1": 0.9, "beta2": 0.95, "epsilon": 1e-8}
WEIGHT_DECAY = 0.1
POLYNOMIAL = (3.4445, -4.7750, 2.0315)

# As Kiln stores them: from rows to columns. `c_attn` is four heads of queries, and two of keys and of values.
SHAPES = {"c_attn": [6, 16], "c_proj": [8, 6], "c_fc": [6, 21], "bias": [5]}
PARTS = {"c_attn": [8, 4, 4], "c_proj": [6], "c_fc": [21]}


def orthogonalised(matrix):
    """`U p(p(p(p(p(S))))) V^T`."""
    u, s, v = torch.linalg.svd(matrix / matrix.norm().clamp(min=1e-7), full_matrices=False)
    a, b, c = POLYNOMIAL
    for _ in range(5):
        s = a * s + b * s**3 + c * s**5
    assert 0.6 < s.min() and s.max() < 1.3, "the polynomial brings all of them near 1"
    return u @ torch.diag(s) @ v


def muon(parameter, gradient, momentum, parts):
    """One step in place (https://kellerjordan.github.io/posts/muon/)."""
    rate, decay = MUON["muon_learning_rate"], MUON["muon_momentum"]
    momentum.lerp_(gradient, 1 - decay)
    ahead = gradient.lerp(momentum, decay)
    parameter.mul_(1 - rate * WEIGHT_DECAY)
    for weight, update in zip(parameter.split(parts, 1), ahead.split(parts, 1)):
        d_in, d_out = update.shape
        weight.sub_(orthogonalised(update), alpha=rate * max(1, d_out / d_in) ** 0.5)


def compare_with_torch(gradients):
    """The directions that `torch.optim.Muon` takes; it keeps weights from columns to rows."""
    for name in ("c_proj", "c_fc"):
        theirs = torch.nn.Parameter(torch.zeros(SHAPES[name][::-1]))
        ours, momentum = torch.zeros(SHAPES[name], dtype=torch.double), torch.zeros(SHAPES[name], dtype=torch.double)
        optimizer = torch.optim.Muon(
            [theirs], lr=MUON["muon_learning_rate"], momentum=MUON["muon_momentum"], weight_decay=WEIGHT_DECAY
        )
        for step in gradients:
            theirs.grad = step[name].T.float()
            optimizer.step()
            muon(ours, step[name], momentum, PARTS[name])
        difference = (theirs.T - ours).norm() / ours.norm()
        print(f"{name}: torch.optim.Muon is off by {difference:.1e}")
        assert difference < 0.05, "more than bfloat16 explains"


def main():
    torch.manual_seed(7)
    draw = lambda: {name: torch.randn(shape, dtype=torch.double) for name, shape in SHAPES.items()}
    initial, gradients = draw(), [draw() for _ in range(10)]
    compare_with_torch(gradients)

    parameters = {name: value.clone() for name, value in initial.items()}
    momenta = {name: torch.zeros_like(value) for name, value in initial.items()}
    bias = torch.nn.Parameter(parameters["bias"])
    adamw = torch.optim.AdamW(
        [bias], lr=LEARNING_RATE, betas=(ADAMW["beta1"], ADAMW["beta2"]), eps=ADAMW["epsilon"], weight_decay=0
    )
    steps = []
    for gradient in gradients:
        for name, parts in PARTS.items():
            muon(parameters[name], gradient[name], momenta[name], parts)
        bias.grad = gradient["bias"]
        adamw.step()
        after = parameters | {"bias": bias.detach()}
        flat = lambda values: {name: [round(one, 9) for one in value.flatten().tolist()] for name, value in values.items()}
        steps.append({"gradients": flat(gradient), "parameters": flat(after)})
    expected = {"learning_rate": LEARNING_RATE, "weight_decay": WEIGHT_DECAY, **MUON, **ADAMW, "shapes": SHAPES}
    expected |= {"initial": flat(initial), "steps": steps}
    (Path(__file__).parent / "muon.json").write_text(json.dumps(expected) + "\n")


if __name__ == "__main__":
    main()
