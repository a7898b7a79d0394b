"""The fields of `distribution`, each by what it makes of a real pod and of its bytes."""

from pathlib import Path
from typing import Any

import pytest

from tests.cluster.addons import models
from tests.e2e.p2p.space import PeerSpace, total
from tests.e2e.support import BUCKET

pytestmark = [pytest.mark.e2e, pytest.mark.p2p]

PADDING = 12 * 1024 * 1024
QUICK = {"terminationGracePeriodSeconds": 2}


def _spec(space: PeerSpace, folder: Path, name: str, node: int, **block: Any) -> dict[str, Any]:
    """A model of its own prefix, on a node, with a distribution."""
    space.s3.put_folder(BUCKET, name, models.triton_add(folder, name, padding=PADDING))
    template = space.on(node)
    template["spec"] |= QUICK
    return space.spec("triton", f"{name}/", template=template, distribution={"mode": "Dragonfly", **block})


def _fetch(space: PeerSpace, name: str) -> dict[str, Any]:
    (pod,) = space.pods(name)
    found: dict[str, Any] = next(one for one in pod["spec"]["initContainers"] if one["name"] == "fetch")
    return found


def test_port_headers_and_filters_of_the_proxy(peer_space: PeerSpace, tmp_path: Path) -> None:
    """A port where nobody listens ends at the origin, which the model says; a header can switch the peers off."""
    old = _spec(peer_space, tmp_path, "old", 0, proxy={"port": 65001}, fallbackAfter="2s")
    plain = _spec(
        peer_space, tmp_path, "plain", 0, proxy={"headers": {"X-Dragonfly-Use-P2P": "false"}, "filters": ["x-mine"]}
    )
    peer_space.apply("old", old)
    peer_space.apply("plain", plain)
    for name in ("old", "plain"):
        peer_space.wait_ready(name)
    (told,) = peer_space.ledger("old")
    assert told["direct"] == told["bytes"]["origin"] > PADDING
    assert "65001" in told["fallback"]
    told_by_model = peer_space.wait_condition("old", "Distributed", "True", "FellBack")
    assert "65001" in told_by_model["message"]
    (passed,) = peer_space.ledger("plain")
    assert (passed["bytes"].get("proxy", 0), passed["bytes"]["origin"] > PADDING) == (0, True)
    args = _fetch(peer_space, "plain")["args"]
    assert args[args.index("--proxy-filter") + 1] == "x-mine"
    for name in ("old", "plain"):
        peer_space.delete("inferencemodel", name)


def test_mode_fallback_and_patience(peer_space: PeerSpace, tmp_path: Path) -> None:
    """Direct asks no daemon. With `Fail` and no seed nobody may read the store: the model says so, and serves after `Origin`."""
    strict = _spec(peer_space, tmp_path, "strict", 0, fallback="Fail", fallbackAfter="3s")
    direct = {**_spec(peer_space, tmp_path, "direct", 0), "distribution": {"mode": "Direct"}}
    peer_space.apply("strict", strict)
    peer_space.apply("direct", direct)
    peer_space.wait_ready("direct")
    (read,) = peer_space.ledger("direct")
    assert "direct" not in read
    assert read["bytes"]["origin"] > PADDING
    assert "--peers" not in _fetch(peer_space, "direct")["args"]
    waiting = peer_space.wait_condition("strict", "Ready", "False", "PeersUnavailable")
    assert "pantala doctor" in waiting["message"]
    assert peer_space.origin.given(f"^/{BUCKET}/strict/1/weights") == 0
    peer_space.apply("strict", {**strict, "distribution": {"mode": "Dragonfly", "fallback": "Origin"}})
    peer_space.wait_ready("strict")
    assert total(peer_space.ledger("strict"), "origin") > PADDING
    for name in ("strict", "direct"):
        peer_space.delete("inferencemodel", name)
