"""Talking with a server: the key, faults that pass and are tried again, and those that do not pass.

What a server sends is data: its size and its time are limited, and its words are shown shortened, with the
key taken out."""

from __future__ import annotations

import email.utils
import json
import math
import os
import random
import ssl
import threading
import time
from collections.abc import Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from axiograph.engine.errors import InputError
from axiograph.engine.study.model import KEY_VARIABLE, ModelSpec

if TYPE_CHECKING:
    import httpx2

TRIES = 8  # with the pauses below about a minute, answers not counted
LIMITED_TRIES = 30  # where the server says that it is asked too much: that passes
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.5, 60.0
LONGEST_WISH_S = 600.0  # a longer Retry-After is shortened to it
MOST_BYTES = 1 << 24  # of a reply
_PASSING = frozenset({408, 409, 425, 429})
_ENDING = {
    401: "the key is refused",
    402: "it wants to be paid",
    403: "the key may not do this",
    404: "it knows no such model or address",
}
_NO_MONEY = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
_FILTERED = frozenset({"content_filter", "content_policy_violation"})


class EndedError(Exception):
    """Nothing more can be asked of this server: a wrong key, name or address."""


class UnansweredError(Exception):
    """This request was tried again and again without an answer."""


class RefusedError(Exception):
    """The server does not take this request as it is."""


class FilteredError(RefusedError):
    """A filter of the server keeps this request from the model."""


class ClosedError(Exception):
    """The client was closed while it waited."""


class _PassingError(Exception):
    """What may be gone the next time. `wish_s`: after how many seconds, where the server says so; `limited`:
    whether it is asked too much."""

    def __init__(self, reason: str, wish_s: float | None = None, limited: bool = False) -> None:
        super().__init__(reason)
        self.wish_s, self.limited = wish_s, limited


