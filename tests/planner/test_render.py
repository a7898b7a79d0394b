"""An upgrade of the operator restarts nothing; a change of the spec does; `refresh` asks for it."""

import copy
from typing import Any

import pytest

from pantala import naming
from pantala.manifest.settings import Settings
from pantala.planner import pod
from pantala.runtimes import registry
from tests.planner.world import World, model

OLD = Settings(fetcher_image="fetch:1", runtime_images={"triton": "triton:1", "torchserve": "torchserve:1"})
NEW = Settings(
    fetcher_image="fetch:2", runtime_images={"triton": "triton:2", "torchserve": "torchserve:2"}, drain_seconds=3
)


def images(world: World) -> tuple[str, str]:
    spec = world.deployment()["spec"]["template"]["spec"]
    return spec["initContainers"][0]["image"], spec["containers"][0]["image"]


@pytest.fixture
def world() -> World:
    world = World(model(), OLD)
    world.settle()
    return world


def test_other_defaults_change_nothing(world: World) -> None:
    """Images and settings of a newer operator reach no version that is rendered already."""
    world.settings = NEW
    assert world.step() == []
    assert world.plan().images == {"v1": "triton:1"}


def test_another_template_changes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A newer operator that would render the pods and files differently leaves those that are there."""
    build = pod.template

    def newer(*args: Any) -> Any:
        made = build(*args)
        return {**made, "spec": {**made["spec"], "dnsPolicy": "None"}}

    monkeypatch.setattr(pod, "template", newer)
    assert world.step() == []
    fresh = World(model(), OLD)
    fresh.settle()
    assert fresh.deployment()["spec"]["template"]["spec"]["dnsPolicy"] == "None"


def test_a_new_spec_keeps_the_recorded_images(world: World) -> None:
    """A changed field renders the template anew, with the images that the version had."""
    world.settings = NEW
    world.edit(model(resources={"requests": {"cpu": "1"}}))
    assert world.step() == ["update Deployment vision/resnet-v1"]
    assert images(world) == ("fetch:1", "triton:1")
    assert world.deployment()["spec"]["template"]["spec"]["containers"][0]["resources"] == {"requests": {"cpu": "1"}}


def test_another_runtime_takes_its_own_image(world: World) -> None:
    """The recorded image of one model server is not that of another."""
    world.settings = NEW
    world.edit(model(runtime={"name": "torchserve", "startupTimeout": "30m"}))
    world.settle()
    assert images(world) == ("fetch:1", "torchserve:2")


def test_an_image_of_the_spec_comes_and_goes(world: World) -> None:
    """An image in the spec wins; when it goes the recorded default comes back."""
    world.edit(model(runtime={"name": "triton", "startupTimeout": "30m", "image": "mine:1"}))
    world.settle()
    assert images(world) == ("fetch:1", "mine:1")
    assert world.plan().images == {"v1": "mine:1"}
    world.settings = NEW
    world.edit(model())
    world.settle()
    assert images(world) == ("fetch:1", "triton:1")


def test_refresh_takes_what_is_new(world: World) -> None:
    """`pantala refresh` makes the operator render with the images and templates of today, once."""
    world.settings = NEW
    world.edit(model(annotations={naming.ANNOTATION_REFRESH: "2026-01-02"}))
    assert world.step() == ["update Deployment vision/resnet-v1"]
    assert images(world) == ("fetch:2", "triton:2")
    world.settings = OLD
    assert world.step() == []


@pytest.mark.parametrize(
    "record",
    [
        None,
        "",
        "{}",
        "[]",
        "null",
        "not JSON",
        '{"inputs":"x"}',
        '{"inputs":1,"refresh":"","runtime":"triton","images":{"fetcher":"a","server":"b"},"body":"AAAA"}',
        '{"inputs":1,"refresh":"","runtime":"triton","images":"ab","body":"AAAA"}',
    ],
)
def test_a_damaged_record_is_made_anew(world: World, record: str | None) -> None:
    """A record that somebody removed or damaged is no reason to stop: the version is rendered as a new one."""
    annotations = world.deployment()["metadata"]["annotations"]
    good = annotations.pop(naming.ANNOTATION_RENDERED_WITH)
    if record is not None:
        annotations[naming.ANNOTATION_RENDERED_WITH] = record
    assert world.step() == ["update Deployment vision/resnet-v1"]
    assert world.deployment()["metadata"]["annotations"][naming.ANNOTATION_RENDERED_WITH] == good


def test_what_does_not_reach_the_pods_does_not_render(world: World) -> None:
    """Scaling, exposure and the order of things change no template."""
    before = copy.deepcopy(world.deployment()["spec"]["template"])
    world.settings = NEW
    world.edit(model(scaling={"minReplicas": 3}, expose={"nodePort": {}}, update={"maxSurge": 2, "maxUnavailable": 0}))
    world.settle()
    assert world.deployment()["spec"]["template"] == before


def test_record_is_small(world: World) -> None:
    """All annotations of an object share 256 KiB; the record takes a small part of them."""
    for runtime in registry.RUNTIMES if hasattr(registry, "RUNTIMES") else ("triton", "torchserve"):
        if runtime == "custom":
            continue
        made = World(model(runtime={"name": runtime, "startupTimeout": "30m"}), OLD)
        made.settle()
        assert len(made.deployment()["metadata"]["annotations"][naming.ANNOTATION_RENDERED_WITH]) < 8192
