"""A Hub on this machine: the few addresses that publishing uses, and a note of all that arrives."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

TOKEN = "hf_" + "x" * 34
COMMIT = "1234567890" * 4


@dataclass
class PretendedHub:
    """What it has, what it answers, and what it was sent."""

    private: bool | None = None
    """Of its one repository; None: there is none."""
    files: list[str] = field(default_factory=lambda: [".gitattributes"])
    role: str = "write"
    failing: dict[str, int] = field(default_factory=dict)
    """Part of an address -> the status that is answered there."""
    branches: set[str] = field(default_factory=set)
    address: str = ""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Method and address of all requests."""
    created: dict[str, Any] | None = None
    stored: dict[str, bytes] = field(default_factory=dict)
    """Large files by their hash."""
    commit: dict[str, Any] | None = None
    """The header of the newest commit."""
    received: dict[str, bytes] = field(default_factory=dict)
    """Files of the newest commit; a large one by its hash."""
    tokens: set[str] = field(default_factory=set)

    def environment(self) -> dict[str, str]:
        """Lead a command here."""
        return {
            "HF_ENDPOINT": self.address,
            "HF_HUB_OFFLINE": "0",
            "HF_TOKEN": TOKEN,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "NO_PROXY": "127.0.0.1",
        }


@contextmanager
def pretended_hub(**what: Any) -> Iterator[PretendedHub]:
    """Let one answer for a while."""
    hub = PretendedHub(**what)

    class Handler(_Handler):
        answering = hub

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub.address = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    answering: PretendedHub

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - as the base class
        """Say nothing."""

    def _handle(self) -> None:
        hub, body = self.answering, self.rfile.read(int(self.headers.get("Content-Length") or 0))
        hub.asked.append((self.command, self.path))
        if self.path.startswith(("/api", "/me")):
            hub.tokens.add(self.headers.get("Authorization") or "")
        status = next((status for part, status in hub.failing.items() if part in self.path), None)
        if status is not None:
            self._answer({"error": "it was asked for"}, status)
            return
        self._route(hub, self.path.partition("?")[0], body)

    do_GET = do_POST = do_PUT = do_HEAD = _handle  # noqa: N815 - as the base class looks for them

    def _route(self, hub: PretendedHub, path: str, body: bytes) -> None:
        if path == "/api/whoami-v2":
            self._answer({"name": "me", "type": "user", "orgs": [], "auth": {"accessToken": {"role": hub.role}}})
        elif path == "/api/repos/create":
            hub.created = json.loads(body)
            hub.private = hub.created.get("visibility") == "private" or bool(hub.created.get("private"))
            self._answer({"url": f"{hub.address}/me/model"})
        elif path == "/api/validate-yaml":
            self._answer({"warnings": [], "errors": []})
        elif "/preupload/" in path:
            large = lambda name: name.endswith((".safetensors", ".gguf"))  # noqa: E731
            asked = json.loads(body)["files"]
            told = [
                {"path": one["path"], "uploadMode": "lfs" if large(one["path"]) else "regular", "shouldIgnore": False}
                for one in asked
            ]
            self._answer({"files": told})
        elif path.endswith("/info/lfs/objects/batch"):
            objects = [
                {**one, "actions": {"upload": {"href": f"{hub.address}/put/{one['oid']}"}}}
                for one in json.loads(body)["objects"]
            ]
            self._answer({"transfer": "basic", "objects": objects})
        elif path.startswith("/put/"):
            hub.stored[hashlib.sha256(body).hexdigest()] = body
            self._answer({})
        elif "/branch/" in path:
            hub.branches.add(path.rpartition("/")[2])
            self._answer({})
        elif "/commit/" in path:
            self._commit(hub, body)
        elif path.startswith("/api/models/"):
            self._model(hub, path)
        else:
            self._answer({}, 404)

    def _model(self, hub: PretendedHub, path: str) -> None:
        branch = path.partition("/revision/")[2]
        if hub.private is None:
            self._answer({"error": "no"}, 404, {"X-Error-Code": "RepoNotFound"})
        elif branch not in {"", "main", *hub.branches}:
            self._answer({"error": "no"}, 404, {"X-Error-Code": "RevisionNotFound"})
        else:
            files = [{"rfilename": name} for name in hub.files]
            self._answer({"id": "me/model", "sha": COMMIT, "private": hub.private, "siblings": files})

    def _commit(self, hub: PretendedHub, body: bytes) -> None:
        for line in body.decode().splitlines():
            told = json.loads(line)
            value = told["value"]
            if told["key"] == "header":
                hub.commit = value
            elif told["key"] == "file":
                hub.received[value["path"]] = base64.b64decode(value["content"])
            elif told["key"] == "lfsFile":
                hub.received[value["path"]] = hub.stored[value["oid"]]
        hub.files = sorted({*hub.files, *hub.received})
        self._answer({"commitUrl": f"{hub.address}/me/model/commit/{COMMIT}", "commitOid": COMMIT})

    def _answer(self, told: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None) -> None:
        content = json.dumps(told).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", **(headers or {})}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
