"""The provider that the installation chose is kept with the pods: another default moves none of them."""

import base64
import json
import zlib
from typing import Any

import pytest

from pantala import naming
from pantala.accelerators.base import Claim, Grant, Memory
from pantala.manifest.settings import AcceleratorSettings, Settings
from pantala.manifest.types import Manifest, PodParts
from pantala.planner import cards
from pantala.planner.cards import Cards
from tests.planner.world import World, model, version

RECORD = naming.ANNOTATION_RENDERED_WITH


def installed(provider: str, **others: Any) -> Settings:
    """Settings of an installation with this default."""
    return Settings(accelerators=AcceleratorSettings(provider=provider, **others))


NVIDIA, HAMI = installed("nvidia"), installed("hami")


def limits(world: World) -> dict[str, str]:
    """What the server's container asks for."""
    found: dict[str, str] = world.deployment()["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]
    return found


def provider(world: World) -> str:
    """The provider in force."""
    return world.plan().cards["v1"].provider


@pytest.fixture
def world() -> World:
    """A model that leaves the provider to an installation with whole cards."""
    world = World(model(accelerator={"count": 1}), NVIDIA)
    world.settle()
    return world


def test_a_new_default_changes_nothing(world: World) -> None:
    """What runs stays with its provider, and the plan tells that one; new models get the new default."""
    world.settings = HAMI
    assert world.step() == []
    assert provider(world) == "nvidia"
    fresh = World(model(accelerator={"count": 1}), HAMI)
    fresh.settle()
    assert provider(fresh) == "hami"
    assert "nvidia.com/gpucores" in limits(fresh)


@pytest.mark.parametrize(
    ("default", "fields", "blamed"),
    [
        ("volcano", {"template": {"spec": {"schedulerName": "mine"}}}, "template.spec.schedulerName"),
        (
            "tencent",
            {"runtime": {"name": "triton", "env": [{"name": "LD_LIBRARY_PATH", "value": "/x"}]}},
            "runtime.env",
        ),
    ],
)
def test_what_is_in_the_way_of_the_default(default: str, fields: dict[str, Any], blamed: str) -> None:
    """What admission refuses where the provider is named is refused here where the installation's is meant; not with others."""
    world = World(model(accelerator={"count": 1}, **fields), installed(default))
    world.settle()
    bad = world.plan().invalid["v1"]
    assert bad.field == blamed
    assert bad.message.startswith(f"accelerator.provider is not set, so the installation's {default} is meant: ")
    world.settings = NVIDIA
    world.settle()
    assert provider(world) == "nvidia"


def test_another_field_keeps_the_provider(world: World) -> None:
    """A change that has nothing to do with cards renders anew, with the provider that the pods have."""
    world.settings = HAMI
    world.edit(model(accelerator={"count": 1}, resources={"requests": {"cpu": "1"}}))
    assert world.step() == ["update Deployment vision/resnet-v1"]
    assert (provider(world), limits(world)) == ("nvidia", {"nvidia.com/gpu": "1"})


@pytest.mark.parametrize(
    "edited",
    [
        {"accelerator": {"count": 1, "memoryPerCard": "8Gi"}},
        {"accelerator": {"count": 1}, "template": {"spec": {"nodeSelector": {"pool": "shared"}}}},
    ],
)
def test_another_ask_takes_the_new_default(world: World, edited: dict[str, Any]) -> None:
    """Who asks for something else, or for other nodes, gets what the installation gives for that today."""
    world.settings = HAMI
    world.edit(model(**edited))
    world.settle()
    assert provider(world) == "hami"


def test_refresh_takes_the_new_default(world: World) -> None:
    """`pantala refresh` takes it for what runs."""
    world.settings = HAMI
    world.edit(model(accelerator={"count": 1}, annotations={naming.ANNOTATION_REFRESH: "2026-01-02"}))
    assert world.step() == ["update Deployment vision/resnet-v1"]
    assert provider(world) == "hami"


def test_the_pool_decides() -> None:
    """The provider of a node pool counts for models that choose its nodes."""
    settings = installed("nvidia", pools=(({"pool": "shared"}, "hami"),))
    selector = {"spec": {"nodeSelector": {"pool": "shared", "zone": "a"}}}
    world = World(model(accelerator={"count": 1}, template=selector), settings)
    world.settle()
    assert provider(world) == "hami"


def without_cards(world: World) -> None:
    """Make the record one of before there was a choice."""
    annotations = world.deployment()["metadata"]["annotations"]
    record = json.loads(annotations[RECORD])
    body = json.loads(zlib.decompress(base64.b64decode(record["body"])))
    del body["cards"]
    record["body"] = base64.b64encode(zlib.compress(json.dumps(body).encode())).decode()
    annotations[RECORD] = json.dumps(record)


def test_a_record_without_cards_is_used() -> None:
    """What was rendered before there was a choice is not rendered anew, and its cards are known from the spec."""
    world = World(model(accelerator={"provider": "nvidia", "count": 2}), NVIDIA)
    world.settle()
    without_cards(world)
    record = world.deployment()["metadata"]["annotations"][RECORD]
    world.settings = HAMI
    plan = world.plan()
    (made,) = (item for item in plan.apply if item["kind"] == "Deployment")
    assert made["metadata"]["annotations"][RECORD] == record
    assert made["spec"]["template"] == world.deployment()["spec"]["template"]
    assert (plan.cards["v1"].provider, plan.cards["v1"].claim.cards) == ("nvidia", 2)


def test_a_record_without_cards_has_no_requirements() -> None:
    """Pods of before there was a choice may be on any node with cards, so no node counts as one of another kind."""
    world = World(model(accelerator={"provider": "nvidia", "count": 2}), NVIDIA)
    world.settle()
    assert world.plan().cards["v1"].claim.parts.node_requirements
    without_cards(world)
    assert world.plan().cards["v1"].claim.parts.node_requirements == ()


def refusals(world: World) -> list[Manifest]:
    """The conditions that say no."""
    conditions = world.report().status["conditions"]
    return [item for item in conditions if item["type"] == "Accepted" and item["status"] == "False"]


def test_what_the_default_cannot_express_is_refused() -> None:
    """A version that the default cannot serve is refused with the field and the next step; others go on; a new default heals it."""
    asks = version("v2", accelerator={"count": 1, "memoryPerCard": "8Gi"})
    world = World(model(version("v1"), asks), NVIDIA)
    world.settle()
    assert world.names() == {"resnet-v1"}
    world.roll_out("v1")
    (refused,) = refusals(world)
    assert refused["reason"] == "InvalidSpec"
    assert refused["message"].startswith(
        "Version v2, accelerator.memoryPerCard: accelerator.provider is not set, so the "
    )
    assert "installation's nvidia is meant" in refused["message"]
    assert "use one that can (hami, " in refused["message"]
    assert {it["type"]: it["status"] for it in world.report().status["conditions"]}["Ready"] == "True"
    world.settings = HAMI
    world.settle()
    assert world.names() == {"resnet-v1", "resnet-v2"}
    assert refusals(world) == []


FULL = Cards(
    "hami",
    "0123",
    Claim(
        PodParts(
            env=({"name": "A", "value": "1"},),
            limits={"nvidia.com/gpu": "1"},
            annotations={"a": "b"},
            node_requirements=({"key": "k", "operator": "In", "values": ["v"]},),
            scheduler_name="s",
            resource_claims=({"name": "cards"},),
        ),
        (Grant("nvidia.com/gpu", "1", "1", "1 card", 1),),
        2,
        Memory(2**33, enforced=True),
        ("Beware.",),
        {"spec": {"devices": {}}},
    ),
)


def test_record() -> None:
    """What is recorded is read back as it was, also by way of JSON."""
    assert cards.load(json.loads(json.dumps(cards.dump(FULL)))) == FULL


def test_a_record_of_a_later_operator() -> None:
    """A downgrade passes over what it does not know."""
    content = json.loads(json.dumps(cards.dump(FULL)))
    content["claim"]["colour"] = content["claim"]["parts"]["colour"] = content["claim"]["grants"][0]["colour"] = "green"
    assert cards.load(content) == FULL
