"""`kiln data prepare` of a large folder: peak memory, and the same shards after kills and on any number of threads.

    cargo build --release
    python benches/prepare.py target/release/kiln --gigabytes 5 --folder /some/disk

Copies the Rust source of the cargo registry, each file with a line before it that no other copy has, until the folder is
as large as asked for. Prepares it on two threads, on one, and with several kills on the way, one of them while the
shards are put together; the folders that come of it must be equal byte for byte, and no process may have used more than
600 MB. Needs about four times the disk.
"""

import argparse
import hashlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "tests/reference"))
import ids  # noqa: E402

LIMIT = 600e6
# Text between two ends of a part, as datasets/src/prepare/batcher.rs cuts it.
PART = 8 << 20


def write_corpus(folder, size):
    files, _ = ids.rust_sources(float("inf"))
    written = copy = 0
    while written < size:
        for index, file in enumerate(files):
            if written >= size:
                break
            if index % 2000 == 0:
                part = folder / f"{copy:03}-{index:06}"
                part.mkdir(parents=True)
            data = f"// copy {copy} of file {index}\n".encode() + pathlib.Path(file).read_bytes()
            (part / f"{index:06}.rs").write_bytes(data)
            written += len(data)
        copy += 1
    return written, copy


def prepare(kiln, corpus, out, *more, kill_when=None):
    """Exit code, seconds, peak memory and processor time of one process, killed as soon as `kill_when` says so."""
    command = [kiln, "data", "prepare", "--data", corpus, "--include", "*.rs", "--lossy", "--tokenizer", "gpt2", "--out", out]
    start = time.perf_counter()
    process = subprocess.Popen([*map(str, command), *more], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if kill_when is not None:
        ended = os.WEXITED | os.WNOHANG | os.WNOWAIT
        while os.waitid(os.P_PID, process.pid, ended) is None and not kill_when():
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    errors = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode == 0 and kill_when is not None:
        sys.exit("it was done before it could be killed: use a larger folder")
    if process.returncode not in (0, -signal.SIGKILL):
        sys.exit(errors.decode())
    return process.returncode, time.perf_counter() - start, usage.ru_maxrss * 1024, usage.ru_utime + usage.ru_stime


def digest(folder):
    """Of the name and bytes of every file, hidden ones included."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        total.update(path.name.encode() + b"\0")
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("kiln")
    parser.add_argument("--gigabytes", type=float, default=5)
    parser.add_argument("--folder", required=True, help="where to work; what is written there is removed again")
    parser.add_argument("--kills", type=int, default=3)
    arguments = parser.parse_args()
    kiln, folder = os.path.abspath(arguments.kiln), pathlib.Path(arguments.folder) / "kiln-prepare"
    corpus = folder / "corpus"
    try:
        size, copies = write_corpus(corpus, arguments.gigabytes * 1e9)
        print(f"{size / 1e9:.2f} GB, {copies} copies of the registry", flush=True)
        digests, most = {}, 0

        def report(name, outcome):
            code, seconds, memory, cpu = outcome
            state = "killed" if code else f"{size / 1e6 / seconds:.1f} MB/s, {size / 1e6 / cpu:.1f} MB for each second of processor time"
            print(f"{name:16} {seconds:6.1f} s, peak {memory / 1e6:.0f} MB, {state}", flush=True)
            return outcome

        out = folder / "two"
        _, _, memory, _ = report("two threads", prepare(kiln, corpus, out, "--threads", "2"))
        digests["two"], most = digest(out), max(most, memory)
        shutil.rmtree(out)

        out, random_ = folder / "killed", random.Random(1)
        scratch = out / ".prepare"
        for kill in range(arguments.kills):
            parts = size / PART * (kill + random_.uniform(0.1, 0.9)) / arguments.kills
            enough = lambda: len(list(scratch.glob("*.part"))) > parts
            most = max(most, report("killed", prepare(kiln, corpus, out, "--threads", "2", kill_when=enough))[2])
        assembling = lambda: (scratch / "whole").exists()
        most = max(most, report("killed", prepare(kiln, corpus, out, "--threads", "2", kill_when=assembling))[2])
        most = max(most, report("continued", prepare(kiln, corpus, out, "--threads", "2"))[2])
        digests["killed"] = digest(out)
        shutil.rmtree(out)

        out = folder / "one"
        most = max(most, report("one thread", prepare(kiln, corpus, out, "--threads", "1"))[2])
        digests["one"] = digest(out)
        same = len(set(digests.values())) == 1
        print("the folders are equal byte for byte" if same else f"the folders differ: {digests}")
        print(f"most memory: {most / 1e6:.0f} MB, at most {LIMIT / 1e6:.0f} MB are allowed")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    sys.exit(0 if same and most <= LIMIT else 1)


if __name__ == "__main__":
    main()
