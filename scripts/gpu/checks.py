"""The checks of gpu.sh: each prints one JSON object, with what it saw and how long it took."""

import argparse
import json
import lzma
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

PEAK = {"H100": 989e12, "H200": 989e12, "A100": 312e12, "RTX 4090": 165e12}  # dense bf16, by NVIDIA's data sheets
# GPT-2 124M at T = 1024: 6 N + 12 L d T operations a token, as `kiln bench train` counts them.
FLOPS_PER_TOKEN = 6 * (124_439_808 - 1024 * 768) + 12 * 12 * 768 * 1024

checks = []


def check(name, seconds):
    """Registers a check under `name`; it is given the machine, and how many seconds it has."""
    def register(function):
        checks.append((name, seconds, function))
        return function
    return register


class Machine:
    """The program, its libraries, and the card."""

    def __init__(self, folder):
        self.folder = folder
        self.work = pathlib.Path(tempfile.mkdtemp(prefix="kiln-gpu-"))
        self.kiln = self.work / "kiln"
        with lzma.open(folder / "kiln.xz") as packed, open(self.kiln, "wb") as file:
            shutil.copyfileobj(packed, file)
        self.kiln.chmod(0o755)
        self.environment = dict(os.environ)
        libraries = [str(folder / "lib")]
        try:
            import torch
            libraries.append(os.path.join(os.path.dirname(torch.__file__), "lib"))
        except ImportError:
            pass
        if "LD_LIBRARY_PATH" in os.environ:
            libraries.append(os.environ["LD_LIBRARY_PATH"])
        self.environment["LD_LIBRARY_PATH"] = ":".join(libraries)
        # Trying every kernel takes longer than the checks may.
        self.environment.setdefault("CUBECL_AUTOTUNE_LEVEL", "minimal")
        driver = pathlib.Path("/usr/local/nvidia/share/vulkan/icd.d/nvidia_icd.json")
        if driver.exists():
            self.environment.setdefault("VK_DRIVER_FILES", str(driver))
        self.card = self.query("name")

    def query(self, what):
        command = ["nvidia-smi", f"--query-gpu={what}", "--format=csv,noheader,nounits"]
        try:
            lines = subprocess.run(command, capture_output=True, text=True, timeout=20).stdout.splitlines()
        except (OSError, subprocess.TimeoutExpired):
            return None
        return lines[0].strip() if lines else None

    def run(self, arguments, seconds, cwd=None):
        """Runs the program; returns what it printed, and the most memory that was in use on the card, in MiB."""
        peak, done = [0], threading.Event()

        def watch():
            while not done.wait(0.3):
                used = self.query("memory.used")
                peak[0] = max(peak[0], int(used) if used and used.isdigit() else 0)

        watcher = threading.Thread(target=watch, daemon=True)
        watcher.start()
        try:
            process = subprocess.run([self.kiln, *map(str, arguments)], capture_output=True, text=True,
                                     timeout=seconds, env=self.environment, cwd=cwd or self.work)
        finally:
            done.set()
        if process.returncode != 0:
            lines = process.stderr.strip().splitlines()
            raise RuntimeError(f"exit code {process.returncode}: " + " | ".join(lines[-6:])[-1200:])
        return process.stdout, peak[0]


def mfu(machine, tokens_per_second):
    for name, peak in PEAK.items():
        if name in machine.card:
            return round(tokens_per_second * FLOPS_PER_TOKEN / peak, 4)


@check("devices", 60)
def devices(machine, seconds):
    version, _ = machine.run(["--version"], seconds)
    return {"card": machine.card, "driver": machine.query("driver_version"), "memory_mib": machine.query("memory.total"),
            "compute_capability": machine.query("compute_cap"), "kiln": version.strip()}


def reference(backend, most):
    """Logits of the fixtures beside those that PyTorch computed on a CPU."""
    def run(machine, seconds):
        from safetensors.numpy import load_file
        end, largest, count = time.monotonic() + seconds, 0.0, 0
        for directory in sorted((machine.folder / "fixtures").iterdir())[:most]:
            expected = load_file(directory / "expected.safetensors")
            tokens, file = expected["tokens"], machine.work / "logits.safetensors"
            for row, theirs in zip(tokens, expected["logits"]):
                machine.run(["score", "--model", directory, "--tokens", ",".join(map(str, row)), "--json", "--logits",
                             file, "--backend", backend], end - time.monotonic())
                ours = load_file(file)["logits"]
                difference = float(abs(ours - theirs).max())
                largest, count = max(largest, difference), count + 1
                break
        if not largest < 1e-3:
            raise RuntimeError(f"logits differ by {largest}")
        return {"models": count, "largest_difference": largest}
    return run


TWENTY = """data.tales_bytes=60000 model.context_length=32 model.d_model=48 model.n_layers=2 training.steps=20
training.batch_size=4 training.grad_accumulation=2 training.eval_interval=10 training.eval_batches=2
generation.max_tokens=8 schedule.warmup_steps=5""".split()


def losses(machine, run):
    lines = map(json.loads, open(machine.work / run / "metrics.jsonl"))
    return {line["step"]: line["loss"] for line in lines if line["split"] == "train"}


def train(machine, backend, run, settings, seconds):
    flags = [flag for setting in settings for flag in ("--set", setting)]
    return machine.run(["train", "--plain", "--backend", backend, "--run-dir", run, *flags], seconds)


