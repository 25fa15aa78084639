"""Every link and every path that the documents name must exist.

Checks relative links and their anchors in all Markdown files, paths in backticks there, and paths in the comments and
strings of other files. Web addresses are left alone: a check must not fail because of the network.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
LISTED = subprocess.run(
    ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
    cwd=ROOT, check=True, capture_output=True, text=True,
).stdout.split("\0")[:-1]
FILES = [file for file in LISTED if (ROOT / file).is_file()]
TRACKED = {path for file in FILES for path in [file, *map(str, pathlib.PurePath(file).parents)]}
FOLDERS = sorted({file.split("/")[0] for file in FILES if "/" in file})

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|\b(?:src|href)=\"([^\"]+)\"")
# A file that the reader is to make is marked `path` (new).
PATH_IN_BACKTICKS = re.compile(r"`((?:%s)/[\w./{},*-]*)`(?! \(new\))" % "|".join(map(re.escape, FOLDERS)))
# Elsewhere only what can be nothing else: a path with a known ending.
PATH_IN_SOURCE = re.compile(r"(?<![\w./-])((?:docs|scripts|benches|configs|tests|fuzz|examples|\.ci)/[\w./-]+\.(?:md|py|sh|rs|toml|svg|png|txt))\b")


def headings(text):
    """Anchors of a Markdown file, as GitHub makes them."""
    seen, anchors = {}, set()
    for line in without_code(text):
        if not (match := re.match(r"#+\s+(.*)", line)):
            continue
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", match[1]).strip().lower()
        slug = re.sub(r"[^\w\- ]", "", title).replace(" ", "-")
        count = seen.get(slug, 0)
        seen[slug] = count + 1
        anchors.add(f"{slug}-{count}" if count else slug)
    return anchors


def without_code(text):
    """The lines of a Markdown file; those of fenced code are empty."""
    fence = None
    for line in text.splitlines():
        opening = re.match(r"\s*(```+|~~~+)", line)
        if opening and fence is None:
            fence = opening[1]
        elif fence is not None:
            if line.strip().startswith(fence):
                fence = None
        else:
            yield line
            continue
        yield ""


def expand(path):
    """`a/{b,c}.rs` is `a/b.rs` and `a/c.rs`."""
    if not (match := re.search(r"\{([^{}]*)\}", path)):
        return [path]
    return [whole for part in match[1].split(",") for whole in expand(path[: match.start()] + part.strip() + path[match.end() :])]


def exists(path):
    path = path.rstrip("/")
    if "*" in path:
        return any(pathlib.PurePath(tracked).match(path) for tracked in TRACKED)
    return path in TRACKED


def check_link(file, target):
    if re.match(r"[a-z]+:", target):
        return None
    path, _, anchor = target.partition("#")
    full = (ROOT / file).parent / path if path else ROOT / file
    relative = full.resolve()
    if not relative.is_relative_to(ROOT):
        return f"the link to {target} leaves the repository"
    relative = str(relative.relative_to(ROOT))
    if relative not in TRACKED:
        return f"the link to {target} has no file"
    if anchor and relative.endswith(".md") and anchor not in headings((ROOT / relative).read_text()):
        return f"the link to {target} has no heading"
    return None


def check(file):
    text = (ROOT / file).read_text()
    markdown = file.endswith(".md")
    lines = without_code(text) if markdown else text.splitlines()
    for number, line in enumerate(lines, 1):
        for match in LINK.finditer(line) if markdown else []:
            if problem := check_link(file, match[1] or match[2]):
                yield number, problem
        if markdown:
            paths = PATH_IN_BACKTICKS.findall(line)
        else:
            paths = PATH_IN_SOURCE.findall(line)
        for path in (whole for path in paths for whole in expand(path)):
            # A crate names its own tests and examples from its own folder.
            if not exists(path) and not exists(f"{file.split('/')[0]}/{path}"):
                yield number, f"{path} does not exist"


def main():
    problems = 0
    for file in FILES:
        if not file.endswith((".md", ".rs", ".toml", ".py", ".sh", ".ci/run")):
            continue
        for line, problem in check(file):
            print(f"{file}:{line}: {problem}")
            problems += 1
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
