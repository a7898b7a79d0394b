"""An operator that can be killed, and a watch of the pods beside its own."""

import threading
import time
from pathlib import Path
from typing import Any, Self

from kubernetes.client import CoreV1Api
from kubernetes.config import new_client_from_config
from kubernetes.watch import Watch
from urllib3.exceptions import ProtocolError

from tests.apiserver.operator_process import Operator
from tests.cluster import Access
from tests.cluster.process import wait_for
from tests.e2e.mesh.support import ready


class OperatorProcess:
    """The operator as a pod's container: killed and started again it takes its own Lease back at once."""

    def __init__(self, cluster: Access, folder: Path) -> None:
        """Install the CRD, start it and wait until it works.

        Args:
            cluster: where.
            folder: for its log.
        """
        cluster.kubectl("apply", "--server-side", "-f", "crds/")
        self._kubeconfig, self._log = cluster.kubeconfig, folder / "operator.log"
        self.start()

    def start(self) -> None:
        """Start it again, and wait until it works."""
        self.process = Operator(self._kubeconfig, self._log, identity="pantala-0").wait("leader")

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()

    def __enter__(self) -> Self:
        """Return the running operator."""
        return self

    def __exit__(self, *_: object) -> None:
        """End it in order; its log is printed, for a test that failed."""
        self.process.terminate()
        print(self._log.read_text()[-8000:])


class PodWatch:
    """When the API server had it that a version has no pod that answers, by a watch of its own."""

    def __init__(self, cluster: Access, namespace: str, model: str) -> None:
        self._cluster, self._namespace, self._model = cluster, namespace, model
        self._answering: dict[str, set[str]] = {}
        self._emptied: dict[str, float] = {}
        self._watch = Watch()
        self._ended = False
        self._thread = threading.Thread(target=self._follow, daemon=True)

    def __enter__(self) -> Self:
        """Start to watch."""
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Stop."""
        self._ended = True
        self._watch.stop()
        self._thread.join()

    def emptied(self, version: str, since: float, seconds: float = 180) -> float:
        """Wait until the last pod of a version answers no more; when that was, in seconds since the epoch."""
        wait_for(lambda: self._emptied.get(version, 0) > since, f"{version} has no pod that answers", seconds)
        return self._emptied[version]

    def _follow(self) -> None:
        with new_client_from_config(str(self._cluster.kubeconfig)) as client:
            selector = f"pantala.dev/model={self._model}"
            api = CoreV1Api(client)
            try:
                for event in self._watch.stream(api.list_namespaced_pod, self._namespace, label_selector=selector):
                    self._note(event["type"], event["raw_object"])
            except ProtocolError:  # `stop` cuts the answer off
                if not self._ended:
                    raise

    def _note(self, kind: str, pod: dict[str, Any]) -> None:
        version, name = pod["metadata"]["labels"]["pantala.dev/version"], pod["metadata"]["name"]
        known = self._answering.setdefault(version, set())
        if kind != "DELETED" and "deletionTimestamp" not in pod["metadata"] and ready(pod):
            known.add(name)
        elif name in known:
            known.discard(name)
            if not known:
                self._emptied[version] = time.time()
