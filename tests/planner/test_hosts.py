"""Which hosts a model gets, and what it is told where it does not get one."""

from dataclasses import replace
from typing import Any

import pytest

from pantala.api.model import InferenceModel
from pantala.manifest.settings import Settings
from pantala.manifest.types import Manifest
from pantala.planner.hosts import Exposure, exposure, wanted
from pantala.planner.observed import Mesh, Observed, Rival
from tests.planner.world import model

SETTINGS = Settings(gateway=("istio-system", "ingress"), domain="models.example.com")
HOST = "resnet.example.com"
OTHER = Rival("speech", "whisper", "2026-01-01T00:00:00Z", "/", holds=False)
GATEWAY: Manifest = {
    "apiVersion": "networking.istio.io/v1",
    "kind": "Gateway",
    "metadata": {"name": "ingress", "namespace": "istio-system"},
    "spec": {
        "servers": [
            {
                "port": {"number": 443, "name": "https", "protocol": "HTTPS"},
                "hosts": ["*.example.com"],
                "tls": {"mode": "SIMPLE"},
            }
        ]
    },
}


def ask(expose: Any, settings: Settings = SETTINGS, live: tuple[str, ...] = (), **seen: Any) -> Exposure:
    """What a model with this `expose` gets."""
    obj = model(expose=expose) if expose is not None else model()
    obj["metadata"]["creationTimestamp"] = "2026-01-02T00:00:00Z"
    return exposure(InferenceModel.read(obj), Observed(obj, mesh=Mesh.ISTIO, **seen), settings, live)


@pytest.mark.parametrize(
    ("expose", "hosts"),
    [
        pytest.param(None, (), id="not exposed"),
        pytest.param({}, ("resnet.vision.models.example.com",), id="an empty block: the automatic host"),
        pytest.param({"nodePort": {}}, (), id="a node port alone needs no gateway"),
        pytest.param({"loadBalancer": {}}, (), id="nor does a load balancer"),
        pytest.param({"nodePort": {}, "hosts": [HOST]}, (HOST,), id="both"),
        pytest.param({"prefix": "/a"}, ("resnet.vision.models.example.com",), id="a prefix at the automatic host"),
        pytest.param({"hosts": [HOST, "b.example.com"]}, (HOST, "b.example.com"), id="hosts by hand"),
    ],
)
def test_hosts(expose: Any, hosts: tuple[str, ...]) -> None:
    """A model is exposed where its spec says so, under the hosts that it names or the automatic one."""
    found = ask(expose)
    assert (found.hosts, found.problems) == (hosts, ())
    assert found.gateway == (SETTINGS.gateway if hosts else None)
    assert wanted(InferenceModel.read(model(expose=expose) if expose is not None else model())) == bool(hosts)


@pytest.mark.parametrize(
    ("rival", "live", "granted"),
    [
        pytest.param(OTHER, (), False, id="the older one gets it"),
        pytest.param(replace(OTHER, created="2026-01-03T00:00:00Z"), (), True, id="the younger one does not"),
        pytest.param(replace(OTHER, created="2026-01-03T00:00:00Z", holds=True), (), False, id="who holds it keeps it"),
        pytest.param(OTHER, (HOST,), True, id="even from an older one"),
        pytest.param(replace(OTHER, holds=True), (HOST,), False, id="two that hold it: the older one"),
        pytest.param(replace(OTHER, prefix="/speech"), (), False, id="a prefix below everything"),
        pytest.param(replace(OTHER, created="2026-01-02T00:00:00Z"), (), False, id="of one second: by name"),
    ],
)
def test_conflicts(rival: Rival, live: tuple[str, ...], *, granted: bool) -> None:
    """Of two models that claim a host, one gets it, and the other is told whose it is."""
    found = ask({"hosts": [HOST]}, live=live, rivals={HOST: (rival,)})
    assert (found.hosts == (HOST,)) is granted
    if not granted:
        (problem,) = found.problems
        assert problem.reason == "HostConflict"
        assert f"InferenceModel {rival.namespace}/{rival.name}" in problem.message


