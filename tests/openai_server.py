"""A server on this machine that speaks OpenAI's protocol as a test wants it, faults included."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

NAME = "gpt-test"


@dataclass(frozen=True)
class Reply:
    """`body`: JSON, or bytes as they are; `delay_s`: before anything is sent."""

    body: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_s: float = 0.0


def answer(
    text: str | None, finish: str = "stop", model: str | None = "gpt-test-2025-01-01", **message: Any
) -> Reply:
    """A whole reply, to chats and to texts alike."""
    choice = {"index": 0, "text": text, "message": {"role": "assistant", "content": text, **message}}
    return Reply(
        {
            "id": "x",
            "model": model,
            "system_fingerprint": "fp_1",
            "choices": [choice | {"finish_reason": finish}],
            "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
        }
    )


def fault(status: int, message: str = "no", code: str | None = None, **headers: str) -> Reply:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Reply({"error": {"message": message, "code": code}}, status, named)


def models(*names: str, **more: Any) -> Reply:
    return Reply({"object": "list", "data": [{"id": n, "created": time.time(), **more} for n in names]})


@dataclass
class Asked:
    """`at`: when it came, of time.monotonic()."""

    path: str
    body: dict[str, Any]
    authorization: str | None
    at: float


class Server:
    """`reply(n, body)` is what the n-th POST (from 0) gets; `asked` are all of them, in order."""

    def __init__(self, reply: Callable[[int, dict[str, Any]], Reply], listed: Reply | None = None) -> None:
        self.reply, self.listed = reply, listed or models(NAME, root="/models/test", owned_by="tests")
        self.asked: list[Asked] = []
        self.most = self._open = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # a reply in one piece: two wait for each other's receipts

            def log_message(self, *args: Any) -> None:
                pass

            def do_GET(self) -> None:
                outer._send(self, outer.listed)

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with outer._lock:
                    number = len(outer.asked)
                    asked = Asked(self.path, body, self.headers.get("Authorization"), time.monotonic())
                    outer.asked.append(asked)
                    outer._open += 1
                    outer.most = max(outer.most, outer._open)
                try:
                    outer._send(self, outer.reply(number, body))
                finally:
                    with outer._lock:
                        outer._open -= 1

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_port}/v1"

    @staticmethod
    def _send(handler: BaseHTTPRequestHandler, reply: Reply) -> None:
        time.sleep(reply.delay_s)
        body = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        try:
            handler.send_response(reply.status)
            for name, value in reply.headers.items():
                handler.send_header(name, value)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)
        except OSError:
            pass  # whoever asked has gone

    def __enter__(self) -> Server:
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()


def model(server: Server, **changes: Any) -> dict[str, Any]:
    """The section `model` of a study that asks `server`."""
    return {"backend": "openai", "name": NAME, "url": server.url, "concurrency": 4} | changes
