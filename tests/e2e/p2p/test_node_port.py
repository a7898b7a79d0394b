"""The Service `dfstore` of the chart in front of real dfdaemons: a client outside of the nodes loads a file through it."""

import json
import secrets
from collections.abc import Iterator

import pytest
import yaml

from tests.charts.helm import Helm
from tests.charts.standin_store import StandinStore, ask
from tests.cluster import Cluster
from tests.cluster.addons.dragonfly_nodes import NAMESPACE, NodePeers
from tests.cluster.process import wait_for

pytestmark = [pytest.mark.e2e, pytest.mark.p2p]

MIB = 1 << 20


@pytest.fixture(scope="module")
def node_port(cluster: Cluster, peers: NodePeers) -> Iterator[int]:
    """The port of the Service, once every node answers there."""
    values = {"dragonfly": {"nodePortService": {"enabled": True}}}
    text = Helm().template(values, "--show-only=templates/dfstore.yaml")
    assert yaml.safe_load(text)["metadata"]["namespace"] == NAMESPACE
    cluster.kubectl("apply", "--server-side", "-f", "-", stdin=text)
    service = json.loads(cluster.kubectl("-n", NAMESPACE, "get", "service", "dfstore", "-o", "json"))
    port = int(service["spec"]["ports"][0]["nodePort"])
    yield port
    cluster.kubectl("-n", NAMESPACE, "delete", "service", "dfstore")


@pytest.fixture(scope="module")
def store() -> Iterator[StandinStore]:
    """An origin that counts, at an address that the nodes reach."""
    started = StandinStore(size=20 * MIB, listen="0.0.0.0")
    yield started
    started.stop()


def test_a_file_from_outside(cluster: Cluster, node_port: int, store: StandinStore) -> None:
    """A file through the NodePort of each node is whole, and the origin gives it about once.

    The node that is asked is not always the one that answers: the locality of the node is lost. At the proxy's own port it
    is kept, for who can reach that.
    """
    # The rule of images is the one that the daemons of the tests have.
    url = f"http://{cluster.host_ip}:{store.port}/v2/m/blobs/sha256:{secrets.token_hex(32)}"
    proxies = {ip: f"http://{ip}:{node_port}" for ip in cluster.node_ips}

    def reachable() -> bool:
        try:
            return all(ask(proxy, f"http://{cluster.host_ip}:{store.port}/") for proxy in proxies.values())
        except OSError:
            return False

    wait_for(reachable, "kube-proxy of every node has heard of the Service", 60)
    before = store.given
    answered: dict[str, set[str]] = {ip: set() for ip in proxies}
    for _ in range(8):
        for ip, proxy in proxies.items():
            headers, size = ask(proxy, url)
            assert size == len(store.content)
            answered[ip].add(headers["x-dragonfly-server-ip"])
    assert store.given - before <= 1.02 * len(store.content)
    seen = set().union(*answered.values())
    assert seen <= set(cluster.node_ips)
    assert any(found != {ip} for ip, found in answered.items()), answered
    for ip in cluster.node_ips:
        headers, _ = ask(f"http://{ip}:4001", url)
        assert headers["x-dragonfly-server-ip"] == ip, "the proxy's own port is that of the node"
