"""Many stories of models at once: each in a thread of its own, all watched by one reader of the API.

A story is a function that applies a model, says what the status must tell, removes the cause and waits until the model
answers. Told one after the other two dozen of them would take a quarter of an hour, most of it kubelet's back-off.
"""

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from kubernetes.client import CustomObjectsApi
from kubernetes.config import new_client_from_config

from pantala.manifest.settings import FETCHER_IMAGE
from tests.e2e.support import BUCKET, Space

SERVER: Mapping[str, Any] = {
    "name": "custom",
    "image": FETCHER_IMAGE,
    "custom": {
        "port": 8080,
        "command": ["/opt/pantala/bin/python", "-m", "http.server", "8080", "--directory", "/models"],
    },
}
"""A small server of files, for stories that end before a model server starts."""

PATIENCE = 240.0
"""Seconds for a condition to appear: two dozen models start at once on two cores."""


@dataclass(frozen=True)
class Seen:
    """A model's status at a moment."""

    at: float
    generation: int
    status: Mapping[str, Any]

    def condition(self, kind: str) -> Mapping[str, Any]:
        """A condition by its type; empty if there is none."""
        return next((item for item in self.status.get("conditions", ()) if item["type"] == kind), {})

    @property
    def fresh(self) -> bool:
        """Whether the status is about the present spec."""
        return self.status.get("observedGeneration") == self.generation

    @property
    def settled(self) -> bool:
        """Whether the model answers and nothing is under way."""
        return (
            self.fresh
            and self.condition("Ready").get("status") == "True"
            and not self.condition("Stalled")
            and not self.condition("Reconciling")
        )


class Watch:
    """All models of the cluster, read twice a second; remembers every status that it saw."""

    def __init__(self, kubeconfig: Path) -> None:
        """Start to read."""
        self._api = CustomObjectsApi(new_client_from_config(str(kubeconfig)))
        self._news = threading.Condition()
        self._end = threading.Event()
        self.history: dict[tuple[str, str], list[Seen]] = {}
        """Changes of each model's status, by namespace and name."""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Read no more."""
        self._end.set()
        self._thread.join()

    def _read(self) -> None:
        while not self._end.wait(0.5):
            found = self._api.list_cluster_custom_object("pantala.dev", "v1alpha1", "inferencemodels")
            now = time.monotonic()
            with self._news:
                for item in found["items"]:
                    meta = item["metadata"]
                    seen = Seen(now, meta["generation"], item.get("status", {}))
                    past = self.history.setdefault((meta["namespace"], meta["name"]), [])
                    if not past or replace(past[-1], at=now) != seen:
                        past.append(seen)
                self._news.notify_all()

    def wait(
        self, namespace: str, name: str, since: float, what: str, holds: Callable[[Seen], bool], seconds: float
    ) -> Seen:
        """Wait for a status that was valid after `since`; the error holds the last one."""
        deadline = time.monotonic() + seconds
        with self._news:
            while True:
                past = self.history.get((namespace, name), [])
                # The one before the first that is younger was valid at `since` too.
                first = next((at for at, seen in enumerate(past) if seen.at >= since), len(past))
                if found := next((seen for seen in past[first:] if holds(seen)), None):
                    return found
                if past and first == len(past) and past[-1].fresh and holds(past[-1]):
                    return past[-1]
                left = deadline - time.monotonic()
                assert left > 0, (
                    f"{name}: {what}: not within {seconds:.0f} s; {past[-1].status if past else 'no status'}"
                )
                self._news.wait(left)


@dataclass
class Story:
    """One model in one namespace, from the mistake to the mended model."""

    space: Space
    watch: Watch
    folder: Path
    name: str
    spec: dict[str, Any] = field(default_factory=dict)
    applied: float = 0.0
    mended: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    """How long the condition (`told`) and the mending (`healed`) took."""

    def put(self, path: str = "weights.bin", content: bytes = b"weights") -> None:
        """Store a file in the model's own folder."""
        self.space.s3.put(BUCKET, f"{self.name}/{path}", content)

    def apply(self, **fields: Any) -> None:
        """Apply the model: by default a small server with the model's own folder as its weights."""
        self.spec = {
            "runtime": dict(SERVER),
            "storage": self.storage(),
            "versions": [{"name": "v1", "uri": f"s3://{BUCKET}/{self.name}/"}],
            **fields,
        }
        self.applied = time.monotonic()
        self.space.apply(self.name, self.spec)

    def storage(self, **fields: Any) -> dict[str, Any]:
        """The storage block of a model that finds its weights."""
        return {**self.space.spec("custom", "")["storage"], **fields}

    def change(self, **fields: Any) -> None:
        """Replace fields of the spec; None removes one."""
        self.spec = {name: value for name, value in {**self.spec, **fields}.items() if value is not None}
        self.mending()
        self.space.apply(self.name, self.spec)

    def mending(self) -> None:
        """The cause goes away now."""
        self.mended = time.monotonic()

    def told(self, reason: str, *words: str, stalled: bool = True, seconds: float = PATIENCE) -> str:
        """Wait for the condition; its message must hold all words. Return it.

        Args:
            reason: of Ready=False, and of Stalled or Reconciling.
            words: regular expressions for the object and the next step.
            stalled: whether somebody must do something; else it is waited out and Reconciling tells it.
            seconds: how long to wait for it.
        """
        kind, other = ("Stalled", "Reconciling") if stalled else ("Reconciling", "Stalled")
        found = self.watch.wait(
            self.space.namespace,
            self.name,
            self.applied,
            f"{kind} {reason}",
            lambda seen: seen.fresh and seen.condition(kind).get("reason") == reason,
            seconds,
        )
        self.seconds["told"] = found.at - self.applied
        assert found.condition(kind)["status"] == "True"
        assert not found.condition(other)
        assert found.condition("Ready")["status"] == "False"
        message: str = found.condition(kind)["message"]
        assert (found.condition("Ready")["reason"], found.condition("Ready")["message"]) == (reason, message)
        for word in words:
            assert re.search(word, message), f"{word!r} is not in {message!r}"
        return message

    def healed(self, seconds: float = PATIENCE) -> Seen:
        """Wait until the model answers and nothing is under way."""
        name = f"{self.space.namespace}/{self.name}"
        found = self.watch.wait(
            self.space.namespace, self.name, self.mended, f"{name} settled", lambda seen: seen.settled, seconds
        )
        self.seconds["healed"] = found.at - self.mended
        return found


@contextmanager
def telling(tasks: Mapping[str, Callable[[], None]]) -> Iterator[dict[str, Future[None]]]:
    """Run all stories at once; the block takes their results by name."""
    with ThreadPoolExecutor(max_workers=max(1, len(tasks))) as pool:
        yield {name: pool.submit(task) for name, task in tasks.items()}
