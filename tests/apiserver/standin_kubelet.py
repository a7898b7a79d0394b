"""What a kubelet writes into the status of a pod, step by step: stands in for one, so that a test decides when a step is over."""

from __future__ import annotations

import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Self

from tests.apiserver.operator_process import Space


class StandinKubelet:
    """A node without a kubelet, on which nothing happens but what the test says."""

    ACCOUNT: ClassVar[dict[str, Any]] = {
        "fingerprint": "sha256:" + "0" * 64,
        "files": 3,
        "seconds": 1.5,
        "bytes": {"origin": 4096, "peer": 2**30, "local": 0, "cache": 0},
        "direct": 4096,
        "parents": {"gpu-1": 2**30},
        "retries": 0,
    }
    """The account of each fetcher."""

    def __init__(self, space: Space) -> None:
        self.space, self.node = space, f"standin-{secrets.token_hex(3)}"
        self._account: dict[str, dict[str, Any]] = {}

    def __enter__(self) -> Self:
        """Make the node."""
        self.space.api.call("POST", "/api/v1/nodes", {"metadata": {"name": self.node}})
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the node."""
        self.space.api.call("DELETE", f"/api/v1/nodes/{self.node}")

    def bind(self, model: str, taken: tuple[str, ...] = ()) -> str:
        """Bind the pod of a model, not one of those `taken`, to the node, as a scheduler does; its name."""

        def pods() -> list[str]:
            names = [pod["metadata"]["name"] for pod in self.space.list("Pod", model=model)]
            return [name for name in names if name not in taken]

        self.space.wait(lambda: len(pods()) == 1, "a pod")
        (name,) = pods()
        target = {"apiVersion": "v1", "kind": "Node", "name": self.node}
        body = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": name}, "target": target}
        done = self.space.api.call("POST", self.space.path("Pod", name, "binding"), body)
        assert done.get("status") == "Success", done
        return name

    def fetches(self, pod: str) -> None:
        """The fetcher runs."""
        self._write(pod, fetch={"running": {"startedAt": self._now()}})

    def fetched(self, pod: str, **told: Any) -> None:
        """The fetcher has brought the weights, and told this in addition to `ACCOUNT`."""
        self._account[pod] = {
            "exitCode": 0,
            "startedAt": self._now(),
            "finishedAt": self._now(2),
            "message": json.dumps(self.ACCOUNT | told),
        }
        self._write(pod, fetch={"terminated": self._account[pod]})

    def loads(self, pod: str) -> None:
        """The server runs."""
        self._write(pod, fetch={"terminated": self._account[pod]}, server={"running": {"startedAt": self._now(3)}})

    def ready(self, pod: str) -> None:
        """The server answers."""
        server = {"running": {"startedAt": self._now(3)}}
        self._write(pod, fetch={"terminated": self._account[pod]}, server=server, ready=True)

    def gone(self, pod: str) -> None:
        """The containers of a pod that was deleted have ended."""
        self.space.api.call("DELETE", self.space.path("Pod", pod), {"gracePeriodSeconds": 0})

    def _write(self, pod: str, fetch: Any, server: Any = None, *, ready: bool = False) -> None:
        waits = {"waiting": {"reason": "PodInitializing"}}
        image = {"image": "example.com/image:1", "imageID": "", "restartCount": 0}
        conditions = [
            {"type": kind, "status": "True" if true else "False", "lastTransitionTime": self._now()}
            for kind, true in (("PodScheduled", True), ("ContainersReady", ready), ("Ready", ready))
        ]
        status = {
            "phase": "Running" if server else "Pending",
            "conditions": conditions,
            "initContainerStatuses": [{"name": "fetch", **image, "ready": "terminated" in fetch, "state": fetch}],
            "containerStatuses": [{"name": "server", **image, "ready": ready, "state": server or waits}],
        }
        self.space.patch("Pod", pod, {"status": status}, "status")

    def _now(self, plus: int = 0) -> str:
        return (datetime.now(UTC) + timedelta(seconds=plus)).strftime("%Y-%m-%dT%H:%M:%SZ")
