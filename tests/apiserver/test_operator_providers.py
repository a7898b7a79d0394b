"""The installation's provider of cards: who gets it, what a new one does to what runs, and what the status says, on a real API server."""

from collections.abc import Callable
from typing import Any

import pytest

from pantala import naming
from tests.apiserver.operator_process import Installation, Space
from tests.apiserver.standin_kubelet import StandinKubelet
from tests.cluster import Cluster
from tests.cluster.audit import WRITES, AuditLog

pytestmark = pytest.mark.apiserver

SHARES = {"nvidia.com/gpu": "1", "nvidia.com/gpucores": "100"}
"""What HAMi is asked for a whole card."""


@pytest.fixture(scope="module")
def installation(install: Callable[..., Installation]) -> Installation:
    """An installation in a namespace of its own."""
    return install()


def limits(space: Space, name: str) -> dict[str, str]:
    """What the server of version v1 asks for; nothing while there is no Deployment."""
    live = space.get("Deployment", f"{name}-v1")
    found: dict[str, str] = live["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"] if live else {}
    return found


def cards(space: Space, name: str) -> dict[str, Any]:
    """What the status says of the cards of version v1."""
    found = [it.get("accelerator", {}) for it in space.status(name).get("versions", ())]
    return found[0] if found else {}


def test_a_new_default_restarts_nothing(installation: Installation, kwok_cluster: Cluster) -> None:
    """What runs keeps its provider until it is refreshed; what the old default could not express is accepted with the new one."""
    space = installation.space
    assert kwok_cluster.audit is not None
    log = AuditLog(kwok_cluster.audit)
    first = installation.start("--accelerator-default", "nvidia", identity="same").wait("leader")
    space.model("kept", accelerator={"count": 1})
    space.model("asks", accelerator={"memoryPerCard": "8Gi"})
    space.wait(lambda: cards(space, "kept"), "the cards in the status")
    space.wait(lambda: space.condition("asks", "Accepted").get("status") == "False", "the refusal")
    refusal = space.condition("asks", "Accepted")
    assert refusal["reason"] == "InvalidSpec"
    assert "the installation's nvidia is meant: memoryPerCard cannot be expressed" in refusal["message"]
    assert limits(space, "kept") == {"nvidia.com/gpu": "1"}
    first.kill()
    mark = log.mark()
    before = space.get("Deployment", "kept-v1")
    installation.start("--accelerator-default", "hami", identity="same").wait("leader")
    space.wait(lambda: space.condition("asks", "Accepted").get("status") == "True", "the ask accepted")
    assert limits(space, "asks") == {"nvidia.com/gpu": "1", "nvidia.com/gpumem": "8192"}
    assert cards(space, "asks")["provider"] == "hami"
    assert space.get("Deployment", "kept-v1")["metadata"]["generation"] == before["metadata"]["generation"]
    assert cards(space, "kept")["provider"] == "nvidia"
    written = [it for it in log.calls(mark, user=installation.user) if it.verb in WRITES and "kept" in it.name]
    # The first operator may have ended before it told that no node has such cards.
    told = {"inferencemodels/status"}
    assert {it.resource for it in written if it.namespace == space.name} <= told
    space.patch("InferenceModel", "kept", {"metadata": {"annotations": {naming.ANNOTATION_REFRESH: "now"}}})
    space.wait(lambda: limits(space, "kept") == SHARES, "the new default after a refresh")
    space.wait(lambda: cards(space, "kept")["provider"] == "hami", "the new default in the status")


def test_weights_that_do_not_fit(installation: Installation) -> None:
    """A replica that fetched more than its share of a card can hold is told in the status and once as an event."""
    space = installation.space
    if not installation.operators:
        installation.start().wait("leader")
    asked = {"provider": "aliyun", "memoryPerCard": "1Gi"}
    with StandinKubelet(space) as kubelet:
        space.model("large", accelerator=asked, template={"spec": {"schedulerName": "nobody"}})
        pod = kubelet.bind("large")
        kubelet.fetches(pod)
        space.wait(lambda: cards(space, "large"), "the cards in the status")
        assert "The weights" not in str(cards(space, "large")["warnings"])
        kubelet.fetched(pod)
        space.wait(lambda: "The weights" in str(cards(space, "large")["warnings"]), "the warning")
        assert "are 1.0 GiB, and a replica was granted 1.0 GiB of memory" in cards(space, "large")["warnings"][0]

        def told() -> list[Any]:
            return [it for it in space.list("Event") if it["reason"] == "ModelTooLarge"]

        space.wait(told, "the event")
        kubelet.loads(pod)
        kubelet.ready(pod)
        space.wait_ready("large")
        assert len(told()) == 1
        assert told()[0]["type"] == "Warning"
        assert told()[0].get("series", {}).get("count", 1) == 1
