"""Clients that ask a model without a pause and never retry: what they see is what a person's client would see."""

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

from tests.cluster.process import wait_for

_PAUSE = 0.04
"""Seconds between two requests of one client: the load is to be steady, not to fill the machine."""
_TIMEOUT = 10.0
_SHOWN = 160
"""Bytes of a lost request's answer that are told."""


@dataclass(frozen=True)
class Answer:
    """What one request came to."""

    started: float
    """Seconds since the epoch, comparable with times of the cluster."""
    ended: float
    value: Any = None
    """What `read` made of the body."""
    error: str = ""
    """Why it is lost: a connection refused or reset, a time-out, a status other than 200, an answer that cannot be read."""


class Load:
    """Several clients at once, in one thread; a context manager that ends them."""

    def __init__(
        self,
        url: str,
        body: Any,
        read: Callable[[Any], Any],
        *,
        clients: int = 3,
        keep_alive: bool = False,
        host: str = "",
        pause: float = _PAUSE,
    ) -> None:
        """Say what to ask.

        Args:
            url: where to POST.
            body: JSON to send.
            read: makes a value, such as the version that answered, of the JSON that came back.
            clients: how many ask at the same time.
            keep_alive: whether a client keeps its connection for as long as the server does; else each request has its
                own. A connection that the server announced to close (`Connection: close`) is not used again, as the
                protocol wants it; one that it closed unannounced costs a request.
            host: the Host header, where it is not that of the URL.
            pause: seconds between two requests of one client.
        """
        parts = urlsplit(url)
        self._address = (parts.hostname or "", parts.port or 80)
        content = json.dumps(body).encode()
        head = [f"POST {parts.path} HTTP/1.1", f"Host: {host or parts.netloc}", "Content-Type: application/json"]
        head += [f"Content-Length: {len(content)}", *(() if keep_alive else ("Connection: close",))]
        self._request = "\r\n".join([*head, "", ""]).encode() + content
        self._read, self._keep_alive, self._clients, self._pause = read, keep_alive, clients, pause
        self._ended = False
        self._thread = threading.Thread(target=lambda: asyncio.run(self._ask_all()), daemon=True)
        self.answers: list[Answer] = []
        """Every request, in the order in which they ended."""

    def __enter__(self) -> Self:
        """Start to ask."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop; requests under way are waited for."""
        self._ended = True
        self._thread.join()

    @property
    def lost(self) -> list[Answer]:
        """Requests without a good answer."""
        return [answer for answer in self.answers if answer.error]

    def between(self, since: float, until: float | None = None) -> list[Answer]:
        """Requests that were under way at a time between these two (by default now), in seconds since the epoch."""
        end = time.time() if until is None else until
        return [answer for answer in self.answers if answer.ended >= since and answer.started <= end]

    def by_value(self) -> dict[Any, list[Answer]]:
        """Good answers by their value, in the order of their values' first answer."""
        found: dict[Any, list[Answer]] = {}
        for answer in sorted(self.answers, key=lambda answer: answer.started):
            if not answer.error:
                found.setdefault(answer.value, []).append(answer)
        return found

    def wait_for_value(self, value: Any, seconds: float = 90, count: int = 5) -> None:
        """Wait until requests that begin from now on got this value `count` times."""
        since, known = time.time(), len(self.answers)
        wait_for(
            lambda: sum(it.value == value and it.started > since for it in self.answers[known:]) >= count,
            f"{count} answers {value}",
            seconds,
        )

    def account(self) -> str:
        """How many requests there were, what they got, and how many were lost of what."""
        good = ", ".join(f"{value}: {len(answers)}" for value, answers in self.by_value().items())
        slowest = max((answer.ended - answer.started for answer in self.answers), default=0.0)
        kind = "kept connections" if self._keep_alive else "new connections"
        bad = dict(Counter(answer.error for answer in self.lost))
        return f"{kind}: {len(self.lost)} lost of {len(self.answers)} ({good}), slowest {slowest:.2f} s {bad or ''}"

    async def _ask_all(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(self._clients):
                group.create_task(self._ask_on(self._pause * number / self._clients))

    async def _ask_on(self, late: float) -> None:
        """One client, which begins a little late: not all ask in the same moment."""
        connection: _Connection | None = None
        await asyncio.sleep(late)
        while not self._ended:
            started, value, error, again = time.time(), None, "", False
            try:
                async with asyncio.timeout(_TIMEOUT):
                    connection = connection or await _connect(*self._address)
                    status, content, again = await connection.ask(self._request)
                value = self._read(json.loads(content)) if status == 200 else None
                error = "" if status == 200 else f"{status} {content[:_SHOWN]!r}"
            except (OSError, TimeoutError, EOFError, ValueError, LookupError, TypeError) as problem:
                error = f"{type(problem).__name__} {problem}"[:_SHOWN]
            self.answers.append(Answer(started, time.time(), value, error))
            if connection and not (again and self._keep_alive):
                connection.close()
                connection = None
            await asyncio.sleep(self._pause)
        if connection:
            connection.close()


async def _connect(address: str, port: int) -> "_Connection":
    return _Connection(*await asyncio.open_connection(address, port))


class _Connection:
    """HTTP/1.1 in its plainest form, so that nothing is sent twice behind the back of the test."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    def close(self) -> None:
        self._writer.close()

    async def ask(self, request: bytes) -> tuple[int, bytes, bool]:
        """Send a request; return the status, the body, and whether the connection may be used again."""
        self._writer.write(request)
        lines = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines[1:] if ": " in line)
        lasting = lines[0].startswith("http/1.1") and fields.get("connection") != "close"
        if fields.get("transfer-encoding") == "chunked":
            content = await self._chunks()
        elif "content-length" in fields:
            content = await self._reader.readexactly(int(fields["content-length"]))
        else:
            content, lasting = await self._reader.read(), False
        return int(lines[0].split()[1]), content, lasting

    async def _chunks(self) -> bytes:
        content = b""
        while size := int(await self._reader.readuntil(b"\r\n"), 16):
            content += (await self._reader.readexactly(size + 2))[:-2]
        await self._reader.readuntil(b"\r\n")
        return content
