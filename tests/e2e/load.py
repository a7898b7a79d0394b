"""Clients that ask a model without a pause and never retry: what they see is what a person's client would see."""

import http.client
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


@dataclass(frozen=True)
class Answer:
    """What one request came to."""

    started: float
    """Seconds since the epoch, comparable with times of the cluster."""
    ended: float
    value: Any = None
    """What `read` made of the body."""
    error: str = ""
    """Why it is lost: a connection refused or reset, a time-out, a status other than 200."""


class Load:
    """Several clients at once; a context manager that ends them."""

    def __init__(
        self,
        url: str,
        body: Any,
        read: Callable[[Any], Any],
        *,
        clients: int = 3,
        keep_alive: bool = False,
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
        """
        parts = urlsplit(url)
        self._host, self._port, self._path = parts.hostname or "", parts.port or 80, parts.path
        self._body, self._read, self._keep_alive = json.dumps(body), read, keep_alive
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._ask_on, daemon=True) for _ in range(clients)]
        self.answers: list[Answer] = []

    def __enter__(self) -> Self:
        """Start to ask."""
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop; requests under way are waited for."""
        self._ended.set()
        for thread in self._threads:
            thread.join()

    @property
    def lost(self) -> list[Answer]:
        """Requests without a good answer."""
        return [answer for answer in self.answers if answer.error]

    def by_value(self) -> dict[Any, list[Answer]]:
        """Good answers by their value, in the order of their values' first answer."""
        found: dict[Any, list[Answer]] = {}
        for answer in sorted(self.answers, key=lambda answer: answer.started):
            if not answer.error:
                found.setdefault(answer.value, []).append(answer)
        return found

    def wait_for_value(self, value: Any, seconds: float = 30, count: int = 5) -> None:
        """Wait until requests that begin from now on got this value `count` times."""
        since = time.time()
        wait_for(
            lambda: sum(answer.value == value and answer.started > since for answer in self.answers) >= count,
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

    def _ask_on(self) -> None:
        connection: http.client.HTTPConnection | None = None
        while not self._ended.is_set():
            connection = connection or http.client.HTTPConnection(self._host, self._port, timeout=_TIMEOUT)
            started = time.time()
            value, error = self._ask(connection)
            self.answers.append(Answer(started, time.time(), value, error))
            if error or not self._keep_alive or connection.sock is None:
                connection.close()
                connection = None
            self._ended.wait(_PAUSE)
        if connection:
            connection.close()

    def _ask(self, connection: http.client.HTTPConnection) -> tuple[Any, str]:
        headers = {"Content-Type": "application/json"} | ({} if self._keep_alive else {"Connection": "close"})
        try:
            connection.request("POST", self._path, self._body, headers)
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as error:
            return None, type(error).__name__
        if response.status != 200:
            return None, f"{response.status} {content[:100]!r}"
        return self._read(json.loads(content)), ""
