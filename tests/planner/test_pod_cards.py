"""What a server is told of its share of a card, and who sees none."""

from typing import Any

import pytest

from pantala.accelerators.base import Claim, Memory
from pantala.api.model import InferenceModel
from pantala.api.resolve import resolve
from pantala.manifest.settings import Settings
from pantala.manifest.types import Manifest, PodParts
from pantala.planner import pod, render
from tests.planner.world import model

VISIBLE = "NVIDIA_VISIBLE_DEVICES"
NODE_CACHE = {"cache": {"hostPath": {"path": "/var/lib/pantala"}}}


def containers(claim: Claim | None, asked: dict[str, Any], **spec: Any) -> dict[str, Manifest]:
    """The containers of a pod with this claim, by name."""
    blocks: dict[str, Any] = {"accelerator": asked} if claim else {}
    read = InferenceModel.read(model(**blocks, **spec))
    version = resolve(read, "v1")
    made = pod.template(read, version, render.server_parts(version), "fetch:1", claim, Settings())
    assert isinstance(made, dict)
    return {it["name"]: it for it in (*made["spec"]["initContainers"], *made["spec"]["containers"])}


def env(container: Manifest) -> dict[str, str]:
    """The variables with a value."""
    return {item["name"]: item["value"] for item in container.get("env", ()) if "value" in item}


@pytest.mark.parametrize(
    ("memory", "asked", "told"),
    [
        (Memory(8 << 30, enforced=True), {"memoryPerCard": "8Gi"}, {"PANTALA_GPU_MEMORY_MIB": "8192"}),
        (Memory(3 << 30, enforced=False), {"memoryPerCard": "2500M"}, {"PANTALA_GPU_MEMORY_MIB": "3072"}),
        (None, {"memoryPercent": 50}, {"PANTALA_GPU_MEMORY_PERCENT": "50"}),
        (None, {}, {}),
    ],
)
def test_a_server_knows_its_share(memory: Memory | None, asked: dict[str, Any], told: dict[str, str]) -> None:
    """The server is told the memory that it was granted of each card, before variables of the user that may refer to it."""
    user = [{"name": "LIMIT", "value": "$(PANTALA_GPU_MEMORY_MIB)"}]
    runtime = {"name": "triton", "startupTimeout": "30m", "env": user}
    found = list(env(containers(Claim(PodParts(), memory=memory), asked, runtime=runtime)["server"]).items())
    assert {name: value for name, value in found if name.startswith("PANTALA_GPU")} == told
    assert found[: len(told)] == list(told.items())
    assert ("LIMIT", "$(PANTALA_GPU_MEMORY_MIB)") in found


def test_only_the_server_sees_cards() -> None:
    """The containers that bring the weights see no card, whatever their image says; the server's value is the vendor's."""
    found = containers(Claim(PodParts(limits={"nvidia.com/gpu": "1"})), {}, storage=NODE_CACHE)
    assert set(found) == {"hold", "fetch", "server"}
    assert {name: env(it).get(VISIBLE) for name, it in found.items()} == {
        "hold": "void",
        "fetch": "void",
        "server": None,
    }


def test_cards_by_claim_need_no_variable() -> None:
    """DynamicResourceAllocation injects devices without the variable, and nothing is to set it there."""
    claimed = Claim(PodParts(resource_claims=({"name": "cards"},)))
    assert all(VISIBLE not in env(it) for it in containers(claimed, {}).values())


def test_without_cards_nothing_changes() -> None:
    """A pod that asks for none has the variable on its server alone, as ever."""
    found = containers(None, {})
    assert {name: env(it).get(VISIBLE) for name, it in found.items()} == {"fetch": None, "server": "void"}
