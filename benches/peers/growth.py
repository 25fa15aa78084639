"""How the time of a token grows with the length of the sequence, at a constant number of tokens in a step.

    python benches/peers/growth.py target/release/kiln --plot docs/growth.svg

Beside the measured time per token stands what the arithmetic alone would ask for: `6 N + 12 L d T` operations a token
at the speed of the shortest sequences, N the weights and T the length (half of which causal attention can leave out).
"""

import argparse

from train import measure

LAYERS, HEADS, WIDTH, VOCAB, TOKENS = 6, 6, 384, 65, 2048


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("kiln")
    arguments.add_argument("--backend", default="ndarray")
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--plot")
    asked = arguments.parse_args()
    lengths = [64, 128, 256, 512, 1024, 2048]
    times = {length: [] for length in lengths}
    for _ in range(asked.rounds):
        for length in lengths:
            shape = ["--layers", LAYERS, "--heads", HEADS, "--width", WIDTH, "--vocab", VOCAB,
                     "--context", length, "--batch", TOKENS // length]
            command = [asked.kiln, "bench", "train", "--json", "--backend", asked.backend, *map(str, shape)]
            times[length].append(1e6 / measure(command)["tokens_per_second"])
    measured = [sorted(times[length])[asked.rounds // 2] for length in lengths]
    weights = 12 * LAYERS * WIDTH * WIDTH + VOCAB * WIDTH
    operations = [6 * weights + 12 * LAYERS * WIDTH * length for length in lengths]
    expected = [measured[0] * count / operations[0] for count in operations]
    print(f"{'T':>6}{'us/token':>10}{'grows':>8}{'arithmetic':>12}")
    for length, ours, asked_for in zip(lengths, measured, expected):
        print(f"{length:>6}{ours:>10.1f}{ours / measured[0]:>8.2f}{asked_for / measured[0]:>12.2f}")
    if asked.plot:
        import matplotlib

        matplotlib.use("svg")
        import matplotlib.pyplot as plt

        figure, axes = plt.subplots(figsize=(6.4, 3.6))
        axes.plot(lengths, measured, "o-", label=f"Kiln, {asked.backend}")
        axes.plot(lengths, expected, "--", label="arithmetic alone")
        axes.set(xscale="log", xticks=lengths, xticklabels=lengths, xlabel="tokens of a sequence", ylim=(0, None),
                 ylabel="microseconds a token")
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend()
        figure.savefig(asked.plot, bbox_inches="tight", metadata={"Date": None})


if __name__ == "__main__":
    main()
