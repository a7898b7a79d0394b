"""What pods take: as Kubernetes counts it, and as schedulers wrote it down."""

from typing import Any

import pytest

from pantala.accelerators.taken import Slice, requests, taken, written
from tests.cli.fleet import ALIYUN, HAMI, TENCENT, VOLCANO, init_container, pod

GPU = "nvidia.com/gpu"


def cards(count: int) -> dict[str, str]:
    return {GPU: str(count)}


@pytest.mark.parametrize(
    ("init", "server", "held"),
    [
        ([], 2, 2),
        ([init_container("a", cards(3))], 2, 3),
        ([init_container("a", cards(1)), init_container("b", cards(1))], 2, 2),
        ([init_container("side", cards(1), sidecar=True)], 2, 3),
        ([init_container("side", cards(1), sidecar=True), init_container("a", cards(4))], 2, 5),
        ([init_container("a", cards(4)), init_container("side", cards(1), sidecar=True)], 2, 4),
        ([init_container("side", cards(3), sidecar=True), init_container("late", cards(2), sidecar=True)], 0, 5),
    ],
)
def test_init_containers(init: list[dict[str, Any]], server: int, held: int) -> None:
    """What init containers need one by one, sidecars beside them, or what runs afterwards: the larger of them."""
    spec = pod("a", "n", cards(server) if server else None, init=init)["spec"]
    assert requests(spec) == {GPU: held}


def test_quantities() -> None:
    """An API server writes 3000 as 3k; what has no domain in its name is no device."""
    spec = pod("a", "n", {"volcano.sh/vgpu-memory": "3k", "cpu": "2", "hugepages-2Mi": "2Mi"})["spec"]
    assert requests(spec) == {"volcano.sh/vgpu-memory": 3000}


def test_overhead() -> None:
    """What a RuntimeClass takes beside the containers counts, as for the scheduler."""
    spec = pod("a", "n", cards(2))["spec"]
    assert requests({**spec, "overhead": {"cpu": "1", GPU: "1"}}) == {GPU: 3}


@pytest.mark.parametrize(
    "nothing",
    [
        pod("ended", "n", cards(1), phase="Succeeded"),
        pod("refused", "n", cards(1), phase="Failed"),
        pod("waits", "", cards(1)),
        pod("plain", "n"),
        pod("blind", "n", sees="none"),
    ],
    ids=lambda made: made["metadata"]["name"],
)
def test_nothing_taken(nothing: dict[str, Any]) -> None:
    """Pods that have ended, that are bound to no node, or that have no cards take nothing."""
    assert taken(nothing) is None


@pytest.mark.parametrize(
    ("text", "init", "containers", "found"),
    [
        ("GPU-a,NVIDIA,3000,50:;", 0, 1, [("GPU-a", 3000, 50)]),
        ("GPU-a,NVIDIA,3000,50:GPU-b,NVIDIA,3000,0:;;", 0, 2, [("GPU-a", 3000, 50), ("GPU-b", 3000, 0)]),
        ("GPU-a,NVIDIA,1000,0:;GPU-a,NVIDIA,2000,10:;", 0, 2, [("GPU-a", 1000, 0), ("GPU-a", 2000, 10)]),
        ("GPU-a[0-1],NVIDIA,4864,14:;", 0, 1, [("GPU-a", 4864, 14)]),
        ("GPU-a,NVIDIA,3000,50", 0, 1, [("GPU-a", 3000, 50)]),
        (";", 0, 1, []),
        # Init containers come first and run one by one: the larger of them, or what runs afterwards.
        ("GPU-a,NVIDIA,5000,10:;;GPU-a,NVIDIA,2000,30:;", 2, 1, [("GPU-a", 5000, 30)]),
        (
            "GPU-a,NVIDIA,1000,0:;GPU-a,NVIDIA,1000,0:;GPU-b,NVIDIA,1000,0:;",
            1,
            2,
            [("GPU-a", 1000, 0), ("GPU-b", 1000, 0)],
        ),
        # Older HAMi, and Volcano, do not list init containers.
        ("GPU-a,NVIDIA,2000,30:;", 2, 1, [("GPU-a", 2000, 30)]),
    ],
)
def test_written(text: str, init: int, containers: int, found: list[tuple[str, int, int]]) -> None:
    """The cards of all containers, as HAMi and Volcano write and count them."""
    assert written(text, init, containers) == tuple(Slice(*one) for one in found)


@pytest.mark.parametrize(
    "text",
    [
        "GPU-a",
        "GPU-a,NVIDIA,3000:;",
        "GPU-a,NVIDIA,-1,0:;",
        "GPU-a,NVIDIA,much,0:;",
        ",NVIDIA,1,1:;",
        "null",
        "[]",
        "\x00,,1,",
    ],
)
@pytest.mark.parametrize("name", [HAMI, VOLCANO])
def test_malformed_slices(name: str, text: str) -> None:
    """An annotation that cannot be read counts for nothing, and is told; what the pod asks Kubernetes for counts."""
    found = taken(pod("bad", "n", cards(1), annotations={name: text}))
    assert found is not None
    assert (found.unread, dict(found.slices), found.requests) == ((name,), {}, {GPU: 1})


@pytest.mark.parametrize("text", ["", "x", "0,", "-1", "0;1"])
def test_malformed_indices(text: str) -> None:
    """Where the numbers of the cards cannot be read, the pod is as one that has not been told them."""
    found = taken(pod("bad", "n", cards(1), annotations={ALIYUN: text, f"{TENCENT}0": text}))
    assert found is not None
    assert found.placed == ()


def test_views() -> None:
    """A container sees cards by its environment; not those of a DaemonSet, as device plugins and exporters are."""
    made = pod("peeks", "n", sees="all")
    found = taken(made)
    assert found is not None
    assert [view.value for view in found.views] == ["all"]
    made["spec"]["containers"][0]["resources"] = {"claims": [{"name": "cards"}]}
    assert taken(made) is None, "its claim reserves them"
    del made["spec"]["containers"][0]["resources"]
    made["metadata"]["ownerReferences"] = [{"kind": "DaemonSet", "name": "dcgm-exporter"}]
    assert taken(made) is None
