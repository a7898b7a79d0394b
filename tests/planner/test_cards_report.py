"""What the status says of cards: what was asked and granted, who measures them, and what does not fit."""

from typing import Any

import orjson
import pytest

from pantala.api.check import check
from pantala.api.status import Status
from pantala.manifest.settings import AcceleratorSettings, Settings
from pantala.manifest.types import Manifest
from tests.planner.world import FULL_PROBLEMS, World, full_world, model, ready_pod, version

HAMI = {"provider": "hami", "memoryPerCard": "1000M", "corePercent": 30, "oversubscribe": True}
GIB = 1 << 30


def world(asked: Manifest, *pods: Manifest, **settings: Any) -> World:
    """A model whose pods ask for these cards."""
    made = World(model(accelerator=asked), Settings(accelerators=AcceleratorSettings(**settings)))
    made.settle()
    made.pods = list(pods)
    return made


def told(it: World) -> Manifest:
    """What the status says of the cards of the only version."""
    found: Manifest = it.report().status["versions"][0]["accelerator"]
    return found


def test_what_is_granted() -> None:
    """The provider in force, each thing that was asked beside what is granted, and the metric of one replica."""
    found = told(world(HAMI))
    assert found["provider"] == "hami"
    assert found["grants"] == [
        {"resource": "nvidia.com/gpu", "asked": "1", "granted": "1", "unit": "1 card", "amount": 1},
        {"resource": "nvidia.com/gpumem", "asked": "1000M", "granted": "954Mi", "unit": "1Mi", "amount": 954},
        {"resource": "nvidia.com/gpucores", "asked": "30%", "granted": "30%", "unit": "1%", "amount": 30},
    ]
    series = "hami_container_device_utilization_ratio by namespace, pod, times 3.333: percent of what is granted."
    assert found["utilization"] == series
    assert [words.partition(":")[0] for words in found["warnings"]] == [
        "accelerator.corePercent",
        "accelerator.oversubscribe",
    ]


def test_the_provider_in_force() -> None:
    """Where the spec leaves the choice to the installation the status has that which the pods were made with."""
    it = world({"count": 1}, provider="nvidia")
    assert told(it)["provider"] == "nvidia"
    it.settings = Settings(accelerators=AcceleratorSettings(provider="hami"))
    it.settle()
    assert told(it)["provider"] == "nvidia"
    assert told(world({"count": 1}, provider="hami"))["provider"] == "hami"


def test_why_nobody_measures() -> None:
    """Where no metric is of one replica alone, the reason is there."""
    shared = told(world({"provider": "nvidia", "sharing": "TimeSlicing"}))
    assert shared["utilization"].startswith("None. ")
    assert "scale on RequestsPerSecond" in shared["utilization"]


def test_without_cards_nothing_is_said() -> None:
    """A version that asks for none has no such field, and loses it when it asks no more."""
    it = world({"count": 1})
    assert told(it)
    it.edit(model())
    it.settle()
    assert "accelerator" not in it.report().status["versions"][0]


def test_paused() -> None:
    """What runs is told on while nothing is changed."""
    it = world({"count": 1})
    before = told(it)
    it.edit(model(accelerator={"count": 1}, paused=True))
    assert told(it) == before


def test_status_is_what_the_schema_allows() -> None:
    """The status can be read back by the types that the CRD is made of."""
    status = world(HAMI, ready_pod("v1")).report().status
    assert Status.model_validate(status, extra="forbid")


@pytest.mark.parametrize(
    ("asked", "size", "words"),
    [
        (
            HAMI | {"memoryPerCard": "16Gi"},
            40 * GIB,
            "are 40.0 GiB, and a replica was granted 16.0 GiB of memory, into which they cannot fit: set accelerator.memoryPerCard to more than 40 GiB, ",
        ),
        (
            HAMI | {"count": 2, "memoryPerCard": "16Gi"},
            41 * GIB,
            "was granted 2 x 16.0 GiB of memory, into which they cannot fit: set accelerator.memoryPerCard to more than 21 GiB, ",
        ),
        (
            {"provider": "mig", "profile": "1g.10gb"},
            11 * GIB,
            "was granted 10.0 GiB of memory, into which they cannot fit: take slices of more than 11 GiB, ",
        ),
        ({"provider": "aliyun", "memoryPerCard": "1Gi"}, GIB + 1, "are 1.0 GiB, and a replica was granted 1.0 GiB"),
    ],
)
def test_weights_that_do_not_fit(asked: Manifest, size: int, words: str) -> None:
    """Both figures and the next step are the first warning, and an event, once; room for them makes it go."""
    it = world(asked)
    assert told(it).get("warnings", []) == [item for item in told(it).get("warnings", []) if "The weights" not in item]
    it.pods = [ready_pod("v1", bytes={"origin": size - 5, "peer": 3, "cache": 2})]
    found = it.report()
    warning = found.status["versions"][0]["accelerator"]["warnings"][0]
    assert words in warning
    assert [(e.type, e.message) for e in found.events if e.reason == "ModelTooLarge"] == [("Warning", warning)]
    assert it.report().events == ()
    assert told(it)["warnings"][0] == warning


