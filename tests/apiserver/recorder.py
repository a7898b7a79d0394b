"""What happened to a Deployment and its autoscalers, put together from watches: no value between two looks is missed."""

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from itertools import groupby
from typing import Any, Self

import urllib3
from kubernetes.client import ApiClient

from tests.cluster.process import wait_for


class Watch:
    """All changes of the objects of one collection from now on, as (resourceVersion, type, object)."""

    def __init__(self, client: ApiClient, path: str) -> None:
        self.events: list[tuple[int, str, Any]] = []
        self._pool, self._url = client.rest_client.pool_manager, f"{client.configuration.host}{path}"
        now = json.loads(self._pool.request("GET", self._url).data)
        kind = now["kind"].removesuffix("List")  # the items of a list do not say it
        self.events += [(0, "ADDED", {**item, "kind": kind}) for item in now["items"]]
        since = now["metadata"]["resourceVersion"]
        query = {"watch": "true", "resourceVersion": since}
        self._answer = self._pool.request("GET", self._url, fields=query, preload_content=False)
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def _follow(self) -> None:
        with suppress(urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError):  # closed while it is read
            for event in _lines(self._answer):
                version = int(event["object"]["metadata"]["resourceVersion"])
                self.events.append((version, event["type"], event["object"]))

    def close(self) -> None:
        """End it."""
        with suppress(Exception):
            self._answer.shutdown()
        self._answer.close()
        self._thread.join(10)


class Recorder:
    """Follows `spec.replicas` of one Deployment, and which autoscalers there are for it."""

    def __init__(self, client: ApiClient, namespace: str, name: str, *, keda: bool = False) -> None:
        """Begin to watch.

        Args:
            client: To the API server, with all rights.
            namespace: Where they are.
            name: Name of the Deployment.
            keda: Whether there are ScaledObjects.
        """
        self._name = name
        self._stack = ExitStack()
        self._deployments = self._watch(client, f"/apis/apps/v1/namespaces/{namespace}/deployments")
        kinds = ["autoscaling/v2/namespaces/{}/horizontalpodautoscalers"]
        kinds += ["keda.sh/v1alpha1/namespaces/{}/scaledobjects"] if keda else []
        self._scalers = [self._watch(client, f"/apis/{kind.format(namespace)}") for kind in kinds]

    def _watch(self, client: ApiClient, path: str) -> Watch:
        watch = Watch(client, path)
        self._stack.callback(watch.close)
        return watch

    def replicas(self) -> list[int]:
        """The numbers that were asked for, one after the other."""
        found = [
            it["spec"]["replicas"]
            for _, kind, it in self._deployments.events
            if it["metadata"]["name"] == self._name and kind != "DELETED"
        ]
        return [number for number, _ in groupby(found)]

    def scalers(self) -> list[frozenset[str]]:
        """Which autoscalers were there together, one set after the other; a ScaledObject and its HPA are one thing, `KEDA`."""
        present: set[str] = set()
        found: list[frozenset[str]] = []
        events = sorted((it for watch in self._scalers for it in watch.events), key=lambda it: it[0])
        for _, kind, obj in events:
            target = obj["spec"].get("scaleTargetRef", {}).get("name")
            if target != self._name:
                continue
            (present.discard if kind == "DELETED" else present.add)(f"{obj['kind']}/{obj['metadata']['name']}")
            found.append(frozenset(_engine(it) for it in present))
        return [one for one, _ in groupby(found)]

    def wait_for(self, replicas: int, seconds: float = 60.0) -> None:
        """Wait until so many replicas were the last that was asked for."""
        wait_for(lambda: self.replicas()[-1:] == [replicas], f"{replicas} replicas, not {self.replicas()}", seconds)

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the watches."""
        self._stack.close()


def _engine(name: str) -> str:
    return "KEDA" if name.startswith("ScaledObject/") or "/keda-hpa-" in name else "HPA"


def _lines(answer: urllib3.BaseHTTPResponse) -> Iterator[Any]:
    rest = b""
    for piece in answer.stream(65536):
        *whole, rest = (rest + piece).split(b"\n")
        yield from (json.loads(line) for line in whole if line)
