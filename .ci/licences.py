"""Every dependency must have a licence that allows to ship it within a program under MIT or Apache-2.0."""

import json
import re
import subprocess
import sys

ALLOWED = {
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",  # root certificates: data, not code
    "ISC",
    "MIT",
    "MIT-0",
    "MPL-2.0",  # asks for the source of its own files only, and they are used as published
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
}


def allowed(expression):
    """Whether an SPDX expression can be met with allowed licences; the old `MIT/Apache-2.0` means `OR`."""
    words = re.findall(r"\(|\)|\bAND\b|\bOR\b|[\w.+-]+(?: WITH [\w.-]+)?", expression.replace("/", " OR "))
    joined = {"(": "(", ")": ")", "AND": "and", "OR": "or"}
    return bool(eval(" ".join(joined.get(word, str(word in ALLOWED)) for word in words), {}))


def main():
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--all-features"]
    packages = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)["packages"]
    refused = [package for package in packages if not allowed(package["license"] or "none")]
    for package in refused:
        print(f"{package['name']} {package['version']}: licence {package['license']} is not in the list of {__file__}")
    sys.exit(1 if refused else 0)


if __name__ == "__main__":
    main()
