"""The way through the node's dfdaemon."""

from typing import Any

from pantala.distribution import registry
from pantala.manifest.settings import Settings
from pantala.manifest.types import FetchRoute
from tests.runtimes.build import version


def _route(**block: Any) -> FetchRoute:
    return registry.route(version({"name": "triton"}, distribution={"mode": "Dragonfly", **block}), Settings())


def test_the_folder_of_the_socket_is_mounted() -> None:
    """A mounted socket file goes stale with its daemon; a type check would keep pods from starting where no daemon runs."""
    route = _route()
    assert route.args == ("--peers", "/var/run/dragonfly/dfdaemon.sock")
    assert route.parts.volumes == ({"name": "dragonfly", "hostPath": {"path": "/var/run/dragonfly"}},)
    assert route.parts.mounts == ({"name": "dragonfly", "mountPath": "/var/run/dragonfly", "readOnly": True},)
    assert not route.parts.env


def test_the_folder_is_the_installations() -> None:
    """An installation may have it elsewhere."""
    settings = Settings(dragonfly_socket_folder="/run/dfly")
    route = registry.route(version({"name": "triton"}, distribution={"mode": "Dragonfly"}), settings)
    assert route.args == ("--peers", "/run/dfly/dfdaemon.sock")


def test_fallback_and_its_patience_are_arguments() -> None:
    """As the fetcher reads them: a word, and seconds."""
    route = _route(fallback="Fail", fallbackAfter="1m30s")
    assert route.args[2:] == ("--fallback", "fail", "--fallback-after", "90")


def test_the_proxy_needs_no_volume() -> None:
    """A namespace that forbids hostPath takes such a pod; the proxy is that of the pod's own node."""
    route = _route(proxy={"port": 65001, "headers": {"X-B": "2 $(HOME)", "X-A": "1"}, "filters": ["sig"]})
    assert not route.parts.volumes
    assert not route.parts.mounts
    assert route.parts.env == ({"name": "HOST_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.hostIP"}}},)
    assert route.args == (
        "--proxy",
        "http://$(HOST_IP):65001",
        "--proxy-header",
        "X-A=1",
        "--proxy-header",
        "X-B=2 $$(HOME)",
        "--proxy-filter",
        "sig",
    )


def test_a_volume_goes_round_the_peers() -> None:
    """A claim beside other stores in one model: its pod gets neither socket nor arguments."""
    claim = version(
        {"name": "triton"},
        distribution={"mode": "Dragonfly"},
        versions=[{"name": "v1", "uri": "pvc://weights/resnet/1/"}],
    )
    assert registry.route(claim, Settings()) == FetchRoute()
