"""The Gateway API in a cluster: its CRDs (standard channel) and a gateway that an Envoy outside of the cluster serves."""

import re
from typing import Any

import yaml

from tests.cluster import Access, build
from tests.cluster.addons.envoy import Envoy
from tests.cluster.process import wait_for

CONTROLLER = "istio.io/gateway-controller"
GROUP = "gateway.networking.k8s.io"


def install(cluster: Access) -> None:
    """Apply the CRDs, of the release that istiod is compiled against, and wait until they are served; again is harmless."""
    apply_crds(cluster, _crds())


def remove(cluster: Access) -> None:
    """Delete the CRDs and with them every resource of the Gateway API; returns when they are gone."""
    delete_crds(cluster, _crds())


def apply_crds(cluster: Access, manifests: str) -> None:
    """Apply CRDs given as YAML; server-side, because many are larger than what an annotation holds.

    Without kubectl's validation: for it the server's whole OpenAPI is downloaded, which an idle one answers, and a busy one that
    is just computing it anew for other CRDs may not in time.
    """
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "--validate=false", "-f", "-", stdin=manifests)
    names = re.findall(r"^  name: ([a-z]+\.[a-z.0-9]+)$", manifests, re.MULTILINE)
    told = ".status.conditions[?(@.type=='Established')].status}"
    path = f"jsonpath={{.items[*]{told}{{{told}"  # of several kubectl makes a list, of one none

    def established() -> bool:  # `kubectl wait` asks for one after the other and takes seconds
        # A CRD has no conditions at first, which kubectl calls an error.
        answer = cluster.kubectl("get", "customresourcedefinitions", *names, "-o", path, check=False)
        return answer.split() == ["True"] * len(names)

    wait_for(established, "CRDs established", 180, every=0.1)


def delete_crds(cluster: Access, manifests: str) -> None:
    """Delete CRDs given as YAML, if they are there; returns when they are gone."""
    cluster.kubectl("delete", "--ignore-not-found", "--timeout=300s", "-f", "-", stdin=manifests)


def _crds() -> str:
    folder = build.ensure(["gateway-api"])["gateway-api"]
    documents = [one for path in sorted(folder.glob("*.yaml")) for one in yaml.safe_load_all(path.read_text()) if one]
    # besides CRDs the folder holds an admission policy that only guards against downgrades
    return yaml.safe_dump_all([one for one in documents if one["kind"] == "CustomResourceDefinition"])


def gateway(
    cluster: Access, envoy: Envoy, namespace: str = "istio-system", name: str = "ingress", hostname: str = ""
) -> None:
    """Make a Gateway for every host and namespace that an Envoy of this machine serves, and wait until it is Programmed.

    It is a "manual" one (Istio's documentation, Gateway API, manual deployment): `spec.addresses` names a Service, whose
    selector finds the proxy by its labels, and whose endpoint is written here. The proxy looks for its Services when
    it connects, so it is started again.

    Args:
        cluster: where the CRDs are installed and istiod runs.
        envoy: the gateway; it must be of the same namespace.
        namespace: of Gateway and Service.
        name: of both; `ingress`: the Gateway of Istio may have the same.
        hostname: the listener's, for instance `*.models.example.com`; by default any host.
    """
    address = f"{name}.{namespace}.svc.cluster.local"
    allowed = {"namespaces": {"from": "All"}}
    listener: dict[str, Any] = {"name": "http", "port": envoy.api_port, "protocol": "HTTP", "allowedRoutes": allowed}
    if hostname:
        listener["hostname"] = hostname
    resource = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "gatewayClassName": "istio",
            "addresses": [{"type": "Hostname", "value": address}],
            "listeners": [listener],
        },
    }
    objects = [*service(name, namespace, envoy.address, {"http": envoy.api_port}, envoy.labels), resource]
    cluster.kubectl("apply", "-f", "-", stdin=yaml.safe_dump_all(objects))
    envoy.halt()
    envoy.start()
    wait = ("wait", "--for=condition=Programmed", "--timeout=180s", "-n", namespace, f"gateways.{GROUP}/{name}")
    cluster.kubectl(*wait)
    envoy.wait_for_port(envoy.api_port)


def service(
    name: str,
    namespace: str,
    address: str,
    ports: dict[str, int],
    selector: dict[str, str] | None = None,
    front: int = 0,
) -> list[dict[str, Any]]:
    """Return a Service and its EndpointSlice for a program of this machine.

    Args:
        name: of the Service.
        namespace: of both.
        address: of the program, not 127.0.0.1 (the API server refuses it).
        ports: the program's by name; the name says the protocol to Istio.
        selector: only for who reads it; no pod has these labels.
        front: the Service's port, where it is another than the program's and there is one.
    """
    spec: dict[str, Any] = {
        "ports": [{"name": key, "port": front or port, "targetPort": port} for key, port in ports.items()]
    }
    if selector:
        spec["selector"] = selector
    return [
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": spec},
        {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {
                "name": f"{name}-machine",
                "namespace": namespace,
                "labels": {"kubernetes.io/service-name": name},
            },
            "addressType": "IPv4",
            "ports": [{"name": key, "port": port, "protocol": "TCP"} for key, port in ports.items()],
            "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
        },
    ]
