"""Rules of this repository that no other tool knows.

No Rust file is longer than 360 lines, the compiler that is tested is the oldest that is promised, and every package
carries what crates.io and docs.rs show of it.
"""

import json
import pathlib
import re
import subprocess
import sys
import tomllib

ROOT = pathlib.Path(__file__).resolve().parent.parent
LONGEST = 360
# One trait, of which most is documentation.
LONGER = {"model/src/backend/operations.rs": 420}
CARRIED = ["README.md", "LICENSE-APACHE", "LICENSE-MIT"]
CARRIED_FOLDERS = r"src/|build\.rs|configs/|docs/configuration\.md|examples/|Cargo\.|Config\.toml|README|LICENSE|CHANGELOG|\.cargo_vcs_info"
DESCRIBED = ["description", "license", "repository", "keywords", "categories", "readme", "rust_version"]


def output(*command):
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout


def long_files():
    for file in output("git", "ls-files", "*.rs").splitlines():
        path = ROOT / file
        longest = LONGER.get(file, LONGEST)
        if path.is_file() and (lines := len(path.read_text().splitlines())) > longest:
            yield f"{file} has {lines} lines, more than {longest}: it holds more than one concept"


def compiler():
    promised = tomllib.loads((ROOT / "Cargo.toml").read_text())["workspace"]["package"]["rust-version"]
    tested = tomllib.loads((ROOT / "rust-toolchain.toml").read_text())["toolchain"]["channel"]
    if tested.removesuffix(".0") != promised.removesuffix(".0"):
        yield f"Cargo.toml promises Rust {promised}, rust-toolchain.toml tests {tested}"


def packages():
    metadata = json.loads(output("cargo", "metadata", "--format-version", "1", "--no-deps", "--locked"))
    for package in metadata["packages"]:
        if package["publish"] == []:
            continue
        name = package["name"]
        for key in DESCRIBED:
            if not package[key]:
                yield f"{name}: Cargo.toml has no `{key}`"
        if not (package["metadata"] or {}).get("docs", {}).get("rs"):
            yield f"{name}: Cargo.toml has no [package.metadata.docs.rs]"
        files = output("cargo", "package", "--list", "--allow-dirty", "-p", name).splitlines()
        for file in CARRIED:
            if file not in files:
                yield f"{name}: the package has no {file}"
        for file in files:
            if not re.match(CARRIED_FOLDERS, file):
                yield f"{name}: the package has {file}, which no user needs"
        for licence in ["LICENSE-APACHE", "LICENSE-MIT"]:
            copy = pathlib.Path(package["manifest_path"]).parent / licence
            if copy.is_file() and copy.read_bytes() != (ROOT / licence).read_bytes():
                yield f"{name}: {licence} differs from the one at the top"


def main():
    problems = [*long_files(), *compiler(), *packages()]
    print("\n".join(problems))
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