@pytest.mark.parametrize(
    ("asked", "size"),
    [
        (HAMI | {"memoryPerCard": "16Gi"}, 16 * GIB),
        (HAMI | {"count": 2, "memoryPerCard": "16Gi"}, 32 * GIB),
        ({"provider": "hami", "memoryPercent": 1}, 1 << 50),
        ({"provider": "nvidia"}, 1 << 50),
    ],
)
def test_weights_that_may_fit(asked: Manifest, size: int) -> None:
    """Nothing is said where they may fit, nor where nobody knows the memory of a card."""
    found = world(asked, ready_pod("v1", bytes={"origin": size})).report()
    assert "The weights" not in str(found.status["versions"][0]["accelerator"].get("warnings"))
    assert [e.reason for e in found.events if e.reason == "ModelTooLarge"] == []


def test_more_room_heals() -> None:
    """With a larger share the warning goes; with one that is too small in turn it has new figures, and is no event."""
    it = world(HAMI | {"memoryPerCard": "1Gi"}, ready_pod("v1", bytes={"origin": 10 * GIB}))
    assert "ModelTooLarge" in [e.reason for e in it.report().events]
    it.edit(model(accelerator=HAMI | {"memoryPerCard": "2Gi"}))
    it.settle()
    found = it.report()
    assert "was granted 2.0 GiB" in found.status["versions"][0]["accelerator"]["warnings"][0]
    assert "ModelTooLarge" not in [e.reason for e in found.events]
    it.edit(model(accelerator=HAMI | {"memoryPerCard": "10Gi"}))
    it.settle()
    found = it.report()
    assert "The weights" not in str(found.status["versions"][0]["accelerator"]["warnings"])
    assert "ModelTooLarge" not in [e.reason for e in found.events]


@pytest.mark.parametrize("letter", FULL_PROBLEMS)
def test_status_is_bounded(letter: str) -> None:
    """Sixteen versions with all that can be said of cards, and then of all else too, stay under the 64 KiB of a status."""
    it = full_world(letter)
    refused = it.model
    asked = HAMI | {"memoryPerCard": "1.00000000000000000000000001Gi", "count": 2}
    fine = [{**one, "uri": f"s3://models/{one['name']}/"} for one in refused["spec"]["versions"]]
    it.edit({**refused, "spec": {**refused["spec"], "accelerator": asked, "versions": fine}})
    it.settle()
    for obj in (it.model, {**refused, "spec": {**refused["spec"], "accelerator": asked}}):
        it.edit(obj)
        it.crowd(25, letter)
        for pod in it.pods:
            ended = pod["status"]["initContainerStatuses"][0]["state"]["terminated"]
            ended["message"] = ended["message"].replace(str(2**63 - 1), str(10 * GIB))
        status = it.report(*FULL_PROBLEMS[letter]).status
        assert all("The weights" in item["accelerator"]["warnings"][0] for item in status["versions"])
        assert len(orjson.dumps(status)) < 64 * 1024
        assert Status.model_validate(status, extra="forbid")
        assert check({**it.model, "status": status}) == check({**it.model, "status": {}})
        found = it.report(*FULL_PROBLEMS[letter])
        assert found.status == status
        assert "ModelTooLarge" not in [e.reason for e in found.events]
    assert all(len(item["message"]) > 160 for item in status["versions"])


def test_each_version_has_its_own() -> None:
    """Versions may ask different providers."""
    mixed = World(
        model(
            version("v1", accelerator={"provider": "nvidia"}),
            version("v2", accelerator={"provider": "mig", "profile": "1g.10gb"}),
            traffic={"split": [{"version": "v1", "weight": 50}, {"version": "v2", "weight": 50}]},
        )
    )
    mixed.settle()
    found = mixed.report().status["versions"]
    assert [item["accelerator"]["provider"] for item in found] == ["nvidia", "mig"]