@pytest.mark.parametrize(
    ("mine", "other", "granted"),
    [("/a", "/b", True), ("/a", "/a", False), ("/a", "/a/b", False), ("/a/b", "/a", False), ("/a", "/ab", True)],
)
def test_a_host_may_be_shared_by_prefix(mine: str, other: str, *, granted: bool) -> None:
    """Models share a host where no path can belong to both."""
    found = ask({"hosts": [HOST], "prefix": mine}, rivals={HOST: (replace(OTHER, prefix=other),)})
    assert (found.hosts == (HOST,)) is granted


def test_one_host_lost_leaves_the_others() -> None:
    """A model keeps those of its hosts that nobody else has."""
    found = ask({"hosts": [HOST, "b.example.com"]}, rivals={HOST: (OTHER,)})
    assert found.hosts == ("b.example.com",)


@pytest.mark.parametrize(
    ("allowed", "granted"),
    [
        ({}, True),
        ({"speech": ("x.org",)}, True),
        ({"vision": ("example.com",)}, True),
        ({"vision": ("ample.com",)}, False),
        ({"vision": (HOST,)}, True),
        ({"*": ("x.org",)}, False),
        ({"*": ("x.org",), "vision": ("example.com",)}, True),
        ({"vision": ()}, False),
    ],
)
def test_allowed_domains(allowed: dict[str, tuple[str, ...]], *, granted: bool) -> None:
    """A namespace uses the domains that the installation lets it use; automatic hosts are the installation's own."""
    settings = replace(SETTINGS, allowed_domains=allowed)
    found = ask({"hosts": [HOST]}, settings)
    assert (found.hosts == (HOST,)) is granted
    assert [problem.reason for problem in found.problems] == ([] if granted else ["HostNotAllowed"])
    assert ask({}, settings).hosts == ("resnet.vision.models.example.com",)


@pytest.mark.parametrize(
    ("host", "granted"),
    [
        ("resnet.models.example.com", True),
        ("other.vision.models.example.com", True),
        ("whisper.speech.models.example.com", False),
        ("a.b.speech.models.example.com", False),
        ("whisper.speech.example.com", True),
        ("models.example.com", True),
    ],
)
def test_automatic_hosts_are_kept_for_their_namespace(host: str, *, granted: bool) -> None:
    """Nobody takes NAME.NAMESPACE.DOMAIN of another namespace, which its model is to get by itself."""
    found = ask({"hosts": [host]})
    assert (found.hosts == (host,)) is granted
    assert [problem.reason for problem in found.problems] == ([] if granted else ["HostNotAllowed"])


def test_no_domain_no_gateway() -> None:
    """What the installation lacks is said, with what to write in place of it."""
    found = ask({}, Settings(gateway=("istio-system", "ingress")))
    assert [problem.reason for problem in found.problems] == ["HostMissing"]
    found = ask({"hosts": [HOST]}, Settings())
    assert ([problem.reason for problem in found.problems], found.hosts) == (["GatewayMissing"], ())


def test_the_gateway_is_looked_at() -> None:
    """A gateway that is not there, or does not take the host, is named; one that does gives scheme and port."""
    expose = {"hosts": [HOST], "gatewayRef": {"namespace": "istio-system", "name": "ingress"}}
    assert [it.reason for it in ask(expose, gateways={}).problems] == ["GatewayMissing"]
    found = ask(expose, gateways={("istio-system", "ingress"): GATEWAY})
    assert found.problems == ()
    assert found.listener is not None
    assert (found.listener.scheme, found.listener.port) == ("https", 443)
    expose["hosts"] = ["resnet.example.org"]
    found = ask(expose, gateways={("istio-system", "ingress"): GATEWAY})
    assert [it.reason for it in found.problems] == ["HostNotServed"]
    assert found.hosts == ("resnet.example.org",), "the route is written, so that it works as soon as the gateway does"
