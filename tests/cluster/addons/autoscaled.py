"""Something small that an autoscaler scales: a Deployment in a namespace of its own."""

import json
from typing import Any, Self

from tests.cluster import Access
from tests.cluster.addons import aggregation
from tests.cluster.process import wait_for

NAME = "worker"
"""Name of the Deployment, and of the autoscaler that a test makes for it."""


class Workload:
    """A Deployment of one replica with a container `server`; a context manager that removes the namespace."""

    def __init__(
        self, cluster: Access, namespace: str, image: str = "none", python: str = "", **resources: dict[str, str]
    ) -> None:
        """Make the namespace and the Deployment.

        Args:
            cluster: where.
            namespace: of its own.
            image: of the container; simulated nodes run any.
            python: what it runs, if the image has Python.
            resources: `requests` and `limits`; by default it asks for 0.1 CPU and 64 MiB.
        """
        self._cluster, self.namespace = cluster, namespace
        labels = {"app": NAME}
        asked = resources or {"requests": {"cpu": "100m", "memory": "64Mi"}}
        container: dict[str, Any] = {"name": "server", "image": image, "resources": asked}
        if python:
            container |= {"command": ["python3", "-c", python], "imagePullPolicy": "Never"}
        pod = {"containers": [container], "terminationGracePeriodSeconds": 1}
        template = {"metadata": {"labels": labels}, "spec": pod}
        spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        self.apply(self._object("apps/v1", "Deployment", spec))

    def autoscale(self, metric: dict[str, Any], *, at_least: int = 1, at_most: int = 4) -> None:
        """Make an HPA with one metric (`spec.metrics[]`)."""
        target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": NAME}
        spec = {"scaleTargetRef": target, "minReplicas": at_least, "maxReplicas": at_most, "metrics": [metric]}
        self.apply(self._object("autoscaling/v2", "HorizontalPodAutoscaler", spec))

    def scaled_object(self, trigger: dict[str, Any], **spec: Any) -> None:
        """Make a ScaledObject of KEDA with one trigger and further fields of its spec."""
        target = {"name": NAME}
        self.apply(
            self._object("keda.sh/v1alpha1", "ScaledObject", {"scaleTargetRef": target, "triggers": [trigger], **spec})
        )

    def apply(self, *objects: dict[str, Any]) -> None:
        """Apply objects."""
        aggregation.apply(self._cluster, objects)

    def get(self, resource: str) -> dict[str, Any]:
        """Return an object of the namespace (`hpa/worker`)."""
        found: dict[str, Any] = json.loads(
            self._cluster.kubectl("get", "--namespace", self.namespace, resource, "-o", "json")
        )
        return found

    def pods(self) -> list[str]:
        """Return the names of its pods that do not end."""
        found = self.get("pods")["items"]
        return [pod["metadata"]["name"] for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def wait_for_replicas(self, wanted: int, seconds: float = 60) -> None:
        """Wait until the Deployment is asked for so many replicas and all are ready.

        Raises:
            ClusterError: they are not in time.
        """

        def reached() -> bool:
            found = self.get(f"deployment/{NAME}")
            return found["spec"]["replicas"] == wanted == found["status"].get("readyReplicas", 0)

        wait_for(reached, f"{wanted} replicas in {self.namespace}", seconds, every=0.2)

    def conditions(self, resource: str = f"hpa/{NAME}") -> dict[str, tuple[str, str]]:
        """Return status and reason of the conditions of an object, by type."""
        found = self.get(resource).get("status", {}).get("conditions", [])
        return {one["type"]: (one["status"], one.get("reason", "")) for one in found}

    def _object(self, version: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
        metadata = {"name": NAME, "namespace": self.namespace}
        return {"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec}

    def __enter__(self) -> Self:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the namespace; it goes in the background."""
        self._cluster.kubectl("delete", "namespace", self.namespace, "--wait=false")