def twenty(backend):
    """Losses of twenty steps beside those of the CPU."""
    def run(machine, seconds):
        end = time.monotonic() + seconds
        if not (machine.work / "twenty-ndarray").exists():
            train(machine, "ndarray", "twenty-ndarray", TWENTY, seconds)
        train(machine, backend, f"twenty-{backend}", TWENTY, end - time.monotonic())
        expected, found = losses(machine, "twenty-ndarray"), losses(machine, f"twenty-{backend}")
        largest = max(abs(found[step] - expected[step]) for step in expected)
        # CubeCL's kernels for NVIDIA round the factors of products to TF32.
        if not largest < (1e-2 if backend == "cuda" else 1e-3):
            raise RuntimeError(f"losses differ by {largest}")
        return {"largest_difference": largest}
    return run


def speed(backend, precision, batch, steps):
    def run(machine, seconds):
        out, memory = machine.run(["bench", "train", "--preset", "gpt2", "--context", 1024, "--batch", batch, "--steps",
                                   steps, "--precision", precision, "--backend", backend, "--json"], seconds)
        report = json.loads(out)
        rate = report["tokens_per_second"]
        return {"tokens_per_second": round(rate), "fastest": round(report["tokens_per_second_max"]),
                "mfu": mfu(machine, rate), "peak_memory_mib": memory,
                "matmul_tflops": round(report["matmul_gflops_per_second"] / 1e3)}
    return run


def decode(backend, batch, tokens):
    def run(machine, seconds):
        out, memory = machine.run(["bench", "decode", "--preset", "gpt2", "--context", 128, "--tokens", tokens, "--batch",
                                   batch, "--backend", backend, "--json"], seconds)
        return {"tokens_per_second": round(json.loads(out)["tokens_per_second"], 1), "peak_memory_mib": memory}
    return run


def five_hundred(machine, seconds):
    """The default model, at the same steps: on the card in f32 and in bf16, and on this machine's CPU."""
    end = time.monotonic() + seconds
    settings = ["training.steps=500", "training.eval_interval=250", "training.eval_batches=4", "generation.max_tokens=8"]
    report = {}
    for name, backend, more in [("ndarray", "ndarray", []), ("tch f32", "tch", []),
                                ("tch bf16", "tch", ["training.precision=bf16"])]:
        run = "500-" + name.replace(" ", "-")
        train(machine, backend, run, settings + more, end - time.monotonic())
        found = losses(machine, run)
        report[name] = {"first": found[1], "last_50": sum(found[step] for step in range(451, 501)) / 50}
    cpu = report["ndarray"]["last_50"]
    for name in ["tch f32", "tch bf16"]:
        if not abs(report[name]["last_50"] / cpu - 1) < 0.02:
            raise RuntimeError(json.dumps(report))
    return report


def pytorch(batch, compiled):
    def run(machine, seconds):
        script = pathlib.Path(__file__).with_name("pytorch_step.py")
        command = [sys.executable, script, "--batch", str(batch), *(["--compile"] if compiled else [])]
        out = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
        if out.returncode != 0:
            raise RuntimeError(out.stderr[-800:])
        report = json.loads(out.stdout)
        return {**report, "mfu": mfu(machine, report["tokens_per_second"])}
    return run


check("reference tch", 60)(reference("tch", 3))
check("twenty steps tch", 60)(twenty("tch"))
for precision, batch, steps in [("f32", 16, 5), ("tf32", 16, 8), ("bf16", 8, 20), ("bf16", 32, 15), ("bf16", 64, 10)]:
    check(f"train tch {precision} B={batch}", 45)(speed("tch", precision, batch, steps))
check("decode tch batch 1", 30)(decode("tch", 1, 128))
check("decode tch batch 32", 30)(decode("tch", 32, 64))
check("five hundred steps as on the CPU", 90)(five_hundred)
check("pytorch bf16 B=32", 45)(pytorch(32, False))
check("pytorch bf16 B=32 compiled", 90)(pytorch(32, True))
# Last, because CubeCL compiles and times its kernels at their first use, which can take minutes.
for backend in ["wgpu", "cuda"]:
    check(f"reference {backend}", 90)(reference(backend, 1))
    check(f"twenty steps {backend}", 120)(twenty(backend))
check("train wgpu f32 B=4", 90)(speed("wgpu", "f32", 4, 3))
check("train cuda bf16 B=8", 90)(speed("cuda", "bf16", 8, 5))
check("decode cuda batch 1", 60)(decode("cuda", 1, 32))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path, help="what gpu-pack.sh wrote")
    parser.add_argument("--minutes", type=float, default=7.5, help="no check begins later, or lasts longer")
    parser.add_argument("--only", help="checks whose names contain one of these, separated by commas")
    arguments = parser.parse_args()
    machine = Machine(arguments.folder.resolve())
    failed, end = False, time.monotonic() + 60 * arguments.minutes
    for name, seconds, function in checks:
        if arguments.only and not any(part in name for part in arguments.only.split(",")):
            continue
        started = time.monotonic()
        seconds = min(seconds, end - started)
        if machine.card is None:
            report = {"status": "no device"}
        elif seconds < 5:
            report = {"status": "no time left"}
        else:
            try:
                report = {"status": "ok", **function(machine, seconds)}
            except subprocess.TimeoutExpired:
                report = {"status": "timed out", "limit": round(seconds)}
            except Exception as error:
                report = {"status": "failed", "why": f"{type(error).__name__}: {error}"}
        failed |= report["status"] != "ok"
        print(json.dumps({"check": name, **report, "seconds": round(time.monotonic() - started, 1)}), flush=True)
    shutil.rmtree(machine.work, ignore_errors=True)
    sys.exit(failed and machine.card is not None)


if __name__ == "__main__":
    main()