class Client:
    """One server, asked from any number of threads.

    `note`: what a person should know of how the key travels. InputError for a key that the study names and
    the environment does not hold."""

    def __init__(self, spec: ModelSpec, tries: int = TRIES) -> None:
        import httpx2

        assert spec.url is not None
        self._spec, self._tries = spec, tries
        self._key = _key(spec)
        self.note = _note(spec) if self._key else None
        headers = {"Authorization": f"Bearer {self._key}"} if self._key else {}
        limits = httpx2.Limits(max_connections=None, max_keepalive_connections=spec.concurrency)
        self._http = httpx2.Client(
            headers=headers | {"User-Agent": "axiograph"},
            timeout=spec.timeout_s,
            limits=limits,
            verify=_certificates(),
        )
        self._closed = threading.Event()
        self._lock = threading.Lock()
        self._not_before = 0.0

    def close(self) -> None:
        """Whoever waits for another try waits no longer."""
        self._closed.set()
        self._http.close()

    def models(self) -> list[dict[str, Any]] | None:
        """The server's list of models; None where it has none. Raises EndedError and UnansweredError."""
        try:
            reply = self._tried("GET", "/models", None, 3)
        except (_NoSuchError, RefusedError):
            return None
        data = reply.get("data")
        return [entry for entry in data if isinstance(entry, dict)] if isinstance(data, list) else None

    def ask(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """The reply to `body`, with at least one choice in it.

        Raises EndedError, UnansweredError, RefusedError (FilteredError) and ClosedError."""
        try:
            return self._tried("POST", path, body, self._tries)
        except _NoSuchError as error:
            raise EndedError(str(error)) from None

    def _tried(self, method: str, path: str, body: Mapping[str, Any] | None, tries: int) -> dict[str, Any]:
        failed = 0
        while True:
            self._pause(self._not_before - time.monotonic())
            try:
                return self._once(method, path, body)
            except _PassingError as error:
                failed += 1
                most = max(tries, LIMITED_TRIES) if error.limited and tries == TRIES else tries
                if failed >= most:
                    times = f" ({failed} times)" if failed > 1 else ""
                    raise UnansweredError(f"{error}{times}") from None
                self._wait(failed, error.wish_s)

    def _wait(self, failed: int, wish_s: float | None) -> None:
        """A wish of the server is one for all threads; else each has a pause of its own that grows."""
        if wish_s is None:
            pause = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** (failed - 1))
            self._pause(pause * random.uniform(0.5, 1.0))
            return
        with self._lock:
            self._not_before = max(self._not_before, time.monotonic() + min(wish_s, LONGEST_WISH_S))
        # Not all at the same moment.
        self._pause(self._not_before - time.monotonic() + random.uniform(0, FIRST_PAUSE_S))

    def _pause(self, seconds: float) -> None:
        if self._closed.is_set() or (seconds > 0 and self._closed.wait(seconds)):
            raise ClosedError

    def _once(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        import httpx2

        try:
            with self._http.stream(method, f"{self._spec.url}{path}", json=body) as response:
                content = self._read(response)
        except httpx2.TimeoutException:
            raise _PassingError(f"no answer within {self._spec.timeout_s:g} s") from None
        except httpx2.HTTPError as error:
            raise _PassingError(self._shown(f"{type(error).__name__}: {error}")) from None
        except RuntimeError:
            if self._closed.is_set():
                raise ClosedError from None
            raise
        if response.status_code != 200:
            raise self._fault(response.status_code, response.headers, content)
        return self._reply(content, body is not None)

    def _read(self, response: httpx2.Response) -> bytes:
        deadline = time.monotonic() + self._spec.timeout_s
        pieces, size = [], 0
        for piece in response.iter_bytes():
            pieces.append(piece)
            size += len(piece)
            if size > MOST_BYTES:
                raise _PassingError(f"a reply of more than {MOST_BYTES >> 20} MiB")
            if time.monotonic() > deadline:
                raise _PassingError(f"no whole answer within {self._spec.timeout_s:g} s")
        return b"".join(pieces)

    def _reply(self, content: bytes, asked: bool) -> dict[str, Any]:
        reply = _parsed(content)
        if not isinstance(reply, dict):
            raise _PassingError(self._shown(f"a reply that is no JSON object: {_text(content)}"))
        choices = reply.get("choices")
        if asked and not (isinstance(choices, list) and choices and isinstance(choices[0], dict)):
            # Some routers tell of faults behind them in a reply that is none.
            words = _words(reply.get("error"))
            raise _PassingError(self._shown(f"a reply without choices{': ' if words else ''}{words}"))
        return reply

    def _fault(self, status: int, headers: Mapping[str, str], content: bytes) -> Exception:
        """What a status other than 200 means."""
        parsed = _parsed(content)
        error = parsed.get("error", parsed) if isinstance(parsed, dict) else {}
        code = str(error.get("code") or error.get("type") or "") if isinstance(error, dict) else ""
        words = self._shown(_words(error) or _text(content))
        told = f"status {status}{': ' if words else ''}{words}"
        if status == 429 and code in _NO_MONEY:
            return EndedError(f"no credit left ({told})")
        if status in _PASSING or status >= 500:
            return _PassingError(told, _wish(headers), status == 429)
        if status == 404 or status in (405, 501):
            return _NoSuchError(f"{_ENDING[404]} ({told})")
        if status in _ENDING:
            return EndedError(f"{_ENDING[status]} ({told})")
        if status < 400:
            moved = self._shown(str(headers.get("location", "")))
            return EndedError(f"it sends elsewhere (status {status}{' to ' if moved else ''}{moved})")
        return FilteredError(told) if code in _FILTERED else RefusedError(told)

    def _shown(self, text: str) -> str:
        """One line of a server's words, shortened, without the key."""
        if self._key:
            text = text.replace(self._key, "[the key]")
        line = " ".join("".join(c if c.isprintable() or c.isspace() else "?" for c in text).split())
        return line if len(line) <= 300 else f"{line[:300]} …"


class _NoSuchError(Exception):
    """The server has nothing at this address, or no such model."""


@cache
def _certificates() -> ssl.SSLContext:
    """What https is checked by; reading it takes a tenth of a second."""
    import httpx2

    return httpx2.create_ssl_context()


def _key(spec: ModelSpec) -> str:
    """From the environment; "" where there is none and the study names none."""
    key = os.environ.get(spec.key, "").strip()
    where = f"environment variable {spec.key} (study, field model.key)"
    if not key and spec.key != KEY_VARIABLE:
        raise InputError(where, "the key of the server", "nothing", f"Set it (export {spec.key}=…).")
    if any(not "!" <= character <= "~" for character in key):
        raise InputError(where, "a key of ASCII letters, digits and signs", "other characters", "Mend it.")
    return key


def _note(spec: ModelSpec) -> str | None:
    """A key that can be read on its way."""
    parts = urlsplit(spec.url or "")
    if parts.scheme == "https" or parts.hostname in ("localhost", "127.0.0.1", "::1"):
        return None
    return f"the key in {spec.key} travels to {parts.hostname} unencrypted: take https, or a tunnel."


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _text(content: bytes) -> str:
    return content[:1000].decode("utf-8", "replace")


def _words(error: Any) -> str:
    """What an error object says."""
    if isinstance(error, dict):
        error = error.get("message") or error.get("detail") or ""
    return error if isinstance(error, str) else json.dumps(error)[:1000] if error else ""


def _wish(headers: Mapping[str, str]) -> float | None:
    """Seconds of a Retry-After, which may be a date; None without a sensible one."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        value = headers.get(name, "")
        try:
            seconds = float(value) / unit
        except ValueError:
            parsed = email.utils.parsedate_tz(value)
            if parsed is None:
                continue
            seconds = email.utils.mktime_tz(parsed) - time.time()
        if math.isfinite(seconds):
            return max(0.0, seconds)
    return None


def one_text(parts: Iterable[str]) -> str:
    """Joined, with what UTF-8 cannot hold (half a surrogate pair) replaced: Arrow refuses it."""
    return "".join(parts).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
