"""Decoding and prefill of one model: Kiln beside transformers and llama.cpp, in turn, on this machine.

    cargo build --release
    pip install -r benches/peers/requirements.txt && pip install llama-cpp-python
    python benches/peers/generate.py target/release/kiln [--backend ndarray] [--rounds 3]
    python benches/peers/generate.py target/release/kiln --gguf SmolLM2-135M-Instruct.Q4_1.gguf

Without --gguf it is a GPT-2 of 124M parameters after one step of training; speed does not depend on the weights. Without llama-cpp-python, transformers is the
only peer. Every round runs each program once, each in a process of its own; what is compared is the median of the rounds.
"""

import argparse
import importlib.util
import pathlib
import statistics
import subprocess
import sys
import tempfile

from train import measure

HERE = pathlib.Path(__file__).parent
GPT2 = ["model.n_layers=12", "model.n_heads=12", "model.d_model=768", "model.context_length=1024"]
ONE_STEP = ["tokenizer.kind=gpt2", "training.steps=1", "training.batch_size=1", "training.micro_batch_size=1",
            "data.tales_bytes=200000", "training.eval_batches=1", "generation.max_tokens=1"]


def converted(source, folder, dtypes):
    """`source`, a GGUF file, in other number formats, by llama.cpp's own converter: path by format."""
    import llama_cpp

    silence = llama_cpp.llama_log_callback(lambda *_: None)
    llama_cpp.llama_log_set(silence, None)
    formats = {"f32": llama_cpp.LLAMA_FTYPE_ALL_F32, "f16": llama_cpp.LLAMA_FTYPE_MOSTLY_F16,
               "bf16": llama_cpp.LLAMA_FTYPE_MOSTLY_BF16, "q8_0": llama_cpp.LLAMA_FTYPE_MOSTLY_Q8_0}
    files = {dtype: str(folder / f"{dtype}.gguf") for dtype in dtypes}
    for dtype, path in files.items():
        parameters = llama_cpp.llama_model_quantize_default_params()
        parameters.ftype, parameters.allow_requantize = formats[dtype], True
        status = llama_cpp.llama_model_quantize(str(source).encode(), path.encode(), parameters)
        assert status == 0, f"{dtype}: converting failed with {status}"
    return files


def make_model(kiln, folder, backend):
    """A run directory, and the same weights in f32, f16 and q8_0 for llama.cpp."""
    run = folder / "run"
    settings = [word for setting in GPT2 + ONE_STEP for word in ("--set", setting)]
    command = [kiln, "train", "--plain", "--run-dir", run, "--backend", backend, *settings]
    subprocess.run(command, check=True, capture_output=True)
    files = {}
    if importlib.util.find_spec("llama_cpp"):
        for dtype in ["f32", "f16"]:
            files[dtype] = str(folder / f"{dtype}.gguf")
            command = [kiln, "export", "--model", run, "--to", files[dtype], "--format", "gguf", "--dtype", dtype]
            subprocess.run(command, check=True, capture_output=True)
        files |= converted(files["f32"], folder, ["q8_0"])
    return run, files


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("kiln")
    arguments.add_argument("--backend", default="ndarray")
    arguments.add_argument("--gguf", type=pathlib.Path)
    arguments.add_argument("--rounds", type=int, default=3)
    asked = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        if asked.gguf:
            model, files = asked.gguf, converted(asked.gguf, folder, ["f32", "f16", "bf16", "q8_0"])
        else:
            model, files = make_model(asked.kiln, folder, asked.backend)
        peer = [sys.executable, HERE / "generation_peers.py"]
        for what, context in [("decode", "16"), ("prefill", "512")]:
            programs = {}
            if not asked.gguf:
                programs["transformers f32"] = [*peer, what, model / "model", "--context", context]
            for dtype, path in files.items():
                programs[f"llama.cpp {dtype}"] = [*peer, what, path, "--context", context]
            for dtype in ["f32", "bf16", "int8"]:
                programs[f"Kiln {dtype}"] = [asked.kiln, "bench", what, "--model", model, "--dtype", dtype, "--context",
                                             context, "--backend", asked.backend, "--json"]
            results = {name: [] for name in programs}
            for _ in range(asked.rounds):
                for name, command in programs.items():
                    results[name].append(measure(command))
            print(f"\n{what}, {context} tokens of context\n{'':<18}{'tokens/s':>10}{'rounds':>26}{'peak MB':>10}")
            for name, runs in results.items():
                speeds = [result["tokens_per_second"] for result in runs]
                memory = max(result["peak_memory_bytes"] for result in runs)
                rounds = " ".join(f"{speed:.1f}" for speed in speeds)
                print(f"{name:<18}{statistics.median(speeds):>10.1f}{rounds:>26}{memory / 1e6:>10.0f}")


if __name__ == "__main__":
    main()
