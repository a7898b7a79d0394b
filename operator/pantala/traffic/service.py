"""The Services of a model and of its versions, and the annotations by which Prometheus finds the pods.

kube-proxy knows no weights: each of these Services selects exactly one version.
"""

from collections.abc import Mapping

from pantala.api.traffic import LoadBalancer, NodePorts
from pantala.manifest.types import Manifest, Port, ServerParts

PROMETHEUS_SCRAPE, PROMETHEUS_PORT, PROMETHEUS_PATH = (f"prometheus.io/{it}" for it in ("scrape", "port", "path"))
"""Annotations of pods that the usual scrape jobs read."""


def version_service(
    name: str,
    namespace: str,
    labels: Mapping[str, str],
    owner: tuple[Manifest, ...],
    selector: Mapping[str, str],
    server: ServerParts,
) -> Manifest:
    """The Service that reaches one version, with every port of its server, metrics included.

    Args:
        name: Name of the Service.
        namespace: Its namespace.
        labels: Its labels.
        owner: Its owner references.
        selector: Labels that select the pods of the version (`naming.selector`).
        server: Whose ports it offers.
    """
    ports = [_port(port) for port in server.ports if port.in_service]
    return _service(name, namespace, labels, owner, {"type": "ClusterIP", "selector": dict(selector), "ports": ports})


def model_service(
    name: str,
    namespace: str,
    labels: Mapping[str, str],
    owner: tuple[Manifest, ...],
    selector: Mapping[str, str],
    server: ServerParts,
) -> Manifest:
    """The Service under the model's own name, for clients: the ports that answer requests, of one version.

    Args:
        name: Name of the Service.
        namespace: Its namespace.
        labels: Its labels.
        owner: Its owner references.
        selector: Labels that select the pods of the version that answers.
        server: Whose ports it offers.
    """
    ports = [_port(port) for port in client_ports(server)]
    return _service(name, namespace, labels, owner, {"type": "ClusterIP", "selector": dict(selector), "ports": ports})


def node_port_service(
    name: str,
    namespace: str,
    labels: Mapping[str, str],
    owner: tuple[Manifest, ...],
    selector: Mapping[str, str],
    server: ServerParts,
    asked: NodePorts,
) -> Manifest:
    """The Service that opens ports of every node for clients outside of the cluster.

    Args:
        name: Name of the Service.
        namespace: Its namespace.
        labels: Its labels.
        owner: Its owner references.
        selector: Labels that select the pods of the version that answers.
        server: Whose ports it offers.
        asked: Port numbers that the user wants; the rest is for Kubernetes to choose.
    """
    numbers = {"http": asked.http, "grpc": asked.grpc}
    ports = []
    for port in client_ports(server):
        number = numbers.get(port.name)
        # Left out rather than 0, so that server-side apply leaves the number to the API server and it stays.
        ports.append(_port(port) | ({"nodePort": number} if number else {}))
    return _service(name, namespace, labels, owner, {"type": "NodePort", "selector": dict(selector), "ports": ports})


def load_balancer_service(
    name: str,
    namespace: str,
    labels: Mapping[str, str],
    owner: tuple[Manifest, ...],
    selector: Mapping[str, str],
    server: ServerParts,
    asked: LoadBalancer,
) -> Manifest:
    """The Service by which a cloud gives the model an address of its own.

    Args:
        name: Name of the Service.
        namespace: Its namespace.
        labels: Its labels.
        owner: Its owner references.
        selector: Labels that select the pods of the version that answers.
        server: Whose ports it offers.
        asked: What the user wants of the cloud.
    """
    spec: Manifest = {
        "type": "LoadBalancer",
        "selector": dict(selector),
        "ports": [_port(port) for port in client_ports(server)],
    }
    if asked.load_balancer_class is not None:
        spec["loadBalancerClass"] = asked.load_balancer_class
    if asked.source_ranges is not None:
        spec["loadBalancerSourceRanges"] = [text if "/" in text else _single(text) for text in asked.source_ranges]
    made = _service(name, namespace, labels, owner, spec)
    if asked.annotations:
        made["metadata"]["annotations"] = dict(asked.annotations)
    return made


def client_ports(server: ServerParts) -> tuple[Port, ...]:
    """The ports that answer requests; metrics are not for clients."""
    return tuple(port for port in server.ports if port.in_service and port.name in {"http", "grpc"})


def prometheus_annotations(server: ServerParts) -> dict[str, str]:
    """Annotations for the pod template that make the usual scrape jobs read the server's metrics; none without metrics.

    They belong on pods and not on Services: each replica is read by itself, a Service with them would have every pod
    read twice by the common pair of jobs (pods and endpoints), and Istio merges its metrics by those of the pod.
    """
    if server.metrics_port is None:
        return {}
    return {
        PROMETHEUS_SCRAPE: "true",
        PROMETHEUS_PORT: str(server.metrics_port),
        PROMETHEUS_PATH: server.metrics_path,
    }


def _single(address: str) -> str:
    """The range that holds one address: a Service takes ranges only."""
    return f"{address}/{128 if ':' in address else 32}"


def _port(port: Port) -> Manifest:
    return {
        "name": port.name,
        "port": port.number,
        "protocol": "TCP",
        # By name: what the port is called in the container.
        "targetPort": port.name,
        "appProtocol": port.app_protocol,
    }


def _service(
    name: str, namespace: str, labels: Mapping[str, str], owner: tuple[Manifest, ...], spec: Manifest
) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "labels": dict(labels), "ownerReferences": list(owner)},
        "spec": spec,
    }
