"""A judge on this machine, for tests: it replies as it is told, and remembers what it was sent."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Reply = tuple[int, dict[str, str], bytes]
Asked = dict[str, Any]


def says(words: str | None) -> Reply:
    """Reply with words, as a chat model does."""
    body = {"choices": [{"message": {"role": "assistant", "content": words}}]}
    return 200, {}, json.dumps(body).encode()


def fails(code: int, text: str = "no", **headers: str) -> Reply:
    """Reply with a status that is a failure."""
    return code, {name.replace("_", "-"): value for name, value in headers.items()}, text.encode()


def prefers_longer(asked: Asked) -> Reply:
    """Take the longer answer, wherever it stands."""
    a, b = len(asked["answer_a"]), len(asked["answer_b"])
    return says("A" if a > b else "B" if b > a else "TIE")


class Stub:
    """What a running stub was asked, and where it is."""

    def __init__(self, reply: Callable[[Asked], Reply]) -> None:
        self.reply = reply
        self.bodies: list[Asked] = []
        self.headers: list[dict[str, str]] = []
        self.paths: list[str] = []
        self.url = ""


@contextmanager
def judge(reply: Callable[[Asked], Reply], *, delay_seconds: float = 0.0) -> Iterator[Stub]:
    """Run a judge whose reply to the user's JSON is made by `reply`."""
    stub = Stub(reply)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            stub.paths.append(self.path)
            stub.headers.append(dict(self.headers.items()))
            stub.bodies.append(body)
            time.sleep(delay_seconds)
            code, headers, said = stub.reply(json.loads(body["messages"][-1]["content"]))
            try:
                self.send_response(code)
                for name, value in {**headers, "Content-Length": str(len(said))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(said)
            except OSError:
                return  # the asker went away

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    stub.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
