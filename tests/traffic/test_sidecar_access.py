"""Access lists, at real sidecars."""

from collections import Counter

import pytest

from tests.traffic.guarded import METRICS, Guarded

pytestmark = [pytest.mark.e2e, pytest.mark.mesh]

PATHS = {"/v2/models/resnet": 200, "/v2/models/resnet/infer": 200, "/v2/repository/index": 403, "/v2/repository": 403}


def test_paths_are_denied(guarded: Guarded) -> None:
    """Of 600 requests to open and closed paths each gets what its path says; gRPC, at no such path, passes."""
    guarded.put({"access": {"deny": [{"paths": ["/v2/repository*"]}]}})
    given = Counter((path, guarded.ask(path).status) for _ in range(150) for path in PATHS)
    assert given == dict.fromkeys(PATHS.items(), 150)
    assert guarded.ask("/v2/x/../repository/index").status == 403
    assert guarded.call().status == "OK"


def test_paths_of_grpc_are_denied(guarded: Guarded) -> None:
    """A call by gRPC has the path /SERVICE/METHOD, which a list can name."""
    guarded.put({"access": {"deny": [{"paths": ["/echo.Echo/*"]}]}})
    assert guarded.call().status == "PERMISSION_DENIED"
    assert guarded.ask().status == 200


def test_an_address_and_a_path_must_both_fit(guarded: Guarded) -> None:
    """Two entries of an allow list: an address that may ask for one path alone, and another one that nobody here has."""
    here = guarded.mesh.cluster.host_ip
    guarded.put(
        {
            "access": {
                "allow": [
                    {"ipBlocks": [here], "paths": ["/v2/models/*"]},
                    {"ipBlocks": ["192.0.2.0/24"], "paths": ["/v2/*"]},
                ]
            }
        }
    )
    given = Counter((path, guarded.ask(path).status) for _ in range(150) for path in PATHS)
    assert given == {(path, 200 if path.startswith("/v2/models/") else 403): 150 for path in PATHS}
    assert guarded.call().status == "PERMISSION_DENIED"
    assert guarded.ask("/metrics", port=METRICS).status == 200


def test_methods_are_allowed(guarded: Guarded) -> None:
    """Only methods of the list pass, at the ports for clients; gRPC's is POST, and metrics are still read."""
    guarded.put({"access": {"allow": [{"methods": ["POST", "DELETE"]}]}})
    given = {method: guarded.ask(method=method).status for method in ("GET", "POST", "PUT", "DELETE")}
    assert given == {"GET": 403, "POST": 200, "PUT": 403, "DELETE": 200}
    assert guarded.call().status == "OK"
    assert guarded.ask("/metrics", port=METRICS).status == 200
    assert guarded.ask(replica=1).status == 403


def test_an_address_of_nobody_shuts_clients_out(guarded: Guarded) -> None:
    """An allow list that nobody is on: 403 at both ports for clients, and metrics are still read."""
    guarded.put({"access": {"allow": [{"ipBlocks": ["192.0.2.1"]}]}})
    assert guarded.count(50) == {403: 50}
    assert guarded.call().status == "PERMISSION_DENIED"
    assert guarded.count(50, path="/metrics", port=METRICS) == {200: 50}


def test_what_is_denied_stays_denied(guarded: Guarded) -> None:
    """A request on both lists is refused."""
    here = guarded.mesh.cluster.host_ip
    guarded.put({"access": {"allow": [{"ipBlocks": ["0.0.0.0/0"]}], "deny": [{"ipBlocks": [here]}]}})
    assert guarded.ask().status == 403
    assert guarded.call().status == "PERMISSION_DENIED"
    assert guarded.ask("/metrics", port=METRICS).status == 200


def test_namespaces_need_mutual_tls(guarded: Guarded) -> None:
    """Without mutual TLS nobody is known to be of a namespace: an allow list of them shuts all clients out."""
    guarded.put({"access": {"allow": [{"namespaces": ["guarded", "default"]}]}})
    assert guarded.ask().status == 403
    assert guarded.ask("/metrics", port=METRICS).status == 200


def test_forwarded_addresses_are_the_word_of_the_client(guarded: Guarded) -> None:
    """A sidecar takes X-Forwarded-For from everybody; only who says nothing is known by the connection's address."""
    forged = {"x-forwarded-for": "203.0.113.7"}
    guarded.put({"access": {"deny": [{"remoteIpBlocks": ["203.0.113.0/24"]}]}})
    assert (guarded.ask(headers=forged).status, guarded.ask().status) == (403, 200)
    guarded.put({"access": {"deny": [{"remoteIpBlocks": [guarded.mesh.cluster.host_ip]}]}})
    assert (guarded.ask(headers=forged).status, guarded.ask().status) == (200, 403)
