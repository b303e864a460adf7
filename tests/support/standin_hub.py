"""A small stand-in for the Hugging Face Hub over HTTP on loopback: repositories, commits, large files, revisions.

It speaks as much of the Hub's API as `huggingface_hub` needs to create a repository, push files to it in one commit,
ask for the commit of a branch, list files and download them or the part that is missing. `HF_ENDPOINT` leads a process
here; HF_HUB_DISABLE_XET=1 keeps it to plain uploads.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlparse

LARGE = (".safetensors", ".parquet", ".model")


@dataclass
class Repository:
    """Files of the only branch: path to content."""

    private: bool = False
    gated: bool = False
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=list)

    def commit(self, message: str) -> str:
        content = json.dumps([message, len(self.commits), sorted(self.files)]).encode()
        self.commits.append(hashlib.sha1(content).hexdigest())
        return self.commits[-1]


class StandinHub:
    """The server's memory, for tests to look into and to spoil.

    Attributes:
        repositories: `models/owner/name` and `datasets/owner/name`.
        stored: large files by sha256, whether or not a commit names them yet.
        uploads: sha256 of every large file that was received, in order.
        fails: called with method and path; a status other than None is answered at once.
        cuts: called with a file's name; after so many bytes the connection is closed, None: never.
        sent: every download's file and the byte it started at.
    """

    def __init__(self, token: str) -> None:
        self.token, self.url = token, ""
        self.repositories: dict[str, Repository] = {}
        self.stored: dict[str, bytes] = {}
        self.uploads: list[str] = []
        self.fails: Callable[[str, str], int | None] = lambda method, path: None
        self.cuts: Callable[[str], int | None] = lambda name: None
        self.sent: list[tuple[str, int]] = []


@contextmanager
def standin_hub(token: str = "hf_standin") -> Iterator[StandinHub]:
    hub = StandinHub(token)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub}))
    hub.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: StandinHub

    def log_message(self, *_arguments) -> None:
        return

    def do_GET(self) -> None:
        self._route("GET")

    def do_HEAD(self) -> None:
        self._route("HEAD")

    def do_POST(self) -> None:
        self._route("POST")

    def do_PUT(self) -> None:
        self._route("PUT")

    def _route(self, method: str) -> None:
        path = unquote(urlparse(self.path).path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status = self.hub.fails(method, path)
        if status:
            return self._answer({"error": "spoiled by the test"}, status)
        if method == "POST" and self.headers.get("Authorization") != f"Bearer {self.hub.token}":
            return self._answer({"error": "Invalid credentials"}, 401)
        for wanted, pattern, answer in _ROUTES:
            found = re.fullmatch(pattern, path)
            if method in wanted and found:
                return answer(self, body, **found.groupdict())
        return self._answer({"error": f"no such page: {method} {path}"}, 404)

    def create(self, body: bytes) -> None:
        wanted = json.loads(body)
        name = f"{wanted.get('organization') or 'me'}/{wanted['name']}"
        key = f"{wanted.get('type') or 'model'}s/{name}"
        known = key in self.hub.repositories
        self.hub.repositories.setdefault(key, Repository(wanted.get("visibility") == "private"))
        self._answer({"url": f"{self.hub.url}/{name}", "name": name}, 409 if known else 200)

    def info(self, _body: bytes, key: str) -> None:
        repository = self.hub.repositories.get(key)
        if repository is None:
            return self._answer({"error": "Repository not found"}, 404, {"X-Error-Code": "RepoNotFound"})
        if repository.gated:
            return self._answer({"error": "Access is restricted"}, 403, {"X-Error-Code": "GatedRepo"})
        sha = repository.commits[-1] if repository.commits else "0" * 40
        siblings = [{"rfilename": name} for name in sorted(repository.files)]
        return self._answer({"id": key.split("/", 1)[1], "sha": sha, "siblings": siblings, "private": True})

    def card(self, _body: bytes) -> None:
        """The Hub looks over a card's front matter before it takes the commit."""
        self._answer({"errors": [], "warnings": []})

    def preupload(self, body: bytes, key: str) -> None:
        wanted = json.loads(body)["files"]
        here = self.hub.repositories[key].files
        modes = [
            {
                "path": file["path"],
                "uploadMode": "lfs" if file["path"].endswith(LARGE) else "regular",
                "shouldIgnore": False,
                "oid": _oid(file["path"], here[file["path"]]) if file["path"] in here else None,
            }
            for file in wanted
        ]
        self._answer({"files": modes})

    def batch(self, body: bytes) -> None:
        objects = []
        for wanted in json.loads(body)["objects"]:
            entry = {"oid": wanted["oid"], "size": wanted["size"]}
            if wanted["oid"] not in self.hub.stored:
                entry["actions"] = {"upload": {"href": f"{self.hub.url}/store/{wanted['oid']}", "header": {}}}
            objects.append(entry)
        self._answer({"transfer": "basic", "objects": objects})

    def store(self, body: bytes, sha: str) -> None:
        if hashlib.sha256(body).hexdigest() != sha:
            return self._answer({"error": "half a file"}, 400)
        self.hub.stored[sha] = body
        self.hub.uploads.append(sha)
        return self._answer({})

    def commit(self, body: bytes, key: str) -> None:
        repository, message = self.hub.repositories[key], ""
        for line in map(json.loads, body.splitlines()):
            value = line["value"]
            if line["key"] == "header":
                message = value["summary"]
            elif line["key"] == "file":
                repository.files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                repository.files[value["path"]] = self.hub.stored[value["oid"]]
        sha = repository.commit(message)
        self._answer({"commitUrl": f"{self.hub.url}/{key}/commit/{sha}", "commitOid": sha, "success": True})

    def tree(self, _body: bytes, key: str) -> None:
        files = self.hub.repositories[key].files
        self._answer([{"type": "file", "path": n, "size": len(c), "oid": _oid(n, c)} for n, c in sorted(files.items())])

    def resolve(self, _body: bytes, key: str, name: str) -> None:
        """A file, from the byte that the request asks for on."""
        key = key if key.startswith("datasets/") else f"models/{key}"
        repository = self.hub.repositories.get(key, Repository())
        content = repository.files.get(name)
        if content is None:
            return self._answer({"error": "Entry not found"}, 404, {"X-Error-Code": "EntryNotFound"})
        start = int((self.headers.get("Range") or "bytes=0-")[6:].split("-")[0])
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{_oid(name, content)}"')
        self.send_header("X-Repo-Commit", repository.commits[-1])
        self.send_header("Content-Length", str(len(content) - start))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        if self.command == "HEAD":
            return None
        self.hub.sent.append((name, start))
        cut = self.hub.cuts(name)
        self.wfile.write(content[start:] if cut is None else content[start : start + cut])
        self.close_connection = cut is not None
        return None

    def _answer(self, content: dict | list, status: int = 200, headers: dict | None = None) -> None:
        data = json.dumps(content).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)


def _oid(path: str, content: bytes) -> str:
    """What the Hub calls a file: git's blob hash, or the sha256 of a large one."""
    if path.endswith(LARGE):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


_KEY = r"(?P<key>(?:models|datasets)/[^/]+/[^/]+)"
_ROUTES = [
    ("POST", "/api/repos/create", _Handler.create),
    ("POST", "/api/validate-yaml", _Handler.card),
    ("GET", f"/api/{_KEY}", _Handler.info),
    ("GET", f"/api/{_KEY}/auth-check", _Handler.info),
    ("GET", f"/api/{_KEY}/revision/[^/]+", _Handler.info),
    ("GET", f"/api/{_KEY}/tree/[^/]+", _Handler.tree),
    ("GET HEAD", r"/(?P<key>(?:datasets/)?[^/]+/[^/]+)/resolve/[^/]+/(?P<name>.+)", _Handler.resolve),
    ("POST", f"/api/{_KEY}/preupload/[^/]+", _Handler.preupload),
    ("POST", r"/.*\.git/info/lfs/objects/batch", _Handler.batch),
    ("PUT", "/store/(?P<sha>[0-9a-f]{64})", _Handler.store),
    ("POST", f"/api/{_KEY}/commit/[^/]+", _Handler.commit),
]
