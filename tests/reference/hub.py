"""Shares the hub's cache with huggingface_hub: python tests/reference/hub.py KILN

A server on this machine plays the hub. What Python fetches from it Kiln opens, and what Kiln fetches Python finds,
both without asking the server again.
"""

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

COMMIT = "0123456789abcdef0123456789abcdef01234567"


def describe(name, data):
    """A file as the hub lists it: the large ones by their SHA-256, the others by git's hash."""
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    file = {"size": len(data), "blobId": blob}
    if name.endswith(".safetensors"):
        file["lfs"] = {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return file


def handler(repository, folder):
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    listed = {name: describe(name, data) for name, data in files.items()}

    class Hub(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def send(self, status, body=b"", **headers):
            self.send_response(status)
            for key, value in headers.items():
                self.send_header(key.replace("_", "-"), value)
            self.send_header("Content-Length", str(headers.get("size", len(body))))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def do_HEAD(self):
            self.do_GET()

        def do_GET(self):
            path = self.path.split("?")[0]
            if path.startswith(f"/api/models/{repository}/revision/"):
                siblings = [{"rfilename": name, **file} for name, file in listed.items()]
                answer = {"id": repository, "modelId": repository, "sha": COMMIT, "siblings": siblings}
                return self.send(200, json.dumps(answer).encode())
            if path.startswith(f"/api/models/{repository}/tree/"):
                tree = [
                    {"type": "file", "path": name, "size": file["size"], "oid": file["blobId"]}
                    | ({"lfs": {**file["lfs"], "oid": file["lfs"]["sha256"]}} if "lfs" in file else {})
                    for name, file in listed.items()
                ]
                return self.send(200, json.dumps(tree).encode())
            name = path.rsplit("/", 1)[-1]
            if path.startswith("/elsewhere/"):
                return self.send(200, files[name], ETag='"elsewhere"')
            if name not in files or "/resolve/" not in path:
                return self.send(404, X_Error_Code="EntryNotFound")
            file = listed[name]
            if "lfs" in file:
                linked = {"X_Linked_Size": str(file["size"]), "X_Linked_Etag": f'"{file["lfs"]["sha256"]}"'}
                location = f"http://localhost:{self.server.server_address[1]}/elsewhere/{name}"
                return self.send(302, X_Repo_Commit=COMMIT, Location=location, **linked)
            return self.send(200, files[name], X_Repo_Commit=COMMIT, ETag=f'"{file["blobId"]}"')

    return Hub


def main():
    kiln = str(Path(sys.argv[1]).resolve())
    work = Path(tempfile.mkdtemp())
    tiny = ["model.d_model=32", "model.n_layers=1", "training.steps=1", "tokenizer.kind=byte", "data.tales_bytes=30000"]
    sets = [word for key in tiny for word in ("--set", key)]
    subprocess.run([kiln, "train", "--plain", "--run-dir", "run", *sets], cwd=work, check=True, capture_output=True)
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler("someone/small", work / "run" / "model"))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    online = {**os.environ, "HF_ENDPOINT": f"http://127.0.0.1:{server.server_address[1]}", "HF_HUB_OFFLINE": "0"}
    offline = {**online, "HF_ENDPOINT": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "1"}

    def run(command, environment, home):
        environment = {**environment, "HF_HOME": str(work / home)}
        result = subprocess.run(command, env=environment, cwd=work, capture_output=True, text=True)
        assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
        return result.stdout.strip()

    python = [sys.executable, "-c", "import huggingface_hub as h; print(h.snapshot_download('someone/small'))"]
    generate = [kiln, "generate", "--model", "someone/small", "--prompt", "Once", "--max-tokens", "4", "--seed", "1"]
    fetch = [kiln, "fetch", "someone/small"]

    theirs = run(python, online, "python")
    assert run([*fetch, "--offline"], offline, "python") == theirs
    text = run(generate, offline, "python")

    ours = run(fetch, online, "kiln")
    assert run(python, offline, "kiln") == ours
    assert run(generate, offline, "kiln") == text

    # Both wrote the same links to the same contents.
    def links(root):
        return {str(path.relative_to(root)): os.readlink(path) for path in sorted(Path(root).rglob("*"))}

    mine, wanted = links(ours), links(theirs)
    assert mine.items() <= wanted.items(), f"{mine} {wanted}"
    print("the cache is shared with huggingface_hub")


if __name__ == "__main__":
    main()
