"""Stands in for Prometheus' discovery of Services (`role: endpoints`), which Debian builds Prometheus without.

It offers what stands behind the Services of a cluster over HTTP, with the labels that Prometheus documents for that role
(configuration, `kubernetes_sd_config`). Relabelling is Prometheus' own.
"""

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

from tests.cluster.addons.answers import AnswerServer

Objects = Callable[[str], list[dict[str, Any]]]
"""Lists the objects of a kind, by its plural, in all namespaces."""


def endpoint_targets(services: list[Any], slices: list[Any], pods: list[Any]) -> Iterator[dict[str, Any]]:
    """Every endpoint with every port of its Service: whether it is ready or not."""
    services_by_name = {_name(it): it for it in services}
    pods_by_name = {_name(it): it for it in pods}
    for piece in slices:
        meta = piece["metadata"]
        service = services_by_name.get((meta["namespace"], meta["labels"].get("kubernetes.io/service-name", "")))
        if service is None:
            continue
        for endpoint in piece.get("endpoints") or []:
            pod = pods_by_name.get((meta["namespace"], (endpoint.get("targetRef") or {}).get("name", "")))
            for port in piece.get("ports") or []:
                yield {
                    "targets": [f"{endpoint['addresses'][0]}:{port['port']}"],
                    "labels": {f"__meta_kubernetes_{k}": v for k, v in _labels(service, endpoint, port, pod).items()},
                }


def _labels(service: Any, endpoint: Any, port: Any, pod: Any) -> dict[str, str]:
    namespace, name = _name(service)
    found = {
        "namespace": namespace,
        "service_name": name,
        "endpoints_name": name,
        "endpoint_port_name": port["name"],
        "endpoint_port_protocol": port["protocol"],
        "endpoint_ready": str((endpoint.get("conditions") or {}).get("ready", True)).lower(),
        **_meta("service", service),
    }
    if pod is None:
        return found
    target = {"endpoint_address_target_kind": "Pod", "endpoint_address_target_name": _name(pod)[1]}
    about = {"pod_name": _name(pod)[1], "pod_phase": pod["status"].get("phase", "")}
    container = next(
        (
            {"pod_container_name": it["name"], "pod_container_port_name": own.get("name", "")}
            for it in pod["spec"]["containers"]
            for own in it.get("ports") or []
            if own["containerPort"] == port["port"]
        ),
        {},
    )
    return {**found, **target, **about, **container, **_meta("pod", pod)}


def _meta(what: str, obj: Any) -> dict[str, str]:
    found = {}
    for kind in ("label", "annotation"):
        for key, value in (obj["metadata"].get(f"{kind}s") or {}).items():
            name = re.sub(r"[^a-zA-Z0-9_]", "_", key)
            found |= {f"{what}_{kind}_{name}": value, f"{what}_{kind}present_{name}": "true"}
    return found


def _name(obj: Any) -> tuple[str, str]:
    return obj["metadata"]["namespace"], obj["metadata"]["name"]


class StandinEndpointsDiscovery(AnswerServer):
    """The discovery, read anew for every request of Prometheus; a context manager."""

    def __init__(self, objects: Objects) -> None:
        """Start it."""

        def answer(_: str) -> str:
            return json.dumps(list(endpoint_targets(objects("services"), objects("endpointslices"), objects("pods"))))

        super().__init__(answer, "application/json")
        self.url = f"http://{self.address}"

    def instead(self, jobs: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return jobs with this discovery in the place of Kubernetes'; it looks in all namespaces."""
        found = []
        for job in jobs:
            (discovery,) = job["kubernetes_sd_configs"]
            assert discovery["role"] == "endpoints"
            rest = {key: value for key, value in job.items() if key != "kubernetes_sd_configs"}
            (namespace,) = discovery["namespaces"]["names"]
            only = {"source_labels": ["__meta_kubernetes_namespace"], "regex": namespace, "action": "keep"}
            rest["relabel_configs"] = [only, *rest["relabel_configs"]]
            found.append({**rest, "http_sd_configs": [{"url": self.url, "refresh_interval": "1s"}]})
        return found
