"""The commands that the documents show must work.

    python .ci/commands.py target/debug/kiln

README.md's commands of `kiln` run, in their order and in an empty folder, on small models and few steps; of its Python
scripts, file and options must exist. Of the commands in the other documents, subcommand and options must exist, and
README.md's table must name every subcommand.
"""

import pathlib
import random
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
QUICK = ["training.steps=3", "training.eval_batches=1", "schedule.warmup_steps=1", "data.tales_bytes=60000",
         "model.context_length=32", "model.d_model=32", "model.n_layers=2", "generation.max_tokens=8"]
# The same for commands that do other things many times.
FEW = {("sae", "train"): ["--set", "training.steps=3", "--set", "training.eval_interval=3", "--set", "schedule.warmup_steps=1"],
       ("steer", "measure"): ["--stories", "2", "--tokens", "2000", "--strengths", "1"]}
# What the commands of README.md expect to find in the reader's folder.
TEXTS = ["my-book.txt", "another-book.txt"]


def commands(file):
    """Commands in the fenced `sh` blocks of a Markdown file, each a list of words."""
    for block in re.findall(r"^```sh\n(.*?)^```", file.read_text(), re.MULTILINE | re.DOTALL):
        command = ""
        for line in block.replace("\\\n", " ").splitlines():
            command += line
            try:
                words = shlex.split(command, comments=True)
            except ValueError:  # a quoted text goes on in the next line
                command += "\n"
                continue
            command = ""
            if words:
                yield words


def text(seed):
    words = "it was a bright cold day in spring and the clocks of every tower struck thirteen over quiet gardens".split()
    draw = random.Random(seed)
    return "".join(" ".join(draw.choices(words, k=12)).capitalize() + ".\n" for _ in range(1000))


def run(kiln, words, folder):
    """Runs a command of README.md; None if it is not one that runs here, such as the tests themselves."""
    if words[:2] == ["cargo", "run"]:
        words = ["kiln", "train"]
    if words[0] == "python":
        source = (ROOT / words[1]).read_text()
        compile(source, words[1], "exec")
        return [f"{words[1]} has no {word}" for word in words if word.startswith("--") and word not in source]
    # What has to be downloaded first is not here.
    if words[0] != "kiln" or any(word.endswith(".gguf") and "--model" in words for word in words):
        return None
    quick = [word for setting in QUICK for word in ("--set", setting)] if words[1] == "train" else []
    quick += FEW.get(tuple(words[1:3]), [])
    result = subprocess.run([kiln, *words[1:], *quick], cwd=folder, stdin=subprocess.DEVNULL, capture_output=True,
                            text=True, timeout=120)
    return [] if result.returncode == 0 else [f"exit code {result.returncode}: {result.stderr.strip()}"]


def helps(kiln, known={}):
    """The help of every subcommand, by its words: `("data", "prepare")`."""

    def visit(path):
        page = subprocess.run([kiln, *path, "--help"], check=True, capture_output=True, text=True).stdout
        known[path] = page
        listed = re.search(r"^Commands:\n((?:  .*\n|\n(?=  ))+)", page, re.MULTILINE)
        for name in re.findall(r"^  ([a-z][\w-]*)", listed[1], re.MULTILINE) if listed else []:
            if name != "help":
                visit((*path, name))

    if not known:
        visit(())
    return known


def options(kiln, words):
    """Problems of a command line, by the help of its subcommand."""
    path = ()
    for word in words[1:]:
        if (*path, word) not in helps(kiln):
            break
        path = (*path, word)
    page = helps(kiln)[path]
    if "Commands:" in page and path:
        yield f"`kiln {' '.join(path)}` needs one of its subcommands"
    for word in words:
        flag = word.split("=")[0]
        if re.match(r"--?[a-z]", flag) and not re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", page):
            yield f"`kiln {' '.join(path)}` has no {flag}"


def main():
    kiln = str(pathlib.Path(sys.argv[1]).resolve())
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        for seed, name in enumerate(TEXTS):
            pathlib.Path(folder, name).write_text(text(seed))
        for words in commands(ROOT / "README.md"):
            outcome = run(kiln, words, folder)
            print("not run:" if outcome is None else "checked:", shlex.join(words))
            problems += [f"README.md: {shlex.join(words)}: {problem}" for problem in outcome or []]

    for file in sorted(ROOT.glob("**/*.md")):
        name = str(file.relative_to(ROOT))
        if name.startswith(("target", "runs")):
            continue
        for words in commands(file):
            if words[0] == "kiln":
                problems += [f"{name}: {shlex.join(words)}: {problem}" for problem in options(kiln, words)]

    table = (ROOT / "README.md").read_text()
    for path in helps(kiln):
        if len(path) == 1 and f"`kiln {path[0]}" not in table:
            problems.append(f"README.md: its table has no `kiln {path[0]}`")
    print("\n".join(problems))
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
